package flow_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
)

// plant is a stream on the disk backend whose consumers have several tasks, and a lake that they
// deliver to. It outlives consumers.
type plant struct {
	t       *testing.T
	backend *disk.Backend
	in      *stream.Stream
	dead    *stream.Stream
	ended   chan struct{}
	written map[string]int

	mu   sync.Mutex // guards what follows
	lake map[string][]string
	// order is the rows as they came to the lake.
	order []string
	fuse  fuse
	// pause, if set, is called by every Put before it has its effect.
	pause func(identity flow.Identity)
}

// fuse is a process that dies at an effect: from there on nothing it does has an effect.
type fuse struct {
	at    int
	after bool
	seen  int
	// kill ends the rest of the process.
	kill context.CancelFunc
}

func (p *plant) effect(do func() error) error {
	p.mu.Lock()
	p.fuse.seen++
	dead, last := p.fuse.at > 0 && p.fuse.seen > p.fuse.at, p.fuse.at > 0 && p.fuse.seen == p.fuse.at
	after, kill := p.fuse.after, p.fuse.kill
	p.mu.Unlock()
	if last && kill != nil {
		defer kill()
	}
	if dead || last && !after {
		return flow.Permanent(errCrash)
	}
	if err := do(); err != nil {
		return err
	}
	if last {
		return flow.Permanent(errCrash)
	}
	return nil
}

