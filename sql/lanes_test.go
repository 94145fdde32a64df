package sql_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/build"
	"github.com/millrace-io/millrace/sql/sqltest"
)

// lanedSchema has the columns of all queries here; c is a reference table.
const lanedSchema = "ts timestamp, k bigint, v bigint, t string, d double, l [bigint]"

const laneTable = "code string, weight bigint"

// lanedQueries are queries of all kinds of operators over lanedSchema.
func lanedQueries() map[string]string {
	out := maps.Clone(spilling)
	for i, text := range anyWindow {
		text = strings.NewReplacer("d)", "v)", "n <>", "v <>", "n IS NULL", "v IS NULL", "(n)", "(v)", " d,", " v,", "LAG(d", "LAG(v").Replace(text)
		out[fmt.Sprint("window ", i)] = text
	}
	maps.Copy(out, map[string]string{
		"rows":       "SELECT ts, k, UPPER(t) AS t, v * 2 AS v FROM s WHERE t LIKE 't%' AND t REGEXP '[0-5]$'",
		"fused":      "SELECT k + v AS x, t FROM (SELECT k, v, LOWER(t) AS t FROM s WHERE v > 100) AS i WHERE k <> 3",
		"join":       "SELECT s.k, c.weight, s.t FROM s JOIN c ON s.t = c.code",
		"left join":  "SELECT window_start, weight, COUNT(*) AS n, SUM(v * weight) AS w FROM s LEFT JOIN c ON s.t = c.code AND v > 10 GROUP BY TUMBLE(ts, INTERVAL '10' MINUTE), weight",
		"joined":     "SELECT i.n, i.t, c.weight FROM (SELECT window_start, t, COUNT(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '10' MINUTE), t) AS i LEFT JOIN c ON i.t = c.code",
		"unnest":     "SELECT window_start, x, COUNT(*) AS n, SUM(v) AS v FROM s CROSS JOIN UNNEST(l) AS u(x) WHERE x <> 2 GROUP BY HOP(ts, INTERVAL '5' MINUTE, INTERVAL '10' MINUTE), x",
		"merged":     "SELECT window_start, k, COUNT(*) AS n, SUM(v) AS v FROM (SELECT ts, k, v FROM s WHERE v > 500 UNION ALL SELECT ts, k, weight AS v FROM s JOIN c ON s.t = c.code) AS u GROUP BY SESSION(ts, INTERVAL '1' MINUTE), k",
		"union rows": "SELECT k, v FROM s WHERE v > 100 UNION ALL SELECT k, -v FROM s WHERE v < 300",
		"aggregates": `SELECT window_start, t, AVG(d) AS a, STDDEV(d) AS s, MEDIAN(d) AS q, MIN(t) AS lo, MAX_BY(v, ts) AS m, FIRST_VALUE(v) AS f, LAST_VALUE(t) AS z, ARRAY_AGG(v, 5) AS l,
			APPROX_TOP_K(k, 3) AS top, APPROX_COUNT_DISTINCT(v) AS u, COUNT(DISTINCT k) AS x, COUNT(*) FILTER (WHERE v > 500) AS big, MIN_BY(v, k, 3) AS b FROM s GROUP BY TUMBLE(ts, INTERVAL '10' MINUTE), t`,
		"shaped":  "SELECT DISTINCT window_start, k, COUNT(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '5' MINUTE), k, v ORDER BY n DESC, k LIMIT 7",
		"having":  "SELECT window_start, k, COUNT(*) AS n FROM s GROUP BY SESSION(ts, INTERVAL '1' MINUTE), k HAVING COUNT(*) > 1",
		"qualify": "SELECT ts, k, v, SUM(v) OVER (PARTITION BY k, t ORDER BY ts ROWS 2 PRECEDING) AS s FROM s QUALIFY LAG(v) OVER (PARTITION BY k, t ORDER BY ts) > 200",
		"global":  "SELECT window_end, COUNT(*) AS n, SUM(d) AS d FROM s GROUP BY CUMULATE(ts, INTERVAL '1' MINUTE, INTERVAL '5' MINUTE)",
	})
	return out
}

// round is batches by shard, the watermark behind them and what happens then.
type round struct {
	batches map[record.ShardID][]*column.Batch
	mark    int64
	fate    int
}

// What happens behind a round.
const (
	calm = iota
	sheds
	crashes
)

// story is what a query gets.
type story struct {
	rounds []round
	tables []*column.Batch
}

