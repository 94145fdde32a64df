package sql

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/expr"
	"github.com/millrace-io/millrace/sql/window"
)

// windowPlan is a query with a window in GROUP BY. Rows are folded into the keys and aggregates; when
// a window closes, its groups become rows of the middle schema (window_start, window_end,
// window_final, the keys, the aggregates), of which the select list is computed.
type windowPlan struct {
	out  outputs
	in   *column.Schema
	time string
	// input is the number of what rows are of.
	input int

	// event is the field rows are placed by.
	event  int
	window *ast.Window
	// windows places rows in TUMBLE, HOP and CUMULATE; nil for the windows of keys.
	windows window.Assigner
	// meaning tells apart keys and aggregates of the same types.
	meaning []byte
	// tables are those of windows of keys.
	tables keyedLayouts
	// lateness is how long windows wait behind the watermark, in microseconds.
	lateness int64
	// every and changes are EMIT EVERY, in microseconds or 0, and EMIT CHANGES.
	every   int64
	changes bool

	where  *expr.Program
	keys   []*expr.Program
	args   []*expr.Program // of all aggregates, each with its condition behind
	layout *agg.Layout

	middle column.Schema
	having *expr.Program
	items  []*expr.Program
}

// The first fields of the middle schema.
const (
	windowStart = iota
	windowEnd
	// windowFinal is false in rows of a window that is still open.
	windowFinal
	firstKey
)

var pseudo = [...]string{windowStart: "window_start", windowEnd: "window_end", windowFinal: "window_final"}

func (p *windowPlan) operator() Operator {
	if p.windows == nil {
		return newKeyed(p)
	}
	return newPanes(p)
}

// reach is the length or gap of windows of keys, 0 for windows of rows and OVER.
func (p *windowPlan) reach() int64 {
	if p.window == nil || p.window.Size == nil {
		return 0
	}
	return p.window.Size.Value.Micros
}

// early reports whether windows are shown before they close.
func (p *windowPlan) early() bool { return p.changes || p.every > 0 }

// windowShape describes what a snapshot depends on beside keys and aggregates.
func (p *windowPlan) windowShape(dst []byte) []byte {
	kind := flag(p.early())
	if p.event == arrivals {
		kind |= 2
	}
	dst = append(append(dst, p.meaning...), kind)
	if p.windows != nil {
		return p.windows.Shape(dst)
	}
	dst = append(dst, byte(p.window.Kind))
	for _, v := range []int64{p.reach(), p.window.Rows, p.window.StepRows} {
		dst = binary.AppendVarint(dst, v)
	}
	return dst
}

func (p *windowPlan) output() *column.Schema { return &p.out.schema }
func (p *windowPlan) eventTime() string      { return p.time }

func (p *windowPlan) reads() []reading {
	goes := byEvent
	if p.event == arrivals {
		goes = byArrival
	}
	return []reading{{input: p.input, needs: p.needs(), windows: goes}}
}

func (p *windowPlan) needs() []string {
	out := needs(p.in, append(append([]*expr.Program{p.where}, p.keys...), p.args...)...)
	if p.event == arrivals {
		return out
	}
	return with(out, p.in.Fields[p.event].Name)
}

// arrivals in place of the field of the event time means when records arrived, which is also called
// arrivalTime in a window.
const (
	arrivals    = -1
	arrivalTime = "arrival_time"
)

// byArrival reports whether a window goes by when records arrived.
func (p *planner) byArrival(w *ast.Window) bool {
	id, ok := w.Time.(*ast.Ident)
	return ok && len(id.Parts) == 1 && strings.EqualFold(id.Parts[0].Text, arrivalTime) && p.in.Schema.Index(arrivalTime) < 0
}

// declareTime is what to do about a stream without an event time.
const declareTime = "; declare event_time: for the stream"

// planner resolves a windowed query.
type planner struct {
	plan  *windowPlan
	query *ast.Select
	table *ast.Table
	in    Input
	scope *expr.Scope

	keys []ast.Expr
	aggs []*ast.Call
}

func planWindows(q *ast.Query, s *ast.Select, table *ast.Table, in Input) (single, error) {
	p := &planner{plan: &windowPlan{in: in.Schema, input: in.number}, query: s, table: table, in: in, scope: scopeOf(table, in)}
	p.scope.Hint, p.scope.Shared = unseen(s, "SELECT"), expr.NewShared()
	var found ast.Found
	p.clauses(q)
	found.Add(p.where())
	found.Add(p.groupBy())
	if err := found.Err(); err != nil {
		return nil, err
	}
	for _, step := range []func() error{p.aggregates, p.selectList} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	if p.plan.windows == nil && p.plan.window != nil {
		p.plan.tables = p.plan.keyedLayouts()
	}
	var parts []ast.Expr
	parts = append(parts, p.keys...)
	for _, c := range p.aggs {
		parts = append(parts, c)
	}
	p.plan.meaning = meaning(parts)
	return p.plan, nil
}

