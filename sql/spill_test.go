package sql_test

import (
	"errors"
	"fmt"
	"math"
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

// spilling is a query of each kind that has state.
var spilling = map[string]string{
	"tumble":   "SELECT window_start, k, COUNT(*) AS n, SUM(v) AS v, MIN(t) AS t FROM s GROUP BY TUMBLE(ts, INTERVAL '10' MINUTE), k",
	"hop":      "SELECT window_start, k, COUNT(*) AS n, MAX(v) AS v FROM s GROUP BY HOP(ts, INTERVAL '5' MINUTE, INTERVAL '20' MINUTE), k",
	"cumulate": "SELECT window_end, k, COUNT(*) AS n FROM s GROUP BY CUMULATE(ts, INTERVAL '5' MINUTE, INTERVAL '20' MINUTE), k",
	"distinct": "SELECT window_start, COUNT(DISTINCT k) AS d, COUNT(DISTINCT t) AS e, COUNT(*) AS n, SUM(v) AS v FROM s GROUP BY TUMBLE(ts, INTERVAL '10' MINUTE)",
	"session":  "SELECT window_start, window_end, k, COUNT(*) AS n, SUM(v) AS v, MAX(t) AS t FROM s GROUP BY SESSION(ts, INTERVAL '2' MINUTE), k",
	"stagger":  "SELECT window_start, k, t, COUNT(*) AS n FROM s GROUP BY STAGGER(ts, INTERVAL '3' MINUTE), k, t",
	"rows":     "SELECT k, COUNT(*) AS n, SUM(v) AS v, window_start FROM s GROUP BY TUMBLE(ROWS 3), k",
	"over":     "SELECT ts, k, v, SUM(v) OVER w AS s, COUNT(*) OVER w AS n, LAG(v) OVER w AS l, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts) AS r FROM s WINDOW w AS (PARTITION BY k ORDER BY ts RANGE INTERVAL '3' MINUTE PRECEDING)",
	"over all": "SELECT ts, k, SUM(v) OVER (ORDER BY ts ROWS 5 PRECEDING) AS s, COUNT(*) OVER (PARTITION BY t ORDER BY ts) AS n FROM s",
	"changes":  "SELECT window_final AS f, window_start, k, COUNT(*) AS n, SUM(v) AS v FROM s GROUP BY TUMBLE(ts, INTERVAL '10' MINUTE), k EMIT CHANGES",
	"every":    "SELECT window_final AS f, window_start, k, COUNT(*) AS n FROM s GROUP BY SESSION(ts, INTERVAL '2' MINUTE), k EMIT EVERY INTERVAL '1' MINUTE",
	"chain":    "SELECT window_start, COUNT(*) AS n, SUM(n) AS rows FROM (SELECT window_start, k, COUNT(*) AS n FROM s GROUP BY SESSION(ts, INTERVAL '2' MINUTE), k) AS i GROUP BY TUMBLE(window_start, INTERVAL '15' MINUTE)",
	"union":    "SELECT window_start, k, COUNT(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '5' MINUTE), k UNION ALL SELECT window_start, k, COUNT(*) AS n FROM s GROUP BY SESSION(ts, INTERVAL '2' MINUTE), k",
	"top":      "SELECT * FROM (SELECT window_start, k, COUNT(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '10' MINUTE), k) AS i QUALIFY ROW_NUMBER() OVER (PARTITION BY window_start ORDER BY n DESC, k) <= 5",
}

const spillSchema = "ts timestamp, k bigint, v bigint, t string"

// feed is batches of rows of n keys from two shards within a delay of a minute, and after each the watermark.
type feed struct {
	batches []*column.Batch
	marks   []int64
}

func newFeed(t testing.TB, r *rand.Rand, batches, keys int) feed {
	t.Helper()
	var f feed
	now := 0
	for range batches {
		var rows [][]string
		for range 1 + r.IntN(200) {
			now += r.IntN(400)
			at := max(now-r.IntN(60_000), 0)
			cell := func(text string, chance int) string {
				if r.IntN(chance) == 0 {
					return "null"
				}
				return text
			}
			rows = append(rows, []string{
				fmt.Sprintf("%02d:%02d:%02d.%03d", at/3_600_000, at/60_000%60, at/1000%60, at%1000),
				cell(fmt.Sprint(r.IntN(keys)), 50), cell(fmt.Sprint(r.IntN(1000)), 20), cell(fmt.Sprintf("t%d", r.IntN(7)), 20),
			})
		}
		b := cellsOf(t, spillSchema, rows)
		b.Origin.Shard = record.ShardID(r.IntN(2))
		mark, err := sqltest.Time(fmt.Sprintf("%02d:%02d:%02d", max(now-60_000, 0)/3_600_000, max(now-60_000, 0)/60_000%60, max(now-60_000, 0)/1000%60))
		if err != nil {
			t.Fatal(err)
		}
		f.batches, f.marks = append(f.batches, b), append(f.marks, mark)
	}
	return f
}

// all emits everything that is due.
func all(t *testing.T, op sql.Operator, watermark int64) []string {
	t.Helper()
	var out []string
	for op.Ready(watermark) {
		b, err := op.Emit(watermark)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, sqltest.Rows(b)...)
		if watermark != column.MaxWatermark {
			break
		}
	}
	return out
}

