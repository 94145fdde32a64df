package sql

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/expr"
)

// overPlan is a query with OVER: each row leaves once, with what its calls say of the rows before it.
// The middle schema has the columns of the input and behind them one for each call.
type overPlan struct {
	out outputs
	in  *column.Schema
	// input is the number of what rows are of.
	input    int
	time     string
	event    int
	lateness int64
	where    *expr.Program
	frames   []*overFrame
	middle   column.Schema
	// inputs are the fields of the input that the select list reads.
	inputs  []int
	items   []*expr.Program
	qualify *expr.Program
}

// overFrame is the calls over one window, OVER (…).
type overFrame struct {
	spec *ast.Over
	keys []*expr.Program
	// args are those of the aggregates, then of each LAG its value and what stands for a row that is
	// not there.
	args []*expr.Program
	aggs []agg.Spec
	// lags are how far each LAG looks back.
	lags []int
	// calls are the fields of the middle schema: of the aggregates, of the LAGs, and of ROW_NUMBER or
	// -1.
	aggFields, lagFields []int
	number               int

	// running frames have no lower bound; the others reach back some rows or a span of microseconds.
	running, byRows bool
	back            int
	span            int64

	// partitions has the keys and, when running, the aggregates; moving has aggregates by number.
	partitions, moving *agg.Layout
	known              []*ast.Call
	fields             []int
}

func (p *overPlan) output() *column.Schema { return &p.out.schema }
func (p *overPlan) eventTime() string      { return p.time }

func (p *overPlan) reads() []reading {
	return []reading{{input: p.input, needs: p.needs(), windows: byEvent}}
}

func (p *overPlan) needs() []string {
	var all []*expr.Program
	if p.where != nil {
		all = append(all, p.where)
	}
	for _, f := range p.frames {
		all = append(append(all, f.keys...), f.args...)
	}
	out := needs(p.in, all...)
	// Of these the columns wait for their turn as a whole.
	for _, i := range append([]int{p.event}, p.inputs...) {
		out = with(out, p.in.Fields[i].Name)
	}
	return out
}

// oversIn are the calls with OVER in e.
func oversIn(e ast.Expr) []*ast.Call {
	if e == nil {
		return nil
	}
	if c, ok := e.(*ast.Call); ok && c.Over != nil {
		return []*ast.Call{c}
	}
	var out []*ast.Call
	for _, child := range ast.Children(e) {
		out = append(out, oversIn(child)...)
	}
	return out
}

// hasOver reports whether a query has a call with OVER in its select list or QUALIFY.
func hasOver(s *ast.Select) bool {
	return len(oversIn(s.Qualify)) > 0 || slices.ContainsFunc(s.Items, func(i ast.Item) bool { return len(oversIn(i.Expr)) > 0 })
}

// overPlanner resolves a query with OVER.
type overPlanner struct {
	planner
	over *overPlan
}

func planOver(q *ast.Query, s *ast.Select, table *ast.Table, in Input) (single, error) {
	p := &overPlanner{over: &overPlan{in: in.Schema, input: in.number}}
	p.planner = planner{plan: &windowPlan{in: in.Schema}, query: s, table: table, in: in, scope: scopeOf(table, in)}
	p.scope.Hint = unseen(s, "SELECT")
	p.clauses(q)
	p.over.lateness = p.plan.lateness
	switch {
	case s.Window != nil || len(s.GroupBy) > 0:
		return nil, oversOf(s)[0].Over.Errorf("OVER and GROUP BY do not go together; make the grouping a query of its own and select from it")
	case s.Having != nil:
		return nil, s.Having.Position().Errorf("HAVING needs GROUP BY; filter what OVER gives with QUALIFY")
	case p.plan.every > 0:
		return nil, q.Emit.Errorf("EMIT EVERY needs a window in GROUP BY; the rows of OVER leave once each")
	}
	event := in.Schema.Index(in.EventTime)
	if in.EventTime == "" || event < 0 || in.Schema.Fields[event].Type.Kind != column.Timestamp {
		return nil, oversOf(s)[0].Over.Errorf("%q has no event time to order rows by%s", table.Name, cmp.Or(in.untimed, declareTime))
	}
	p.over.event, p.plan.event = event, event
	if err := p.where(); err != nil {
		return nil, err
	}
	p.over.where = p.plan.where
	p.over.middle.Fields = slices.Clone(in.Schema.Fields)
	for _, c := range oversOf(s) {
		if err := p.call(c); err != nil {
			return nil, err
		}
	}
	return p.over, p.selectOver()
}

