package sql

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
)

// describedRows is what the queries read.
var describedRows = &column.Schema{Fields: []column.Field{
	{Name: "ts", Type: column.Type{Kind: column.Timestamp}}, {Name: "k", Type: column.Type{Kind: column.String}},
	{Name: "v", Type: column.Type{Kind: column.Double}},
}}

// described is a query with its plan as text.
func described(t *testing.T, text string) (*Query, string) {
	t.Helper()
	q, err := CompileQuery(text, func(string) (Input, bool) { return Input{Schema: describedRows, EventTime: "ts"}, true })
	if err != nil {
		t.Fatal(err)
	}
	n, err := q.Describe(text, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return q, n.String()
}

func TestPlansAreDescribedFromTheSelectListDown(t *testing.T) {
	for text, want := range map[string][]string{
		"SELECT k, v FROM s WHERE v > 1": {"select k, v", "columns: k string, v double", "└─ filter (v > 1)", "└─ input s"},
		"SELECT window_start, k, SUM(v) AS n FROM s GROUP BY HOP(ts, INTERVAL '1' MINUTE, INTERVAL '1' HOUR), k HAVING SUM(v) > 2 ALLOWED LATENESS INTERVAL '5' MINUTE": {
			"filter (SUM(v) > 2)", "window: HOP(ts, ", "keys: k", "aggregates: SUM(v)", "group and pane of 1m, of which up to 67 are open", "allowed lateness: ",
		},
		"SELECT k, COUNT(*) AS n FROM s GROUP BY SESSION(ts, INTERVAL '1' MINUTE), k":               {"group and window", "window: SESSION"},
		"SELECT ts, k, SUM(v) OVER (PARTITION BY k ORDER BY ts ROWS 5 PRECEDING) AS n FROM s":       {"─ over SUM(v) OVER (PARTITION BY k", "state: rows that wait", "for each partition"},
		"WITH big AS (SELECT ts, k FROM s WHERE v > 5) SELECT k FROM big UNION ALL SELECT k FROM s": {"union all", "├─ select k", "filter (v > 5)"},
		"SELECT k, n FROM (SELECT window_start, k, COUNT(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), k) AS x WHERE n > 1": {
			"filter (n > 1)", "group and pane of 1m, of which up to 3",
		},
	} {
		_, got := described(t, text)
		for _, part := range want {
			if !strings.Contains(got, part) {
				t.Errorf("%s: no %q in\n%s", text, part, got)
			}
		}
	}
}

// Five rows of each key come in the first seconds of a day, and the watermark passes them.
func TestStateEstimatesAreNearTheMemoryOfOperators(t *testing.T) {
	const groups, each = 4_000, 5
	for _, text := range []string{
		"SELECT k, COUNT(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '1' DAY), k",
		"SELECT k, COUNT(*) AS n, SUM(v) AS a, AVG(v) AS b, MAX(v) AS c FROM s GROUP BY TUMBLE(ts, INTERVAL '1' DAY), k",
		"SELECT k, APPROX_COUNT_DISTINCT(v) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '1' DAY), k",
		"SELECT k, MEDIAN(v) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '1' DAY), k",
		"SELECT k, ARRAY_AGG(v) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '1' DAY), k",
		"SELECT k, COUNT(*) AS n, SUM(v) AS a FROM s GROUP BY SESSION(ts, INTERVAL '1' DAY), k",
		"SELECT k, COUNT(*) AS n FROM s GROUP BY STAGGER(ts, INTERVAL '1' DAY), k",
		"SELECT k, COUNT(*) AS n, SUM(v) AS a FROM s GROUP BY TUMBLE(ROWS 10), k",
		"SELECT ts, k, SUM(v) OVER (PARTITION BY k ORDER BY ts ROWS 4 PRECEDING) AS n FROM s",
		"SELECT ts, k, SUM(v) OVER (PARTITION BY k ORDER BY ts) AS n FROM s",
		"SELECT ts, k, LAG(v) OVER (PARTITION BY k ORDER BY ts) AS n FROM s",
		"SELECT ts, k, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts) AS n FROM s",
	} {
		q, _ := described(t, text)
		op := q.New()
		d := column.NewDecoder(describedRows, nil, column.Options{})
		for i := range groups * each {
			line := fmt.Sprintf(`{"ts":"2026-01-01T00:00:0%dZ","k":"group-%08d","v":%d}`, i/groups, i%groups, i)
			if err := d.Add([]byte(line), record.Ordinal(i), 0); err != nil {
				t.Fatal(err)
			}
			if (i+1)%5_000 > 0 {
				continue
			}
			b := d.Take(column.Origin{})
			b.Watermarks = slices.Repeat([]int64{column.MinWatermark}, b.Rows)
			if _, err := op.Add(b); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := op.Emit(time.Date(2026, 1, 1, 0, 1, 0, 0, time.UTC).UnixMicro()); err != nil {
			t.Fatal(err)
		}
		estimate := int64(0)
		for _, s := range keeps(q.plan, 0) {
			if s.Keyed {
				estimate += s.Bytes
			}
		}
		if got := op.Memory() / groups; got > 2*estimate || got < estimate/2 {
			t.Errorf("%s: a group takes %d B and is estimated at %d B", text, got, estimate)
		}
	}
}