func TestStateThatIsSpilledGivesTheSameRows(t *testing.T) {
	for name, text := range spilling {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(2) {
				r := rand.New(rand.NewPCG(seed, 7))
				q := compile(t, spillSchema, "ts", text)
				f := newFeed(t, r, 40, 150)
				want := plainly(t, q, f)
				got := spilled(t, q, f, r, 2000)
				if name == "changes" || name == "every" {
					// What is shown of open windows depends on when that happens.
					open := func(row string) bool { return strings.HasPrefix(row, "false") }
					got, want = slices.DeleteFunc(got, open), slices.DeleteFunc(want, open)
				}
				slices.Sort(want)
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Fatalf("seed %d: %d rows, want %d; first that differ: %s", seed, len(got), len(want), difference(got, want))
				}
			}
		})
	}
}

// plainly runs a query in memory.
func plainly(t *testing.T, q *sql.Query, f feed) []string {
	t.Helper()
	op := q.New()
	var out []string
	for i, b := range f.batches {
		if _, err := op.Add(b); err != nil {
			t.Fatal(err)
		}
		out = append(out, all(t, op, f.marks[i])...)
	}
	return append(out, all(t, op, column.MaxWatermark)...)
}

// A state that is large beside what comes is kept as what was there and a log of what came and left.
func TestALogOfWhatCameAndLeftIsTheSameState(t *testing.T) {
	for _, name := range []string{"session", "stagger", "rows", "over", "over all", "chain", "union"} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 9))
			q := compile(t, spillSchema, "ts", spilling[name])
			first, f := newFeed(t, r, 1, 1), newFeed(t, r, 30, 6000)
			var rows [][]string
			for k := range 6000 {
				rows = append(rows, []string{fmt.Sprintf("00:00:%02d.%03d", k/1000, k%1000), fmt.Sprint(k), "1", "t"})
			}
			first.batches[0] = cellsOf(t, spillSchema, rows)
			first.marks[0] = column.MinWatermark
			f.batches, f.marks = append(first.batches, f.batches...), append(first.marks, f.marks...)
			want, got := plainly(t, q, f), spilled(t, q, f, r, 64<<20)
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Fatalf("%d rows, want %d; first that differ: %s", len(got), len(want), difference(got, want))
			}
		})
	}
}

func difference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return got[i] + " | " + want[i]
		}
	}
	return "the rest"
}

// spilled runs a query with so much memory, with snapshots and crashes at random.
func spilled(t *testing.T, q *sql.Query, f feed, r *rand.Rand, room int64) []string {
	t.Helper()
	d := sqltest.NewDrawer()
	open := func() sql.Operator {
		op := q.New()
		d.Keep(op, room)
		if l, ok := op.(sql.Limited); ok {
			l.Limit(20)
		}
		return op
	}
	op := open()
	var out, since []string
	var state []byte
	commit := func() {
		var err error
		if state, err = d.Snapshot(op); err != nil {
			t.Fatal(err)
		}
		out, since = append(out, since...), nil
	}
	from := 0
	for i := 0; i < len(f.batches); i++ {
		if _, err := op.Add(f.batches[i]); err != nil {
			t.Fatal(err)
		}
		since = append(since, all(t, op, f.marks[i])...)
		switch r.IntN(4) {
		case 0:
			if commit(); r.IntN(2) == 0 {
				if err := sqltest.Shed(op, 1000); err != nil {
					t.Fatal(err)
				}
			}
			from = i + 1
		case 1:
			// A crash: what came since the last commit comes again.
			op, since, i = open(), nil, from-1
			if err := op.Restore(state); err != nil {
				t.Fatal(err)
			}
		}
	}
	commit()
	since = append(since, all(t, op, column.MaxWatermark)...)
	commit()
	return out
}

