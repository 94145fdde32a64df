package encode

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/s2"
)

// compressor writes the compressed src over dst and returns it. It may be used from several
// goroutines; nil means that bytes stay as they are.
type compressor func(dst, src []byte) ([]byte, error)

// textCompression compresses pieces of text files: snappy comes in its framing format, which is what
// readers of *.sz expect.
func textCompression(c Compression, level int) (compressor, error) {
	if c == Snappy {
		return framedSnappy(), nil
	}
	codec, err := newCodec(c, level)
	return codec.compress, err
}

func framedSnappy() compressor {
	writers := sync.Pool{New: func() any {
		return s2.NewWriter(nil, s2.WriterSnappyCompat(), s2.WriterConcurrency(1))
	}}
	return func(dst, src []byte) ([]byte, error) {
		out := bytes.NewBuffer(dst[:0])
		w := writers.Get().(*s2.Writer)
		defer writers.Put(w)
		w.Reset(out)
		if err := w.EncodeBuffer(src); err != nil {
			return dst, err
		}
		err := w.Close()
		return out.Bytes(), err
	}
}

// avroCompression compresses blocks of Avro (Avro 1.12 specification, Required and Optional Codecs).
func avroCompression(c Compression, level int) (compressor, error) {
	switch c {
	case Snappy:
		return func(dst, src []byte) ([]byte, error) {
			if n := s2.MaxEncodedLen(len(src)); n < 0 {
				return dst, fmt.Errorf("a block of %d bytes is too large for snappy", len(src))
			} else if cap(dst) < n+crc32.Size {
				dst = make([]byte, n+crc32.Size)
			}
			out := s2.EncodeSnappy(dst[:cap(dst)], src)
			return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(src)), nil
		}, nil
	case Deflate:
		return deflate(level), nil
	}
	codec, err := newCodec(c, level)
	return codec.compress, err
}

// deflate is the format of RFC 1951, without header and checksum.
func deflate(level int) compressor {
	if level == 0 {
		level = 6
	}
	var writers sync.Pool
	return func(dst, src []byte) ([]byte, error) {
		out := bytes.NewBuffer(dst[:0])
		w, _ := writers.Get().(*flate.Writer)
		if w == nil {
			var err error
			if w, err = flate.NewWriter(out, level); err != nil {
				return dst, err
			}
		}
		defer writers.Put(w)
		w.Reset(out)
		if _, err := w.Write(src); err != nil {
			return dst, err
		}
		err := w.Close()
		return out.Bytes(), err
	}
}

// text compresses each piece on its own.
type text struct{ compress compressor }

func (t text) pack(dst, piece []byte, _ int64) ([]byte, error) { return t.compress(dst, piece) }

func (text) finish() []byte { return nil }
