package sinks

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrorReader is implemented by sinks that can read error objects again, their own or others in the
// same store. The task that the sink belongs to need not have started.
type ErrorReader interface {
	// ErrorObjects lists error objects in the order of their names: what the sink itself put under its
	// error prefix, or, if from is not empty, all that is there. from is in the notation of the store.
	ErrorObjects(ctx context.Context, from string) ([]string, error)
	// OpenErrors reads an object that ErrorObjects named.
	OpenErrors(ctx context.Context, name string) (io.ReadCloser, error)
}

// ErrNoErrorPrefix reports a sink that has none, so that its rejected rows are in the dead-letter
// stream.
var ErrNoErrorPrefix = errors.New("it has no error_prefix")

// ErrorFiles is an ErrorReader of a directory. Files whose names begin with a dot are not finished.
func ErrorFiles(dir string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Type().IsRegular() && !strings.HasPrefix(d.Name(), ".") {
			names = append(names, path)
		}
		return nil
	})
	return names, err
}

// OpenErrorFile reads what ErrorFiles named.
func OpenErrorFile(name string) (io.ReadCloser, error) { return os.Open(name) }
