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

// TestNothingIsLostByPowerCuts runs as many histories as MILLRACE_HISTORIES says, or 100.
func TestNothingIsLostByPowerCuts(t *testing.T) {
	histories := uint64(100)
	if text := os.Getenv("MILLRACE_HISTORIES"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		histories = n
	}
	m := model(faults{}, nil)
	var sum streamtest.Result
	for seed := range histories {
		r, err := m.Run(seed)
		if err != nil {
			t.Fatal(err)
		}
		sum.Crashes += r.Crashes
		sum.Faults += r.Faults
		sum.Records += r.Records
	}
	t.Logf("%d histories: %d crash states, %d rounds with a failing file, %d records", histories, sum.Crashes, sum.Faults, sum.Records)
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

func TestModelFindsWhatIsLeftOut(t *testing.T) {
	for name, m := range map[string]streamtest.Model{
		"directory sync":  model(faults{}, func(fs vfs.FS) vfs.FS { return lazy{FS: fs, dirs: true} }),
		"file sync":       model(faults{}, func(fs vfs.FS) vfs.FS { return lazy{FS: fs, files: true} }),
		"sync before ack": model(faults{ackBeforeSync: true}, nil),
		"checksum":        model(faults{noChecksum: true}, nil),
		"producer check":  model(faults{noProducerCheck: true}, nil),
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(200) {
				if _, err := m.Run(seed); err != nil {
					t.Logf("found: %v", err)
					return
				}
			}
			t.Error("nothing was found")
		})
	}
}
