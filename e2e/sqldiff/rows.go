package sqldiff

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// columns are the input: name, type for scripts, type for DuckDB and how a cell is made.
var columns = []struct {
	name, ours, duck string
	cell             func(r *rand.Rand) string
}{
	{"a", "bigint", "BIGINT", pick("0", "1", "-1", "2", "7", "-13", "1000000007", "9223372036854775807", "-9223372036854775807")},
	{"b", "bigint", "BIGINT", pick("0", "3", "-2", "10", "64", "255", "-100000", "4611686018427387904")},
	{"i", "int", "INTEGER", pick("0", "1", "-5", "12", "2147483647", "-2147483648")},
	{"d", "double", "DOUBLE", pick("0", "0.5", "-2.5", "1.5", "3.25", "-1e10", "1e300", "123.456", "7")},
	{"e", "double", "DOUBLE", pick("1", "-0.25", "2", "1e-10", "-1e300", "99.99", "-4")},
	{"p", "decimal(10;2)", "DECIMAL(10,2)", pick("0.00", "12.50", "-0.01", "99999999.99", "-99999999.99", "3.10")},
	{"q", "decimal(6;3)", "DECIMAL(6,3)", pick("0.000", "-0.125", "999.999", "1.005", "-2.500")},
	{"w", "decimal(30;4)", "DECIMAL(30,4)", pick("0.0000", "12345678901234567890.1234", "-99999999999999999999999999.9999", "0.0001")},
	{"k", "string", "VARCHAR", pick("''", "abc", "Hello", "a,b,c", "'two words'", "äöü€", "x=42", "12", "-7", "3.5", "true", "nope", "aXbXc")},
	{"l", "string", "VARCHAR", pick("b", "''", "l", "ABC", "abc", "ü", "1", "zzz")},
	{"o", "boolean", "BOOLEAN", pick("true", "false")},
	{"r", "boolean", "BOOLEAN", pick("true", "false")},
	{"t", "timestamp", "TIMESTAMP", pick("2026-01-01T00:00:00", "2026-03-29T01:30:00.123456", "2026-10-25T00:30:00", "1969-12-31T23:59:59.999999", "2024-02-29T12:00:00", "2000-12-31T23:00:00")},
	{"u", "timestamp", "TIMESTAMP", pick("2026-01-01T00:00:00.000001", "2025-06-30T12:34:56.789", "1970-01-01T00:00:00", "2026-05-31T06:00:00")},
	{"y", "date", "DATE", pick("2026-01-31", "1970-01-01", "2024-02-29", "1999-12-31", "1960-07-04")},
	{"g", "uuid", "UUID", pick("6f1d3c2a-0000-4000-8000-00000000000f", "00000000-0000-0000-0000-000000000001", "ffffffff-ffff-ffff-ffff-ffffffffffff")},
	{"li", "[bigint]", "BIGINT[]", pick("[1,2,3]", "[]", "[null,5]", "[7]")},
	{"lt", "[string]", "VARCHAR[]", pick("[x,y]", "[abc]", "[]", "[null,b,b]")},
	{"j", "json", "JSON", pick(`'{"a":1,"b":{"c":[10,"x",null,true]},"s":"text"}'`, `'{"a":-5,"s":"q\"uote"}'`, `'[1,{"a":2},"z"]'`, `'{"b":{"c":[]},"n":null}'`, `'7'`)},
}

func pick(cells ...string) func(*rand.Rand) string {
	return func(r *rand.Rand) string { return cells[r.IntN(len(cells))] }
}

// schema is that of sqltest.Schema.
func schema() string {
	var out []string
	for _, c := range columns {
		out = append(out, c.name+" "+c.ours)
	}
	return strings.Join(out, ", ")
}

// rows are random cells, one in six of them null.
func rows(r *rand.Rand, n int) [][]string {
	out := make([][]string, n)
	for i := range out {
		for _, c := range columns {
			cell := c.cell(r)
			if r.IntN(6) == 0 {
				cell = "null"
			}
			out[i] = append(out[i], cell)
		}
	}
	return out
}

// macros are functions that DuckDB has not.
const macros = "CREATE OR REPLACE MACRO fin(x) AS CASE WHEN isfinite(x) THEN x END; " +
	"CREATE OR REPLACE MACRO remainder(x, y) AS CASE WHEN y = -1 THEN x - x ELSE TRY(x % y) END; " +
	"CREATE OR REPLACE MACRO flooredms(x) AS (epoch_us(x) - (epoch_us(x) % 1000 + 1000) % 1000) // 1000; " +
	"CREATE OR REPLACE MACRO wholetext(x) AS CASE WHEN contains(x, '.') THEN TRY_CAST(TRY_CAST(x AS DOUBLE) AS BIGINT) ELSE TRY_CAST(x AS BIGINT) END; " +
	"CREATE OR REPLACE MACRO below(x, y) AS x - (x % y + y) % y; " +
	"CREATE OR REPLACE MACRO within(x) AS greatest(least(x, 253402300799999999), -62135596800000000); "

// table is the statements that make the same table t in DuckDB, with the place of each row in id.
func table(rows [][]string) string {
	var b strings.Builder
	b.WriteString(macros + "CREATE OR REPLACE TABLE t (id BIGINT")
	for _, c := range columns {
		fmt.Fprintf(&b, ", %s %s", c.name, c.duck)
	}
	b.WriteString("); INSERT INTO t VALUES ")
	for i, row := range rows {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "(%d", i)
		values(&b, row)
		b.WriteString(")")
	}
	return noEmptyText(b.String())
}

// values writes the cells of all columns, each behind a comma.
func values(b *strings.Builder, row []string) {
	for k, cell := range row {
		switch {
		case cell == "null":
			b.WriteString(", NULL")
		case cell[0] == '[' && columns[k].name == "lt":
			b.WriteString(", ['" + strings.ReplaceAll(strings.ReplaceAll(strings.Trim(cell, "[]"), ",", "','"), "'null'", "NULL") + "']")
		case cell[0] == '[':
			b.WriteString(", " + cell)
		default:
			b.WriteString(", '" + strings.Trim(cell, "'") + "'")
		}
	}
}

// noEmptyText makes empty lists of texts, which were written as lists of one empty text, empty.
func noEmptyText(statement string) string {
	return strings.ReplaceAll(strings.ReplaceAll(statement, "['null',", "[NULL,"), ", ['']", ", []::VARCHAR[]")
}
