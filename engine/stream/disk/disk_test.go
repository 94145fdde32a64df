package disk

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/streamtest"
	"github.com/millrace-io/millrace/engine/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a clock that tests move.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ms.Store(1_700_000_000_000)
	return c
}

func (c *clock) now() time.Time          { return time.UnixMilli(c.ms.Load()) }
func (c *clock) advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

func TestConformance(t *testing.T) {
	for name, size := range map[string]int64{"small segments": 4 << 10, "default segments": 0} {
		t.Run(name+" in memory", func(t *testing.T) {
			streamtest.Run(t, func(t *testing.T) *streamtest.Backend { return tested(t, vfs.NewMem(), "data", size) })
		})
	}
	t.Run("on disk", func(t *testing.T) {
		streamtest.Run(t, func(t *testing.T) *streamtest.Backend {
			return tested(t, vfs.OS{}, filepath.Join(t.TempDir(), "data"), 0)
		})
	})
}

func tested(t *testing.T, fs vfs.FS, dir string, size int64) *streamtest.Backend {
	c := newClock()
	b := &streamtest.Backend{Advance: c.advance, Now: c.now}
	open := func() stream.Backend {
		back, err := Open(fs, dir, Options{Now: c.now, SegmentSize: size, Reserve: 1})
		if err != nil {
			t.Fatal(err)
		}
		return back
	}
	b.Backend = open()
	b.Reopen = func() stream.Backend {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		return open()
	}
	return b
}
