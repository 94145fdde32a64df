package sql

import (
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
)

// Into is the stream that INSERT INTO names, with its place in the text; nil without one.
func (q *Query) Into() *ast.Target { return q.into }

// InsertInto gives the columns of a query the names they have in the target, whose schema is given, and
// checks their types. Columns go by their place in the select list, to those named behind the target or
// to all of it. It comes before any other call. Errors are *Error.
func (q *Query) InsertInto(schema *column.Schema) error {
	target := q.into
	var fields []column.Field
	for _, n := range target.Columns {
		i := slices.IndexFunc(schema.Fields, func(f column.Field) bool {
			return f.Name == n.Text || !n.Quoted && strings.EqualFold(f.Name, n.Text)
		})
		if i < 0 {
			return target.Errorf("stream %q has no column %q%s", target.Name, n.Text, ast.DidYouMean(n.Text, schema.Names()))
		}
		fields = append(fields, schema.Fields[i])
	}
	if target.Columns == nil {
		fields = schema.Fields
	}
	got := q.plan.output().Fields
	if len(got) != len(fields) {
		cure := "name the columns: INSERT INTO " + target.Name + " (…)"
		return target.Errorf("the SELECT has %d columns, but %d are written to stream %q; %s", len(got), len(fields), target.Name, cure)
	}
	named := &renamedPlan{plan: q.plan}
	for i, f := range fields {
		if named.schema.Index(f.Name) >= 0 {
			return target.Errorf("column %q is named twice", f.Name)
		}
		if !fits(got[i].Type, f.Type) {
			return target.Errorf("column %q of the SELECT is of type %s, but %q of stream %q is of type %s; cast it", got[i].Name, got[i].Type, f.Name, target.Name, f.Type)
		}
		if got[i].Name == q.plan.eventTime() {
			named.time = f.Name
		}
		named.schema.Fields = append(named.schema.Fields, column.Field{Name: f.Name, Type: got[i].Type})
	}
	q.plan = named
	return nil
}

// fits reports whether every value of a type is written as one of another is read.
func fits(from, to column.Type) bool {
	switch {
	case from.Equal(to):
		return true
	case from.Kind == column.Int:
		return to.Kind == column.BigInt || to.Kind == column.Double
	case from.Kind == column.Float:
		return to.Kind == column.Double
	case to.Kind == column.JSON:
		return from.Kind == column.List || from.Kind == column.Struct
	}
	return from.Kind == column.Decimal && to.Kind == column.Decimal && from.Scale <= to.Scale && from.Precision-from.Scale <= to.Precision-to.Scale
}

// rename gives the columns of a plan the names of a WITH clause.
func rename(p plan, columns []ast.Name, at ast.Pos) (plan, error) {
	if len(columns) == 0 {
		return p, nil
	}
	fields := p.output().Fields
	if len(columns) != len(fields) {
		return nil, at.Errorf("%d columns are named, but the query has %d", len(columns), len(fields))
	}
	out := &renamedPlan{plan: p}
	for i, n := range columns {
		if out.schema.Index(n.Text) >= 0 {
			return nil, at.Errorf("column %q is named twice", n.Text)
		}
		out.schema.Fields = append(out.schema.Fields, column.Field{Name: n.Text, Type: fields[i].Type})
		if fields[i].Name == p.eventTime() {
			out.time = n.Text
		}
	}
	return out, nil
}
