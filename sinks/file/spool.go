package file

import (
	"fmt"
	"io"
	"os"
)

// spool holds the encoded rows of an open chunk: in memory up to a limit, beyond it in a file of
// its own, which is overwritten by the next process.
type spool struct {
	path  string
	limit int

	buf  []byte
	file *os.File
	// spilled is how many bytes are in the file; buf follows them.
	spilled int64
}

// Write is for encoders that want an io.Writer.
func (s *spool) Write(p []byte) (int, error) {
	s.buf = append(s.buf, p...)
	return len(p), s.spill()
}

// spill moves buf to the file once it is beyond the limit.
func (s *spool) spill() error {
	if len(s.buf) <= s.limit {
		return nil
	}
	if s.file == nil {
		f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("spill to disk: %w", err)
		}
		s.file = f
	}
	if _, err := s.file.WriteAt(s.buf, s.spilled); err != nil {
		return fmt.Errorf("spill to disk: %w", err)
	}
	s.spilled += int64(len(s.buf))
	s.buf = s.buf[:0]
	return nil
}

func (s *spool) size() int64 { return s.spilled + int64(len(s.buf)) }

// copyTo writes out everything written since the last reset.
func (s *spool) copyTo(w io.Writer) error {
	if s.spilled > 0 {
		n, err := io.Copy(w, io.NewSectionReader(s.file, 0, s.spilled))
		if err != nil {
			return err
		}
		if n < s.spilled {
			return fmt.Errorf("%s has %d bytes instead of %d: %w", s.path, n, s.spilled, io.ErrUnexpectedEOF)
		}
	}
	_, err := w.Write(s.buf)
	return err
}

func (s *spool) reset() {
	s.buf, s.spilled = s.buf[:0], 0
}

func (s *spool) close() error {
	s.buf = nil
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	if removed := os.Remove(s.path); err == nil {
		err = removed
	}
	return err
}
