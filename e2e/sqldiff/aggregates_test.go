package sqldiff

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/sqltest"
)

// aggregates are ours, those of DuckDB that say the same, and how far doubles may be apart: those of
// sketches as docs/sql.md says.
var aggregates = []struct {
	ours, duck string
	within     float64
}{
	{"COUNT(*)", "count(*)", 0},
	{"COUNT(%s)", "count(%s)", 0},
	{"COUNT(DISTINCT %s)", "count(DISTINCT %s)", 0},
	{"APPROX_COUNT_DISTINCT(%s)", "count(DISTINCT %s)", 3 * 1.04 / 64},
	{"MIN(%s)", "min(%s)", 0},
	{"MAX(%s)", "max(%s)", 0},
	{"SUM(%n)", "sum(%n)", 1e-9},
	{"AVG(%n)", "avg(%n)", 1e-9},
	{"VAR_POP(%n)", "var_pop(%n)", 1e-9},
	{"VARIANCE(%n)", "var_samp(%n)", 1e-9},
	{"STDDEV_POP(%n)", "stddev_pop(%n)", 1e-9},
	{"STDDEV(%n)", "stddev_samp(%n)", 1e-9},
	{"MEDIAN(%n)", "quantile_disc((%n)::DOUBLE, 0.5)", 1. / 128},
	{"APPROX_QUANTILE(%n, 1)", "max((%n)::DOUBLE)", 0},
	{"FIRST(%s)", "arg_min(%s, ts)", 0},
	{"LAST(%s)", "arg_max(%s, ts)", 0},
	{"MIN_BY(%s, id)", "arg_min(%s, id)", 0},
	{"MAX_BY(%s, id)", "arg_max(%s, id)", 0},
	{"BOOL_AND(%b)", "bool_and(%b)", 0},
	{"BOOL_OR(%b)", "bool_or(%b)", 0},
	{"COUNT_IF(%b)", "count(*) FILTER (WHERE %b)", 0},
}

const aggSchema = "ts timestamp, id bigint, k string, n bigint, d double, m decimal(12;2), w decimal(30;4), t string, b boolean"

// events are rows whose times are all different, as cells and as a table of DuckDB.
func events(r *rand.Rand, n int) ([][]string, string) {
	var out [][]string
	var b strings.Builder
	b.WriteString("CREATE OR REPLACE TABLE e (ts TIMESTAMP, id BIGINT, k VARCHAR, n BIGINT, d DOUBLE, m DECIMAL(12,2), w DECIMAL(30,4), t VARCHAR, b BOOLEAN); INSERT INTO e VALUES ")
	for i, p := range r.Perm(n) {
		row := []string{
			fmt.Sprintf("2026-01-01T00:%02d:%02d.%03d", p/60%10, p%60, p/600), strconv.Itoa(p), "k" + strconv.Itoa(r.IntN(4)),
			strconv.FormatInt(r.Int64N(200)+1, 10), strconv.FormatFloat(math.Exp(r.NormFloat64()), 'g', -1, 64),
			fmt.Sprintf("%d.%02d", r.IntN(5000), r.IntN(100)), fmt.Sprintf("12345678901234567%d.%04d", r.IntN(500), r.IntN(10_000)),
			"t" + strconv.Itoa(r.IntN(300)), strconv.FormatBool(r.IntN(3) > 0),
		}
		for c := 3; c < len(row); c++ {
			if r.IntN(9) == 0 {
				row[c] = "null"
			}
		}
		out = append(out, row)
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("('" + strings.Join(row, "', '") + "')")
	}
	return out, strings.ReplaceAll(b.String(), "'null'", "NULL")
}

// spread emits a query over rows that are spread over shards and batches.
func spread(t *testing.T, r *rand.Rand, q *sql.Query, s *column.Schema, rows [][]string) []string {
	t.Helper()
	op := q.New()
	shards := 1 + r.IntN(4)
	parts := make([][][]string, shards)
	for _, row := range rows {
		i := r.IntN(shards)
		parts[i] = append(parts[i], row)
	}
	for i, part := range parts {
		for len(part) > 0 {
			n := min(len(part), 1+r.IntN(300))
			b, err := sqltest.Batch(s, part[:n], r.IntN(2) == 0)
			if err != nil {
				t.Fatal(err)
			}
			b.Origin.Shard = record.ShardID(i)
			if _, err := op.Add(b); err != nil {
				t.Fatal(err)
			}
			part = part[n:]
		}
		if !q.Windowed() {
			continue
		}
		state, err := op.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if op = q.New(); op.Restore(state) != nil {
			t.Fatal("the snapshot is refused")
		}
	}
	b, err := op.Emit(column.MaxWatermark)
	if err != nil {
		t.Fatal(err)
	}
	return sqltest.Rows(b)
}

func TestAggregatesAgreeWithDuckDB(t *testing.T) {
	duck := oracleDuck(t)
	s, err := sqltest.Schema(aggSchema)
	if err != nil {
		t.Fatal(err)
	}
	in := sql.Input{Schema: s, EventTime: "ts"}
	for round := range rounds(6, 60) {
		r := rand.New(rand.NewPCG(round, 78))
		rows, table := events(r, 40+r.IntN(3000))
		if err := duck.Exec(t.Context(), table); err != nil {
			t.Fatal(err)
		}
		for _, a := range aggregates {
			fill := strings.NewReplacer("%s", pick("n", "d", "m", "w", "t", "n * 2")(r), "%n", pick("n", "d", "m", "w", "n + 0.5")(r), "%b", pick("b", "n > 100", "d < 1")(r))
			filter := pick("", " FILTER (WHERE n > 50)", " FILTER (WHERE b)")(r)
			ours, theirs := fill.Replace(a.ours)+filter, fill.Replace(a.duck)+filter
			if strings.Contains(a.duck, "FILTER") {
				ours, theirs = strings.TrimSuffix(ours, filter), strings.TrimSuffix(theirs, filter)
			}
			q, err := sql.CompileQuery(fmt.Sprintf("SELECT k, %s AS x FROM s GROUP BY TUMBLE(ts, INTERVAL '5' MINUTES), k", ours), func(string) (sql.Input, bool) { return in, true })
			if err != nil {
				t.Errorf("%s: %v", ours, err)
				continue
			}
			want, err := duck.Lines(t.Context(), fmt.Sprintf("SELECT k || ' ' || coalesce((%s)::VARCHAR, 'null') FROM e GROUP BY time_bucket(INTERVAL '5 minutes', ts), k ORDER BY time_bucket(INTERVAL '5 minutes', ts), k", theirs))
			if err != nil {
				t.Fatalf("%s: %v", theirs, err)
			}
			got := spread(t, r, q, s, rows)
			if len(got) != len(want) {
				t.Errorf("%s: %d groups, DuckDB has %d", ours, len(got), len(want))
				continue
			}
			for i := range want {
				if !near(got[i], want[i], a.within) {
					t.Errorf("%s: %s, DuckDB has %s", ours, got[i], want[i])
				}
			}
		}
	}
}

// near compares "key value" up to a relative distance.
func near(got, want string, within float64) bool {
	if got == want {
		return true
	}
	k1, v1, _ := strings.Cut(got, " ")
	k2, v2, _ := strings.Cut(want, " ")
	a, err1 := strconv.ParseFloat(v1, 64)
	b, err2 := strconv.ParseFloat(v2, 64)
	return k1 == k2 && err1 == nil && err2 == nil && math.Abs(a-b) <= max(within, 1e-15)*max(math.Abs(a), math.Abs(b))
}
