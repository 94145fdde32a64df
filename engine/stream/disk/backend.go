package disk

import (
	"errors"
	"time"

	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/vfs"
)

// Options of a data directory. The zero value has the defaults.
type Options struct {
	// Now is the clock for arrival times; nil means time.Now.
	Now func() time.Time
	// SegmentSize is after how many bytes a new segment begins; zero means 64 MiB.
	SegmentSize int64
	// Reserve is how many bytes of the disk appends leave free; zero means 64 MiB or 1 % of the
	// disk, whichever is less.
	Reserve int64
}

// Backend is an open data directory.
type Backend struct{ stream.Backend }

// Open opens a data directory and creates it if need be. Error: *LockedError.
func Open(fs vfs.FS, dir string, o Options) (*Backend, error) {
	return nil, errors.New("not there yet")
}
