package disk

import (
	"time"

	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/seal"
)

// settings are what of the options of a log can change while it is open.
type settings struct {
	retention   time.Duration
	hidden      int64
	maxDisk     int64
	compression codec
	sync        stream.SyncMode
	every       time.Duration
	// keys open what is encrypted; nil without any. With encrypt they seal what is written.
	keys    seal.Keyring
	key     string
	encrypt bool
}

const defaultSyncEvery = 100 * time.Millisecond

// settings returns what o asks for. With an error the keys are such that fail with it, so that
// nothing is written in clear that should not be.
func (b *Backend) settings(name string, dir *streamDir, o stream.ShardOptions) (*settings, error) {
	s := &settings{
		retention: o.Retention, hidden: o.Hidden, maxDisk: o.MaxDisk, compression: codecOf(o.Compression),
		sync: o.Sync, every: o.SyncEvery, encrypt: o.Encrypt, key: o.Key,
	}
	if s.sync == "" {
		s.sync = b.options.Sync
	}
	if s.every <= 0 {
		s.every = defaultSyncEvery
	}
	if o.Key == "" && !o.Encrypt {
		return s, nil
	}
	keys, err := dir.keyring(b, name, o.Key)
	if err != nil {
		keys = failedKeys{err}
	}
	s.keys = keys
	return s, err
}

// Configure implements stream.Log.
func (l *Log) Configure(o stream.ShardOptions) {
	s, err := l.backend.settings(l.streamName(), l.stream, o)
	if err != nil {
		l.backend.options.Log.Error("the master key cannot be used", "shard", l.name, "error", err)
	}
	l.settings.Store(s)
}