func oversOf(s *ast.Select) []*ast.Call {
	var out []*ast.Call
	for _, i := range s.Items {
		out = append(out, oversIn(i.Expr)...)
	}
	return append(out, oversIn(s.Qualify)...)
}

// call finds or makes the frame of a call and adds it there.
func (p *overPlanner) call(c *ast.Call) error {
	if p.known(c) >= 0 {
		return nil
	}
	spec, err := p.spec(c.Over)
	if err != nil {
		return err
	}
	f, err := p.frame(spec)
	if err != nil {
		return err
	}
	field, of := len(p.over.middle.Fields), column.Type{Kind: column.BigInt}
	switch name := strings.ToUpper(c.Name); {
	case c.Name == "lead":
		return c.Errorf("LEAD is not supported: the rows that follow have not come yet; use LAG")
	case c.Name == "row_number":
		if len(c.Args) > 0 {
			return c.Errorf("ROW_NUMBER takes no argument")
		}
		if f.number < 0 {
			f.number = field
		} else {
			field = f.number
		}
	case c.Name == "lag":
		if of, err = p.lag(f, c); err != nil {
			return err
		}
		f.lagFields = append(f.lagFields, field)
	case slices.Contains(expr.Aggregates, c.Name):
		plain := *c
		plain.Over = nil
		s, args, err := p.planner.spec(&plain)
		if err != nil {
			return err
		}
		of = s.Out
		// The arguments of LAGs stay behind those of aggregates.
		at := len(f.args) - 2*len(f.lags)
		f.args = slices.Insert(f.args, at, args...)
		f.aggs, f.aggFields = append(f.aggs, s), append(f.aggFields, field)
	default:
		return c.Errorf("%s is not available with OVER; aggregates, LAG and ROW_NUMBER are", name)
	}
	f.known, f.fields = append(f.known, c), append(f.fields, field)
	if field == len(p.over.middle.Fields) {
		p.over.middle.Fields = append(p.over.middle.Fields, column.Field{Name: "over", Type: of})
	}
	return nil
}

// known is the field of an equal call met before, or -1.
func (p *overPlanner) known(c *ast.Call) int {
	spec, err := p.spec(c.Over)
	if err != nil {
		return -1
	}
	plain := *c
	plain.Over = nil
	for _, f := range p.over.frames {
		for i, k := range f.known {
			other := *k
			other.Over = nil
			if p.sameSpec(f.spec, spec) && same(&plain, &other, p.scope) {
				return f.fields[i]
			}
		}
	}
	return -1
}

// spec follows the name of a window to the WINDOW clause.
func (p *overPlanner) spec(o *ast.Over) (*ast.Over, error) {
	if o.Name == "" {
		return o, nil
	}
	for _, w := range p.query.Windows {
		if strings.EqualFold(w.Name, o.Name) {
			return w.Spec, nil
		}
	}
	return nil, unknownWindow(o, p.query)
}

// unknownWindow is the mistake of OVER name without such a WINDOW.
func unknownWindow(o *ast.Over, s *ast.Select) error {
	names := make([]string, len(s.Windows))
	for i, w := range s.Windows {
		names[i] = w.Name
	}
	if meant := config.Suggest(o.Name, names); meant != "" {
		return o.Errorf("unknown window %q; did you mean %q?", o.Name, meant)
	}
	return o.Errorf("unknown window %q; name it in WINDOW %s AS (…)", o.Name, o.Name)
}

