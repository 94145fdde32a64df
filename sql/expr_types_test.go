package sql_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/sqltest"
)

// Whatever compiles of a function and columns of any types is evaluated without a panic.
func TestFunctionsTakeOrRefuseEveryType(t *testing.T) {
	page, err := os.ReadFile("../docs/sql.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tables, _ := strings.Cut(string(page), "## Expressions")
	tables, _, _ = strings.Cut(tables, "\n## ")
	names := regexp.MustCompile(`\b[A-Z][A-Z0-9_]+\(`).FindAllString(tables, -1)
	slices.Sort(names)
	names = slices.Compact(names)
	schema, err := sqltest.Schema(everything)
	if err != nil {
		t.Fatal(err)
	}
	b, err := sqltest.Batch(schema, everyRow, false)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"NULL", "'x'", "'2026-01-01'", "1.5", "INTERVAL '1' DAY", "CAST(1.5 AS DECIMAL(38, 10))"}
	for _, f := range schema.Fields {
		args = append(args, f.Name)
	}
	forms := []string{"%s + %s", "%s / %s", "%s || %s", "%s < %s", "%s IN (%s)", "[%s, %s]", "%[1]s[%[2]s]", "CASE WHEN TRUE THEN %s ELSE %s END"}
	for _, name := range names {
		forms = append(forms, name+"%[1]s)", name+"%s, %s)")
	}
	// One of each kind of storage is enough for a second argument.
	second := []string{"a", "d", "w", "k", "t", "y", "x", "l", "NULL", "'x'"}
	evaluated := 0
	for _, form := range forms {
		for _, x := range args {
			for _, y := range second {
				text := fmt.Sprintf(form, x, y)
				if e, err := sql.CompileExpr(text, schema); err == nil {
					survives(t, text, func() { values(e, b) })
					evaluated++
				}
				if !strings.Contains(form, "%s") && !strings.Contains(form, "[2]") {
					break
				}
			}
		}
	}
	if evaluated < 1000 {
		t.Errorf("%d expressions were evaluated, expected at least 1000", evaluated)
	}
}

func survives(t *testing.T, text string, run func()) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("%s: %v", text, p)
		}
	}()
	run()
}
