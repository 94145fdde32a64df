package file

import (
	"errors"
	"io"
)

const (
	// windowSize is how much is read at once: large enough that system calls do not count, small
	// enough to stay in the processor's cache until the records are copied out.
	windowSize = 256 << 10
	// sampleSize is how much of a rejected piece is kept.
	sampleSize = 64 << 10
	// headroom is what a window keeps free before a large record, for the batch that takes its memory.
	headroom = 2 << 10
)

// window is the part of a file's content that is in memory.
type window struct {
	src io.Reader
	// check is asked before every read, so that reading ends when it should.
	check func() error
	// most is the size that is enough for any record.
	most int
	buf  []byte
	// buf[lo:hi] is not yet cut into records; its first byte is at offset in the content.
	lo, hi int
	offset int64
}

// reset begins with another content, of which src gives what is behind offset.
func (w *window) reset(src io.Reader, offset int64) {
	w.src, w.offset, w.lo = src, offset, min(headroom, len(w.buf))
	w.hi = w.lo
}

// bytes are those not yet cut.
func (w *window) bytes() []byte { return w.buf[w.lo:w.hi] }

// skip passes over n bytes.
func (w *window) skip(n int) {
	w.lo += n
	w.offset += int64(n)
}

// more reads at least one more byte, or returns io.EOF or another error. It moves the bytes.
func (w *window) more() error {
	if err := w.check(); err != nil {
		return err
	}
	if w.lo > headroom {
		w.hi = headroom + copy(w.buf[headroom:], w.buf[w.lo:w.hi])
		w.lo = headroom
	}
	if len(w.buf)-w.hi < windowSize/2 {
		w.grow()
	}
	n, err := io.ReadAtLeast(w.src, w.buf[w.hi:], 1)
	w.hi += n
	if n > 0 && err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if n > 0 {
		return nil
	}
	return err
}

// grow makes room for more. What a very large record needs comes at once: each step leaves memory behind.
func (w *window) grow() {
	size := max(windowSize, 2*len(w.buf))
	if len(w.buf) < w.most && size > 2<<20 {
		size = w.most
	}
	w.move(size)
}

// move goes on in other memory of a size.
func (w *window) move(size int) {
	to := make([]byte, size)
	n := copy(to[headroom:], w.bytes())
	w.buf, w.lo, w.hi = to, headroom, headroom+n
}

// give hands over the memory in which a record lies that was just passed over, from which offset on,
// and goes on in other memory. ok is false if the record is not there or has no headroom before it.
func (w *window) give(data []byte) (block []byte, from int, ok bool) {
	from = cap(w.buf) - cap(data)
	if from < headroom || from+len(data) > w.lo || &w.buf[from] != &data[0] {
		return nil, 0, false
	}
	block = w.buf[:from+len(data)]
	w.move(max(windowSize, headroom+w.hi-w.lo))
	return block, from, true
}

// shrink gives back the memory that long records took.
func (w *window) shrink() {
	if len(w.buf) > 2*windowSize && w.hi-w.lo <= windowSize-headroom {
		w.move(windowSize)
	}
}

// piece is what a cutter finds.
type piece struct {
	// data is the record. It is valid until the next call.
	data []byte
	// end is the offset behind it.
	end int64
	// code and reason are set when it cannot become a record; data is then at most sampleSize
	// bytes of the size it has.
	code, reason string
	size         int64
}

// cutter finds the records of a content.
type cutter interface {
	// start begins with the content in the window.
	start()
	// next is the next complete record. Errors: io.EOF when there is none in what the window
	// could read, and those of reading. After io.EOF it may be called again.
	next() (piece, error)
	// rest is what a content ends with that is not complete by itself: a line without its end.
	rest() (p piece, ok bool)
	// settled is the offset to resume at once everything was read.
	settled() int64
}

// long collects the beginning of a piece that is too long to be kept.
type long struct {
	head []byte
	size int64
}

// take moves n bytes out of the window.
func (l *long) take(w *window, n int) {
	b := w.bytes()[:n]
	l.head = append(l.head, b[:min(n, sampleSize-len(l.head))]...)
	l.size += int64(n)
	w.skip(n)
}

// piece is what was collected; it begins anew.
func (l *long) piece(end int64, code, reason string) piece {
	p := piece{data: l.head, size: l.size, end: end, code: code, reason: reason}
	l.head, l.size = nil, 0
	return p
}
