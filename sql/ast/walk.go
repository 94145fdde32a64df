package ast

// Children are the operands of a node, without those that are nil. The order and condition of an
// aggregate and the parts of OVER are among them.
func Children(e Expr) []Expr {
	switch e := e.(type) {
	case *Negate:
		return []Expr{e.X}
	case *Binary:
		return []Expr{e.L, e.R}
	case *Distinct:
		return []Expr{e.L, e.R}
	case *Logic:
		return e.Terms
	case *Not:
		return []Expr{e.X}
	case *IsNull:
		return []Expr{e.X}
	case *IsBool:
		return []Expr{e.X}
	case *Between:
		return []Expr{e.X, e.Low, e.High}
	case *In:
		return append([]Expr{e.X}, e.List...)
	case *Like:
		return []Expr{e.X, e.Pattern}
	case *Regexp:
		return []Expr{e.X, e.Pattern}
	case *Cast:
		return []Expr{e.X}
	case *Array:
		return e.Items
	case *Index:
		return []Expr{e.X, e.I}
	case *Member:
		return []Expr{e.X}
	case *JSON:
		return []Expr{e.X, e.Step}
	case *Zoned:
		return []Expr{e.X}
	case *Call:
		return callChildren(e)
	case *Case:
		return caseChildren(e)
	}
	return nil
}

func caseChildren(e *Case) []Expr {
	var out []Expr
	if e.Operand != nil {
		out = append(out, e.Operand)
	}
	for _, w := range e.Whens {
		out = append(out, w.Cond, w.Value)
	}
	if e.Else != nil {
		out = append(out, e.Else)
	}
	return out
}

func callChildren(e *Call) []Expr {
	if e.Filter == nil && e.Within == nil && e.Over == nil {
		return e.Args
	}
	out := append([]Expr(nil), e.Args...)
	if e.Filter != nil {
		out = append(out, e.Filter)
	}
	for _, o := range e.Within {
		out = append(out, o.Expr)
	}
	if e.Over != nil {
		out = append(out, e.Over.PartitionBy...)
		for _, o := range e.Over.OrderBy {
			out = append(out, o.Expr)
		}
	}
	return out
}

// Tables are the inputs of a statement that are not queries of its WITH clauses, in the order of
// the text, each once.
func Tables(q *Query) []*Table {
	t := &tables{seen: make(map[string]bool)}
	t.query(q, nil)
	return t.list
}

type tables struct {
	list []*Table
	seen map[string]bool
}

// query walks q; known are the names that WITH clauses around it give.
func (t *tables) query(q *Query, known map[string]bool) {
	for _, c := range q.With {
		t.query(c.Query, known)
		inner := map[string]bool{c.Name: true}
		for name := range known {
			inner[name] = true
		}
		known = inner
	}
	t.body(q.Body, known)
}

func (t *tables) body(b Body, known map[string]bool) {
	switch b := b.(type) {
	case *Query:
		t.query(b, known)
	case *Union:
		for _, term := range b.Terms {
			t.body(term, known)
		}
	case *Select:
		t.from(b.From, known)
	}
}

func (t *tables) from(f From, known map[string]bool) {
	switch f := f.(type) {
	case *Table:
		if !known[f.Name] && !t.seen[f.Name] {
			t.seen[f.Name] = true
			t.list = append(t.list, f)
		}
	case *Derived:
		t.query(f.Query, known)
	case *Join:
		t.from(f.Left, known)
		t.from(f.Right, known)
	}
}
