package flow_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// over makes a task over feeds.
func (p *pair) over(feeds ...flow.Feed) *flow.Task {
	c := p.config(&wide{sink: sink{w: p.world}})
	c.Feeds, c.Parallelism = feeds, 2
	return flow.NewTask(c)
}

// latest is a feed that begins behind what the stream has.
func (p *pair) latest(s *stream.Stream) flow.Feed {
	f := p.feed(s)
	f.Start = func() (map[record.ShardID]record.Ordinal, error) {
		positions := map[record.ShardID]record.Ordinal{}
		for _, sh := range s.Shards() {
			positions[sh.ID] = s.Log(sh.ID).Bounds().Next
		}
		return positions, nil
	}
	return f
}

// via is a feed of the same stream through transforms.
func via(f flow.Feed, name string, steps ...string) flow.Feed {
	f.Name = name
	f.Steps = make([][]flow.Step, 2)
	for i := range f.Steps {
		for _, s := range steps {
			f.Steps[i] = append(f.Steps[i], flow.Step{Name: s, Transform: every{}})
		}
	}
	return f
}

// every is a transform that lets all rows through.
type every struct{}

func (every) Apply(b *column.Batch) (*column.Batch, flow.Outcome, error) {
	return b, flow.Outcome{}, nil
}

// A task that has committed nothing yet stands somewhere all the same, in the input that it had.
func TestAnInputThatIsAddedBeforeTheFirstChunkTakesNobodysPlace(t *testing.T) {
	p := newPair(t)
	close(p.ended)
	for i := range 10 {
		p.write(row(100 + i))
		p.order(row(200 + i))
	}
	p.run(p.over(p.latest(p.in)))
	p.write(row(0), row(1))
	p.run(p.over(p.latest(p.orders), p.latest(p.in)))
	p.order(row(2), row(3))
	p.run(p.over(p.latest(p.in), p.latest(p.orders)))
	if got := p.delivered(); !slices.Equal(got, wantRows(4)) {
		t.Errorf("delivered %q", got)
	}
}

func TestAnInputGoesOnUnderAnotherName(t *testing.T) {
	p := newPair(t)
	close(p.ended)
	p.write(row(0))
	p.order(row(1), row(2))
	p.run(p.task(2, p.in, p.orders))
	// A transform comes between the stream and the query.
	p.order(row(3))
	p.run(p.over(via(p.feed(p.orders), "paid", "paid"), p.feed(p.in)))
	// The stream is read beside it, as something new.
	p.write(row(4))
	p.run(p.over(via(p.latest(p.orders), "others"), p.feed(p.in), via(p.feed(p.orders), "paid", "paid")))
	if got := p.delivered(); !slices.Equal(got, wantRows(5)) {
		t.Errorf("delivered %q", got)
	}
}

func TestASingleInputIsKnownByItsTransforms(t *testing.T) {
	p := newPair(t)
	close(p.ended)
	p.order(row(0), row(1))
	p.run(p.over(via(p.feed(p.orders), "paid", "paid")))
	p.run(p.over(p.latest(p.orders), via(p.feed(p.orders), "paid", "paid")))
	if got := p.delivered(); !slices.Equal(got, wantRows(2)) {
		t.Errorf("delivered %q", got)
	}
	doc, err := checkpoint.Read(t.Context(), p.backend.Meta(), flow.Key(flow.Identity{Pipeline: "p", Name: "lake"}))
	if err != nil || doc.Feeds["paid"].Number != 0 || doc.Feeds["orders"].Number != 1 {
		t.Errorf("feeds %+v, %v", doc.Feeds, err)
	}
}

func TestAPlanOfRecordsThatAreGoneSaysSoAndDoesNotKeepTheQueryFromStartingOver(t *testing.T) {
	stuck := 0
	for at := 1; ; at++ {
		p := newPair(t)
		p.write(row(0), row(1))
		p.order(row(2), row(3))
		close(p.ended)
		p.breaks = breaks{at: at, after: true}
		if err := p.task(2, p.in, p.orders).Run(t.Context()); p.breaks.seen >= at && !errors.Is(err, errCrash) {
			t.Fatalf("crash %d: run returned %v", at, err)
		}
		if p.breaks.seen < at {
			break
		}
		p.breaks = breaks{}
		if err := stream.Delete(t.Context(), p.backend, "orders"); err != nil {
			t.Fatal(err)
		}
		p.orders = p.open("orders")
		p.order(row(7))
		err := p.task(2, p.in, p.orders).Run(t.Context())
		if err == nil {
			continue
		}
		stuck++
		if want := `chunk 1 was planned with records of stream "orders", which was deleted since, and cannot be completed; run once with --reset lake`; !strings.Contains(err.Error(), want) {
			t.Fatalf("crash %d: %v", at, err)
		}
		c := p.config(&wide{sink: sink{w: p.world}})
		c.Feeds = []flow.Feed{p.feed(p.in), p.feed(p.orders)}
		if err := flow.StartOver(t.Context(), c); err != nil {
			t.Fatalf("crash %d: start over: %v", at, err)
		}
		again := p.task(2, p.in, p.orders)
		if p.run(again); again.Status().Steps[2].In != 3 {
			t.Fatalf("crash %d: %+v", at, again.Status().Steps)
		}
	}
	if stuck == 0 {
		t.Error("no crash left a plan behind")
	}
}

// tardy finds every row late.
type tardy struct{}

func (tardy) Apply(b *column.Batch) (*column.Batch, flow.Outcome, error) {
	var o flow.Outcome
	for i := range b.Rows {
		o.Rejects = append(o.Rejects, flow.Reject{Row: i, Code: "late"})
	}
	o.Counts.Late = int64(b.Rows)
	return b.With([]int32{}), o, nil
}

// Two inputs of one stream stand at different places in it, and the second one becomes the first.
func TestLateRowsOfAStreamThatIsReadTwiceAreKeptWhicheverComesFirst(t *testing.T) {
	p := newPair(t)
	close(p.ended)
	late := p.open("late")
	run := func(names ...string) {
		c := p.config(&wide{sink: sink{w: p.world}})
		c.Late, c.Parallelism, c.Feeds, c.Identity.Incarnation = late.Write, 2, nil, p.orders.Incarnation()
		for _, name := range names {
			f := via(p.feed(p.orders), name, name)
			for _, steps := range f.Steps {
				steps[0].Transform = tardy{}
			}
			c.Feeds = append(c.Feeds, f)
		}
		p.run(flow.NewTask(c))
	}
	p.order(row(0), row(1), row(2))
	run("large")
	run("small", "large")
	run("large", "small")
	kept := int64(0)
	for _, sh := range late.Shards() {
		kept += int64(late.Log(sh.ID).Bounds().Next)
	}
	if kept != 6 {
		t.Errorf("%d late rows of 3 that are late for two inputs each", kept)
	}
}
