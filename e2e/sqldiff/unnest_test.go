package sqldiff

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/sqltest"
)

const listSchema = "ts timestamp, id bigint, k string, tags [string], nums [bigint], items [{sku string, price bigint}]"

// unnests are queries over s and e, which have the same rows. %l is a list of texts or numbers, %x its element.
var unnests = []pair{
	{"SELECT id, x FROM s CROSS JOIN UNNEST(%l) AS t(x)", "SELECT id, x FROM e CROSS JOIN UNNEST(%l) AS t(x)"},
	{"SELECT id, k, x, n FROM s, UNNEST(%l) WITH ORDINALITY AS t(x, n)", "SELECT id, k, x, n FROM e, UNNEST(%l) WITH ORDINALITY AS t(x, n)"},
	{"SELECT id, x, n FROM s LEFT JOIN UNNEST(%l) WITH ORDINALITY AS t(x, n) ON TRUE", "SELECT id, x, n FROM e LEFT JOIN UNNEST(%l) WITH ORDINALITY AS t(x, n) ON TRUE"},
	{"SELECT id, x FROM s LEFT JOIN UNNEST(%l) AS t(x) ON TRUE WHERE x IS NULL OR id > 20", "SELECT id, x FROM e LEFT JOIN UNNEST(%l) AS t(x) ON TRUE WHERE x IS NULL OR id > 20"},
	{"SELECT id, sku, price FROM s CROSS JOIN UNNEST(items) AS i WHERE price > 20", "SELECT id, i.x.sku, i.x.price FROM e CROSS JOIN UNNEST(items) AS i(x) WHERE i.x.price > 20"},
	{"SELECT id, i.item.sku AS sku, item.price AS price FROM s LEFT JOIN UNNEST(items) AS i(item) ON TRUE", "SELECT id, item.sku, item.price FROM e LEFT JOIN UNNEST(items) AS i(item) ON TRUE"},
	{"SELECT id, a, b FROM s, UNNEST(nums) AS p(a), UNNEST(tags) AS q(b) WHERE a < 50", "SELECT id, a, b FROM e, UNNEST(nums) AS p(a), UNNEST(tags) AS q(b) WHERE a < 50"},
	{"SELECT id, part FROM s, UNNEST(tags) AS p(tag), UNNEST(SPLIT(tag, '-')) AS q(part)", "SELECT id, part FROM e, UNNEST(tags) AS p(tag), UNNEST(string_split(tag, '-')) AS q(part)"},
	{"SELECT x, COUNT(*) AS n, SUM(id) AS ids, COUNT(DISTINCT k) AS ks FROM s CROSS JOIN UNNEST(%l) AS t(x) WHERE k <> 'k1' GROUP BY TUMBLE(ts, INTERVAL '5' MINUTES), x",
		"SELECT x, count(*), sum(id), count(DISTINCT k) FROM e CROSS JOIN UNNEST(%l) AS t(x) WHERE k <> 'k1' GROUP BY time_bucket(INTERVAL '5 minutes', ts), x"},
	{"SELECT sku, COUNT(*) AS n, SUM(price) AS total FROM s, UNNEST(items) AS i GROUP BY HOP(ts, INTERVAL '1' MINUTE, INTERVAL '2' MINUTE), sku HAVING COUNT(*) > 1",
		`SELECT i.x.sku AS sku, count(*), sum(i.x.price) FROM e, UNNEST(items) AS i(x), range(2) AS r(h) GROUP BY time_bucket(INTERVAL '1 minute', ts) - h * INTERVAL '1 minute', i.x.sku HAVING count(*) > 1`},
	{"SELECT w, x FROM (SELECT window_start AS w, ARRAY_AGG(id) AS ids FROM s GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), k) AS a CROSS JOIN UNNEST(ids) AS t(x) WHERE x % 3 = 0",
		"SELECT time_bucket(INTERVAL '1 minute', ts), id FROM e WHERE id % 3 = 0"},
	{"SELECT id, x, SUM(x) OVER (PARTITION BY k ORDER BY ts) AS sofar FROM s CROSS JOIN UNNEST(nums) AS t(x)",
		"SELECT id, x, sum(x) OVER (PARTITION BY k ORDER BY ts) FROM e CROSS JOIN UNNEST(nums) AS t(x)"},
}

