package sql_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql"
)

// boundedQueries tell how early rows may be that have yet to leave: reach is by how many seconds at most that is before the
// watermark.
var boundedQueries = []struct {
	text  string
	reach int64
}{
	{"SELECT * FROM s", 0},
	{"SELECT k, ts AS at FROM s WHERE n <> 3", 0},
	{"SELECT ts, k FROM s UNION ALL SELECT ts, 'x' FROM other", 0},
	{grouped("TUMBLE(ts, INTERVAL '7' SECOND, INTERVAL '2' SECOND)"), 7},
	{grouped("HOP(ts, INTERVAL '2' SECOND, INTERVAL '9' SECOND)"), 10},
	{grouped("HOP(ts, INTERVAL '3' SECOND, INTERVAL '9' SECOND)") + " ALLOWED LATENESS INTERVAL '2' SECOND", 11},
	{grouped("CUMULATE(ts, INTERVAL '3' SECOND, INTERVAL '12' SECOND)"), 12},
	{grouped("TUMBLE(ts, INTERVAL '1' DAY, TIME ZONE 'Europe/Berlin')"), 25 * 3600},
	{grouped("TUMBLE(ts, INTERVAL '5' SECOND)") + " HAVING COUNT(*) > 2", 5},
	{"SELECT window_start, COUNT(*) AS n FROM (SELECT ts, k FROM s WHERE n > 1) AS i GROUP BY TUMBLE(ts, INTERVAL '5' SECOND)", 5},
	{"SELECT window_start, SUM(c) AS c FROM (SELECT window_start, COUNT(*) AS c FROM s GROUP BY TUMBLE(ts, INTERVAL '2' SECOND)) AS i GROUP BY HOP(window_start, INTERVAL '4' SECOND, INTERVAL '8' SECOND)", 14},
	{"SELECT window_start AS w, c + 1 AS c FROM (SELECT window_start, k, COUNT(*) AS c FROM s GROUP BY TUMBLE(ts, INTERVAL '5' SECOND), k ORDER BY c LIMIT 1) AS i", 5},
	{"SELECT ts, n FROM s UNION ALL SELECT window_start, COUNT(*) FROM s GROUP BY TUMBLE(ts, INTERVAL '6' SECOND)", 6},
}

// TestNoRowLeavesBeforeTheFrontier: rows of several shards come in time, in random order, and leave at random watermarks.
func TestNoRowLeavesBeforeTheFrontier(t *testing.T) {
	for _, c := range boundedQueries {
		q := compile(t, streamSchema, "ts", c.text)
		if !q.Bounded() {
			t.Errorf("%s: not bounded", c.text)
			continue
		}
		moved := false
		for seed := range uint64(25) {
			w := frontierWalk{t: t, text: c.text, q: q, op: q.New(), bound: column.MinWatermark, reach: c.reach * 1_000_000}
			w.walk(rand.New(rand.NewPCG(seed, 3)))
			moved = moved || w.bound > column.MinWatermark
		}
		if !moved {
			t.Errorf("%s: the frontier does not move", c.text)
		}
	}
}

// frontierWalk is a query with rows on their way through it.
type frontierWalk struct {
	t    *testing.T
	text string
	q    *sql.Query
	op   sql.Operator
	// bound is the latest frontier there was.
	bound, reach int64
}

func (w *frontierWalk) walk(r *rand.Rand) {
	stream := randomStream(r)
	marks := map[record.ShardID]int64{}
	for id, rows := range stream {
		stream[id] = slices.DeleteFunc(rows, func(e event) bool { return e.ts < e.mark })
		marks[id] = column.MinWatermark
	}
	for len(stream) > 0 {
		ids := slices.Sorted(maps.Keys(stream))
		id := ids[r.IntN(len(ids))]
		rows := stream[id]
		n := min(len(rows), 1+r.IntN(10))
		if n > 0 {
			addEvents(w.t, w.op, id, rows[:n], false)
			for _, e := range rows[:n] {
				marks[id] = max(marks[id], e.ts-3_000_000)
			}
		}
		if stream[id] = rows[n:]; len(rows) == n {
			delete(stream, id)
			delete(marks, id) // as if it were idle from now on
		}
		mark := int64(column.MinWatermark)
		if len(marks) > 0 {
			mark = slices.Min(slices.Collect(maps.Values(marks)))
		}
		if r.IntN(3) > 0 {
			w.emit(mark)
		}
		if !w.op.Ready(mark) && mark != column.MinWatermark {
			at := sql.Frontier(w.op, mark)
			if at > mark || at < mark-w.reach {
				w.t.Fatalf("%s: the frontier at %d is %d", w.text, mark, at)
			}
			w.bound = max(w.bound, at)
		}
	}
	for w.op.Ready(column.MaxWatermark) {
		w.emit(column.MaxWatermark)
	}
}

func (w *frontierWalk) emit(mark int64) {
	out, err := w.op.Emit(mark)
	if err != nil {
		w.t.Fatal(err)
	}
	if out == nil {
		return
	}
	at := out.Columns[w.q.Output().Index(w.q.OutputEventTime())]
	for i := range out.Rows {
		if at.Int64s[i] < w.bound {
			w.t.Fatalf("%s: a row of %d leaves behind the frontier at %d", w.text, at.Int64s[i], w.bound)
		}
	}
}

func TestNothingIsKnownOfWhatIsNoTimeOfTheWindow(t *testing.T) {
	for _, text := range []string{
		"SELECT k FROM s",
		"SELECT ts + INTERVAL '1' DAY AS ts FROM s",
		"SELECT window_end, k FROM s GROUP BY TUMBLE(ts, INTERVAL '1' DAY), k",
		"SELECT MIN(ts) AS at FROM s GROUP BY TUMBLE(ts, INTERVAL '1' DAY)",
		"SELECT window_start FROM s GROUP BY TUMBLE(arrival_time, INTERVAL '1' DAY)",
		"SELECT window_start, k FROM s GROUP BY SESSION(ts, INTERVAL '1' SECOND), k",
		"SELECT window_start, k FROM s GROUP BY STAGGER(ts, INTERVAL '1' SECOND), k",
		"SELECT window_start, k FROM s GROUP BY TUMBLE(ROWS 4), k",
		"SELECT ts, SUM(n) OVER (PARTITION BY k ORDER BY ts ROWS 3 PRECEDING) AS n FROM s",
		"SELECT window_start, k FROM s GROUP BY TUMBLE(ts, INTERVAL '1' DAY), k EMIT CHANGES",
		"SELECT window_start, k FROM s GROUP BY TUMBLE(ts, INTERVAL '1' DAY), k EMIT EVERY INTERVAL '1' HOUR",
		"SELECT ts, n FROM s UNION ALL SELECT window_start, COUNT(*) FROM s GROUP BY SESSION(ts, INTERVAL '6' SECOND)",
		fmt.Sprintf("SELECT window_start AS w FROM (%s) AS i GROUP BY TUMBLE(window_start, INTERVAL '1' DAY)", grouped("SESSION(ts, INTERVAL '2' SECOND)")),
	} {
		if compile(t, streamSchema, "ts", text).Bounded() {
			t.Errorf("%s: bounded", text)
		}
	}
}
