package objects

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
)

// spoolMemory is how many bytes of an object stay in memory before they go to a file, and leastSpool what that is where
// the memory is small.
const (
	spoolMemory = 1 << 20
	leastSpool  = 64 << 10
)

// spoolPattern names the files of spools. What an earlier process left is of no use, for a chunk
// that was not published is encoded again.
const spoolPattern = "object-*.spool"

// Castagnoli is the polynomial of the checksum of objects, which S3 verifies.
var Castagnoli = crc32.MakeTable(crc32.Castagnoli)

// disk is where spools lie.
type disk struct {
	dir string
	log *slog.Logger
	// memory is what a spool keeps, in bytes; 0 means spoolMemory.
	memory int
	// spilled counts bytes written.
	spilled atomic.Int64
	// failing is set from an error until something can be written.
	failing atomic.Bool
}

// most is what a spool keeps in memory, in bytes.
func (d *disk) most() int { return cmp.Or(d.memory, spoolMemory) }

// write appends p to *f at an offset; it creates the file first if there is none. An error leaves what was there, so that the same
// bytes can be written again.
func (d *disk) write(f **os.File, p []byte, at int64) error {
	err := d.try(f, p, at)
	if err == nil {
		d.spilled.Add(int64(len(p)))
		d.failing.Store(false)
		return nil
	}
	if !d.failing.Swap(true) && d.log != nil {
		d.log.Warn("cannot spool to disk; chunks are cut early to stay within the memory. Free space there", "dir", d.dir, "error", err)
	}
	return err
}

func (d *disk) try(f **os.File, p []byte, at int64) error {
	if *f == nil {
		created, err := os.CreateTemp(d.dir, spoolPattern)
		if err != nil {
			return err
		}
		*f = created
	}
	_, err := (*f).WriteAt(p, at)
	return err
}

// discard closes and removes *f.
func (d *disk) discard(f **os.File) error {
	if *f == nil {
		return nil
	}
	old := *f
	*f = nil
	return errors.Join(old.Close(), os.Remove(old.Name()))
}

// spool is an encoded object that waits for its upload. What the disk does not take stays in
// memory, where it counts until the chunk is cut.
type spool struct {
	disk   *disk
	memory []byte
	file   *os.File
	// filed is how much is in the file; memory follows it.
	filed int64
	crc   uint32
}

// Write implements io.Writer.
func (s *spool) Write(p []byte) (int, error) {
	s.crc = crc32.Update(s.crc, Castagnoli, p)
	if len(s.memory)+len(p) > s.disk.most() {
		s.spill()
	}
	if len(p) > s.disk.most() && len(s.memory) == 0 && s.disk.write(&s.file, p, s.filed) == nil {
		s.filed += int64(len(p))
		return len(p), nil
	}
	s.memory = append(s.memory, p...)
	return len(p), nil
}

// spill moves what is in memory to the file, if the disk takes it.
func (s *spool) spill() {
	if len(s.memory) == 0 || s.disk.write(&s.file, s.memory, s.filed) != nil {
		return
	}
	s.filed += int64(len(s.memory))
	s.memory = s.memory[:0]
}

// release is spill that lets go of the memory too.
func (s *spool) release() {
	if s.spill(); len(s.memory) == 0 {
		s.memory = nil
	}
}

func (s *spool) size() int64 { return s.filed + int64(len(s.memory)) }

// ReadAt implements io.ReaderAt. It may be called from several goroutines.
func (s *spool) ReadAt(p []byte, at int64) (n int, err error) {
	if at < s.filed {
		n, err = s.file.ReadAt(p[:min(int64(len(p)), s.filed-at)], at)
		if err != nil {
			return n, fmt.Errorf("read a spool: %w", err)
		}
	}
	if n < len(p) && at+int64(n) < s.size() {
		n += copy(p[n:], s.memory[at+int64(n)-s.filed:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// drop forgets the object.
func (s *spool) drop() error {
	err := s.disk.discard(&s.file)
	*s = spool{disk: s.disk}
	return err
}

// dropSpools removes what an earlier process left in a directory.
func dropSpools(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, spoolPattern))
	for _, f := range files {
		err = errors.Join(err, os.Remove(f))
	}
	return err
}