// lists are rows with lists, none, empty ones and nulls among them, as cells and as a table of DuckDB.
func lists(r *rand.Rand, n int) ([][]string, string) {
	var out [][]string
	var b strings.Builder
	b.WriteString("CREATE OR REPLACE TABLE e (ts TIMESTAMP, id BIGINT, k VARCHAR, tags VARCHAR[], nums BIGINT[], items STRUCT(sku VARCHAR, price BIGINT)[]); INSERT INTO e VALUES ")
	list := func(element func() (cell, value string)) (string, string) {
		if r.IntN(8) == 0 {
			return "null", "NULL"
		}
		var cells, values []string
		for range r.IntN(5) {
			cell, value := element()
			if r.IntN(9) == 0 {
				cell, value = "null", "NULL"
			}
			cells, values = append(cells, cell), append(values, value)
		}
		return "[" + strings.Join(cells, ",") + "]", "[" + strings.Join(values, ", ") + "]"
	}
	for i, p := range r.Perm(n) {
		at, k := fmt.Sprintf("2026-01-01T00:%02d:%02d.%03d", p/60%10, p%60, p/600), "k"+strconv.Itoa(r.IntN(3))
		tags, duckTags := list(func() (string, string) { s := pick("a", "b-c", "d-e-f", "long-er-text")(r); return s, "'" + s + "'" })
		nums, duckNums := list(func() (string, string) { s := strconv.Itoa(r.IntN(100) - 9); return s, s })
		items, duckItems := list(func() (string, string) {
			sku, price := pick("x", "y", "z")(r), strconv.Itoa(r.IntN(60))
			return sku + "/" + price, fmt.Sprintf("{'sku': '%s', 'price': %s}", sku, price)
		})
		out = append(out, []string{at, strconv.Itoa(p), k, tags, nums, items})
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "('%s', %d, '%s', %s, %s, %s)", at, p, k, duckTags, duckNums, duckItems)
	}
	return out, b.String()
}

func TestUnnestAgreesWithDuckDB(t *testing.T) {
	duck := oracleDuck(t)
	s, err := sqltest.Schema(listSchema)
	if err != nil {
		t.Fatal(err)
	}
	in := sql.Input{Schema: s, EventTime: "ts"}
	for round := range rounds(6, 100) {
		r := rand.New(rand.NewPCG(round, 79))
		rows, table := lists(r, 1+r.IntN(700))
		if err := duck.Exec(t.Context(), table); err != nil {
			t.Fatal(err)
		}
		for _, q := range unnests {
			fill := strings.NewReplacer("%l", pick("tags", "nums")(r))
			ours, theirs := fill.Replace(q.ours), fill.Replace(q.duck)
			compiled, err := sql.CompileQuery(ours, func(string) (sql.Input, bool) { return in, true })
			if err != nil {
				t.Errorf("%s: %v", ours, err)
				continue
			}
			var cells []string
			for i, f := range compiled.Output().Fields {
				text := fmt.Sprintf("c%d::VARCHAR", i)
				if f.Type.String() == "timestamp" {
					text = fmt.Sprintf("strftime(c%d, '%%H:%%M:%%S')", i)
				}
				cells = append(cells, "coalesce("+text+", 'null')")
			}
			names := make([]string, len(cells))
			for i := range names {
				names[i] = fmt.Sprintf("c%d", i)
			}
			want, err := duck.Lines(t.Context(), fmt.Sprintf("SELECT concat_ws(' ', %s) FROM (%s) AS q(%s)", strings.Join(cells, ", "), theirs, strings.Join(names, ", ")))
			if err != nil {
				t.Fatalf("%s: %v", theirs, err)
			}
			got := spread(t, r, compiled, s, rows)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s\nhas %d rows, DuckDB %d; %s", ours, len(got), len(want), firstDifference(got, want))
			}
		}
	}
}

// firstDifference says where two lists part.
func firstDifference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("the first that differs is %q, want %q", got[i], want[i])
		}
	}
	return "one is the beginning of the other"
}
