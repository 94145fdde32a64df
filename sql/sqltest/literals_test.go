package sqltest

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/expr"
	"github.com/millrace-io/millrace/sql/parse"
)

// What is made of literals alone is computed when the query is compiled. It must be what it is of columns.
func TestLiteralsComeToTheSameAsColumns(t *testing.T) {
	files, err := filepath.Glob("testdata/*.test")
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		cases, err := Parse(string(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			var schema *column.Schema
			for _, s := range c.steps {
				switch s.word {
				case "schema":
					if schema, err = Schema(strings.Join(s.body, " ")); err != nil {
						t.Fatal(err)
					}
				case "eval":
					b, err := Batch(schema, [][]string{Cells(s.arg)}, false)
					if err != nil {
						t.Fatal(err)
					}
					for _, line := range s.body {
						e, _, _ := strings.Cut(line, " => ")
						column, literal, err := bothWays(e, b)
						if err != nil {
							continue
						}
						if compared++; column != literal {
							t.Errorf("%s:%d: %s is %s, of literals it is %s", file, s.line, e, column, literal)
						}
					}
				}
			}
		}
	}
	if compared < 300 {
		t.Errorf("%d expressions compared, expected at least 300", compared)
	}
}

// bothWays evaluates an expression over the columns of a row, and with literals for them.
func bothWays(text string, b *column.Batch) (column, literal string, err error) {
	e, err := parse.Expr(text)
	if err != nil {
		return "", "", err
	}
	scope := &expr.Scope{Schema: b.Schema}
	plain, err := expr.Compile(e, scope)
	if err != nil {
		return "", "", err
	}
	scope.Alias = func(id *ast.Ident) ast.Expr {
		if len(id.Parts) > 1 || b.Schema.Index(id.Parts[0].Text) < 0 {
			return nil
		}
		return literalOf(id, b.Columns[b.Schema.Index(id.Parts[0].Text)])
	}
	folded, err := expr.Compile(e, scope)
	if err != nil {
		return "", "", err
	}
	if !folded.Type().Equal(plain.Type()) {
		return "", "", errors.New("a literal has another type than the column")
	}
	x, err := plain.Eval(b)
	if err != nil {
		return "", "", err
	}
	column = Format(x, 0)
	y, err := folded.Eval(b)
	if err != nil {
		return "", "", err
	}
	return column, Format(y, 0), nil
}

// literalOf is the first value of a column as it is written, nil if it is not.
func literalOf(id *ast.Ident, c *column.Column) ast.Expr {
	if c.IsNull(0) {
		return nil
	}
	switch c.Type.Kind {
	case column.BigInt:
		return &ast.Number{Pos: id.Pos, Text: Format(c, 0), Integer: true, Int: c.Int64s[0], Float: float64(c.Int64s[0])}
	case column.Double:
		return &ast.Number{Pos: id.Pos, Text: Format(c, 0), Float: c.Float64s[0]}
	case column.String, column.JSON:
		return &ast.String{Pos: id.Pos, Value: string(c.Text(0))}
	case column.Binary:
		return &ast.Bytes{Pos: id.Pos, Value: slices.Clone(c.Text(0))}
	case column.Boolean:
		return &ast.Bool{Pos: id.Pos, Value: c.Bools.Get(0)}
	case column.Timestamp:
		return &ast.Timestamp{Pos: id.Pos, Micros: c.Int64s[0]}
	case column.Date:
		return &ast.Date{Pos: id.Pos, Days: c.Int32s[0]}
	case column.Time:
		return &ast.Clock{Pos: id.Pos, Micros: c.Int64s[0]}
	}
	return nil
}
