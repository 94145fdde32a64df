package file

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"
)

// followed is one file of a follower.
type followed struct {
	path string
	// file is nil for a packed file, which is read whole: nobody appends to those.
	file *os.File
	info os.FileInfo
	// id is set, and begun true, once the first line is complete.
	id    identity
	begun bool
	// offset is how far it was read, and flushed the offset last flushed.
	offset, flushed int64
	// size and changed are those of the last look; quiet counts looks without a change.
	size    int64
	changed time.Time
	quiet   int
	// gone is set when no path of the source names the file any more.
	gone bool
	// err is what went wrong when it was last read.
	err error
}

// follow opens a file to be followed. kind is Config.Compression.
func follow(path, kind string) (*followed, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a directory; write a pattern such as %s/*", path, path)
	}
	if err == nil && kind == "auto" {
		kind, err = detect(file)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	t := &followed{path: path, file: file, info: info, size: -1}
	if kind != "none" {
		t.close()
		t.file = nil
	}
	return t, nil
}

// close gives back what the file holds.
func (t *followed) close() {
	if t.file != nil {
		_ = t.file.Close() // it was only read
	}
}

// look finds out whether the file changed; ok is false when that cannot be said.
func (t *followed) look() (ok bool) {
	var info os.FileInfo
	var err error
	if t.file != nil {
		info, err = t.file.Stat()
	} else {
		info, err = os.Stat(t.path)
	}
	if err != nil {
		t.err = err
		return false
	}
	if info.Size() == t.size && info.ModTime().Equal(t.changed) {
		t.quiet++
	} else {
		t.size, t.changed, t.quiet = info.Size(), info.ModTime(), 0
	}
	return true
}

// from is the content from an offset on.
func (t *followed) from(offset int64) io.Reader {
	return io.NewSectionReader(t.file, offset, math.MaxInt64-offset)
}

// head is what the content begins with.
func (t *followed) head(format string) (head string, complete bool, err error) {
	begin := make([]byte, headSize)
	n, err := t.file.ReadAt(begin, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", false, err
	}
	head, complete = headOf(begin[:n], format)
	return head, complete, nil
}

// same reports whether the file is still the one that was begun, and not truncated meanwhile.
func (t *followed) same(format string) (bool, error) {
	if t.size < t.offset {
		return false, nil
	}
	head, _, err := t.head(format)
	return head == t.id.head, err
}
