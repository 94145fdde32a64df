package sql

import (
	"fmt"
	"math"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/build"
)

// unionPlan is UNION ALL. Its rows leave term by term.
type unionPlan struct {
	terms []plan
	// names are those of the inputs of each term.
	names []string
	time  string
}

func (c *composer) union(u *ast.Union, known *withNames) (plan, error) {
	p := &unionPlan{}
	for i, body := range u.Terms {
		if i > 0 {
			body = named(body, p.terms[0].output())
		}
		q, ok := body.(*ast.Query)
		if !ok {
			q = &ast.Query{Pos: body.Position(), Body: body}
		}
		term, err := c.inner(q, known)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			if err := sameColumns(body, u.Terms[0], term.output(), p.terms[0].output()); err != nil {
				return nil, err
			}
		}
		terms := pieces(term)
		if terms == nil {
			terms = []plan{term}
		}
		for _, t := range terms {
			p.terms, p.names = append(p.terms, t), append(p.names, c.namesOf(t))
		}
	}
	p.time = p.terms[0].eventTime()
	place := p.output().Index(p.time)
	for _, t := range p.terms[1:] {
		if i := t.output().Index(t.eventTime()); i < 0 || i != place {
			p.time = ""
		}
	}
	return p, nil
}

// untimed says why the rows of a plan have no event time, as what is wrong and what to do; a stream has none declared.
func untimed(p plan) string {
	for {
		r, ok := p.(*renamedPlan)
		if !ok {
			break
		}
		p = r.plan
	}
	u, ok := p.(*unionPlan)
	if !ok {
		return declareTime
	}
	const cure = "; select that of each term in the same place"
	place := u.output().Index(u.terms[0].eventTime())
	for i, t := range u.terms {
		at := t.output().Index(t.eventTime())
		switch {
		case at < 0:
			return fmt.Sprintf(": term %d of UNION ALL does not select the event time of its input%s", i+1, cure)
		case at != place:
			return fmt.Sprintf(": it is column %d of the first term of UNION ALL and column %d of term %d%s", place+1, at+1, i+1, cure)
		}
	}
	return cure
}

// named gives the columns of a term that have no names some, and a NULL a type: those of the first term count.
func named(b ast.Body, first *column.Schema) ast.Body {
	s, ok := b.(*ast.Select)
	if !ok {
		return b
	}
	out := *s
	out.Items = slices.Clone(s.Items)
	for i, item := range s.Items {
		if item.Expr == nil {
			continue
		}
		if _, err := outputName(item); err != nil {
			out.Items[i].Alias = fmt.Sprintf("#%d", i)
		}
		if isNull(b, i) && len(s.Items) == len(first.Fields) {
			if t, ok := typeName(first.Fields[i].Type, item.Pos); ok {
				out.Items[i].Expr = &ast.Cast{Pos: item.Pos, X: item.Expr, To: *t}
			}
		}
	}
	return &out
}

// isNull reports whether column i of a term is NULL, which has no type by itself.
func isNull(b ast.Body, i int) bool {
	s, ok := b.(*ast.Select)
	if !ok || i >= len(s.Items) {
		return false
	}
	for _, item := range s.Items[:i] {
		if item.Expr == nil {
			// Of a * it is not known here how many columns it is.
			return false
		}
	}
	_, ok = s.Items[i].Expr.(*ast.Null)
	return ok
}

// typeName is a type as a CAST names it; false for structs, which it cannot name.
func typeName(t column.Type, at ast.Pos) (*ast.TypeName, bool) {
	switch t.Kind {
	case column.Struct:
		return nil, false
	case column.List:
		elem, ok := typeName(*t.Elem, at)
		if !ok {
			return nil, false
		}
		return &ast.TypeName{Pos: at, Name: elem.Name + "[]", Elem: elem}, true
	case column.Decimal:
		return &ast.TypeName{Pos: at, Name: "decimal", Params: []int{t.Precision, t.Scale}}, true
	}
	return &ast.TypeName{Pos: at, Name: t.String()}, true
}

// sameColumns checks a term of UNION ALL against the first one.
func sameColumns(term, first ast.Body, got, want *column.Schema) error {
	at := term.Position()
	if len(got.Fields) != len(want.Fields) {
		return at.Errorf("this term of UNION ALL has %d columns, the first one has %d", len(got.Fields), len(want.Fields))
	}
	for i, f := range want.Fields {
		t := got.Fields[i].Type
		switch {
		case t.Equal(f.Type):
		case isNull(first, i):
			return first.Position().Errorf("column %q of the first term of UNION ALL is NULL, which has no type, and of type %s in another; write CAST(NULL AS %s) AS %s", f.Name, t, t, f.Name)
		default:
			return at.Errorf("column %d of this term of UNION ALL is of type %s, in the first one %q is of type %s; cast one of them", i+1, t, f.Name, f.Type)
		}
	}
	return nil
}

