package checkpoint_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
)

// mortalMeta dies at a change: from there on nothing is changed.
type mortalMeta struct {
	stream.Meta
	at, seen int
	after    bool
}

var errDied = errors.New("died")

func (m *mortalMeta) change(do func() error) error {
	m.seen++
	switch {
	case m.at == 0 || m.seen < m.at:
		return do()
	case m.seen == m.at && m.after:
		return errors.Join(do(), errDied)
	}
	return errDied
}

func (m *mortalMeta) CAS(ctx context.Context, key string, value []byte, revision uint64) (next uint64, err error) {
	err = m.change(func() error {
		next, err = m.Meta.CAS(ctx, key, value, revision)
		return err
	})
	return next, err
}

func (m *mortalMeta) Delete(ctx context.Context, key string, revision uint64) error {
	return m.change(func() error { return m.Meta.Delete(ctx, key, revision) })
}

// tasks is a sink with a number of tasks, in a directory of its own.
type tasks struct {
	t    *testing.T
	meta *mortalMeta
	checkpoint.TaskGroup
	start map[record.ShardID]record.Ordinal
}

func newTasks(t *testing.T, n int) *tasks {
	b, err := disk.Open(vfs.NewMem(), "data", disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return &tasks{
		t: t, meta: &mortalMeta{Meta: b.Meta()}, start: map[record.ShardID]record.Ordinal{},
		TaskGroup: checkpoint.TaskGroup{Stream: "clicks", Incarnation: "00000000000000aa", Pipeline: "p", Consumer: "lake", Tasks: n},
	}
}

func (x *tasks) prepare() error {
	_, err := x.Prepare(x.t.Context(), x.meta, checkpoint.Setup{
		Start: func() (map[record.ShardID]record.Ordinal, error) { return maps.Clone(x.start), nil },
		Redo:  x.redo,
	})
	return err
}

// redo publishes what is pending.
func (x *tasks) redo(ctx context.Context, task int) error {
	s, err := checkpoint.Open(ctx, x.meta, x.Key(task), nil)
	if err != nil {
		return err
	}
	return s.Publish(ctx)
}

func (x *tasks) docs() map[int]checkpoint.Document {
	x.t.Helper()
	docs, err := checkpoint.ReadTasks(x.t.Context(), x.meta, x.Documents())
	if err != nil {
		x.t.Fatal(err)
	}
	return docs
}

// read lets each task read some records of its shards, and plan some more.
func (x *tasks) read(publish bool) {
	x.t.Helper()
	for task := range x.Tasks {
		s, err := checkpoint.Open(x.t.Context(), x.meta, x.Key(task), func() (checkpoint.Beginning, error) { return checkpoint.Beginning{Positions: x.start}, nil })
		if err != nil {
			x.t.Fatal(err)
		}
		doc := s.Document()
		p := checkpoint.Pending{Ledger: []checkpoint.Step{{Name: "clicks", Counts: counted(doc)}}, Watermarks: map[record.ShardID]int64{}}
		p.Plan.Cut.Chunk, p.Plan.Cut.Ranges = doc.Chunk+1, map[record.ShardID]checkpoint.Range{}
		for shard, from := range doc.Positions {
			p.Plan.Cut.Ranges[shard] = checkpoint.Range{From: from, To: from + 10}
			p.Watermarks[shard] = int64(shard) * 1000
			p.Ledger[0].In += 10
			p.Ledger[0].Passed += 10
		}
		err = s.Plan(x.t.Context(), p)
		if err == nil && publish {
			err = s.Publish(x.t.Context())
		}
		if err != nil {
			x.t.Fatal(err)
		}
	}
}

// counted is what a document's ledger says.
func counted(doc checkpoint.Document) (c checkpoint.Counts) {
	for _, step := range doc.Ledger {
		c.Add(step.Counts)
	}
	return c
}

// check wants each shard at a position, in the document of its task alone, and the sum of all ledgers.
func (x *tasks) check(story string, want map[record.ShardID]record.Ordinal, in int64) {
	x.t.Helper()
	got := map[record.ShardID]record.Ordinal{}
	sum := int64(0)
	for task, doc := range x.docs() {
		if doc.Pending != nil {
			x.t.Errorf("%s: task %d has a plan", story, task)
		}
		for shard, next := range doc.Positions {
			if checkpoint.Owner(shard, x.Tasks) != task {
				x.t.Errorf("%s: %s is in the document of task %d", story, shard, task)
			}
			got[shard] = next
			if mark, ok := doc.Watermarks[shard]; next > x.start[shard] && (!ok || mark != int64(shard)*1000) {
				x.t.Errorf("%s: %s has watermark %d (%t)", story, shard, mark, ok)
			}
		}
		sum += counted(doc).In
	}
	if !maps.Equal(got, want) || sum != in {
		x.t.Errorf("%s: positions %v and %d rows, want %v and %d", story, got, sum, want, in)
	}
}

func TestPositionsMoveWhereverACrashHits(t *testing.T) {
	for _, numbers := range [][3]int{{1, 3, 2}, {4, 1, 4}, {2, 5, 1}, {3, 2, 3}} {
		for _, after := range []bool{false, true} {
			for at := 1; ; at++ {
				x := newTasks(t, numbers[0])
				want := map[record.ShardID]record.Ordinal{}
				for shard := range record.ShardID(7) {
					x.start[shard] = record.Ordinal(shard) * 100
					want[shard] = x.start[shard] + 20
				}
				if err := x.prepare(); err != nil {
					t.Fatal(err)
				}
				x.read(true)
				x.read(false)
				story := fmt.Sprintf("%v tasks, crash at %d (after its effect: %t)", numbers, at, after)
				x.Tasks, x.meta.at, x.meta.seen, x.meta.after = numbers[1], at, 0, after
				err := x.prepare()
				died := err != nil
				if died && !errors.Is(err, errDied) {
					t.Fatalf("%s: %v", story, err)
				}
				x.Tasks, x.meta.at = numbers[2], 0
				if err := x.prepare(); err != nil {
					t.Fatalf("%s: %v", story, err)
				}
				// Nothing had to move, so the tasks redo their plans themselves.
				for task, doc := range x.docs() {
					if doc.Pending != nil && numbers[0] == numbers[2] && died {
						if err := x.redo(t.Context(), task); err != nil {
							t.Fatal(err)
						}
					}
				}
				x.check(story, want, 7*20)
				if !died {
					break
				}
			}
		}
	}
}

func TestNewConsumerBeginsWhereItShouldWhereverACrashHits(t *testing.T) {
	for at := 1; ; at++ {
		x := newTasks(t, 3)
		x.start = map[record.ShardID]record.Ordinal{0: 10, 1: 20, 2: 30, 3: 40}
		x.meta.at = at
		died := x.prepare() != nil
		x.meta.at, x.Tasks = 0, 2
		// What is the latest record moves on while nothing is read.
		x.start = map[record.ShardID]record.Ordinal{0: 11, 1: 21, 2: 31, 3: 41}
		if err := x.prepare(); err != nil {
			t.Fatal(err)
		}
		want := x.start
		if !died {
			want = map[record.ShardID]record.Ordinal{0: 10, 1: 20, 2: 30, 3: 40}
			x.start = want
		}
		x.check(fmt.Sprint("crash at ", at), want, 0)
		if !died {
			return
		}
	}
}

func TestPreparingAgainChangesNothing(t *testing.T) {
	x := newTasks(t, 2)
	x.start = map[record.ShardID]record.Ordinal{0: 1, 1: 1}
	if err := x.prepare(); err != nil {
		t.Fatal(err)
	}
	x.read(false)
	x.meta.seen = 0
	if err := x.prepare(); err != nil || x.meta.seen != 0 {
		t.Errorf("%d changes, error %v", x.meta.seen, err)
	}
}

func TestPlanThatIsNotRedoneHoldsPositionsBack(t *testing.T) {
	x := newTasks(t, 2)
	x.start = map[record.ShardID]record.Ordinal{0: 1, 1: 1, 2: 1}
	if err := x.prepare(); err != nil {
		t.Fatal(err)
	}
	x.read(false)
	x.Tasks = 3
	_, err := x.Prepare(t.Context(), x.meta, checkpoint.Setup{Redo: func(context.Context, int) error { return nil }})
	if !errors.Is(err, checkpoint.ErrPending) {
		t.Errorf("error %v", err)
	}
	if doc := x.docs()[0]; doc.Pending == nil || len(doc.Positions) != 2 {
		t.Errorf("the document moved on: %+v", doc)
	}
}

func TestConsumerThatReadsAnotherStreamIsRefused(t *testing.T) {
	x := newTasks(t, 1)
	if err := x.prepare(); err != nil {
		t.Fatal(err)
	}
	x.Stream = "orders"
	var moved *checkpoint.MovedError
	if err := x.prepare(); !errors.As(err, &moved) || !strings.Contains(err.Error(), "another name") {
		t.Errorf("error %v", err)
	}
}

// A crash in the middle of a deletion leaves documents of a stream that is gone.
func TestStreamThatWasMadeAnewIsReadFromItsStart(t *testing.T) {
	x := newTasks(t, 2)
	x.start = map[record.ShardID]record.Ordinal{0: 5, 1: 5}
	if err := x.prepare(); err != nil {
		t.Fatal(err)
	}
	x.read(true)
	x.Incarnation, x.start = "00000000000000bb", map[record.ShardID]record.Ordinal{0: 0, 1: 0}
	if err := x.prepare(); err != nil {
		t.Fatal(err)
	}
	x.check("another incarnation", x.start, 0)
}

func TestLongNamesMakeDifferentGroups(t *testing.T) {
	long := strings.Repeat("x", 64)
	a := checkpoint.TaskGroup{Pipeline: long, Consumer: "a"}.Name()
	b := checkpoint.TaskGroup{Pipeline: long, Consumer: "b"}.Name()
	if a == b || len(a) > 64 || len(b) > 64 {
		t.Errorf("%q and %q", a, b)
	}
}

func FuzzDecodeTaskGroup(f *testing.F) {
	f.Add([]byte(`{"version":1,"tasks":{"documents":"tasks/p/lake","count":2}}`))
	f.Add([]byte(`{"version":1,"tasks":{"documents":"../x","count":-1}}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		meta := newTasks(t, 1).meta
		if _, err := meta.CAS(t.Context(), "leases/clicks/00000000000000aa/p.lake/group", value, 0); err != nil {
			t.Fatal(err)
		}
		g, err := checkpoint.ReadGroup(t.Context(), meta, "clicks", "00000000000000aa", "p.lake", nil)
		if err == nil && g.Tasks > 0 && (!json.Valid(value) || !strings.HasPrefix(g.Documents, "tasks/") || strings.Contains(g.Documents, "..")) {
			t.Errorf("%q leads to %q", value, g.Documents)
		}
	})
}
