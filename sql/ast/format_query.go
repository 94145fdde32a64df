package ast

import "strconv"

func (f *formatter) query(q *Query) {
	if q.Into != nil {
		f.put("INSERT INTO ", quoted(q.Into.Name), " ")
		f.columns(q.Into.Columns)
		if len(q.Into.Columns) > 0 {
			f.put(" ")
		}
	}
	for i, c := range q.With {
		f.put(map[bool]string{false: ", ", true: "WITH "}[i == 0], quoted(c.Name), " ")
		f.columns(c.Columns)
		f.put(map[bool]string{false: "AS (", true: " AS ("}[len(c.Columns) > 0])
		f.query(c.Query)
		f.put(")")
	}
	if len(q.With) > 0 {
		f.put(" ")
	}
	f.body(q.Body)
	if len(q.OrderBy) > 0 {
		f.put(" ORDER BY ")
		f.orders(q.OrderBy)
	}
	if q.Limit != nil && q.Limit.Count >= 0 {
		f.put(" LIMIT ", strconv.FormatInt(q.Limit.Count, 10))
	}
	if q.Limit != nil && (q.Limit.Offset > 0 || q.Limit.Count < 0) {
		f.put(" OFFSET ", strconv.FormatInt(q.Limit.Offset, 10))
	}
	f.times(q)
}

// times writes when rows leave.
func (f *formatter) times(q *Query) {
	if q.Emit != nil {
		switch q.Emit.Kind {
		case EmitOnClose:
			f.put(" EMIT ON CLOSE")
		case EmitChanges:
			f.put(" EMIT CHANGES")
		case EmitEvery:
			f.put(" EMIT EVERY ", q.Emit.Every)
		}
	}
	if q.Lateness != nil {
		f.put(" ALLOWED LATENESS ", q.Lateness)
	}
	if q.Late != nil {
		f.put(" LATE ROWS INTO ", quoted(q.Late.Name))
	}
}

func (f *formatter) columns(list []Name) {
	if len(list) == 0 {
		return
	}
	f.put("(")
	for i, n := range list {
		if i > 0 {
			f.put(", ")
		}
		f.name(n)
	}
	f.put(")")
}

func (f *formatter) body(b Body) {
	switch b := b.(type) {
	case *Select:
		f.core(b)
	case *Query:
		f.put("(")
		f.query(b)
		f.put(")")
	case *Union:
		for i, t := range b.Terms {
			if i > 0 {
				f.put(" UNION ALL ")
			}
			f.body(t)
		}
	}
}

func (f *formatter) core(s *Select) {
	f.put("SELECT ")
	if s.Stream {
		f.put("STREAM ")
	}
	if s.Distinct {
		f.put("DISTINCT ")
	}
	for i, item := range s.Items {
		if i > 0 {
			f.put(", ")
		}
		f.item(item)
		if item.Alias != "" {
			f.put(" AS ", quoted(item.Alias))
		}
	}
	f.put(" FROM ")
	f.from(s.From)
	if s.Where != nil {
		f.put(" WHERE ", s.Where)
	}
	if s.Window != nil || len(s.GroupBy) > 0 {
		f.put(" GROUP BY ")
		if s.Window != nil {
			f.window(s.Window)
			if len(s.GroupBy) > 0 {
				f.put(", ")
			}
		}
		f.put(s.GroupBy)
	}
	if s.Having != nil {
		f.put(" HAVING ", s.Having)
	}
	for i, w := range s.Windows {
		f.put(map[bool]string{false: ", ", true: " WINDOW "}[i == 0], quoted(w.Name), " AS ")
		f.over(w.Spec)
	}
	if s.Qualify != nil {
		f.put(" QUALIFY ", s.Qualify)
	}
}

func (f *formatter) from(from From) {
	alias := func(name string) {
		if name != "" {
			f.put(" AS ", quoted(name))
		}
	}
	switch t := from.(type) {
	case *Table:
		f.put(quoted(t.Name))
		alias(t.Alias)
	case *Derived:
		f.put("(")
		f.query(t.Query)
		f.put(")")
		alias(t.Alias)
	case *Unnest:
		f.put("UNNEST(", t.X, ")")
		if t.Ordinality {
			f.put(" WITH ORDINALITY")
		}
		alias(t.Alias)
		if len(t.Columns) > 0 {
			f.put(" ")
			f.columns(t.Columns)
		}
	case *Join:
		f.from(t.Left)
		f.put([]string{InnerJoin: " JOIN ", LeftJoin: " LEFT JOIN ", CrossJoin: " CROSS JOIN "}[t.Kind])
		f.from(t.Right)
		if t.On != nil {
			f.put(" ON ", t.On)
		}
		if len(t.Using) > 0 {
			f.put(" USING ")
			f.columns(t.Using)
		}
	}
}

func (f *formatter) window(w *Window) {
	f.put(w.Kind.String(), "(")
	if w.Time != nil {
		f.expr(w.Time)
	}
	for i, rows := range []int64{w.StepRows, w.Rows} {
		if rows > 0 {
			f.put(map[bool]string{false: "", true: ", "}[w.Time != nil || i == 1 && w.StepRows > 0], "ROWS ", strconv.FormatInt(rows, 10))
		}
	}
	if w.Step != nil {
		f.put(", ", w.Step)
	}
	if w.Size != nil {
		f.put(", ", w.Size)
	}
	if w.Offset != nil {
		f.put(", OFFSET ", w.Offset)
	}
	if w.Zone != "" {
		f.put(", TIME ZONE " + literal(w.Zone))
	}
	f.put(")")
}

// item is an entry of a select list without its alias.
func (f *formatter) item(item Item) {
	switch {
	case item.Qualifier != nil:
		f.put(item.Qualifier, ".*")
	case item.Expr == nil:
		f.put("*")
	default:
		f.expr(item.Expr)
	}
}
