package disk

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/streamtest"
	"github.com/millrace-io/millrace/engine/vfs"
)

func model(f faults, wrap func(vfs.FS) vfs.FS) streamtest.Model {
	return streamtest.Model{
		Steps: 60,
		Open: func(fs vfs.FS, now func() time.Time) (stream.Backend, error) {
			if wrap != nil {
				fs = wrap(fs)
			}
			return Open(fs, "data", Options{Now: now, SegmentSize: 4 << 10, Reserve: 1, faults: f})
		},
	}
}

// TestNothingIsLostByPowerCuts goes through appends, trims and changes of documents.
func TestNothingIsLostByPowerCuts(t *testing.T) { runAll(t, model(faults{}, nil).Run, 100) }

func streamModel(f faults, settings stream.Settings, wrap func(vfs.FS) vfs.FS) streamtest.StreamModel {
	if settings.Sync == stream.SyncInterval {
		settings.SyncEvery = time.Hour // the model says when
	}
	return streamtest.StreamModel{Steps: 40, Settings: settings, Open: model(f, wrap).Open}
}

// TestReshardingSurvivesPowerCuts goes through the stream's changes in all modes.
func TestReshardingSurvivesPowerCuts(t *testing.T) {
	for name, m := range map[string]struct {
		settings  stream.Settings
		histories uint64
	}{
		"always":           {stream.Settings{}, 60},
		"zstd":             {stream.Settings{Compression: stream.Zstd}, 30},
		"interval, snappy": {stream.Settings{Sync: stream.SyncInterval, Compression: stream.Snappy}, 40},
		"never":            {stream.Settings{Sync: stream.SyncNever}, 30},
	} {
		t.Run(name, func(t *testing.T) {
			runAll(t, streamModel(faults{}, m.settings, nil).Run, m.histories)
		})
	}
}

// runAll runs as many histories as MILLRACE_HISTORIES says, or n.
func runAll(t *testing.T, run func(seed uint64) (streamtest.Result, error), n uint64) {
	if text := os.Getenv("MILLRACE_HISTORIES"); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	var sum streamtest.Result
	for seed := range n {
		r, err := run(seed)
		if err != nil {
			t.Fatal(err)
		}
		sum.Crashes += r.Crashes
		sum.Faults += r.Faults
		sum.Records += r.Records
	}
	t.Logf("%d histories: %d crash states, %d rounds with a failing file, %d records", n, sum.Crashes, sum.Faults, sum.Records)
}

// lazy leaves out the syncs of directories or files.
type lazy struct {
	vfs.FS
	dirs, files bool
}

func (l lazy) SyncDir(dir string) error {
	if l.dirs {
		return nil
	}
	return l.FS.SyncDir(dir)
}

func (l lazy) Create(name string) (vfs.File, error)        { return l.wrap(l.FS.Create(name)) }
func (l lazy) OpenReadWrite(name string) (vfs.File, error) { return l.wrap(l.FS.OpenReadWrite(name)) }

func (l lazy) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil || !l.files {
		return f, err
	}
	return lazyFile{f}, nil
}

type lazyFile struct{ vfs.File }

func (lazyFile) Sync() error { return nil }

func noDirs(fs vfs.FS) vfs.FS  { return lazy{FS: fs, dirs: true} }
func noFiles(fs vfs.FS) vfs.FS { return lazy{FS: fs, files: true} }

func TestModelFindsWhatIsLeftOut(t *testing.T) {
	for name, m := range map[string]streamtest.Model{
		"directory sync":  model(faults{}, noDirs),
		"file sync":       model(faults{}, noFiles),
		"sync before ack": model(faults{ackBeforeSync: true}, nil),
		"checksum":        model(faults{noChecksum: true}, nil),
		"producer check":  model(faults{noProducerCheck: true}, nil),
	} {
		t.Run(name, func(t *testing.T) { mustFind(t, m.Run) })
	}
}

func TestStreamModelFindsWhatIsLeftOut(t *testing.T) {
	for name, m := range map[string]streamtest.StreamModel{
		"directory sync":      streamModel(faults{}, stream.Settings{}, noDirs),
		"file sync":           streamModel(faults{}, stream.Settings{}, noFiles),
		"sync before ack":     streamModel(faults{ackBeforeSync: true}, stream.Settings{}, nil),
		"producer check":      streamModel(faults{noProducerCheck: true}, stream.Settings{}, nil),
		"inherited positions": streamModel(faults{noInheritance: true}, stream.Settings{}, nil),
		"parents' time":       streamModel(faults{noParentTime: true}, stream.Settings{}, nil),
		"sync of the seal":    streamModel(faults{sealBeforeSync: true}, stream.Settings{Sync: stream.SyncInterval}, nil),
	} {
		t.Run(name, func(t *testing.T) { mustFind(t, m.Run) })
	}
}

// mustFind demands that some history shows a broken promise.
func mustFind(t *testing.T, run func(seed uint64) (streamtest.Result, error)) {
	t.Helper()
	for seed := range uint64(200) {
		if _, err := run(seed); err != nil {
			t.Logf("found: %v", err)
			return
		}
	}
	t.Error("nothing was found")
}
