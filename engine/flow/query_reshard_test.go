package flow_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/sql"
)

// windowKinds are queries over keyedSchema, one of each kind of state.
var windowKinds = map[string]string{
	"tumble":   "SELECT window_start, key, COUNT(*) AS c, SUM(n) AS s FROM clicks GROUP BY TUMBLE(at, INTERVAL '10' SECOND), key",
	"hop":      "SELECT window_start, key, COUNT(*) AS c, MAX(n) AS m FROM clicks GROUP BY HOP(at, INTERVAL '5' SECOND, INTERVAL '20' SECOND), key",
	"distinct": "SELECT window_start, COUNT(DISTINCT n) AS d FROM clicks GROUP BY TUMBLE(at, INTERVAL '30' SECOND)",
	"session":  "SELECT window_start, window_end, key, COUNT(*) AS c, SUM(n) AS s FROM clicks GROUP BY SESSION(at, INTERVAL '3' SECOND), key",
	"stagger":  "SELECT window_start, key, COUNT(*) AS c FROM clicks GROUP BY STAGGER(at, INTERVAL '7' SECOND), key",
	"rows":     "SELECT window_start, key, COUNT(*) AS c, SUM(n) AS s FROM clicks GROUP BY TUMBLE(ROWS 4), key",
	"over":     "SELECT at, key, n, SUM(n) OVER w AS s, LAG(n) OVER w AS l FROM clicks WINDOW w AS (PARTITION BY key ORDER BY at ROWS 3 PRECEDING)",
	"chain":    "SELECT window_start, COUNT(*) AS c, SUM(c) AS s FROM (SELECT window_start, key, COUNT(*) AS c FROM clicks GROUP BY SESSION(at, INTERVAL '3' SECOND), key) AS i GROUP BY TUMBLE(window_start, INTERVAL '20' SECOND)",
}

// mill is a plant with a query whose rows are kept under their positions.
type mill struct {
	*plant
	query *sql.Query
	dir   string
	// ins are the query's inputs; rows go to one of them after the other.
	ins []*stream.Stream
	// last is the position of the last row that was taken.
	last int64
	rows []string
}

func (m *mill) write(rows []string) {
	m.t.Helper()
	for i, row := range rows {
		var b record.Batch
		key, _, _ := strings.Cut(row[strings.Index(row, "key-"):], `"`)
		b.Add([]byte(key), []byte(row), 0)
		if err := m.ins[i%len(m.ins)].Write(m.t.Context(), &b); err != nil {
			m.t.Fatal(err)
		}
	}
}

