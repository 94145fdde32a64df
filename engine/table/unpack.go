package table

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// The first bytes of packed contents (RFC 1952, RFC 8878).
var (
	gzipMagic = []byte{0x1f, 0x8b}
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

// windowMemory bounds what unpacking zstd may take, in bytes.
const windowMemory = 32 << 20

// unpacked is the text of a content that may be packed with gzip or zstd; close must follow.
func unpacked(content io.Reader) (text io.Reader, done func(), err error) {
	in := bufio.NewReaderSize(content, 64<<10)
	start, _ := in.Peek(len(zstdMagic)) // what is shorter is not packed
	none := func() {}
	switch {
	case bytes.HasPrefix(start, gzipMagic):
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, none, fmt.Errorf("unpack gzip: %w", err)
		}
		return &bounded{in: z}, none, nil
	case bytes.HasPrefix(start, zstdMagic):
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(windowMemory))
		if err != nil {
			return nil, none, fmt.Errorf("unpack zstd: %w", err)
		}
		return &bounded{in: z}, z.Close, nil
	}
	return in, none, nil
}

// bounded ends with an error when more than MaxContent comes.
type bounded struct {
	in io.Reader
	n  int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.in.Read(p)
	if b.n += int64(n); b.n > MaxContent {
		return n, errContent
	}
	return n, err
}
