package encode

import (
	"bytes"
	"io"

	"github.com/klauspost/compress/s2"

	"github.com/millrace-io/millrace/engine/column"
)

// frameBytes is how much text is compressed at once. Each piece is a zstd frame, gzip member or
// snappy stream of its own, which readers take one after the other; so an open file holds no
// compressor, only this much text.
const frameBytes = 512 << 10

// lines writes NDJSON.
type lines struct {
	schema  *column.Schema
	codec   codec
	out     io.Writer
	pending []byte
	packed  []byte
	// text is how many bytes were compressed, written how many they became.
	text, written int64
	rows          int64
	failed        error
}

// Add implements Encoder.
func (l *lines) Add(b *column.Batch) error {
	if l.failed != nil {
		return l.failed
	}
	if err := checkBatch(l.schema, b); err != nil {
		return err
	}
	n := b.Selected()
	for i := range n {
		row := i
		if b.Selection != nil {
			row = int(b.Selection[i])
		}
		l.pending = append(column.AppendJSON(l.pending, b, row), '\n')
		if len(l.pending) >= frameBytes {
			if err := l.Flush(); err != nil {
				return err
			}
		}
	}
	l.rows += int64(n)
	return nil
}

// Flush implements Encoder.
func (l *lines) Flush() error {
	if l.failed != nil || len(l.pending) == 0 {
		return l.failed
	}
	data := l.pending
	if l.codec.compress != nil {
		l.packed, l.failed = l.codec.compress(l.packed, l.pending)
		data = l.packed
	}
	if l.failed == nil {
		_, l.failed = l.out.Write(data)
	}
	l.text += int64(len(l.pending))
	l.written += int64(len(data))
	l.pending = l.pending[:0]
	return l.failed
}

// Finish implements Encoder.
func (l *lines) Finish() error {
	err := l.Flush()
	l.pending, l.packed = nil, nil
	return err
}

// Rows implements Encoder.
func (l *lines) Rows() int64 { return l.rows }

// Size implements Encoder.
func (l *lines) Size() int64 {
	open := int64(len(l.pending))
	switch {
	case l.text > 0:
		open = open * l.written / l.text
	case l.codec.compress != nil:
		open /= 4
	}
	return l.written + open
}

// Memory implements Encoder.
func (l *lines) Memory() int64 { return int64(cap(l.pending) + cap(l.packed)) }

// newStreamCodec is newCodec for files instead of pages: snappy comes in its framing format,
// which is what readers of *.sz expect.
func newStreamCodec(c Compression, level int) (codec, error) {
	if c != Snappy {
		return newCodec(c, level)
	}
	return codec{compress: func(dst, src []byte) ([]byte, error) {
		out := bytes.NewBuffer(dst[:0])
		w := s2.NewWriter(out, s2.WriterSnappyCompat(), s2.WriterConcurrency(1))
		if err := w.EncodeBuffer(src); err != nil {
			return dst, err
		}
		err := w.Close()
		return out.Bytes(), err
	}}, nil
}
