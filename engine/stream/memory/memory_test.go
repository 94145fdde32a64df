package memory

import (
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/streamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	streamtest.Run(t, func(t *testing.T) *streamtest.Backend {
		store := NewStore()
		var clock atomic.Int64
		clock.Store(1_700_000_000_000)
		b := &streamtest.Backend{
			Advance: func(d time.Duration) { clock.Add(d.Milliseconds()) },
			Now:     func() time.Time { return time.UnixMilli(clock.Load()) },
		}
		open := func() stream.Backend {
			back, err := Open(store, b.Now)
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
	})
}

func TestStoreIsOpenOnce(t *testing.T) {
	store := NewStore()
	b, err := Open(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(store, nil); err == nil {
		t.Error("a second backend was opened")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}
