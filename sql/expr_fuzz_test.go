package sql_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/sqltest"
)

// everything has a column of every type.
const everything = "a bigint, b bigint, i int, d double, f float, o boolean, p decimal(10;2), w decimal(38;4), k string, u string, " +
	"t timestamp, y date, c time, g uuid, x binary, j json, l [bigint], m [string], geo{lat double, at{name string, n bigint}}"

var everyRow = [][]string{
	{"1", "-7", "3", "2.5", "0.5", "true", "12.50", "-1.0001", "abc", "'ä b'", "12:00:00", "2026-02-03", "12:30:00",
		"6f1d3c2a-0000-4000-8000-00000000000f", "00ff", `{"a":[1,"x"]}`, "[1,2]", "[x]", "1.5", "home", "7"},
	{"null", "null", "null", "null", "null", "null", "null", "null", "null", "null", "null", "null", "null",
		"null", "null", "null", "null", "null", "null", "null", "null"},
	{"9223372036854775807", "-9223372036854775808", "-2147483648", "1e308", "-1e38", "false", "-99999999.99", "9999999999999999999999999999999999.9999",
		"''", "''", "1969-12-31T23:59:59.999999", "1960-07-04", "00:00:00", "00000000-0000-0000-0000-000000000000", "", "7", "[]", "[null,b]", "-0", "''", "0"},
}

// FuzzEval compiles any text and evaluates what compiles: nothing may panic, and whether texts
// are a dictionary must not matter.
func FuzzEval(f *testing.F) {
	files, err := filepath.Glob("sqltest/testdata/*.test")
	if err != nil || len(files) == 0 {
		f.Fatal("no scripts", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, line := range strings.Split(string(text), "\n") {
			if e, _, ok := strings.Cut(line, " => "); ok {
				f.Add(strings.TrimSpace(e))
			}
		}
	}
	schema, err := sqltest.Schema(everything)
	if err != nil {
		f.Fatal(err)
	}
	batch := func(dict bool) *column.Batch {
		b, err := sqltest.Batch(schema, everyRow, dict)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	plain, dict := batch(false), batch(true)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := sql.CompileExpr(text, schema)
		if err != nil {
			return
		}
		want := values(e, plain)
		if got := values(e, dict); got != want {
			t.Errorf("%s is %s, with dictionaries %s", text, want, got)
		}
		// A selection computes the selected rows the same.
		some := *plain
		some.Selection = []int32{0, 2}
		if got := values(e, &some); !strings.HasPrefix(want, "error") && got != pick(want, 0, 2) {
			t.Errorf("%s is %s, with a selection %s", text, want, got)
		}
	})
}

func values(e *sql.Expr, b *column.Batch) string {
	c, err := e.Eval(b)
	if err != nil {
		return "error"
	}
	rows := b.Selection
	if rows == nil {
		rows = []int32{0, 1, 2}
	}
	var out []string
	for _, r := range rows {
		out = append(out, sqltest.Format(c, int(r)))
	}
	return strings.Join(out, "\x00")
}

func pick(values string, rows ...int) string {
	all := strings.Split(values, "\x00")
	if len(all) != 3 {
		// A text has the separator in it.
		return values
	}
	return all[rows[0]] + "\x00" + all[rows[1]]
}