// newStory is rounds of rows of some keys of five shards, of which some are late.
func newStory(t testing.TB, r *rand.Rand, rounds, keys int) story {
	t.Helper()
	schema, err := sqltest.Schema(lanedSchema)
	if err != nil {
		t.Fatal(err)
	}
	table, err := sqltest.Schema(laneTable)
	if err != nil {
		t.Fatal(err)
	}
	clock := func(ms int) string {
		return fmt.Sprintf("%02d:%02d:%02d.%03d", ms/3_600_000, ms/60_000%60, ms/1000%60, ms%1000)
	}
	cell := func(text string, chance int) string {
		if r.IntN(chance) == 0 {
			return "null"
		}
		return text
	}
	var s story
	now, marks := make([]int, 5), make([]int64, 5)
	for shard := range marks {
		marks[shard] = column.MinWatermark
	}
	for range rounds {
		round := round{batches: make(map[record.ShardID][]*column.Batch)}
		for shard := range now {
			for range r.IntN(4) {
				var rows [][]string
				for range 1 + r.IntN(25) {
					now[shard] += r.IntN(4000)
					var list []string
					for range r.IntN(4) {
						list = append(list, fmt.Sprint(r.IntN(4)))
					}
					rows = append(rows, []string{clock(max(now[shard]-r.IntN(90_000), 0)), cell(fmt.Sprint(r.IntN(keys)), 50), cell(fmt.Sprint(r.IntN(1000)), 20),
						cell(fmt.Sprintf("t%d", r.IntN(9)), 20), cell(fmt.Sprint(r.NormFloat64()), 20), "[" + strings.Join(list, ",") + "]"})
				}
				b, err := sqltest.Batch(schema, rows, r.IntN(2) == 0)
				if err != nil {
					t.Fatal(err)
				}
				b.Origin.Shard = record.ShardID(shard)
				for _, at := range b.Columns[0].Int64s {
					b.Watermarks = append(b.Watermarks, marks[shard])
					marks[shard] = max(marks[shard], at-60_000_000)
				}
				round.batches[b.Origin.Shard] = append(round.batches[b.Origin.Shard], b)
			}
		}
		round.mark, round.fate = slices.Min(marks), r.IntN(3)
		s.rounds = append(s.rounds, round)
	}
	for _, rows := range [][][]string{{{"t1", "10"}, {"t2", "20"}, {"t2", "21"}, {"t5", "50"}}, {{"t1", "11"}, {"t3", "30"}}} {
		b, err := sqltest.Batch(table, rows, false)
		if err != nil {
			t.Fatal(err)
		}
		s.tables = append(s.tables, b)
	}
	return s
}

// laned is a query that is run by several goroutines.
type laned struct {
	t      *testing.T
	r      *rand.Rand
	q      *sql.Query
	drawer *sqltest.Drawer
	room   int64
	limit  int
	story  story

	op     sql.Operator
	adders []sql.Adder
	table  *column.Batch
}

// compileLaned compiles a query over s and c.
func compileLaned(t testing.TB, text string) *sql.Query {
	t.Helper()
	inputs := map[string]sql.Input{}
	for name, schema := range map[string]string{"s": lanedSchema, "c": laneTable} {
		s, err := sqltest.Schema(schema)
		if err != nil {
			t.Fatal(err)
		}
		inputs[name] = sql.Input{Schema: s, EventTime: "ts", Table: name == "c"}
	}
	q, err := sql.CompileQuery(text, func(name string) (sql.Input, bool) {
		in, ok := inputs[name]
		return in, ok
	})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return q
}

// open makes a new operator with n adders.
func (l *laned) open(n int) {
	l.op = l.q.New()
	l.drawer.Keep(l.op, l.room)
	if p, ok := l.op.(sql.Limited); ok {
		p.Limit(l.limit)
	}
	l.use(l.table)
	l.adders = sql.Adders(l.op, n)
}

func (l *laned) use(table *column.Batch) {
	l.t.Helper()
	l.table = table
	if err := sql.Use(l.op, "c", table); err != nil {
		l.t.Fatal(err)
	}
}

