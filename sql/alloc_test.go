package sql_test

import (
	"testing"

	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/sqltest"
)

// What one evaluation of 4,096 rows may allocate is a matter of its columns, not of its rows.
func TestExpressionsDoNotAllocatePerRow(t *testing.T) {
	schema, err := sqltest.Schema(everything)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for len(rows) < 4096 {
		rows = append(rows, everyRow[0], everyRow[2])
	}
	batch, err := sqltest.Batch(schema, rows, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"a + b * 2", "p * p + 1.5", "w + p", "CAST(p AS decimal(20,4)) > w", "ROUND(p, 1)", "CAST(d AS decimal(20,2))", "CAST(k AS decimal(10,2))",
		"REPLACE(k, 'b', 'xx')", "SPLIT_PART(k, 'b', 1)", "LPAD(k, 10, 'x')", "LEFT(u, 2)", "REVERSE(u)", "MD5(k)", "CONCAT_WS('-', k, u)", "k || u", "SUBSTR(u, 2)",
		"k REGEXP '^a.c'", "u ILIKE 'A%'", "STRPOS(k, 'c')", "UPPER(k)",
		"j -> 'a'", "j ->> '$.a[1]'", "l[1]", "m[1]", "ARRAY_CONTAINS(l, a)", "CARDINALITY(l)",
		"t AT TIME ZONE 'Europe/Berlin'", "DATE_TRUNC('day', t, 'Europe/Berlin')", "FORMAT_TIMESTAMP(t, '%Y-%m-%d')", "EXTRACT(HOUR FROM t)", "DATE_DIFF('day', y, t)",
		"POWER(d, 2)", "GREATEST(a, b)", "a IS DISTINCT FROM b", "COALESCE(p, w)", "CASE WHEN a > b THEN p ELSE w END",
	} {
		e, err := sql.CompileExpr(text, schema)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		run := func() {
			if _, err := e.Eval(batch); err != nil {
				t.Fatal(err)
			}
		}
		run()
		// The race detector makes pools, of which regular expressions have one, forget at random.
		if n := testing.AllocsPerRun(5, run); n > float64(len(rows)/4) {
			t.Errorf("%s: %.0f allocations for 4096 rows", text, n)
		}
	}
}
