package sql

import (
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/expr"
	"github.com/millrace-io/millrace/sql/parse"
)

// plan is a resolved query: what Add and Emit of its operator do.
type plan interface {
	output() *column.Schema
	// eventTime is the output column that later windows can go by, or "".
	eventTime() string
	// reads is what the query reads of its inputs, each once.
	reads() []reading
	operator() Operator
}

// single is the plan of a SELECT that takes rows one by one.
type single interface {
	plan
	// needs is what is read of its input or sub-query: columns, or fields within them (column.Within).
	needs() []string
}

// Query is a compiled SELECT statement. It does not change; any goroutine may use it.
type Query struct {
	inputs []string
	plan   plan
	late   *ast.Target
	into   *ast.Target
	tables []string
	early  bool
}

// CompileQuery compiles a statement; resolve finds its inputs by name. An error is *Error, or Errors
// when there are several.
func CompileQuery(text string, resolve func(name string) (Input, bool)) (*Query, error) {
	tree, err := parse.Query(text)
	if err != nil {
		return nil, err
	}
	if err := available(tree); err != nil {
		return nil, err
	}
	c := &composer{resolve: resolve, left: maxSelects}
	p, err := c.query(tree, nil)
	if err != nil {
		return nil, err
	}
	if err := c.oneTime(tree.Body.Position(), p); err != nil {
		return nil, err
	}
	early := tree.Emit != nil && tree.Emit.Kind != ast.EmitOnClose
	return &Query{inputs: c.inputs, plan: p, late: tree.Late, into: tree.Into, early: early, tables: c.tables}, nil
}

// rowsOnly refuses clauses that have no meaning without windows.
func rowsOnly(q *ast.Query, s *ast.Select) error {
	switch {
	case s.Qualify != nil:
		return s.Qualify.Position().Errorf("QUALIFY filters by calls with OVER, of which there are none; use WHERE")
	case q.Emit != nil && q.Emit.Kind == ast.EmitEvery:
		return q.Emit.Errorf("EMIT EVERY needs a window; the rows of this query leave as they come")
	case q.Lateness != nil:
		return q.Lateness.Errorf("ALLOWED LATENESS needs a window; no row of this query is late")
	case q.Late != nil:
		return q.Late.Errorf("LATE ROWS INTO needs a window; no row of this query is late")
	}
	return nil
}

// scopeOf is what names mean in a query over one input, or over one with others joined to it.
func scopeOf(t *ast.Table, in Input) *expr.Scope {
	return &expr.Scope{Schema: in.Schema, Qualifiers: []string{nameOf(t)}, Parts: in.parts, Replace: in.replace}
}

// nameOf is what the columns of an input are qualified with.
func nameOf(t *ast.Table) string {
	if t.Alias != "" {
		return t.Alias
	}
	return t.Name
}

// starred is the items that * or input.* stands for.
func starred(item ast.Item, t *ast.Table, in Input) ([]ast.Item, error) {
	parts := in.parts
	if parts == nil {
		parts = []expr.Part{{Name: nameOf(t), Fields: in.Schema.Fields}}
	}
	var inputs, names []string
	var out []ast.Item
	for _, p := range parts {
		inputs = append(inputs, p.Name+".*")
		if q := item.Qualifier; q != nil && (len(q.Parts) != 1 || q.Parts[0].Text != p.Name && (q.Parts[0].Quoted || !strings.EqualFold(q.Parts[0].Text, p.Name))) {
			continue
		}
		for _, f := range p.Fields {
			if item.Qualifier == nil && slices.Contains(p.Using, f.Name) {
				continue
			}
			if slices.Contains(names, f.Name) {
				return nil, item.Errorf("* has two columns called %q; name the columns that are wanted, or join with USING (%s)", f.Name, f.Name)
			}
			id := &ast.Ident{Pos: item.Pos, Parts: []ast.Name{{Text: f.Name, Quoted: true}}}
			if in.parts != nil {
				id.Parts = append([]ast.Name{{Text: p.Name, Quoted: true}}, id.Parts...)
			}
			names, out = append(names, f.Name), append(out, ast.Item{Pos: item.Pos, Expr: id})
		}
	}
	if out == nil && item.Qualifier != nil {
		return nil, item.Qualifier.Errorf("%s.* is not an input of this SELECT; write * or %s", item.Qualifier.Parts[0].Text, strings.Join(inputs, " or "))
	}
	return out, nil
}

// windowed reports whether a query groups. One that only looks as if it did is caught there.
func windowed(s *ast.Select) bool {
	if len(s.GroupBy) > 0 || s.Window != nil || s.Having != nil {
		return true
	}
	return slices.ContainsFunc(s.Items, func(i ast.Item) bool { return len(aggregatesIn(i.Expr)) > 0 })
}

// Names is the inputs that a query reads, for ordering the graph before schemas are known.
func Names(text string) ([]string, error) {
	q, err := parse.Query(text)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, t := range ast.Tables(q) {
		out = append(out, t.Name)
	}
	return out, nil
}

// Late is the stream that late rows go to, and where the text names it; nil without LATE ROWS INTO.
func (q *Query) Late() *ast.Target { return q.late }

// Output is the schema of the rows that the query emits.
func (q *Query) Output() *column.Schema { return q.plan.output() }

// OutputEventTime is the output column that later windows can go by: window_start if it is
// selected, or the input's event time if that is passed on, or "".
func (q *Query) OutputEventTime() string { return q.plan.eventTime() }

// Windowed reports whether rows leave only when the watermark lets them: when a window closes, or
// when their turn has come in OVER.
func (q *Query) Windowed() bool {
	return !stateless(q.plan)
}

// Early reports whether rows leave that later ones replace: EMIT CHANGES or EMIT EVERY of windows.
func (q *Query) Early() bool { return q.early && q.Windowed() }

// New returns an operator with empty state.
func (q *Query) New() Operator { return q.plan.operator() }

// outputName is the name of a select item: its alias, the column's or the function's name.
func outputName(item ast.Item) (string, error) {
	if item.Alias != "" {
		return item.Alias, nil
	}
	switch e := item.Expr.(type) {
	case *ast.Ident:
		return e.Parts[len(e.Parts)-1].Text, nil
	case *ast.Call:
		return e.Name, nil
	}
	return "", item.Errorf("this column needs a name; write … AS name")
}

// outputs collects the columns of a select list.
type outputs struct {
	schema column.Schema
}

// item compiles an item and adds its column.
func (o *outputs) item(item ast.Item, scope *expr.Scope) (program *expr.Program, name string, err error) {
	if name, err = outputName(item); err != nil {
		return nil, "", err
	}
	if program, err = expr.Compile(item.Expr, scope); err != nil {
		return nil, "", err
	}
	return program, name, o.add(name, program.Type(), item.Pos)
}

func (o *outputs) add(name string, t column.Type, at ast.Pos) error {
	if o.schema.Index(name) >= 0 {
		return at.Errorf("two columns are called %q; give one another name with AS", name)
	}
	o.schema.Fields = append(o.schema.Fields, column.Field{Name: name, Type: t})
	return nil
}