// add gives each shard of a round to one of the adders, and says what became of the rows of each.
func (l *laned) add(in round) string {
	l.t.Helper()
	lanes := make([][]record.ShardID, len(l.adders))
	for _, shard := range slices.Sorted(maps.Keys(in.batches)) {
		i := l.r.IntN(len(lanes))
		lanes[i] = slices.Insert(lanes[i], l.r.IntN(len(lanes[i])+1), shard)
	}
	var mu sync.Mutex
	taken := make(map[record.ShardID][]sql.Taken)
	var wg sync.WaitGroup
	for i, shards := range lanes {
		wg.Go(func() {
			for _, shard := range shards {
				for _, b := range in.batches[shard] {
					got, err := l.adders[i].Add(b)
					if err != nil {
						l.t.Error(err)
						return
					}
					mu.Lock()
					taken[shard] = append(taken[shard], sql.Taken{Aggregated: got.Aggregated, Filtered: got.Filtered, Late: slices.Clone(got.Late)})
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return fmt.Sprint(taken)
}

// emit is what leaves at a watermark, batch by batch.
func (l *laned) emit(mark int64) []string {
	l.t.Helper()
	var out []string
	for l.op.Ready(mark) {
		b, err := l.op.Emit(mark)
		if err != nil {
			l.t.Fatal(err)
		}
		out = append(out, strings.Join(sqltest.Rows(b), "\n"))
		if mark != column.MaxWatermark && l.limit == 0 {
			break
		}
	}
	return out
}

// run is all that happens: what became of rows and what left, round by round. Behind a crash, another operator with
// another number of adders goes on from the snapshot.
func (l *laned) run(n int) (out []string) {
	l.t.Helper()
	l.drawer, l.table = sqltest.NewDrawer(), l.story.tables[0]
	l.open(n)
	for i, round := range l.story.rounds {
		if i == len(l.story.rounds)/2 {
			l.use(l.story.tables[1])
		}
		out = append(out, l.add(round))
		out = append(out, l.emit(round.mark)...)
		if round.fate == calm {
			continue
		}
		state, err := l.drawer.Snapshot(l.op)
		if err != nil {
			l.t.Fatal(err)
		}
		if round.fate == sheds {
			if err := sqltest.Shed(l.op, 1000); err != nil {
				l.t.Fatal(err)
			}
			continue
		}
		if n > 1 {
			n = 2 + l.r.IntN(7)
		}
		l.open(n)
		if err := l.op.Restore(state); err != nil {
			l.t.Fatal(err)
		}
	}
	return append(out, l.emit(column.MaxWatermark)...)
}

func eachLanedQuery(t *testing.T, seeds uint64, run func(l *laned)) {
	for name, text := range lanedQueries() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := compileLaned(t, text)
			for seed := range seeds {
				r := rand.New(rand.NewPCG(seed, 11))
				run(&laned{t: t, r: r, q: q, story: newStory(t, r, 6, 40), room: 64 << 20})
				if t.Failed() {
					t.Fatalf("seed %d: %s", seed, text)
				}
			}
		})
	}
}

// The rows of each shard decide, whatever goroutine adds them and how many there are.
func TestRowsThatSeveralGoroutinesAddGiveTheSame(t *testing.T) {
	eachLanedQuery(t, 2, func(l *laned) {
		want := l.run(1)
		for _, n := range []int{2, 3, 8} {
			got := l.run(n)
			if !slices.Equal(got, want) {
				l.t.Errorf("%d adders: %s", n, difference(got, want))
			}
		}
	})
}

// When state is spilled, what leaves when depends on how large it is, but not what leaves in the end.
func TestSpilledStateIsTheSameForSeveralGoroutines(t *testing.T) {
	eachLanedQuery(t, 1, func(l *laned) {
		l.story = newStory(l.t, l.r, 6, 200)
		l.room, l.limit = 2000, 20
		rows := func(n int) []string {
			var out []string
			for _, b := range l.run(n) {
				for row := range strings.Lines(b) {
					if row = strings.TrimSuffix(row, "\n"); !strings.HasPrefix(row, "false ") {
						out = append(out, row)
					}
				}
			}
			slices.Sort(out)
			return out
		}
		want := rows(1)
		for _, n := range []int{2, 3, 8} {
			if got := rows(n); !slices.Equal(got, want) {
				l.t.Errorf("%d adders: %d rows, want %d: %s", n, len(got), len(want), difference(got, want))
			}
		}
	})
}

// A chunk that is redone has the same rows, also if another number of goroutines does it.
func TestChunksDoNotDependOnTheNumberOfGoroutines(t *testing.T) {
	eachLanedQuery(t, 1, func(l *laned) {
		for _, room := range []int64{2000, 64 << 20} {
			for _, limit := range []int{0, 20} {
				l.story, l.room, l.limit = newStory(l.t, l.r, 3, 300), room, limit
				l.drawer, l.table = sqltest.NewDrawer(), l.story.tables[0]
				l.open(3)
				for _, round := range l.story.rounds {
					l.add(round)
					if _, err := l.drawer.Snapshot(l.op); err != nil {
						l.t.Fatal(err)
					}
				}
				state, err := l.drawer.Snapshot(l.op)
				if err != nil {
					l.t.Fatal(err)
				}
				if len(state) == 0 {
					return
				}
				var want []string
				for _, n := range []int{1, 2, 3, 8} {
					l.open(n)
					if err := l.op.Restore(state); err != nil {
						l.t.Fatal(err)
					}
					got := l.emit(column.MaxWatermark)
					if n == 1 {
						want = got
					}
					if len(want) == 0 || !slices.Equal(got, want) {
						l.t.Errorf("room %d, limit %d, %d goroutines: %d chunks, want %d: %s", room, limit, n, len(got), len(want), difference(got, want))
					}
				}
			}
		}
	})
}

// largeWindow is rows of many keys from some shards, all in one minute.
func largeWindow(r *rand.Rand, shards, rows, keys int) []*column.Batch {
	schema := &column.Schema{Fields: []column.Field{
		{Name: "ts", Type: column.Type{Kind: column.Timestamp}}, {Name: "k", Type: column.Type{Kind: column.BigInt}},
		{Name: "d", Type: column.Type{Kind: column.Double}}, {Name: "t", Type: column.Type{Kind: column.String}},
	}}
	var out []*column.Batch
	for shard := range shards {
		columns := builders(schema)
		for range rows {
			columns[0].Int(r.Int64N(60_000_000))
			columns[1].Int(r.Int64N(int64(keys)))
			columns[2].Float(r.NormFloat64())
			columns[3].Text(fmt.Appendf(nil, "text %d", r.IntN(keys/10)))
		}
		b := build.Batch(schema, columns)
		b.Origin.Shard = record.ShardID(shard)
		out = append(out, b)
	}
	return out
}

func builders(s *column.Schema) []*build.Column {
	var out []*build.Column
	for _, f := range s.Fields {
		out = append(out, build.New(f.Type))
	}
	return out
}

// The groups of a window with many are added up and sorted by several goroutines. The sums of doubles tell in
// which order that was done.
func TestLargeWindowsDoNotDependOnTheNumberOfGoroutines(t *testing.T) {
	for _, text := range []string{
		"SELECT window_start, k, COUNT(*) AS n, SUM(d) AS d, MAX(t) AS t, COUNT(DISTINCT t) AS u, LAST_VALUE(d) AS l FROM s GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), k",
		"SELECT k, window_end, t, AVG(d) AS d FROM s GROUP BY HOP(ts, INTERVAL '20' SECOND, INTERVAL '1' MINUTE), k, t HAVING AVG(d) > 0",
		"SELECT window_start, window_end, k, SUM(d) AS d, MIN(t) AS t FROM s GROUP BY SESSION(ts, INTERVAL '1' SECOND), k",
		"SELECT ts, k, SUM(d) OVER (PARTITION BY k ORDER BY ts ROWS 2 PRECEDING) AS d FROM s",
	} {
		for _, shards := range []int{1, 3} {
			q := compile(t, "ts timestamp, k bigint, d double, t string", "ts", text)
			batches := largeWindow(rand.New(rand.NewPCG(1, uint64(shards))), shards, 9000, 6000)
			var want []string
			for _, n := range []int{1, 2, 3, 8} {
				op := q.New()
				adders := sql.Adders(op, n)
				for i, b := range batches {
					if _, err := adders[i%n].Add(b); err != nil {
						t.Fatal(err)
					}
				}
				b, err := op.Emit(column.MaxWatermark)
				if err != nil {
					t.Fatal(err)
				}
				got := sqltest.Rows(b)
				if n == 1 {
					want = got
				}
				if len(want) < 4096 || !slices.Equal(got, want) {
					t.Errorf("%s: %d shards, %d goroutines: %d rows, want %d: %s", text, shards, n, len(got), len(want), difference(got, want))
				}
			}
		}
	}
}

// Rows that leave at once do so from the goroutines that add them, shard by shard in their order.
func TestRowsLeaveAtOnceFromSeveralGoroutines(t *testing.T) {
	for _, name := range []string{"rows", "fused", "join"} {
		r := rand.New(rand.NewPCG(3, 3))
		l := &laned{t: t, r: r, q: compileLaned(t, lanedQueries()[name]), story: newStory(t, r, 6, 40), drawer: sqltest.NewDrawer()}
		run := func(n int) map[record.ShardID][]string {
			l.table = l.story.tables[0]
			l.open(n)
			var mu sync.Mutex
			out := make(map[record.ShardID][]string)
			if !sql.Direct(l.op, func(b *column.Batch) {
				w := column.NewRowWriter(b.Schema)
				mu.Lock()
				defer mu.Unlock()
				for i := range int32(b.Rows) {
					if b.Selection == nil || slices.Contains(b.Selection, i) {
						out[b.Origin.Shard] = append(out[b.Origin.Shard], string(w.Append(nil, b, int(i))))
					}
				}
			}) {
				t.Fatalf("%s: rows do not leave at once", name)
			}
			for _, round := range l.story.rounds {
				l.add(round)
			}
			return out
		}
		want := run(1)
		for _, n := range []int{2, 8} {
			if got := run(n); len(want) == 0 || !maps.EqualFunc(got, want, slices.Equal) {
				t.Errorf("%s: %d goroutines give others", name, n)
			}
		}
	}
}