func (p *overPlanner) sameSpec(a, b *ast.Over) bool {
	if len(a.PartitionBy) != len(b.PartitionBy) || (a.Frame == nil) != (b.Frame == nil) {
		return false
	}
	for i := range a.PartitionBy {
		if !same(a.PartitionBy[i], b.PartitionBy[i], p.scope) {
			return false
		}
	}
	if a.Frame == nil {
		return true
	}
	x, y := *a.Frame, *b.Frame
	return x.ByRows == y.ByRows && x.Unbounded == y.Unbounded && x.Rows == y.Rows && reach(&x) == reach(&y)
}

// reach is how far a RANGE frame goes back, in microseconds.
func reach(f *ast.Frame) int64 {
	if f.Range == nil {
		return 0
	}
	return f.Range.Value.Micros
}

// maxFrame is how many rows a frame or LAG may go back: a row with OVER looks at all of them.
const maxFrame = 100_000

// frame finds or makes the frame of a window.
func (p *overPlanner) frame(spec *ast.Over) (*overFrame, error) {
	for _, f := range p.over.frames {
		if p.sameSpec(f.spec, spec) {
			return f, nil
		}
	}
	f := &overFrame{spec: spec, number: -1, running: true}
	if err := p.order(spec); err != nil {
		return nil, err
	}
	for _, e := range spec.PartitionBy {
		k, err := expr.Compile(e, p.scope)
		if err != nil {
			return nil, err
		}
		if !agg.Groupable(k.Type()) {
			return nil, e.Position().Errorf("PARTITION BY a %s is not supported; use its fields", k.Type())
		}
		f.keys = append(f.keys, k)
	}
	if x := spec.Frame; x != nil {
		f.running, f.byRows, f.back, f.span = x.Unbounded, x.ByRows, int(x.Rows), reach(x)
		switch {
		case x.Rows > maxFrame:
			return nil, x.Errorf("a frame goes back up to %d rows", maxFrame)
		case x.Range != nil && (x.Range.Value.Months != 0 || x.Range.Value.Micros < 0):
			return nil, x.Range.Errorf("a frame goes back weeks, days or less; months differ in length")
		}
	}
	p.over.frames = append(p.over.frames, f)
	return f, nil
}

// order checks that a window is ordered by the event time.
func (p *overPlanner) order(spec *ast.Over) error {
	cure := "rows come in the order of the event time; write ORDER BY " + p.in.EventTime
	if len(spec.OrderBy) == 0 {
		return spec.Errorf("OVER needs an order: %s", cure)
	}
	for i, o := range spec.OrderBy {
		by, err := expr.Compile(o.Expr, p.scope)
		if err != nil {
			return err
		}
		if i > 0 || o.Desc || by.Field() != p.over.event {
			return o.Errorf("%s", cure)
		}
	}
	return nil
}

// lag adds LAG(value [, rows [, default]]).
func (p *overPlanner) lag(f *overFrame, c *ast.Call) (column.Type, error) {
	if len(c.Args) < 1 || len(c.Args) > 3 {
		return column.Type{}, c.Errorf("LAG takes a value, how many rows back (1) and a default (NULL): LAG(price, 1, 0)")
	}
	value, err := expr.Compile(c.Args[0], p.scope)
	if err != nil {
		return column.Type{}, err
	}
	back := 1
	if len(c.Args) > 1 {
		n, ok := c.Args[1].(*ast.Number)
		if !ok || !n.Integer || n.Int < 0 || n.Int > maxFrame {
			return column.Type{}, c.Args[1].Position().Errorf("LAG goes back a number of rows from 0 to %d", maxFrame)
		}
		back = int(n.Int)
	}
	other := ast.Expr(&ast.Null{Pos: c.Pos})
	if len(c.Args) > 2 {
		other = c.Args[2]
	}
	// CASE gives both the same type.
	both := func(when bool) (*expr.Program, error) {
		return expr.Compile(&ast.Case{Pos: c.Pos, Whens: []ast.When{{Cond: &ast.Bool{Pos: c.Pos, Value: when}, Value: c.Args[0]}}, Else: other}, p.scope)
	}
	fallback, err := both(false)
	if err != nil {
		return column.Type{}, err
	}
	if len(c.Args) > 2 && !fallback.Type().Equal(value.Type()) {
		if value, err = both(true); err != nil {
			return column.Type{}, err
		}
	}
	f.args, f.lags = append(f.args, value, fallback), append(f.lags, back)
	return value.Type(), nil
}

