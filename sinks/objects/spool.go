package objects

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// spoolMemory is how much of an object stays in memory before it goes to a file.
const spoolMemory = 1 << 20

// spoolPattern names the files of spools. What an earlier process left is of no use, for a chunk
// that was not published is encoded again.
const spoolPattern = "object-*.spool"

// Castagnoli is the polynomial of the checksum of objects, which S3 verifies.
var Castagnoli = crc32.MakeTable(crc32.Castagnoli)

// spool is an encoded object that waits for its upload.
type spool struct {
	dir    string
	memory []byte
	file   *os.File
	// filed is how much is in the file; memory follows it.
	filed int64
	crc   uint32
}

// Write implements io.Writer.
func (s *spool) Write(p []byte) (int, error) {
	s.crc = crc32.Update(s.crc, Castagnoli, p)
	if len(s.memory)+len(p) > spoolMemory {
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	if len(p) > spoolMemory {
		return s.append(p)
	}
	s.memory = append(s.memory, p...)
	return len(p), nil
}

// spill moves what is in memory to the file.
func (s *spool) spill() error {
	_, err := s.append(s.memory)
	s.memory = s.memory[:0]
	return err
}

func (s *spool) append(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, spoolPattern)
		if err != nil {
			return 0, fmt.Errorf("spool an object: %w", err)
		}
		s.file = f
	}
	n, err := s.file.Write(p)
	s.filed += int64(n)
	if err != nil {
		err = fmt.Errorf("spool an object: %w", err)
	}
	return n, err
}

func (s *spool) size() int64 { return s.filed + int64(len(s.memory)) }

// settle makes content free of side effects, for those who call it from several goroutines.
func (s *spool) settle() error {
	if s.file == nil {
		return nil
	}
	_, err := s.content()
	return err
}

// content is the whole object. It is read at any place, as often as need be.
func (s *spool) content() (io.ReaderAt, error) {
	if s.file == nil {
		return bytes.NewReader(s.memory), nil
	}
	if err := s.spill(); err != nil {
		return nil, err
	}
	s.memory = nil
	return s.file, nil
}

// drop forgets the object.
func (s *spool) drop() error {
	s.memory = nil
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// dropSpools removes what an earlier process left in a directory.
func dropSpools(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, spoolPattern))
	for _, f := range files {
		err = errors.Join(err, os.Remove(f))
	}
	return err
}