func (p *unionPlan) output() *column.Schema { return p.terms[0].output() }
func (p *unionPlan) eventTime() string      { return p.time }

func (p *unionPlan) reads() []reading {
	var out []reading
	for _, t := range p.terms {
		out = together(out, t.reads()...)
	}
	return out
}

func (p *unionPlan) operator() Operator {
	o := &union{schema: p.output(), names: p.names, left: column.MinWatermark}
	for _, t := range p.terms {
		var inputs []int
		for _, r := range t.reads() {
			inputs = append(inputs, r.input)
		}
		o.terms, o.inputs = append(o.terms, t.operator()), append(o.inputs, inputs)
	}
	return o
}

// union runs a unionPlan.
type union struct {
	schema *column.Schema
	terms  []Operator
	// inputs are the numbers of those that each term reads, names what they are called.
	inputs [][]int
	names  []string
	// left is the latest watermark that leave was called with.
	left int64
}

// Add gives the rows to every term that reads their input. A row is late if it is for one of them; it counts
// as filtered at most as often as the term that filters least does.
func (o *union) Add(b *column.Batch) (Taken, error) { return addToTerms(o.terms, o.inputs, b) }

func (o *union) divide(l *lanes) []Adder {
	terms, out := make([][]Adder, l.n), make([]Adder, l.n)
	for _, t := range o.terms {
		for i, a := range divide(t, l) {
			terms[i] = append(terms[i], a)
		}
	}
	for i := range out {
		out[i] = &unionAdder{terms: terms[i], inputs: o.inputs}
	}
	return out
}

// unionAdder is a way to each term.
type unionAdder struct {
	terms  []Adder
	inputs [][]int
}

// Add gives the rows to every term that reads their input.
func (a *unionAdder) Add(b *column.Batch) (Taken, error) { return addToTerms(a.terms, a.inputs, b) }

// addToTerms gives rows to the terms of a union that read their input.
func addToTerms[A Adder](terms []A, inputs [][]int, b *column.Batch) (Taken, error) {
	sum := Taken{Filtered: math.MaxInt64}
	for i, t := range terms {
		if !slices.Contains(inputs[i], b.Origin.Input) {
			continue
		}
		taken, err := t.Add(b)
		if err != nil {
			return Taken{}, err
		}
		sum.Filtered = min(sum.Filtered, taken.Filtered)
		sum.Late = append(sum.Late, taken.Late...)
	}
	slices.Sort(sum.Late)
	sum.Late = slices.Compact(sum.Late)
	rest := int64(b.Selected() - len(sum.Late))
	sum.Filtered = min(sum.Filtered, rest)
	sum.Aggregated = rest - sum.Filtered
	return sum, nil
}

// Ready reports whether a term is.
func (o *union) Ready(watermark int64) bool {
	return slices.ContainsFunc(o.terms, func(t Operator) bool { return t.Ready(watermark) })
}

// Emit returns the rows of each term in turn.
func (o *union) Emit(watermark int64) (*column.Batch, error) {
	var all []*build.Column
	for _, t := range o.terms {
		b, err := t.Emit(watermark)
		if err != nil {
			return nil, err
		}
		if b == nil {
			continue
		}
		if all == nil {
			all = builders(o.schema)
		}
		rows := selected(b)
		for i, c := range all {
			c.Rows(b.Columns[i], rows)
		}
	}
	if all == nil {
		return nil, nil
	}
	return build.Batch(o.schema, all), nil
}

// Memory is that of all terms.
func (o *union) Memory() int64 {
	n := int64(0)
	for _, t := range o.terms {
		n += t.Memory()
	}
	return n
}

// Open is what is open in all terms.
func (o *union) Open() Open {
	sum := Open{Closes: column.MaxWatermark}
	for _, t := range o.terms {
		sum = sum.plus(openOf(t))
	}
	return sum
}

// frontier is the least one of the terms.
func (o *union) frontier(watermark int64) int64 {
	least := int64(math.MaxInt64)
	for _, t := range o.terms {
		least = min(least, frontierOf(t).frontier(watermark))
	}
	return least
}

func (o *union) leave(watermark int64) {
	o.left = max(o.left, watermark)
	for _, t := range o.terms {
		frontierOf(t).leave(watermark)
	}
}
