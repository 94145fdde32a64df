package flow_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// wide is a sink that lanes give rows at the same time.
type wide struct {
	sink
	mu     sync.Mutex
	joined int
}

func (s *wide) AddIn(ctx context.Context, _ int, b *column.Batch) (flow.Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Add(ctx, b)
}

func (s *wide) Joined() error { s.joined++; return nil }

// pair is a world with a second stream, of three shards.
type pair struct {
	*world
	orders *stream.Stream
}

func newPair(t *testing.T) *pair {
	p := &pair{world: newWorld(t)}
	p.orders = p.open("orders")
	return p
}

func (p *pair) open(name string) *stream.Stream {
	p.t.Helper()
	s, err := stream.Open(p.t.Context(), p.backend, stream.Spec{Name: name, Shards: 3})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			p.t.Error(err)
		}
	})
	return s
}

// order stores one record a line in the second stream.
func (p *pair) order(lines ...string) {
	p.t.Helper()
	var b record.Batch
	for _, l := range lines {
		b.Add([]byte(l), []byte(l), 0)
	}
	if err := p.orders.Write(p.t.Context(), &b); err != nil {
		p.t.Fatal(err)
	}
}

// feed reads a stream from its beginning.
func (p *pair) feed(s *stream.Stream) flow.Feed {
	shards := func() (all []flow.Shard) {
		for _, sh := range s.Shards() {
			all = append(all, flow.Shard{ID: sh.ID, Parents: sh.Parents, Keys: sh.Range, Log: s.Log(sh.ID)})
		}
		return all
	}
	return flow.Feed{
		Name: s.Name(),
		Input: flow.Input{
			Name: s.Name(), Stream: s.Name(), Incarnation: s.Incarnation(), Shards: shards, Updated: s.Updated, Ended: p.ended, Schema: schema, EventTime: "at",
		},
		Needs: schema.Names(),
		Start: func() (map[record.ShardID]record.Ordinal, error) {
			positions := map[record.ShardID]record.Ordinal{}
			for _, sh := range shards() {
				positions[sh.ID] = 0
			}
			return positions, nil
		},
	}
}

// task makes one over some streams with as many lanes as asked for.
func (p *pair) task(lanes int, streams ...*stream.Stream) *flow.Task {
	c := p.config(&wide{sink: sink{w: p.world}})
	c.Feeds, c.Parallelism = nil, lanes
	for _, s := range streams {
		c.Feeds = append(c.Feeds, p.feed(s))
	}
	return flow.NewTask(c)
}

func (p *pair) run(task *flow.Task) {
	p.t.Helper()
	if err := task.Run(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

func TestRowsOfSeveralInputsArriveOnceWhereverACrashHits(t *testing.T) {
	const rows = 23
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			p := newPair(t)
			for i := range rows {
				if i%3 == 0 {
					p.write(row(i))
				} else {
					p.order(row(i))
				}
			}
			p.write("broken click")
			p.order("broken order")
			close(p.ended)
			p.breaks = breaks{at: at, after: after}
			err := p.task(2, p.in, p.orders).Run(t.Context())
			crashed := p.breaks.seen >= at
			if crashed != errors.Is(err, errCrash) {
				t.Fatalf("crash %d: run returned %v", at, err)
			}
			p.breaks = breaks{}
			// The query has its inputs in another order now, and more lanes than there are shards.
			again := p.task(7, p.orders, p.in)
			if err := again.Run(t.Context()); err != nil {
				t.Fatalf("crash %d (after its effect: %t): the next run: %v", at, after, err)
			}
			if got := p.delivered(); !slices.Equal(got, wantRows(rows)) {
				t.Fatalf("crash %d (after its effect: %t): delivered %d rows, want %d:\n%s", at, after, len(got), rows, strings.Join(got, "\n"))
			}
			var letters []string
			for _, l := range p.deadLetters() {
				letters = append(letters, l.Stream+": "+l.Data)
			}
			slices.Sort(letters)
			if want := []string{"clicks: broken click", "orders: broken order"}; !slices.Equal(letters, want) {
				t.Fatalf("crash %d (after its effect: %t): dead letters %q", at, after, letters)
			}
			s := again.Status()
			want := map[string]checkpoint.Counts{
				"clicks": {In: 9, Passed: 8, Bad: 1}, "orders": {In: 16, Passed: 15, Bad: 1}, "lake": {In: rows, Passed: rows},
			}
			for _, step := range s.Steps {
				if step.Counts != want[step.Name] {
					t.Fatalf("crash %d: ledger of %s %+v, want %+v", at, step.Name, step.Counts, want[step.Name])
				}
			}
			if s.From != "orders, clicks" || len(s.Shards) != 5 {
				t.Fatalf("from %q, shards %+v", s.From, s.Shards)
			}
			if !crashed {
				break
			}
		}
	}
}