// selectOver compiles the select list and QUALIFY and the layouts of the frames.
func (p *overPlanner) selectOver() error {
	scope := &expr.Scope{Schema: &p.over.middle, Qualifiers: p.scope.Qualifiers, Parts: p.scope.Parts, Replace: p.replaceOver}
	o := p.over
	programs := []*expr.Program{}
	items, err := p.expand()
	if err != nil {
		return err
	}
	for _, item := range items {
		program, name, err := o.out.item(item, scope)
		if err != nil {
			return err
		}
		if program.Field() == o.event && o.time == "" {
			o.time = name
		}
		programs = append(programs, program)
	}
	o.items = programs
	if p.query.Qualify != nil {
		qualify := *scope
		qualify.Alias = aliases(p.query, p.scope)
		if o.qualify, err = expr.Condition(p.query.Qualify, &qualify, "QUALIFY"); err != nil {
			return err
		}
		programs = append(slices.Clone(programs), o.qualify)
	}
	for _, q := range programs {
		for _, i := range q.Needs() {
			if i < len(o.in.Fields) && !slices.Contains(o.inputs, i) {
				o.inputs = append(o.inputs, i)
			}
		}
	}
	slices.Sort(o.inputs)
	for _, f := range o.frames {
		f.layouts()
	}
	return nil
}

// layouts makes the tables' layouts once all calls are known.
func (f *overFrame) layouts() {
	keys := make([]column.Type, len(f.keys))
	for i, k := range f.keys {
		keys[i] = k.Type()
	}
	var running []agg.Spec
	if f.running {
		running = f.aggs
	}
	f.partitions = agg.NewLayout(keys, running)
	f.moving = agg.NewLayout([]column.Type{{Kind: column.BigInt}}, f.aggs)
}

// expand puts the columns of the input in place of *.
func (p *overPlanner) expand() ([]ast.Item, error) {
	var out []ast.Item
	for _, item := range p.query.Items {
		if item.Expr != nil {
			out = append(out, item)
			continue
		}
		items, err := starred(item, p.table, p.in)
		if err != nil {
			return nil, err
		}
		out = append(out, items...)
	}
	return out, nil
}

// replaceOver finds the middle field that stands for a call.
func (p *overPlanner) replaceOver(e ast.Expr) (int, error) {
	switch e := e.(type) {
	case *ast.Call:
		if e.Over != nil {
			return p.known(e), nil
		}
	case *ast.Ident:
		// The fields of calls have no name that a query could use.
		_, err := expr.Compile(e, p.scope)
		return -1, err
	}
	return -1, nil
}

// keeps is how many rows a partition keeps for rows to come; all of the span in RANGE frames.
func (f *overFrame) keeps() int {
	n := 0
	if f.moves() && f.byRows {
		n = f.back
	}
	for _, back := range f.lags {
		n = max(n, back)
	}
	return n
}

// moves reports whether the aggregates are of a frame that leaves rows behind.
func (f *overFrame) moves() bool { return !f.running && len(f.aggs) > 0 }

// ranges reports whether rows are kept by their age.
func (f *overFrame) ranges() bool { return f.moves() && !f.byRows }

// forgets is the time up to which a frame needs no rows once all before through have come.
func (f *overFrame) forgets(through int64) int64 {
	if through == column.MaxWatermark {
		return math.MaxInt64
	}
	return minus(through, f.span)
}
