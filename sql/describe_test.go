package sql

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
)

// described is a query with its plan as text.
func described(t *testing.T, text string) (*Query, string) {
	t.Helper()
	schema := &column.Schema{Fields: []column.Field{
		{Name: "ts", Type: column.Type{Kind: column.Timestamp}}, {Name: "k", Type: column.Type{Kind: column.String}},
		{Name: "v", Type: column.Type{Kind: column.Double}},
	}}
	q, err := CompileQuery(text, func(string) (Input, bool) { return Input{Schema: schema, EventTime: "ts"}, true })
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
			"filter (SUM(v) > 2)", "window: HOP(ts, ", "keys: k", "aggregates: SUM(v)", "group and pane of 1m0s, of which up to 67 are open", "allowed lateness: ",
		},
		"SELECT k, COUNT(*) AS n FROM s GROUP BY SESSION(ts, INTERVAL '1' MINUTE), k":               {"group and window", "window: SESSION"},
		"SELECT ts, k, SUM(v) OVER (PARTITION BY k ORDER BY ts ROWS 5 PRECEDING) AS n FROM s":       {"over SUM(v) OVER (PARTITION BY k", "state: rows that wait"},
		"WITH big AS (SELECT ts, k FROM s WHERE v > 5) SELECT k FROM big UNION ALL SELECT k FROM s": {"union all", "├─ select k", "filter (v > 5)"},
		"SELECT k, n FROM (SELECT window_start, k, COUNT(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), k) AS x WHERE n > 1": {
			"filter (n > 1)", "group and pane of 1m0s, of which up to 3",
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

func TestStateEstimatesAreNearTheMemoryOfOperators(t *testing.T) {
	for _, text := range []string{
		"SELECT k, COUNT(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '1' DAY), k",
		"SELECT k, COUNT(*) AS n, SUM(v) AS a, AVG(v) AS b, MAX(v) AS c FROM s GROUP BY TUMBLE(ts, INTERVAL '1' DAY), k",
	} {
		q, _ := described(t, text)
		schema := &column.Schema{Fields: []column.Field{
			{Name: "ts", Type: column.Type{Kind: column.Timestamp}}, {Name: "k", Type: column.Type{Kind: column.String}},
			{Name: "v", Type: column.Type{Kind: column.Double}},
		}}
		const groups = 50_000
		op := q.New()
		d := column.NewDecoder(schema, nil, column.Options{})
		for i := range groups {
			line := fmt.Sprintf(`{"ts":"2026-01-01T00:00:00Z","k":"group-%08d","v":%d}`, i, i)
			if err := d.Add([]byte(line), record.Ordinal(i), 0); err != nil {
				t.Fatal(err)
			}
		}
		b := d.Take(column.Origin{})
		b.Watermarks = make([]int64, b.Rows)
		for i := range b.Watermarks {
			b.Watermarks[i] = column.MinWatermark
		}
		if _, err := op.Add(b); err != nil {
			t.Fatal(err)
		}
		estimate := keeps(q.plan, 0)[0].Bytes
		if each := op.Memory() / groups; each > 2*estimate || each < estimate/2 {
			t.Errorf("%s: a group takes %d B and is estimated at %d B", text, each, estimate)
		}
	}
}
