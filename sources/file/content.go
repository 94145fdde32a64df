package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	// maxWindow is the zstd window that is accepted, what `zstd --ultra` and --long=26 use. It is
	// memory.
	maxWindow = 64 << 20
	// From bombAfter unpacked bytes on, content that packs better than 1 to maxRatio is taken for
	// an attack.
	bombAfter = 256 << 20
	maxRatio  = 2000
)

// errBomb is the refusal of content that unpacks to absurd sizes.
var errBomb = fmt.Errorf("unpacks to more than %d times its size; unpack it first if it is what it claims to be", maxRatio)

// content is an open file, unpacked.
type content struct {
	path string
	file *os.File
	// src gives the unpacked content and equals file for plain ones.
	src    io.Reader
	packed string
	// in and out count the bytes of the file and of the content read.
	in, out int64
	// ahead was read by peek and is given out first.
	ahead   []byte
	closing func()
}

// openContent opens a file. kind is Config.Compression.
func openContent(path, kind string) (*content, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, missing(path, err)
	}
	c := &content{path: path, file: f, closing: func() {}}
	if err := c.unpack(kind); err != nil {
		c.close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func missing(path string, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s does not exist; correct paths, or set follow: true to wait for it", path)
	}
	return err // an *os.PathError names the path
}

func (c *content) unpack(kind string) error {
	info, err := c.file.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return errors.New("is a directory; write a pattern such as " + c.path + "/*")
	}
	if kind == "auto" {
		if kind, err = detect(c.file); err != nil {
			return err
		}
	}
	switch c.packed = kind; kind {
	case "gzip":
		z, err := gzip.NewReader(counter{c.file, &c.in})
		if err != nil {
			return unpackError(0, err)
		}
		c.src = z
	case "zstd":
		z, err := zstd.NewReader(counter{c.file, &c.in}, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return unpackError(0, err)
		}
		c.src, c.closing = z, z.Close
	default:
		c.packed, c.src = "", c.file
	}
	return nil
}

// detect finds out how a file is packed, by its first bytes or else by its name. No JSON text
// begins as packed files do.
func detect(f *os.File) (string, error) {
	magic := make([]byte, 4)
	n, err := f.ReadAt(magic, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	switch magic, name := magic[:n], f.Name(); {
	case bytes.HasPrefix(magic, []byte("\x1F\x8B")):
		return "gzip", nil
	case bytes.HasPrefix(magic, []byte("\x28\xB5\x2F\xFD")):
		return "zstd", nil
	case strings.HasSuffix(name, ".gz"), strings.HasSuffix(name, ".gzip"):
		return "gzip", nil
	case strings.HasSuffix(name, ".zst"), strings.HasSuffix(name, ".zstd"):
		return "zstd", nil
	}
	return "none", nil
}

type counter struct {
	r io.Reader
	n *int64
}

func (c counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	*c.n += int64(n)
	return n, err
}

// Read is io.Reader. Its errors name the file and the place in its content.
func (c *content) Read(p []byte) (int, error) {
	if len(c.ahead) > 0 {
		n := copy(p, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	}
	n, err := c.src.Read(p)
	c.out += int64(n)
	if c.packed == "" {
		c.in = c.out
	} else if c.out > bombAfter && c.out/maxRatio > c.in {
		return n, fmt.Errorf("%s: %w", c.path, errBomb)
	}
	if err != nil && err != io.EOF { //nolint:errorlint // a bare io.EOF is the end, a wrapped one is not
		return n, fmt.Errorf("%s: %w", c.path, unpackError(c.out, err))
	}
	return n, err
}

func unpackError(offset int64, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("after byte %d of the unpacked content: the file ends too early; copy it again", offset)
	}
	return fmt.Errorf("after byte %d of the unpacked content: %w", offset, err)
}

// peek returns up to n bytes that the content begins with. It comes before any Read.
func (c *content) peek(n int) ([]byte, error) {
	ahead := make([]byte, n)
	n, err := io.ReadFull(c, ahead)
	c.ahead = ahead[:n]
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return c.ahead, nil
}

// seek goes on at an offset of the content; io.EOF says that it is shorter.
func (c *content) seek(ctx context.Context, offset int64) error {
	if c.packed == "" {
		info, err := c.file.Stat()
		if err != nil {
			return err
		}
		if info.Size() < offset {
			return io.EOF
		}
		c.out, c.in, c.ahead = offset, offset, nil
		_, err = c.file.Seek(offset, io.SeekStart)
		return err
	}
	const step = 4 << 20
	for left := offset; left > 0; left -= step {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, c, min(left, step)); err != nil {
			return err
		}
	}
	return nil
}

func (c *content) close() {
	c.closing()
	_ = c.file.Close() // it was only read
}
