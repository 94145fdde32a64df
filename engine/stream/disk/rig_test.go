package disk

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/vfs"
)

// rig is a backend in memory with one open shard.
type rig struct {
	t     *testing.T
	fs    *vfs.Mem
	clock *clock
	o     Options
	back  *Backend
	log   stream.Log
	// want are the data of the records that were acknowledged.
	want []string
}

func newRig(t *testing.T, o Options) *rig {
	r := &rig{t: t, fs: vfs.NewMem(), clock: newClock(), o: o}
	r.o.Now = r.clock.now
	if r.o.Reserve == 0 {
		r.o.Reserve = 1
	}
	r.open()
	t.Cleanup(r.close)
	return r
}

func (r *rig) open() {
	r.t.Helper()
	if err := r.tryOpen(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) tryOpen() error {
	back, err := Open(r.fs, "data", r.o)
	if err != nil {
		return err
	}
	r.back = back
	r.log, err = back.Shard(context.Background(), "s", 0, stream.ShardOptions{})
	return err
}

func (r *rig) close() {
	r.t.Helper()
	if err := r.back.Close(); err != nil {
		r.t.Error(err)
	}
}

func (r *rig) reopen() {
	r.t.Helper()
	r.close()
	r.open()
}

// kill goes on with what another process finds after this one was killed.
func (r *rig) kill() {
	r.t.Helper()
	next := r.fs.Restart()
	r.close()
	r.fs = next
	r.open()
}

func (r *rig) append(size int) error {
	text := fmt.Sprintf("%d:%s", len(r.want), strings.Repeat("x", size))
	var b record.Batch
	b.Add([]byte("key"), []byte(text), 0)
	done, err := r.log.Append(context.Background(), &b)
	if err == nil {
		if done.First != record.Ordinal(len(r.want)) {
			r.t.Errorf("record %d got ordinal %d", len(r.want), done.First)
		}
		r.want = append(r.want, text)
	}
	return err
}

func (r *rig) mustAppend(n, size int) {
	r.t.Helper()
	for range n {
		if err := r.append(size); err != nil {
			r.t.Fatal(err)
		}
	}
}

// read reads everything and goes on behind damage. lost are the ordinals that were reported.
func (r *rig) read() (lost map[record.Ordinal]bool) {
	r.t.Helper()
	lost = map[record.Ordinal]bool{}
	var buf stream.Buffer
	for at := r.log.Bounds().Oldest; ; {
		frames, err := r.log.Read(context.Background(), at, &buf)
		var corrupt *stream.CorruptError
		if errors.As(err, &corrupt) {
			if corrupt.Next <= at || corrupt.From > at {
				r.t.Fatalf("read at %d: %v", at, err)
			}
			for ; at < corrupt.Next; at++ {
				lost[at] = true
			}
			continue
		}
		if err != nil {
			r.t.Fatal(err)
		}
		if len(frames) == 0 {
			return lost
		}
		for _, f := range frames {
			r.compare(f)
			at = f.Next()
		}
	}
}

func (r *rig) compare(f stream.Frame) {
	r.t.Helper()
	at := int(f.First)
	for body := f.Body; len(body) > 0; at++ {
		rec, rest, err := record.Next(body)
		if err != nil {
			r.t.Fatal(err)
		}
		if at >= len(r.want) || string(rec.Data) != r.want[at] {
			r.t.Fatalf("record %d is %.30q, %d were acknowledged", at, rec.Data, len(r.want))
		}
		body = rest
	}
}

// wantAll reads everything that was acknowledged, without damage.
func (r *rig) wantAll() {
	r.t.Helper()
	if lost := r.read(); len(lost) > 0 || int(r.log.Bounds().Next) != len(r.want) {
		r.t.Errorf("lost %v; the log ends at %d, %d records were acknowledged", lost, r.log.Bounds().Next, len(r.want))
	}
}

func (r *rig) segments() []string { return r.segmentsIn("data/streams/s/000000000000") }

func (r *rig) segmentsIn(dir string) []string {
	r.t.Helper()
	names, err := r.fs.List(dir)
	if err != nil {
		r.t.Fatal(err)
	}
	var segments []string
	for _, n := range names {
		if strings.HasSuffix(n, ".seg") {
			segments = append(segments, path.Join(dir, n))
		}
	}
	return segments
}