func (p *planner) where() (err error) {
	if p.query.Where != nil {
		p.plan.where, err = expr.Condition(p.query.Where, whereOf(p.query, p.scope), "WHERE")
	}
	return err
}

// groupBy places the window and finds the keys.
func (p *planner) groupBy() error {
	var found ast.Found
	for _, e := range p.query.GroupBy {
		found.Add(p.key(e))
	}
	if err := found.Err(); err != nil {
		return err
	}
	if p.query.Window == nil {
		return p.noWindow()
	}
	return p.placed(p.query.Window)
}

// clauses takes over EMIT and ALLOWED LATENESS, which stand at the outermost query.
func (p *planner) clauses(q *ast.Query) {
	if q.Emit != nil {
		p.plan.changes = q.Emit.Kind == ast.EmitChanges
		if q.Emit.Every != nil {
			p.plan.every = q.Emit.Every.Value.Micros
		}
	}
	if q.Lateness != nil {
		p.plan.lateness = q.Lateness.Value.Micros
	}
}

func (p *planner) eventName() string {
	if p.in.EventTime == "" {
		return "event_time"
	}
	return p.in.EventTime
}

func (p *planner) noWindow() error {
	cure := "GROUP BY TUMBLE(" + p.eventName() + ", INTERVAL '1' MINUTE)"
	if len(p.query.GroupBy) > 0 {
		return p.query.GroupBy[0].Position().Errorf("GROUP BY without a window is not supported yet; write %s, …", cure)
	}
	for _, item := range p.query.Items {
		for _, c := range aggregatesIn(item.Expr) {
			return c.Errorf("%s needs a window, since the stream has no end; add %s", strings.ToUpper(c.Name), cure)
		}
	}
	return p.query.Having.Position().Errorf("HAVING needs a window; add %s", cure)
}

// placed finds what places rows in the windows.
func (p *planner) placed(w *ast.Window) error {
	event := p.in.Schema.Index(p.in.EventTime)
	switch {
	case p.byArrival(w) && !p.in.arrival:
		return w.Time.Position().Errorf("%s is of the records of a stream; a sub-query has none", arrivalTime)
	case p.byArrival(w):
		p.plan.event, p.plan.window = arrivals, w
		return p.assigner(w)
	case p.in.EventTime == "" || event < 0:
		return w.Errorf("%q has no event time to make windows of%s", p.table.Name, cmp.Or(p.in.untimed, declareTime))
	case p.in.Schema.Fields[event].Type.Kind != column.Timestamp:
		return w.Errorf("the event time %q is of type %s; windows need a timestamp", p.in.EventTime, p.in.Schema.Fields[event].Type)
	}
	if w.Time != nil {
		scope := *p.scope
		scope.Hint = func(*ast.Ident) string {
			return fmt.Sprintf("; windows go by the event time of %q; write %s(%s, …)", p.table.Name, w.Kind, p.in.EventTime)
		}
		placed, err := expr.Compile(w.Time, &scope)
		if err != nil {
			return err
		}
		if placed.Field() != event {
			return w.Time.Position().Errorf("windows go by the event time of %q; write %s(%s, …)", p.table.Name, w.Kind, p.in.EventTime)
		}
	}
	p.plan.event, p.plan.window = event, w
	return p.assigner(w)
}

// assigner makes what assigns rows to windows of time; windows of keys are checked only.
func (p *planner) assigner(w *ast.Window) (err error) {
	switch {
	case w.StepRows > w.Rows:
		return w.Errorf("the advance of HOP comes first and is not longer than the window; HOP(ROWS 10, ROWS 100)")
	case w.StepRows > 0 && w.Rows/w.StepRows > maxOverlap:
		return w.Errorf("this puts each row in %d windows; up to %d are possible", w.Rows/w.StepRows, maxOverlap)
	case w.Rows > 0:
		return nil
	case w.Kind != ast.Session && w.Kind != ast.Stagger:
		p.plan.windows, err = window.New(w)
		return err
	case w.Size.Value.Months != 0:
		return w.Size.Errorf("the length of %s is in weeks, days or less; months differ in length", w.Kind)
	case w.Offset != nil:
		return w.Offset.Errorf("%s begins with a row, so an offset has no meaning", w.Kind)
	case w.Zone != "":
		return w.ZonePos.Errorf("%s begins with a row, so a time zone has no meaning", w.Kind)
	}
	return nil
}

// maxOverlap is how many windows of rows a row may be in.
const maxOverlap = 1000

