package vfs

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// Sync is fdatasync, which leaves out the times but not the size.
func (f osFile) Sync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("fdatasync %s: %w", f.Name(), err)
		}
	}
}

func (f osFile) Preallocate(offset, length int64) error {
	err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, offset, length)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("fallocate %s: %w", f.Name(), err)
	}
	return nil
}

// maxPieces is how many pieces pwritev(2) takes, IOV_MAX.
const maxPieces = 1024

// WriteVectorAt implements VectorWriter with pwritev(2), which may write less than it was given.
func (f osFile) WriteVectorAt(pieces [][]byte, offset int64) (n int, err error) {
	for len(pieces) > 0 {
		written, err := unix.Pwritev(int(f.Fd()), pieces[:min(len(pieces), maxPieces)], offset+int64(n))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && written == 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			return n, fmt.Errorf("pwritev %s: %w", f.Name(), err)
		}
		n += written
		pieces = behind(pieces, written)
	}
	return n, nil
}

// behind drops the first n bytes of the pieces, which it changes.
func behind(pieces [][]byte, n int) [][]byte {
	for len(pieces) > 0 && n >= len(pieces[0]) {
		n -= len(pieces[0])
		pieces = pieces[1:]
	}
	if n > 0 {
		pieces[0] = pieces[0][n:]
	}
	return pieces
}
