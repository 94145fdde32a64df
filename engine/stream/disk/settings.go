package disk

import (
	"time"

	"github.com/millrace-io/millrace/engine/stream"
)

// settings are what of the options of a log can change while it is open.
type settings struct {
	retention   time.Duration
	hidden      int64
	maxDisk     int64
	compression codec
	sync        stream.SyncMode
	every       time.Duration
}

const defaultSyncEvery = 100 * time.Millisecond

func (b *Backend) settings(o stream.ShardOptions) *settings {
	s := &settings{
		retention: o.Retention, hidden: o.Hidden, maxDisk: o.MaxDisk, compression: codecOf(o.Compression),
		sync: o.Sync, every: o.SyncEvery,
	}
	if s.sync == "" {
		s.sync = b.options.Sync
	}
	if s.every <= 0 {
		s.every = defaultSyncEvery
	}
	return s
}

// Configure implements stream.Log.
func (l *Log) Configure(o stream.ShardOptions) { l.settings.Store(l.backend.settings(o)) }
