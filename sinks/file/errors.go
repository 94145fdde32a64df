package file

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sinks/objects"
)

// ErrorObjects implements sinks.ErrorReader. from is a directory.
func (d *directory) ErrorObjects(_ context.Context, from string) ([]string, error) {
	if from != "" {
		return sinks.ErrorFiles(from)
	}
	prefix, ok := d.chunk.ErrorPath()
	if !ok {
		return nil, d.fail(sinks.ErrNoErrorPrefix)
	}
	names, err := sinks.ErrorFiles(filepath.Join(d.config.Dir, filepath.FromSlash(prefix)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // nothing was rejected yet
	}
	if err != nil {
		return nil, d.fail(err)
	}
	own := objects.OwnErrors(d.env.Identity)
	return slices.DeleteFunc(names, func(n string) bool { return !own(filepath.ToSlash(n)) }), nil
}

// OpenErrors implements sinks.ErrorReader.
func (d *directory) OpenErrors(_ context.Context, name string) (io.ReadCloser, error) {
	return sinks.OpenErrorFile(name)
}
