package sqldiff

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/sqltest"
)

const (
	streamSchema = "ts timestamp, id bigint, a bigint, b string, d double, p decimal(8;2), y date, o boolean"
	tableSchema  = "a int, b string, d double, p decimal(12;3), y date, t timestamp, o boolean, v string, n bigint"
)

// cellOf makes random cells of a type, few enough to meet.
func cellOf(r *rand.Rand, kind string) string {
	if r.IntN(8) == 0 {
		return "null"
	}
	switch {
	case kind == "bigint" || kind == "int":
		return fmt.Sprint(r.IntN(9) - 2)
	case kind == "string":
		return "k" + fmt.Sprint(r.IntN(7))
	case kind == "double":
		return fmt.Sprint(float64(r.IntN(12)) / 2)
	case kind == "decimal(8;2)":
		return fmt.Sprintf("%d.%02d", r.IntN(4), 25*r.IntN(4))
	case kind == "decimal(12;3)":
		return fmt.Sprintf("%d.%03d", r.IntN(4), 250*r.IntN(4))
	case kind == "date":
		return fmt.Sprintf("2026-01-%02d", 1+r.IntN(4))
	case kind == "timestamp":
		return fmt.Sprintf("2026-01-%02dT%02d:00:00", 1+r.IntN(4), 12*r.IntN(2))
	}
	return fmt.Sprint(r.IntN(2) == 0)
}

// tabular is rows of a schema and the statement that makes them a table of DuckDB.
func tabular(r *rand.Rand, name, schema string, n int) (rows [][]string, statement string) {
	var b strings.Builder
	duck := strings.NewReplacer(" string", " VARCHAR", "(8;2)", "(8,2)", "(12;3)", "(12,3)").Replace(schema)
	fmt.Fprintf(&b, "CREATE OR REPLACE TABLE %s (%s)", name, duck)
	for i := range n {
		var row []string
		for _, f := range strings.Split(schema, ", ") {
			column, kind, _ := strings.Cut(f, " ")
			switch column {
			case "ts":
				row = append(row, fmt.Sprintf("2026-01-%02dT%02d:%02d:%02d", 1+r.IntN(3), r.IntN(24), r.IntN(60), r.IntN(60)))
			case "id":
				row = append(row, fmt.Sprint(i))
			default:
				row = append(row, cellOf(r, kind))
			}
		}
		rows = append(rows, row)
		if i == 0 {
			b.WriteString("; INSERT INTO " + name + " VALUES ")
		} else {
			b.WriteString(", ")
		}
		b.WriteString("('" + strings.Join(row, "', '") + "')")
	}
	return rows, strings.ReplaceAll(b.String(), "'null'", "NULL")
}

// joinText is a random join of s with c, and maybe with e, as both engines take it.
func joinText(r *rand.Rand) (from string, tables []string) {
	equal := func(c string) string {
		return pick("s.a = "+c+".a", "s.b = "+c+".b", "s.d = "+c+".d", "s.p = "+c+".p", "s.y = "+c+".y", "s.o = "+c+".o", "s.a = "+c+".d", c+".p = s.a", "s.p = "+c+".a",
			"CAST(s.ts AS DATE) = "+c+".y", "s.y = "+c+".t", "UPPER(s.b) = UPPER("+c+".b)", "s.a + 1 = "+c+".n", "s.a * 2 = "+c+".n - 1")(r)
	}
	beside := func(c string) string {
		return pick("s.a > 1", c+".n < 4", "s.ts >= "+c+".t", "s.d <> "+c+".d", c+".v IS NOT NULL", "("+c+".o OR s.o)", "s.b || 'x' < "+c+".v", "s.id % 3 = 0", c+".n BETWEEN s.a AND s.a + 3")(r)
	}
	from = "s"
	for _, c := range []string{"c", "e"}[:1+r.IntN(2)] {
		tables = append(tables, c)
		on := equal(c)
		for r.IntN(3) == 0 {
			on += " AND " + equal(c)
		}
		for r.IntN(2) == 0 {
			on += " AND " + beside(c)
		}
		from += pick(" JOIN ", " LEFT JOIN ")(r) + c + " ON " + on
	}
	return from, tables
}