// key adds a key of GROUP BY, which may be the alias of a select item.
func (p *planner) key(e ast.Expr) error {
	if n, ok := e.(*ast.Number); ok {
		return n.Errorf("GROUP BY a position is not supported; repeat the expression or its alias")
	}
	program, err := expr.Compile(e, p.scope)
	if id, ok := e.(*ast.Ident); ok && err != nil && len(id.Parts) == 1 {
		if pseudoField(e) >= 0 {
			// The window is in GROUP BY already.
			return nil
		}
		for _, item := range p.query.Items {
			if item.Alias != "" && strings.EqualFold(item.Alias, id.Parts[0].Text) {
				e = item.Expr
				program, err = expr.Compile(e, p.scope)
			}
		}
	}
	if err != nil {
		return err
	}
	if !agg.Groupable(program.Type()) {
		return e.Position().Errorf("GROUP BY a %s is not supported; group by its fields", program.Type())
	}
	p.keys = append(p.keys, e)
	p.plan.keys = append(p.plan.keys, program)
	return nil
}

// pseudoField is the middle field that e names, or -1.
func pseudoField(e ast.Expr) int {
	if id, ok := e.(*ast.Ident); ok && len(id.Parts) == 1 {
		for i, name := range pseudo {
			if strings.EqualFold(id.Parts[0].Text, name) {
				return i
			}
		}
	}
	return -1
}

// middle lists the fields that the select list is computed from. Their names are not visible.
func (p *planner) middle() {
	fields := []column.Field{
		{Name: pseudo[windowStart], Type: column.Type{Kind: column.Timestamp}},
		{Name: pseudo[windowEnd], Type: column.Type{Kind: column.Timestamp}},
		{Name: pseudo[windowFinal], Type: column.Type{Kind: column.Boolean}},
	}
	for _, t := range p.plan.layout.Keys {
		fields = append(fields, column.Field{Name: "key", Type: t})
	}
	for _, s := range p.plan.layout.Aggs {
		fields = append(fields, column.Field{Name: "aggregate", Type: s.Out})
	}
	p.plan.middle = column.Schema{Fields: fields}
}

// aggregate is the place of an aggregate met before, or -1.
func (p *planner) aggregate(c *ast.Call) int {
	return slices.IndexFunc(p.aggs, func(known *ast.Call) bool { return same(known, c, p.scope) })
}

// selectList compiles the output columns and HAVING over the middle schema.
func (p *planner) selectList() error {
	scope := &expr.Scope{Schema: &p.plan.middle, Replace: p.replace}
	var err error
	if p.query.Having != nil {
		having := *scope
		having.Alias = p.alias
		if p.plan.having, err = expr.Condition(p.query.Having, &having, "HAVING"); err != nil {
			return err
		}
	}
	for _, item := range p.query.Items {
		if item.Expr == nil {
			return item.Errorf("SELECT * has no meaning with GROUP BY; name the keys and aggregates")
		}
		program, name, err := p.plan.out.item(item, scope)
		if err != nil {
			return err
		}
		if program.Field() == windowStart && p.plan.time == "" {
			p.plan.time = name
		}
		p.plan.items = append(p.plan.items, program)
	}
	return nil
}

// alias is what a name of the select list stands for in HAVING. A key comes first; a column that is no key
// would have many values.
func (p *planner) alias(id *ast.Ident) ast.Expr {
	if pseudoField(id) >= 0 || slices.ContainsFunc(p.keys, func(k ast.Expr) bool { return same(k, id, p.scope) }) {
		return nil
	}
	return called(p.query, id)
}

// replace finds the middle field that stands for a node of the select list.
func (p *planner) replace(e ast.Expr) (int, error) {
	if i := pseudoField(e); i >= 0 {
		return i, nil
	}
	for i, k := range p.keys {
		if same(k, e, p.scope) {
			return firstKey + i, nil
		}
	}
	switch e := e.(type) {
	case *ast.Call:
		if i := p.aggregate(e); i >= 0 {
			return firstKey + len(p.keys) + i, nil
		}
		switch e.Name {
		case "tumble", "tumble_start":
			return -1, e.Errorf("write window_start for the start of the window")
		case "tumble_end":
			return -1, e.Errorf("write window_end for the end of the window")
		}
	case *ast.Ident:
		name := e.Parts[len(e.Parts)-1].Text
		if _, err := expr.Compile(e, p.scope); err != nil {
			if meant := config.Suggest(name, append(p.scope.Schema.Names(), pseudo[:]...)); slices.Contains(pseudo[:], meant) && meant != name {
				err = e.Errorf("unknown column %q; did you mean %q?", name, meant)
			}
			return -1, err
		}
		return -1, e.Errorf("%q has many values in a window; add it to GROUP BY, or take MIN(%s) or MAX(%s)", name, name, name)
	}
	return -1, nil
}
