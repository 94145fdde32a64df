package sql_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/sqltest"
)

// compile compiles a query over the stream s.
func compile(t testing.TB, schema, eventTime, text string) *sql.Query {
	t.Helper()
	s, err := sqltest.Schema(schema)
	if err != nil {
		t.Fatal(err)
	}
	q, err := sql.CompileQuery(text, func(name string) (sql.Input, bool) {
		return sql.Input{Schema: s, EventTime: eventTime}, name == "s" || name == "other"
	})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// event is a row of the random stream.
type event struct {
	ts    int64
	k     string // "" is null
	d     float64
	n     int64
	nulls bool // d and n are null
	mark  int64
}

const (
	streamSchema = "ts timestamp, k string, d double, n bigint"
	streamQuery  = `SELECT window_start, k, COUNT(*) AS c, COUNT(d) AS cd, SUM(d) AS sd, AVG(d) AS ad, SUM(n) AS sn, MIN(n) AS lo, MAX(d) AS hi
		FROM s WHERE n IS NULL OR n <> 3 GROUP BY TUMBLE(ts, INTERVAL '10' SECOND), k`
	windowSize = 10_000_000
)

// randomStream is rows of some shards, jittered so that some are late.
func randomStream(r *rand.Rand) map[record.ShardID][]event {
	out := make(map[record.ShardID][]event)
	for range 1 + r.IntN(4) {
		id, now, mark := record.ShardID(r.IntN(9)), int64(-20_000_000), int64(column.MinWatermark)
		var rows []event
		for range r.IntN(120) {
			now += r.Int64N(1_500_000)
			e := event{ts: now - r.Int64N(9_000_000), k: []string{"", "a", "b", "cc"}[r.IntN(4)], d: r.NormFloat64() * 1e6,
				n: r.Int64N(9), nulls: r.IntN(6) == 0, mark: mark}
			mark = max(mark, e.ts-3_000_000)
			rows = append(rows, e)
		}
		out[id] = rows
	}
	return out
}

func (e event) cells() []string {
	at := string(sqltest.Format(&column.Column{Type: column.Type{Kind: column.Timestamp}, Int64s: []int64{e.ts}}, 0))
	k, d, n := "'"+e.k+"'", fmt.Sprint(e.d), fmt.Sprint(e.n)
	if e.k == "" {
		k = "null"
	}
	if e.nulls {
		d, n = "null", "null"
	}
	return []string{at, k, d, n}
}

// naiveGroup is what the query computes for a window and key.
type naiveGroup struct {
	c, cd, sn, lo int64
	sd, hi        float64
	some          bool
}

// naiveWindows computes the query event by event: per shard first, then shards in order.
func naiveWindows(stream map[record.ShardID][]event) (lines []string, late int) {
	type id struct {
		start int64
		k     string
	}
	total := make(map[id]*naiveGroup)
	for shard := range record.ShardID(10) {
		mine := make(map[id]*naiveGroup)
		for _, e := range stream[shard] {
			if !e.nulls && e.n == 3 {
				continue
			}
			start := e.ts - ((e.ts%windowSize)+windowSize)%windowSize
			if start+windowSize <= e.mark {
				late++
				continue
			}
			g := mine[id{start, e.k}]
			if g == nil {
				g = &naiveGroup{}
				mine[id{start, e.k}] = g
			}
			g.c++
			if !e.nulls {
				g.add(naiveGroup{cd: 1, sn: e.n, lo: e.n, sd: e.d, hi: e.d, some: true})
			}
		}
		for k, g := range mine {
			if total[k] == nil {
				total[k] = &naiveGroup{}
			}
			total[k].add(*g)
		}
	}
	keys := make([]id, 0, len(total))
	for k := range total {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b id) int { return cmp.Or(cmp.Compare(a.start, b.start), strings.Compare(a.k, b.k)) })
	for _, k := range keys {
		lines = append(lines, total[k].line(k.start, k.k))
	}
	return lines, late
}

func (g *naiveGroup) add(o naiveGroup) {
	g.c += o.c
	if !o.some {
		return
	}
	if !g.some || o.lo < g.lo {
		g.lo = o.lo
	}
	if !g.some || o.hi > g.hi {
		g.hi = o.hi
	}
	g.cd, g.sn, g.sd, g.some = g.cd+o.cd, g.sn+o.sn, g.sd+o.sd, true
}