func TestJoinsAgreeWithDuckDB(t *testing.T) {
	duck := oracleDuck(t)
	stream, err := sqltest.Schema(streamSchema)
	if err != nil {
		t.Fatal(err)
	}
	table, err := sqltest.Schema(tableSchema)
	if err != nil {
		t.Fatal(err)
	}
	queries, matched := 0, 0
	for round := range rounds(40, 400) {
		r := rand.New(rand.NewPCG(round, 79))
		rows, statement := tabular(r, "s", streamSchema, r.IntN(120))
		if err := duck.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
		tables := map[string][][]string{}
		for _, name := range []string{"c", "e"} {
			tables[name], statement = tabular(r, name, tableSchema, r.IntN(25))
			if err := duck.Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		for range 40 {
			from, joined := joinText(r)
			list := "s.id, " + joined[0] + ".v, " + joined[len(joined)-1] + ".n, " + joined[0] + ".y, " + joined[0] + ".o"
			where := pick("", " WHERE s.a >= 1", " WHERE "+joined[0]+".n > 1 OR s.o", " WHERE "+joined[0]+".v IS NULL AND s.id > 5")(r)
			ours := "SELECT " + list + " FROM " + from + where
			theirs := ours
			if r.IntN(3) == 0 {
				ours = "SELECT window_start, c.v, COUNT(*) AS n, SUM(c.n) AS t, MIN(s.d) AS d FROM " + from + where + " GROUP BY TUMBLE(s.ts, INTERVAL '1' DAY), c.v"
				theirs = "SELECT date_trunc('day', s.ts), c.v, count(*), sum(c.n)::BIGINT, min(s.d) FROM " + from + where + " GROUP BY ALL"
			}
			q, err := sql.CompileQuery(ours, func(name string) (sql.Input, bool) {
				if tables[name] != nil || name == "c" || name == "e" {
					return sql.Input{Schema: table, Table: true}, true
				}
				return sql.Input{Schema: stream, EventTime: "ts"}, name == "s"
			})
			if err != nil {
				t.Fatalf("%s: %v", ours, err)
			}
			op := q.New()
			for _, name := range q.Tables() {
				b, err := sqltest.Batch(table, tables[name], r.IntN(2) == 0)
				if err != nil {
					t.Fatal(err)
				}
				if err := sql.Use(op, name, b); err != nil {
					t.Fatal(err)
				}
			}
			for left := rows; len(left) > 0; {
				n := min(len(left), 1+r.IntN(60))
				b, err := sqltest.Batch(stream, left[:n], r.IntN(2) == 0)
				if err != nil {
					t.Fatal(err)
				}
				b.Origin.Shard = record.ShardID(r.IntN(2))
				if _, err := op.Add(b); err != nil {
					t.Fatal(err)
				}
				left = left[n:]
			}
			b, err := op.Emit(1<<63 - 1)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, line := range sqltest.Rows(b) {
				got = append(got, strings.Join(sqltest.Cells(line), "|"))
			}
			want, err := duck.Lines(t.Context(), fmt.Sprintf("SELECT concat_ws('|', %s) FROM (%s) AS x(%s)", casts(len(q.Output().Fields), ours != theirs), theirs, names(len(q.Output().Fields))))
			if err != nil {
				t.Fatalf("%s: %v", theirs, err)
			}
			for i := range got {
				if ours != theirs {
					// A window's start as the scripts write it.
					at, rest, _ := strings.Cut(got[i], "|")
					if at == "00:00:00" {
						at = "2026-01-01"
					}
					got[i] = strings.TrimSuffix(at, "T00:00:00") + "|" + rest
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			queries, matched = queries+1, matched+len(want)
			if !slices.Equal(got, want) {
				t.Fatalf("round %d: %s\ngot  %d rows %v\nwant %d rows %v", round, ours, len(got), got, len(want), want)
			}
		}
	}
	t.Logf("%d joins with %d rows", queries, matched)
	if matched < 10*queries {
		t.Error("hardly anything matched")
	}
}

func names(n int) string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("x%d", i))
	}
	return strings.Join(out, ", ")
}

// casts are columns as texts; a first one that is a time is the start of a day.
func casts(n int, day bool) string {
	var out []string
	for i := range n {
		text := fmt.Sprintf("x%d::VARCHAR", i)
		if day && i == 0 {
			text = "strftime(x0, '%Y-%m-%d')"
		}
		if day && i == 4 {
			text = "regexp_replace(x4::VARCHAR, '\\.0$', '')"
		}
		out = append(out, "coalesce("+text+", 'null')")
	}
	return strings.Join(out, ", ")
}
