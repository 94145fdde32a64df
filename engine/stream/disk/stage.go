package disk

import (
	"github.com/millrace-io/millrace/engine/stream/seal"
	"github.com/millrace-io/millrace/engine/vfs"
)

const (
	// gather is up to which size bodies are copied together; larger ones are written from the batch.
	gather = 32 << 10
	// flushAt bounds the buffer of small frames.
	flushAt = 256 << 10
	// keptPack is how much memory is kept for the next body that is packed; very large records take more.
	keptPack = 4 << 20
	// maxParts bounds the pieces of one write.
	maxParts = 512
	// ahead is how much space is reserved at a time, once a segment shows that it grows.
	ahead = 8 << 20
)

var zeros [frameHeader]byte

// put adds a frame to the group, compressed if that is wanted and pays, and sealed.
func (c *committer) put(f *frame, body []byte) error {
	packs := (c.codec != codecNone || c.key != nil) && f.kind == kindData && len(body) > 0
	if packs {
		pack := c.log.backend.buffers.Get().(*[]byte)
		defer func() {
			if cap(*pack) <= keptPack {
				c.log.backend.buffers.Put(pack)
			}
		}()
		var err error
		if body, err = c.pack(f, pack, body); err != nil {
			return err
		}
		f.body = sum{}
	}
	c.head.add(f, c.at())
	start := len(c.buf)
	c.buf = append(c.buf, zeros[:]...)
	f.put(c.buf[start:], c.head.seed, body)
	c.staged += frameHeader + len(body)
	c.next = f.Next()
	if len(body) <= gather {
		c.buf = append(c.buf, body...)
	} else {
		c.list()
		c.parts = append(c.parts, body)
	}
	// A body that was packed lies in memory that others use next.
	if len(c.buf) >= flushAt || len(c.parts) >= maxParts || packs && len(body) > gather {
		return c.flush()
	}
	return nil
}

// at is the offset in the file of what is staged next.
func (c *committer) at() int64 { return c.offset + int64(c.staged) }

// list makes a piece of what stands in buf. It stays valid when buf grows and moves.
func (c *committer) list() {
	if len(c.buf) > c.listed {
		c.parts = append(c.parts, c.buf[c.listed:len(c.buf):len(c.buf)])
		c.listed = len(c.buf)
	}
}

// unstage forgets what was to be written.
func (c *committer) unstage() {
	clear(c.parts)
	c.buf, c.parts, c.listed, c.staged = c.buf[:0], c.parts[:0], 0, 0
}

// pack returns what the file holds of a body, in the memory of buf unless it is the body itself.
func (c *committer) pack(f *frame, buf *[]byte, body []byte) (packed []byte, err error) {
	f.raw = len(body)
	f.codec, packed, err = compress(c.codec, *buf, body)
	if err != nil {
		return nil, err
	}
	if f.codec != codecNone {
		*buf = packed[:0]
	}
	if c.key == nil {
		return packed, nil
	}
	f.encrypted, f.size = true, len(packed)+seal.Overhead
	f.fill(c.aad[:])
	// Compressed bytes are sealed in place.
	packed, err = c.key.Seal((*buf)[:0], packed, bound(c.aad[:]), uint64(c.at()))
	if err != nil {
		return nil, err
	}
	*buf = packed[:0]
	return packed, nil
}

// flush writes what is staged.
func (c *committer) flush() error {
	if c.staged == 0 {
		return nil
	}
	c.list()
	end := c.at()
	c.reserve(end)
	if err := vfs.WriteAllAt(c.file, c.parts, c.offset); err != nil {
		return err
	}
	c.offset = end
	c.unstage()
	return nil
}

// reserve asks for space in one piece, so that no sync searches for blocks. It is only a hint: if
// there is no space, the write will say so.
func (c *committer) reserve(end int64) {
	if end <= c.reserved || end <= ahead/8 {
		return
	}
	from := max(c.reserved, c.offset)
	c.reserved = min(end+ahead, max(c.log.backend.options.SegmentSize, end))
	_ = c.file.Preallocate(from, c.reserved-from)
}
