package sql_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/sqltest"
)

// inputSchemas are those of streams, with the same columns in another order each.
var inputSchemas = map[string]string{"a": "ts timestamp, k string, v bigint, x bigint", "b": "v bigint, ts timestamp, k string, y bigint", "c": "ts timestamp, v bigint"}

// sorted is a copy in order.
func sorted(lines []string) []string {
	lines = slices.Clone(lines)
	slices.Sort(lines)
	return lines
}

// overInputs compiles a query that can read a, b and c.
func overInputs(t testing.TB, text string) *sql.Query {
	t.Helper()
	q, err := sql.CompileQuery(text, func(name string) (sql.Input, bool) {
		schema, err := sqltest.Schema(inputSchemas[name])
		return sql.Input{Schema: schema, EventTime: "ts"}, err == nil
	})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return q
}

func TestAQuerySaysWhatItReadsOfEachInput(t *testing.T) {
	const minute = " GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)"
	for text, want := range map[string]string{
		"SELECT k FROM a": "a: k",
		"SELECT k FROM b UNION ALL SELECT k FROM a": "b: k | a: k",
		"SELECT v FROM (SELECT v, k FROM a WHERE x > 1 UNION ALL SELECT y, k FROM b UNION ALL SELECT v, k FROM a) AS u":                                    "a: v x | b: y",
		"WITH n (w) AS (SELECT COUNT(*) FROM b" + minute + ") SELECT w FROM n UNION ALL SELECT v FROM c":                                                   "b: ts | c: v",
		"SELECT COUNT(*) AS n FROM a" + minute + " UNION ALL SELECT SUM(v) AS n FROM b GROUP BY TUMBLE(arrival_time, INTERVAL '1' MINUTE)":                 "a: ts | b by arrival: v",
		"SELECT SUM(v) AS v FROM (SELECT v, ts FROM (SELECT v, ts FROM a UNION ALL SELECT v, ts FROM b) AS u UNION ALL SELECT v, ts FROM c) AS w" + minute: "a: ts v | b: ts v | c: ts v",
	} {
		q := overInputs(t, text)
		var got []string
		for i, name := range q.Inputs() {
			if q.ByArrival(i) {
				name += " by arrival"
			}
			needs := q.Needs(i)
			got = append(got, name+": "+strings.Join(sorted(needs), " "))
		}
		if got := strings.Join(got, " | "); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestAStatementReadsSoManyStreams(t *testing.T) {
	var terms []string
	for i := range 17 {
		terms = append(terms, fmt.Sprintf("SELECT v FROM s%d", i))
	}
	compile := func(n int) error {
		_, err := sql.CompileQuery(strings.Join(terms[:n], " UNION ALL "), func(string) (sql.Input, bool) {
			schema, err := sqltest.Schema("v bigint")
			return sql.Input{Schema: schema}, err == nil
		})
		return err
	}
	if err := compile(16); err != nil {
		t.Error(err)
	}
	if err := compile(17); err == nil || !strings.Contains(err.Error(), "this statement reads more than 16 streams") {
		t.Errorf("17 streams: %v", err)
	}
}

// addTo adds rows of an input to an operator, in a shard of that stream.
func addTo(t *testing.T, q *sql.Query, op sql.Operator, name string, number int, rows ...string) {
	t.Helper()
	for input, known := range q.Inputs() {
		if known != name {
			continue
		}
		b := batchOf(t, inputSchemas[name], rows...)
		b.Origin.Input, b.Origin.Shard = input, record.ShardID(number<<26)
		if _, err := op.Add(b); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("%s is not read", name)
}

func leaving(t *testing.T, op sql.Operator, at string) []string {
	t.Helper()
	mark := int64(column.MaxWatermark)
	if at != "end" {
		var err error
		if mark, err = sqltest.Time(at); err != nil {
			t.Fatal(err)
		}
	}
	b, err := op.Emit(mark)
	if err != nil {
		t.Fatal(err)
	}
	return sqltest.Rows(b)
}

// counted counts the rows of a stream under a name.
func counted(name string) string {
	return "SELECT window_start, '" + name + "' AS of, COUNT(*) AS n FROM " + name + " GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)"
}

// Terms over different streams find their windows again by the names of these.
func TestTermsOfAUnionMayChangePlaces(t *testing.T) {
	for _, outer := range []string{"%s", "SELECT window_start, of, SUM(n) AS n FROM (%s) AS u GROUP BY TUMBLE(window_start, INTERVAL '1' HOUR), of"} {
		before := overInputs(t, fmt.Sprintf(outer, counted("a")+" UNION ALL "+counted("b")))
		op := before.New()
		addTo(t, before, op, "a", 0, "00:00:01 x 1 1", "00:00:02 x 1 1")
		addTo(t, before, op, "b", 1, "1 00:00:01 x 1")
		state, err := op.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		after := overInputs(t, fmt.Sprintf(outer, counted("c")+" UNION ALL "+counted("b")+" UNION ALL "+counted("a")))
		op = after.New()
		if err := op.Restore(state); err != nil {
			t.Fatal(err)
		}
		addTo(t, after, op, "b", 1, "1 00:00:02 x 1", "1 00:00:02 x 1")
		addTo(t, after, op, "c", 2, "00:00:01 1")
		got := leaving(t, op, "end")
		if diff := cmp.Diff([]string{"00:00:00 a 2", "00:00:00 b 3", "00:00:00 c 1"}, sorted(got)); diff != "" {
			t.Error(diff)
		}
	}
}

// Windows above have left by then, so the rows of a term that is new are late and not a contradiction.
func TestATermThatIsAddedBeginsWhereTheOthersStand(t *testing.T) {
	const outer = "SELECT window_start, SUM(n) AS n FROM (%s) AS u GROUP BY TUMBLE(window_start, INTERVAL '1' HOUR)"
	before := overInputs(t, fmt.Sprintf(outer, counted("a")+" UNION ALL "+counted("b")))
	op := before.New()
	addTo(t, before, op, "a", 0, "00:00:01 x 1 1", "02:00:02 x 1 1")
	if got := leaving(t, op, "01:30:00"); !cmp.Equal(got, []string{"00:00:00 1"}) {
		t.Fatalf("%v", got)
	}
	state, err := op.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	after := overInputs(t, fmt.Sprintf(outer, counted("a")+" UNION ALL "+counted("b")+" UNION ALL "+counted("c")))
	op = after.New()
	if err := op.Restore(state); err != nil {
		t.Fatal(err)
	}
	addTo(t, after, op, "c", 2, "00:00:01 1", "02:00:01 1")
	if got := leaving(t, op, "end"); !cmp.Equal(got, []string{"02:00:00 2"}) {
		t.Errorf("%v", got)
	}
}

func TestATermWithOpenWindowsIsNotForgotten(t *testing.T) {
	before := overInputs(t, counted("a")+" UNION ALL "+counted("b")+" UNION ALL "+counted("c"))
	op := before.New()
	addTo(t, before, op, "c", 2, "00:00:01 1")
	state, err := op.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	err = overInputs(t, counted("a")+" UNION ALL "+counted("b")).New().Restore(state)
	if err == nil || !strings.Contains(err.Error(), "a term over c is not in it any more") {
		t.Errorf("%v", err)
	}
}
