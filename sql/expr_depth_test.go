package sql_test

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/sqltest"
)

// An operand that an expression uses several times is computed once; otherwise each of these
// would take 2^40 steps.
func TestNestedOperandsAreComputedOnce(t *testing.T) {
	schema, err := sqltest.Schema("a bigint, b bigint, o boolean")
	if err != nil {
		t.Fatal(err)
	}
	batch, err := sqltest.Batch(schema, [][]string{{"1", "2", "true"}, {"null", "3", "false"}}, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ open, close, want string }{
		{"GREATEST(", ", b)", "2 3"},
		{"LEAST(b, ", ")", "1 3"},
		{"NULLIF(", ", 77)", "1 null"},
		{"COALESCE(", ", b)", "1 3"},
		{"(", " IS DISTINCT FROM b)::bigint", ""},
		{"CASE ", " WHEN 1 THEN 1 WHEN 2 THEN 2 WHEN b THEN 3 ELSE 4 END", ""},
		{"(", " BETWEEN 0 AND b)::bigint", ""},
		{"(", " IN (b, 1, a))::bigint", ""},
	} {
		text := strings.Repeat(c.open, 40) + "(a + 0)" + strings.Repeat(c.close, 40)
		start := time.Now()
		e, err := sql.CompileExpr(text, schema)
		if err != nil {
			t.Fatalf("%s: %v", c.open, err)
		}
		out, err := e.Eval(batch)
		if err != nil {
			t.Fatalf("%s: %v", c.open, err)
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("%s…%s took %v", c.open, c.close, took)
		}
		if got := sqltest.Format(out, 0) + " " + sqltest.Format(out, 1); c.want != "" && got != c.want {
			t.Errorf("%s…%s is %s, want %s", c.open, c.close, got, c.want)
		}
	}
}