// shuffle splits a shard or merges two.
func (m *mill) shuffle(r *rand.Rand) {
	m.t.Helper()
	in := m.ins[r.IntN(len(m.ins))]
	open := slices.DeleteFunc(in.Shards(), func(s stream.Shard) bool { return s.State != stream.ShardOpen })
	slices.SortFunc(open, func(a, b stream.Shard) int { return a.Range.Start.Compare(b.Range.Start) })
	i := r.IntN(len(open))
	var err error
	if r.IntN(2) == 0 && i+1 < len(open) {
		err = in.Merge(m.t.Context(), open[i].ID, open[i+1].ID)
	} else {
		err = in.Split(m.t.Context(), open[i].ID, open[i].Range.Middle())
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// take is the output stream: it skips what it has.
func (m *mill) take(_ context.Context, b *record.Batch) error {
	return m.effect(func() error {
		for i := range b.Len() {
			if position := b.Position(i); position > m.last {
				m.last, m.rows = position, append(m.rows, string(b.Record(i).Data))
			}
		}
		return nil
	})
}

// run goes on until the input has ended, or for so many turns.
func (m *mill) run(ctx context.Context, turns int, chunk, memory int64) error {
	stop, always := make(chan struct{}), make(chan struct{})
	close(always)
	updated := func() <-chan struct{} {
		if turns--; turns == 0 {
			close(stop)
		}
		return always
	}
	id := flow.Identity{Pipeline: "p", Name: "q", Incarnation: m.in.Incarnation()}
	lanes := 1 + turns%3 // other ones in each run
	var feeds []flow.Feed
	for i, name := range m.query.Inputs() {
		in := m.input(name)
		shards, start := shardsOf(in)
		feeds = append(feeds, flow.Feed{
			Name: name,
			Input: flow.Input{
				Name: name, Stream: in.Name(), Incarnation: in.Incarnation(), Updated: updated, Ended: m.ended,
				Schema: keyedSchema, EventTime: "at", Delay: 2 * time.Second, Shards: shards,
			},
			Needs: m.query.Needs(i), Start: start,
		})
		updated = func() <-chan struct{} { return always } // turns are counted once
	}
	return flow.NewTask(flow.Config{
		Identity: id, Kind: "query", Feeds: feeds,
		Parallelism: lanes, Trigger: flow.Trigger{Rows: chunk}, Meta: breakingMeta{m.backend.Meta(), m.plant.effect},
		Processor:   &flow.Query{Identity: id, Target: "p.q", Write: m.take, New: m.query.New, Windowed: true, Memory: memory, Dir: m.dir, Lanes: lanes},
		DeadLetters: &flow.DeadLetters{Pipeline: "p", Write: func(context.Context, *record.Batch) error { return errors.New("a row was rejected") }},
		Stop:        stop, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}).Run(ctx)
}

// input is the stream of a name.
func (m *mill) input(name string) *stream.Stream {
	return m.ins[slices.IndexFunc(m.ins, func(s *stream.Stream) bool { return s.Name() == name })]
}

// shardsOf are what a feed needs of a stream.
func shardsOf(in *stream.Stream) (func() []flow.Shard, func() (map[record.ShardID]record.Ordinal, error)) {
	shards := func() (all []flow.Shard) {
		for _, sh := range in.Shards() {
			all = append(all, flow.Shard{ID: sh.ID, Parents: sh.Parents, Keys: sh.Range, Log: in.Log(sh.ID)})
		}
		return all
	}
	start := func() (map[record.ShardID]record.Ordinal, error) {
		positions := map[record.ShardID]record.Ordinal{}
		for _, sh := range in.Shards() {
			positions[sh.ID] = 0
		}
		return positions, nil
	}
	return shards, start
}

// straight is what a query makes of rows in one shard, in one batch and all in memory.
func straight(t *testing.T, q *sql.Query, rows []string) []string {
	t.Helper()
	d := column.NewDecoder(keyedSchema, q.Needs(0), column.Options{})
	for i, row := range rows {
		if err := d.Add([]byte(row), record.Ordinal(i), 0); err != nil {
			t.Fatal(err)
		}
	}
	op := q.New()
	if _, err := op.Add(d.Take(column.Origin{})); err != nil {
		t.Fatal(err)
	}
	out, err := op.Emit(column.MaxWatermark)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for i := range out.Rows {
		lines = append(lines, string(column.AppendJSON(nil, out, i)))
	}
	return lines
}

// A query's stream is split and merged between its rows, and its process dies now and then, with state in
// memory or spilled. What comes out is what one shard and one process give.
func TestWindowsAreTheSameUnderSplitsMergesAndCrashes(t *testing.T) {
	var crashes atomic.Int64
	t.Run("kinds", func(t *testing.T) {
		for name, text := range windowKinds {
			for seed := range uint64(8) {
				t.Run(fmt.Sprint(name, seed), func(t *testing.T) {
					t.Parallel()
					crashes.Add(resharded(t, text, 1, rand.New(rand.NewPCG(seed, 11))))
				})
				t.Run(fmt.Sprint(name, seed, "union"), func(t *testing.T) {
					t.Parallel()
					crashes.Add(resharded(t, text, 2+int(seed%2), rand.New(rand.NewPCG(seed, 12))))
				})
			}
		}
	})
	if n := crashes.Load(); n < 80 {
		t.Errorf("%d runs died, too few to prove anything", n)
	}
}

// millQuery compiles a query over streams of keyed rows.
func millQuery(t *testing.T, text string) *sql.Query {
	t.Helper()
	q, err := sql.CompileQuery(text, func(string) (sql.Input, bool) { return sql.Input{Schema: keyedSchema, EventTime: "at"}, true })
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// united is a query over clicks as one over several streams that its rows are divided among.
func united(text string, streams int, r *rand.Rand) string {
	terms := []string{"SELECT * FROM clicks"}
	for i := range streams - 1 {
		terms = append(terms, fmt.Sprint("SELECT * FROM more", i))
	}
	// In another order in each run.
	r.Shuffle(len(terms), func(i, j int) { terms[i], terms[j] = terms[j], terms[i] })
	return strings.Replace(text, "FROM clicks", "FROM ("+strings.Join(terms, " UNION ALL ")+") AS clicks", 1)
}

// resharded runs a query over some streams, and returns how often it died.
func resharded(t *testing.T, text string, streams int, r *rand.Rand) (crashes int64) {
	q := millQuery(t, text)
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var rows []string
	for i := range 300 {
		at := start.Add(time.Duration(i)*300*time.Millisecond - time.Duration(r.IntN(2000))*time.Millisecond)
		// No two rows have the same time: which of them is first would depend on the shards.
		at = at.Truncate(time.Millisecond).Add(time.Duration(i) * time.Microsecond)
		rows = append(rows, fmt.Sprintf(`{"at":"%s","key":"key-%d","n":%d}`, at.Format("2006-01-02T15:04:05.000000Z"), r.IntN(20), r.IntN(50)))
	}
	m := &mill{plant: newPlant(t, 1+r.IntN(3)), query: q, dir: t.TempDir()}
	m.ins = append(m.ins, m.in)
	for i := range streams - 1 {
		s, err := stream.Open(t.Context(), m.backend, stream.Spec{Name: fmt.Sprint("more", i), Shards: 1 + r.IntN(3)})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		m.ins = append(m.ins, s)
	}
	memory := []int64{1000, 64 << 20}[r.IntN(2)]
	story := fmt.Sprintf("memory %d:", memory)
	const runs = 5
	for run := range runs {
		part := rows[run*len(rows)/runs : (run+1)*len(rows)/runs]
		m.write(part[:len(part)/2])
		if r.IntN(3) > 0 {
			m.shuffle(r)
		}
		m.write(part[len(part)/2:])
		ctx, kill := context.WithCancel(t.Context())
		m.fuse = fuse{at: 1 + r.IntN(12), after: r.IntN(2) == 0, kill: kill}
		turns := 1 + r.IntN(80)
		if run == runs-1 {
			m.fuse, turns = fuse{}, -1
			close(m.ended)
		}
		chunk := 1 + r.Int64N(20)
		story += fmt.Sprintf(" dies at %d (%t), chunks of %d for %d turns,", m.fuse.at, m.fuse.after, chunk, turns)
		m.vacate()
		if streams > 1 {
			m.query = millQuery(t, united(text, streams, r))
		}
		err := m.run(ctx, turns, chunk, memory)
		if died := ctx.Err() != nil; died {
			crashes++
		} else if err != nil {
			t.Fatalf("%s: %v", story, err)
		}
		kill()
	}
	want := straight(t, q, rows)
	got := slices.Clone(m.rows)
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("%s\n%d rows, want %d", story, len(got), len(want))
	}
	return crashes
}