// State is kept as long as it means the same, and refused when it would mean something else.
func TestStateFitsAQueryOfTheSameWindowsKeysAndAggregates(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	b := newFeed(t, r, 1, 50).batches[0]
	snapshots := map[string][]byte{}
	for name, text := range spilling {
		op := compile(t, spillSchema, "ts", text).New()
		if _, err := op.Add(b); err != nil {
			t.Fatal(err)
		}
		var err error
		if snapshots[name], err = op.Snapshot(); err != nil {
			t.Fatal(err)
		}
	}
	for of, snapshot := range snapshots {
		for name, text := range spilling {
			err := compile(t, spillSchema, "ts", text).New().Restore(snapshot)
			if of == name && err != nil || of != name && !errors.Is(err, agg.ErrSnapshot) {
				t.Errorf("state of %q in %q: %v", of, name, err)
			}
		}
	}
	for _, c := range []struct {
		name, from, to string
		fits           bool
	}{
		{"session", "FROM s", "FROM s WHERE v > 3", true},
		{"session", "SUM(v) AS v", "SUM(v) / 2 AS half", true},
		{"session", "), k", "), k HAVING COUNT(*) > 1", true},
		{"session", "'2' MINUTE", "'3' MINUTE", false},
		{"session", "SUM(v) AS v", "SUM(k) AS v", false},
		{"session", "MAX(t)", "MIN(t)", false},
		{"session", "SESSION", "STAGGER", false},
		{"stagger", "'3' MINUTE", "'4' MINUTE", false},
		{"stagger", "k, t", "k, UPPER(t) AS u", false},
		{"rows", "ROWS 3", "ROWS 4", false},
		{"rows", "TUMBLE(ROWS 3)", "HOP(ROWS 1, ROWS 3)", false},
		{"rows", "FROM s", "FROM s WHERE v > 3", true},
		{"over", "FROM s", "FROM s WHERE v > 3", true},
		{"over", "ts, k, v,", "ts, k, v + 1 AS v,", true},
		{"over", "ts, k, v,", "ts, v, k,", true},
		{"over all", "ts, k, SUM(v)", "ts, v, SUM(v)", false},
		{"over", "RANGE INTERVAL '3'", "RANGE INTERVAL '4'", false},
		{"over", "LAG(v)", "LAG(v, 2)", false},
		{"over", "SUM(v)", "SUM(k)", false},
		{"over all", "PARTITION BY t", "PARTITION BY k", false},
		{"cumulate", "'5' MINUTE", "'10' MINUTE", false},
		{"distinct", "COUNT(DISTINCT t)", "COUNT(t)", false},
		{"chain", "INTERVAL '15'", "INTERVAL '30'", false},
		{"chain", "SESSION(ts, INTERVAL '2'", "SESSION(ts, INTERVAL '3'", false},
		{"chain", "SUM(n) AS rows", "SUM(n) + 1 AS rows", true},
		{"union", "SESSION(ts, INTERVAL '2'", "SESSION(ts, INTERVAL '3'", false},
		{"top", "<= 5", "<= 7", true},
		{"changes", "EMIT CHANGES", "", false},
		{"every", "EMIT EVERY INTERVAL '1' MINUTE", "", false},
	} {
		text := strings.ReplaceAll(spilling[c.name], c.from, c.to)
		if text == spilling[c.name] {
			t.Fatalf("%s has no %q", c.name, c.from)
		}
		text = strings.Replace(text, "), k, UPPER(t) AS u", "), k, UPPER(t)", 1)
		err := compile(t, spillSchema, "ts", text).New().Restore(snapshots[c.name])
		if c.fits && err != nil || !c.fits && !errors.Is(err, agg.ErrSnapshot) {
			t.Errorf("%s, %q to %q: %v", c.name, c.from, c.to, err)
		}
	}
}

// FuzzPieces: of damaged pieces the checksums do not tell, none brings an operator down.
func FuzzPieces(f *testing.F) {
	names := []string{"tumble", "distinct", "session", "rows", "over", "chain"}
	for i := range names {
		f.Add(i, uint32(100), byte(1))
		f.Add(i, uint32(7), byte(255))
	}
	r := rand.New(rand.NewPCG(6, 6))
	feed := newFeed(f, r, 8, 200)
	f.Fuzz(func(t *testing.T, i int, at uint32, x byte) {
		if i < 0 || i >= len(names) {
			return
		}
		op, d := compile(t, spillSchema, "ts", spilling[names[i]]).New(), sqltest.NewDrawer()
		d.Keep(op, 2000)
		for _, b := range feed.batches {
			if _, err := op.Add(b); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Snapshot(op); err != nil {
				t.Fatal(err)
			}
			if err := sqltest.Shed(op, 0); err != nil {
				t.Fatal(err)
			}
		}
		var size uint32
		for n := range d.Now {
			if file := d.Files[n]; file != nil {
				size += uint32(file.Len())
			}
		}
		at %= max(size, 1)
		for n := range d.Now {
			file := d.Files[n]
			switch {
			case file == nil:
			case at < uint32(file.Len()):
				file.Bytes()[at] ^= x
				at = math.MaxUint32
			default:
				at -= uint32(file.Len())
			}
		}
		for op.Ready(column.MaxWatermark) {
			b, err := op.Emit(column.MaxWatermark)
			if err != nil {
				return
			}
			sqltest.Rows(b)
		}
	})
}
