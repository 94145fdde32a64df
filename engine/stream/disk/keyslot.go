package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/stream/seal"
	"github.com/millrace-io/millrace/engine/vfs"
)

// The header of a sealed segment is longer, by two slots for its wrapped data key: one is in use,
// the other takes the key when it is wrapped again.
const (
	encryptedHeader = 4096
	slotStart       = 512
	slotSize        = 1536
	slotFixed       = 12

	// keyLimit is how long a new segment waits for its key.
	keyLimit = 30 * time.Second
)

var errNoKey = errors.New("both copies of the wrapped data key are damaged")

// keySlot is a wrapped data key in a segment's header. Of two, that with the higher generation
// counts.
type keySlot struct {
	generation uint32
	wrapped    []byte
}

// encode returns the whole slot, or fails when the key is too long for it.
func (s keySlot) encode() ([]byte, error) {
	if slotFixed+len(s.wrapped) > slotSize {
		return nil, fmt.Errorf("a wrapped data key of %d bytes does not fit the segment's header", len(s.wrapped))
	}
	b := make([]byte, slotFixed, slotSize)
	binary.LittleEndian.PutUint32(b[4:], s.generation)
	binary.LittleEndian.PutUint16(b[8:], uint16(len(s.wrapped)))
	b = append(b, s.wrapped...)
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:], castagnoli))
	return b[:slotSize], nil
}

func parseSlot(b []byte) (keySlot, bool) {
	n := int(binary.LittleEndian.Uint16(b[8:]))
	if n == 0 || n > len(b)-slotFixed {
		return keySlot{}, false
	}
	s := keySlot{generation: binary.LittleEndian.Uint32(b[4:]), wrapped: b[slotFixed : slotFixed+n]}
	return s, binary.LittleEndian.Uint32(b) == crc32.Checksum(b[4:slotFixed+n], castagnoli)
}

// findSlot returns the slot that counts, and which it is, of a header of encryptedHeader bytes.
func findSlot(b []byte) (s keySlot, at int, err error) {
	at = -1
	for i := range 2 {
		from := slotOffset(i)
		if found, ok := parseSlot(b[from : from+slotSize]); ok && (at < 0 || found.generation > s.generation) {
			s, at = found, i
		}
	}
	if at < 0 {
		return s, at, errNoKey
	}
	return s, at, nil
}

func slotOffset(i int) int64 { return slotStart + int64(i)*slotSize }

// appendSlots makes a header one of a sealed segment.
func appendSlots(b, wrapped []byte) ([]byte, error) {
	slot, err := keySlot{generation: 1, wrapped: wrapped}.encode()
	if err != nil {
		return nil, err
	}
	full := make([]byte, encryptedHeader)
	copy(full, b)
	copy(full[slotStart:], slot)
	return full, nil
}

// identity is what a segment's data key is bound to.
func (h header) identity() []byte {
	b := append([]byte(nil), "millrace segment"...)
	b = binary.LittleEndian.AppendUint64(b, h.incarnation)
	b = binary.LittleEndian.AppendUint32(b, uint32(h.shard))
	return binary.LittleEndian.AppendUint64(b, uint64(h.first))
}

func (l *Log) identity(s *segment) []byte {
	return header{incarnation: l.incarnation, shard: l.shard, first: s.first}.identity()
}

// encryptHeader returns the bytes of a new segment's header. With encryption it makes the segment's
// data key; the header is h's, and h becomes a sealed one.
func (l *Log) encryptHeader(h *header) (key *seal.SegmentKey, top []byte, err error) {
	s := l.settings.Load()
	if !s.encrypt {
		return nil, h.append(nil), nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), keyLimit)
	defer cancel()
	key, wrapped, err := s.keys.NewSegmentKey(ctx, h.identity())
	if err != nil {
		return nil, nil, err
	}
	h.encrypted = true
	top, err = appendSlots(h.append(nil), wrapped)
	return key, top, err
}

// checkKey makes sure, before anything is changed, that the last segment's records can be read. That
// its header is damaged is found by those who read it.
func (l *Log) checkKey(s *segment, encrypted bool) error {
	if !encrypted {
		return nil
	}
	f, err := l.backend.fs.Open(l.segmentPath(s))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), keyLimit)
	defer cancel()
	_, err = l.key(ctx, s, f)
	if errors.Is(err, errNoKey) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// viewKey is key, for a reader.
func (l *Log) viewKey(ctx context.Context, v *view, f vfs.File) (*seal.SegmentKey, error) {
	k, err := l.key(ctx, v.segment, f)
	if errors.Is(err, errNoKey) {
		return nil, v.corrupt(slotStart, v.first, v.next, err.Error())
	}
	return k, err
}

// key returns the data key of a sealed segment for reading, whose file is f. Errors: *seal.KeyError,
// errNoKey.
func (l *Log) key(ctx context.Context, s *segment, f vfs.File) (*seal.SegmentKey, error) {
	if k := l.keys.get(s); k != nil {
		return k, nil
	}
	slot, _, err := l.readSlot(f)
	if err != nil {
		return nil, err
	}
	keys := l.settings.Load().keys
	if keys == nil {
		return nil, seal.Missing(l.streamName(), slot.wrapped)
	}
	k, err := keys.OpenSegmentKey(ctx, slot.wrapped, l.identity(s))
	if err != nil {
		return nil, err
	}
	l.keys.put(s, k)
	return k, nil
}

func (l *Log) readSlot(f vfs.File) (keySlot, int, error) {
	b := make([]byte, encryptedHeader)
	l.slots.RLock()
	defer l.slots.RUnlock()
	if err := readFull(f, b, 0); err != nil {
		return keySlot{}, 0, err
	}
	return findSlot(b)
}

func (l *Log) streamName() string {
	name, _, _ := strings.Cut(l.name, "/")
	return name
}

// keyCache keeps the keys of the segments that were read last.
type keyCache struct {
	mu   sync.Mutex
	keys [8]cachedKey
	turn int
}

type cachedKey struct {
	segment *segment
	key     *seal.SegmentKey
}

func (c *keyCache) get(s *segment) *seal.SegmentKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.keys {
		if k.segment == s {
			return k.key
		}
	}
	return nil
}

func (c *keyCache) put(s *segment, k *seal.SegmentKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys[c.turn] = cachedKey{segment: s, key: k}
	c.turn = (c.turn + 1) % len(c.keys)
}