func (g *naiveGroup) line(start int64, k string) string {
	at := sqltest.Format(&column.Column{Type: column.Type{Kind: column.Timestamp}, Int64s: []int64{start}}, 0)
	if k == "" {
		k = "null"
	}
	f := func(v float64) string {
		return sqltest.Format(&column.Column{Type: column.Type{Kind: column.Double}, Float64s: []float64{v}}, 0)
	}
	if !g.some {
		return fmt.Sprint(at, " ", k, " ", g.c, " 0 null null null null null")
	}
	return fmt.Sprint(at, " ", k, " ", g.c, " ", g.cd, " ", f(g.sd), " ", f(g.sd/float64(g.cd)), " ", g.sn, " ", g.lo, " ", f(g.hi))
}

// TestWindowsAreTheSameHoweverRowsArrive compares with the naive windows: random batch splits,
// shards interleaved at random, snapshots in between, emissions at random watermarks.
func TestWindowsAreTheSameHoweverRowsArrive(t *testing.T) {
	q := compile(t, streamSchema, "ts", streamQuery)
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 3))
		stream := randomStream(r)
		want, wantLate := naiveWindows(stream)
		for range 3 {
			got, late := runRandomly(t, r, q, stream)
			if strings.Join(got, "\n") != strings.Join(want, "\n") || late != wantLate {
				t.Fatalf("seed %d: %d late, want %d; got\n%s\nwant\n%s", seed, late, wantLate, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
}

func runRandomly(t *testing.T, r *rand.Rand, q *sql.Query, stream map[record.ShardID][]event) (lines []string, late int) {
	t.Helper()
	op, at, in := q.New(), make(map[record.ShardID]int), 0
	var open []record.ShardID
	for id, rows := range stream {
		if in += len(rows); len(rows) > 0 {
			open = append(open, id)
		}
	}
	slices.Sort(open)
	accounted := int64(0)
	for len(open) > 0 {
		i := r.IntN(len(open))
		id := open[i]
		rows := stream[id][at[id]:]
		rows = rows[:min(len(rows), 1+r.IntN(30))]
		taken := addEvents(t, op, id, rows, r.IntN(2) == 0)
		late += len(taken.Late)
		accounted += taken.Aggregated + taken.Filtered + int64(len(taken.Late))
		if at[id] += len(rows); at[id] == len(stream[id]) {
			open = slices.Delete(open, i, i+1)
		}
		if r.IntN(3) == 0 {
			op = restarted(t, q, op)
		}
		if r.IntN(3) == 0 {
			lines = append(lines, emitted(t, op, smallestMark(stream, at, open))...)
		}
	}
	if accounted != int64(in) {
		t.Fatalf("%d rows in, %d accounted for", in, accounted)
	}
	return append(lines, emitted(t, op, column.MaxWatermark)...), late
}

// smallestMark is the least watermark of the shards that have rows left.
func smallestMark(stream map[record.ShardID][]event, at map[record.ShardID]int, open []record.ShardID) int64 {
	least := int64(column.MaxWatermark)
	for _, id := range open {
		least = min(least, stream[id][at[id]].mark)
	}
	if len(open) == 0 {
		return column.MinWatermark
	}
	return least
}

func addEvents(t *testing.T, op sql.Operator, id record.ShardID, rows []event, dict bool) sql.Taken {
	t.Helper()
	schema, _ := sqltest.Schema(streamSchema)
	var cells [][]string
	var marks []int64
	for _, e := range rows {
		cells, marks = append(cells, e.cells()), append(marks, e.mark)
	}
	b, err := sqltest.Batch(schema, cells, dict)
	if err != nil {
		t.Fatal(err)
	}
	b.Origin.Shard, b.Watermarks = id, marks
	taken, err := op.Add(b)
	if err != nil {
		t.Fatal(err)
	}
	return taken
}

func emitted(t *testing.T, op sql.Operator, mark int64) []string {
	t.Helper()
	b, err := op.Emit(mark)
	if err != nil {
		t.Fatal(err)
	}
	return sqltest.Rows(b)
}

// restarted goes on with a new operator, and checks that its snapshot is the same again.
func restarted(t *testing.T, q *sql.Query, op sql.Operator) sql.Operator {
	t.Helper()
	state, err := op.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	next := q.New()
	if err := next.Restore(state); err != nil {
		t.Fatal(err)
	}
	again, err := next.Snapshot()
	if err != nil || !bytes.Equal(state, again) {
		t.Fatalf("the snapshot changed on the way: %v", err)
	}
	return next
}

func snapshotOf(t testing.TB, q *sql.Query, rows ...[]string) []byte {
	t.Helper()
	op := q.New()
	if _, err := op.Add(cellsOf(t, streamSchema, rows)); err != nil {
		t.Fatal(err)
	}
	state, err := op.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return state
}

var someRows = [][]string{{"00:00:01", "a", "1.5", "2"}, {"00:00:02", "null", "null", "null"}, {"00:00:15", "bb", "-1", "7"}}

func TestDamagedSnapshotsAreRefused(t *testing.T) {
	q := compile(t, streamSchema, "ts", streamQuery)
	state := snapshotOf(t, q, someRows...)
	for n := 1; n < len(state); n++ {
		if err := q.New().Restore(state[:n]); !errors.Is(err, agg.ErrSnapshot) {
			t.Errorf("%d of %d bytes: %v", n, len(state), err)
		}
	}
	if err := q.New().Restore(append(slices.Clone(state), 0)); !errors.Is(err, agg.ErrSnapshot) {
		t.Errorf("one byte too many: %v", err)
	}
	other := compile(t, streamSchema, "ts", "SELECT COUNT(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '10' SECOND), k")
	if err := other.New().Restore(state); !errors.Is(err, agg.ErrSnapshot) {
		t.Errorf("snapshot of another query: %v", err)
	}
}

func TestARefusedSnapshotLeavesTheState(t *testing.T) {
	q := compile(t, streamSchema, "ts", streamQuery)
	state := snapshotOf(t, q, someRows...)
	op := q.New()
	if err := op.Restore(state); err != nil {
		t.Fatal(err)
	}
	if err := op.Restore(state[:len(state)-1]); err == nil {
		t.Fatal("a cut snapshot was taken")
	}
	if n := len(emitted(t, op, column.MaxWatermark)); n != 3 {
		t.Errorf("%d rows, want 3", n)
	}
}

func TestRestoringNothingIsANewOperator(t *testing.T) {
	q := compile(t, streamSchema, "ts", streamQuery)
	op := q.New()
	if err := op.Restore(snapshotOf(t, q, someRows...)); err != nil {
		t.Fatal(err)
	}
	if err := op.Restore(nil); err != nil {
		t.Fatal(err)
	}
	if op.Ready(column.MaxWatermark) {
		t.Error("there are windows")
	}
}

func TestMemoryFollowsTheGroups(t *testing.T) {
	q := compile(t, streamSchema, "ts", streamQuery)
	op := q.New()
	empty := op.Memory()
	var rows [][]string
	for i := range 5000 {
		rows = append(rows, []string{"00:00:01", fmt.Sprintf("key-%06d", i), "1", "2"})
	}
	if _, err := op.Add(cellsOf(t, streamSchema, rows)); err != nil {
		t.Fatal(err)
	}
	// A group has at least its key and eight numbers.
	if full := op.Memory(); full-empty < 5000*(10+8*8) || full-empty > 5000*1000 {
		t.Errorf("%d bytes for 5,000 groups", full-empty)
	}
	emitted(t, op, column.MaxWatermark)
	if op.Memory() != empty {
		t.Errorf("%d bytes after everything left, %d before anything came", op.Memory(), empty)
	}
}

func FuzzRestore(f *testing.F) {
	q := compile(f, streamSchema, "ts", streamQuery)
	state := snapshotOf(f, q, someRows...)
	f.Add(state)
	f.Add(state[:len(state)/2])
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, state []byte) {
		op := q.New()
		if op.Restore(state) != nil {
			return
		}
		if op.Memory() > int64(1000*(len(state)+1000)) {
			t.Errorf("%d bytes of state from %d", op.Memory(), len(state))
		}
		if _, err := op.Emit(column.MaxWatermark); err != nil {
			t.Error(err)
		}
	})
}
