package rig

import (
	"bufio"
	"errors"
	"fmt"
	"os"

	"github.com/millrace-io/millrace/sources/generate"
)

// WriteClicks writes n click events as NDJSON, the same ones every time; seq counts them from 0.
func WriteClicks(path string, n int) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	event := generate.Clicks(seed)
	var line []byte
	for i := range int64(n) {
		line = append(event(line[:0], i), '\n')
		if _, err := w.Write(line); err != nil {
			return fmt.Errorf("write click events to %s: %w", path, err)
		}
	}
	return w.Flush()
}

// seed of all click events.
const seed = 1

// HoldsClicks reports whether a file begins as WriteClicks would write it now: the generator may
// have changed since.
func HoldsClicks(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	event := generate.Clicks(seed)
	for i := range int64(100) {
		if !lines.Scan() || lines.Text() != string(event(nil, i)) {
			return false
		}
	}
	return true
}