func newPlant(t *testing.T, shards int) *plant {
	b, err := disk.Open(vfs.NewMem(), "data", disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := &plant{t: t, backend: b, ended: make(chan struct{}), written: map[string]int{}, lake: map[string][]string{}}
	open := func(name string, shards int) *stream.Stream {
		s, err := stream.Open(t.Context(), b, stream.Spec{Name: name, Shards: shards})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	p.in, p.dead = open("clicks", shards), open("p.dead-letters", 1)
	t.Cleanup(func() {
		for _, err := range []error{p.in.Close(), p.dead.Close(), b.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return p
}

const keys = 8

// write stores n more rows of each key, numbered within it, and now and then what is no row.
func (p *plant) write(n int) {
	p.t.Helper()
	for range n {
		for k := range keys {
			key := fmt.Sprint("key-", k)
			var b record.Batch
			b.Add([]byte(key), fmt.Appendf(nil, `{"at":"2026-01-01T00:00:00Z","key":%q,"n":%d}`, key, p.written[key]), 0)
			if p.written[key]++; p.written[key]%5 == 0 {
				b.Add([]byte(key), []byte("{"), 0)
			}
			if err := p.in.Write(p.t.Context(), &b); err != nil {
				p.t.Fatal(err)
			}
		}
	}
}

// reshard splits one open shard and merges two others, if there are some.
func (p *plant) reshard() {
	p.t.Helper()
	var open []stream.Shard
	for _, s := range p.in.Shards() {
		if s.State == stream.ShardOpen {
			open = append(open, s)
		}
	}
	if err := p.in.Split(p.t.Context(), open[0].ID, open[0].Range.Middle()); err != nil {
		p.t.Fatal(err)
	}
	if len(open) > 2 {
		if err := p.in.Merge(p.t.Context(), open[1].ID, open[2].ID); err != nil {
			p.t.Fatal(err)
		}
	}
}

var keyedSchema = &column.Schema{Fields: []column.Field{
	{Name: "at", Type: column.Type{Kind: column.Timestamp}},
	{Name: "key", Type: column.Type{Kind: column.String}},
	{Name: "n", Type: column.Type{Kind: column.BigInt}},
}}

// site is a place where the consumer runs: a process.
type site struct {
	tasks  int
	rows   int64
	expiry time.Duration
	stop   chan struct{}
}

func (p *plant) consumer(s site) *flow.Consumer {
	p.t.Helper()
	meta := breakingMeta{p.backend.Meta(), p.effect}
	c, err := flow.NewConsumer(flow.ConsumerConfig{
		Tasks: s.tasks, Expiry: s.expiry,
		Open: func(task int) (flow.Config, error) {
			id := flow.Identity{Pipeline: "p", Name: "lake", Incarnation: p.in.Incarnation(), Task: task}
			return flow.Config{
				Identity: id, Kind: "sink", Type: "test",
				Feeds: []flow.Feed{{
					Input: flow.Input{Name: "clicks", Stream: p.in.Name(), Incarnation: p.in.Incarnation(), Updated: p.in.Updated, Ended: p.ended, Schema: keyedSchema, EventTime: "at", Shards: p.shards},
					Needs: keyedSchema.Names(), Start: p.start,
				}},
				Processor: &pool{p: p, id: id}, Trigger: flow.Trigger{Rows: s.rows}, Meta: meta,
				DeadLetters: &flow.DeadLetters{Pipeline: "p", Write: func(ctx context.Context, b *record.Batch) error {
					return p.effect(func() error { return p.dead.Write(ctx, b) })
				}},
				Stop: s.stop, Now: time.Now, Log: slog.New(slog.DiscardHandler),
			}, nil
		},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// start is the first record of each shard.
func (p *plant) start() (map[record.ShardID]record.Ordinal, error) {
	positions := map[record.ShardID]record.Ordinal{}
	for _, sh := range p.in.Shards() {
		positions[sh.ID] = 0
	}
	return positions, nil
}

func (p *plant) shards() []flow.Shard {
	var shards []flow.Shard
	for _, sh := range p.in.Shards() {
		shards = append(shards, flow.Shard{ID: sh.ID, Parents: sh.Parents, Keys: sh.Range, Log: p.in.Log(sh.ID)})
	}
	return shards
}

// pool is a sink that creates an object a chunk in the lake.
type pool struct {
	p    *plant
	id   flow.Identity
	rows []string
}

func (s *pool) Start(context.Context, json.RawMessage) error { s.rows = nil; return nil }

func (s *pool) Add(_ context.Context, b *column.Batch) (flow.Outcome, error) {
	for i := range b.Rows {
		if b.Selection == nil || slices.Contains(b.Selection, int32(i)) {
			s.rows = append(s.rows, fmt.Sprintf("%s %d", string(b.Columns[1].Text(i)), b.Columns[2].Int64s[i]))
		}
	}
	return flow.Outcome{Counts: flow.Counts{Passed: int64(b.Selected())}}, nil
}

func (s *pool) Open() flow.Open { return flow.Open{Rows: int64(len(s.rows))} }

func (s *pool) Plan(_ context.Context, cut flow.Cut) (flow.Plan, error) {
	plan := flow.Plan{Cut: cut}
	if len(s.rows) > 0 {
		sorted := slices.Sorted(slices.Values(s.rows))
		plan.Objects = []flow.Object{{Key: fmt.Sprintf("%d-%d", s.id.Task, cut.Chunk), Rows: int64(len(sorted)), Hash: strings.Join(sorted, ",")}}
	}
	return plan, nil
}

func (s *pool) Put(_ context.Context, plan flow.Plan) error {
	s.p.mu.Lock()
	pause := s.p.pause
	s.p.mu.Unlock()
	if pause != nil {
		pause(s.id)
	}
	return s.p.effect(func() error {
		s.p.mu.Lock()
		defer s.p.mu.Unlock()
		for _, o := range plan.Objects {
			if old, ok := s.p.lake[o.Key]; ok {
				if !slices.Equal(slices.Sorted(slices.Values(old)), slices.Sorted(slices.Values(s.rows))) {
					return flow.Permanent(fmt.Errorf("%s exists with other rows", o.Key))
				}
				continue
			}
			s.p.lake[o.Key] = slices.Clone(s.rows)
			s.p.order = append(s.p.order, s.rows...)
		}
		return nil
	})
}

func (s *pool) Published(flow.Plan) { s.rows = nil }
func (s *pool) Close() error        { return nil }

// complete checks that each row is in the lake once, each key's in order, and that the documents'
// ledgers account for all of them.
func (p *plant) complete(story string) {
	p.t.Helper()
	next := map[string]int{}
	for _, row := range p.order {
		var key string
		var n int
		if _, err := fmt.Sscanf(row, "%s %d", &key, &n); err != nil {
			p.t.Fatal(err)
		}
		if n != next[key] {
			p.t.Fatalf("%s: row %d of %s came where %d was due:\n%v", story, n, key, next[key], p.order)
		}
		next[key]++
	}
	rows, bad := 0, 0
	for key, n := range p.written {
		if next[key] != n {
			p.t.Fatalf("%s: %d rows of %s were delivered, %d written", story, next[key], key, n)
		}
		rows += n
		bad += n / 5
	}
	docs, err := checkpoint.ReadTasks(p.t.Context(), p.backend.Meta(), "tasks/p/lake")
	if err != nil {
		p.t.Fatal(err)
	}
	var counts checkpoint.Counts
	for _, d := range docs {
		if len(d.Ledger) > 0 {
			counts.Add(d.Ledger[0].Counts)
		}
	}
	if want := (checkpoint.Counts{In: int64(rows + bad), Passed: int64(rows), Bad: int64(bad)}); counts != want {
		p.t.Fatalf("%s: the ledgers sum up to %+v, want %+v", story, counts, want)
	}
	if b := p.dead.Log(0).Bounds(); int(b.Next) != bad {
		p.t.Fatalf("%s: %d dead letters, want %d", story, b.Next, bad)
	}
}

// grown is a plant whose stream was written to and resharded several times.
func grown(t *testing.T) *plant {
	p := newPlant(t, 3)
	for range 3 {
		p.write(3)
		p.reshard()
	}
	p.write(3)
	close(p.ended)
	return p
}

func (p *plant) vacate() {
	p.t.Helper()
	if _, err := checkpoint.Vacate(p.t.Context(), p.backend.Meta()); err != nil {
		p.t.Fatal(err)
	}
}
