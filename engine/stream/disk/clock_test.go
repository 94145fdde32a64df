package disk

import (
	"context"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/vfs"
)

// timeTravel is a stream whose clock jumps. All its records have one key, so that they are in one
// order over all shards.
type timeTravel struct {
	t      *testing.T
	r      *rand.Rand
	fs     *vfs.Mem
	clock  *clock
	back   *Backend
	stream *stream.Stream
	stored int
}

func (v *timeTravel) open() {
	v.t.Helper()
	var err error
	if v.back, err = Open(v.fs, "data", Options{Now: v.clock.now, SegmentSize: 2 << 10, Reserve: 1}); err != nil {
		v.t.Fatal(err)
	}
	if v.stream, err = stream.Open(v.t.Context(), v.back, stream.Spec{Name: "s", Now: v.clock.now}); err != nil {
		v.t.Fatal(err)
	}
}

func (v *timeTravel) close() {
	v.t.Helper()
	if err := v.stream.Close(); err != nil {
		v.t.Error(err)
	}
	if err := v.back.Close(); err != nil {
		v.t.Error(err)
	}
}

// jump sets the clock forward or back by seconds or by years.
func (v *timeTravel) jump() {
	d := []time.Duration{time.Second, time.Hour, 10_000 * time.Hour}[v.r.IntN(3)]
	v.clock.advance(time.Duration(v.r.Int64N(2*int64(d))) - d)
}

func (v *timeTravel) write() {
	v.t.Helper()
	var b record.Batch
	b.Add([]byte("key"), strconv.AppendInt(nil, int64(v.stored), 10), 0)
	if err := v.stream.Write(context.Background(), &b); err != nil {
		v.t.Fatal(err)
	}
	v.stored++
}

// reshape splits or merges the shards.
func (v *timeTravel) reshape() {
	v.t.Helper()
	if err := v.stream.Reshard(context.Background(), 1+v.r.IntN(3)); err != nil {
		v.t.Fatal(err)
	}
}

// kill goes on with what another process finds after this one was killed.
func (v *timeTravel) kill() {
	next := v.fs.Restart()
	v.close()
	v.fs = next
	v.open()
}

// timed is when and under which number a record was stored.
type timed struct {
	sequence string
	arrival  int64
}

// times are those of all records.
func (v *timeTravel) times() []timed {
	v.t.Helper()
	all := make([]timed, v.stored)
	for _, sh := range v.stream.Shards() {
		var buf stream.Buffer
		log := v.stream.Log(sh.ID)
		for at := log.Bounds().Oldest; at < log.Bounds().Next; {
			frames, err := log.Read(context.Background(), at, &buf)
			if err != nil {
				v.t.Fatal(err)
			}
			for _, f := range frames {
				rec, _, err := record.Next(f.Body)
				if err != nil {
					v.t.Fatal(err)
				}
				i, err := strconv.Atoi(string(rec.Data))
				if err != nil {
					v.t.Fatal(err)
				}
				all[i] = timed{sh.Sequence(f.First, f.Arrival).String(), f.Arrival}
				at = f.Next()
			}
		}
	}
	return all
}

func TestClockSetForwardAndBackKeepsNumbersAndArrivalsInOrder(t *testing.T) {
	for seed := range uint64(30) {
		v := &timeTravel{t: t, r: rand.New(rand.NewPCG(seed, 0)), fs: vfs.NewMem(), clock: newClock()}
		v.open()
		for range 150 {
			v.jump()
			v.write()
			switch v.r.IntN(12) {
			case 0:
				v.reshape()
			case 1:
				v.close()
				v.open()
			case 2:
				v.kill()
			}
		}
		all := v.times()
		for i, s := range all[1:] {
			if before := all[i]; s.sequence <= before.sequence || s.arrival < before.arrival {
				t.Errorf("seed %d: record %d is %+v, the one before %+v", seed, i+1, s, before)
			}
		}
		v.close()
	}
}