func TestInputsThatComeAndGoKeepWhereTheyStand(t *testing.T) {
	p := newPair(t)
	close(p.ended)
	p.write(row(0), row(1))
	p.order(row(2), row(3))
	p.run(p.task(1, p.in))
	p.run(p.task(2, p.orders, p.in))
	p.write(row(4))
	p.order(row(5))
	p.run(p.task(2, p.in, p.orders))
	if got := p.delivered(); !slices.Equal(got, wantRows(6)) {
		t.Fatalf("delivered %q", got)
	}
	// It goes on in the input that is left, which keeps its number.
	p.order(row(6))
	p.run(p.task(1, p.orders))
	doc, err := checkpoint.Read(t.Context(), p.backend.Meta(), flow.Key(flow.Identity{Pipeline: "p", Name: "lake"}))
	if err != nil {
		t.Fatal(err)
	}
	if len(doc.Feeds) != 1 || doc.Feeds["orders"].Number != 1 {
		t.Errorf("feeds %+v", doc.Feeds)
	}
	for id := range doc.Positions {
		if number, _ := checkpoint.SplitShard(id); number != 1 {
			t.Errorf("position of an input that is read no more: %d", id)
		}
	}
	// An input of the same name that was made anew is read from its beginning.
	if err := stream.Delete(t.Context(), p.backend, "orders"); err != nil {
		t.Fatal(err)
	}
	p.orders = p.open("orders")
	p.order(row(7))
	p.run(p.task(1, p.orders))
	if got := p.delivered(); !slices.Equal(got, wantRows(8)) {
		t.Errorf("delivered %q", got)
	}
}

func TestTheSlowestShardOfAnyInputHoldsTheWatermarkAndIsNamed(t *testing.T) {
	p := newPair(t)
	p.write(row(40), row(41), row(42), row(43), row(44), row(45))
	var lines []string
	for i := range 12 {
		lines = append(lines, row(10+i))
	}
	p.order(lines...)
	task := p.task(3, p.in, p.orders)
	done := make(chan error)
	go func() { done <- task.Run(t.Context()) }()
	for s := task.Status(); s.Steps[0].In+s.Steps[1].In < 18; s = task.Status() {
	}
	close(p.stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	s := task.Status()
	if s.Watermark == nil || !strings.HasPrefix(s.HeldBy, "orders shardId-00000000000") || s.Watermark.Second() > 21 {
		t.Errorf("watermark %v, held by %q", s.Watermark, s.HeldBy)
	}
	if len(s.Shards) != 5 || s.Shards[1].Stream != "clicks" || s.Shards[4].Stream != "orders" {
		t.Errorf("shards %+v", s.Shards)
	}
}

// large says that its rows take a byte each, and keeps the watermarks at which it was cut.
type large struct {
	sink
	marks []int64
}

func (s *large) Plan(ctx context.Context, cut flow.Cut) (flow.Plan, error) {
	s.marks = append(s.marks, cut.Watermark)
	return s.sink.Plan(ctx, cut)
}

func (s *large) Open() flow.Open {
	return flow.Open{Rows: int64(len(s.rows)), Memory: int64(len(s.rows))}
}

func TestAChunkIsCutBeforeTheRestOfTheShardsIsRead(t *testing.T) {
	p := newPair(t)
	for i := range 40 {
		p.write(row(i))
	}
	close(p.ended)
	s := &large{sink: sink{w: p.world}}
	c := p.config(s)
	c.Trigger, c.Memory = flow.Trigger{}, 1
	task := flow.NewTask(c)
	if err := task.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := p.delivered(); !slices.Equal(got, wantRows(40)) {
		t.Errorf("delivered %d rows", len(got))
	}
	// The shard that was not read yet holds the watermark back all the same.
	if len(s.marks) < 2 || s.marks[0] != column.MinWatermark || s.marks[1] == column.MinWatermark {
		t.Errorf("watermarks %v", s.marks)
	}
	if cuts := task.Status().Cuts["memory"]; cuts != 2 || len(p.dest) != 2 {
		t.Errorf("%d chunks were cut for memory, %d were delivered, of 2 shards", cuts, len(p.dest))
	}
}
