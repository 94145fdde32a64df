package sql

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/outline"
	"github.com/millrace-io/millrace/sql/parse"
)

// keeper is implemented by plans whose operators keep something between rows. delay is how far the
// watermark of the input is behind, in microseconds.
type keeper interface {
	keeps(delay int64) []outline.State
}

// Describe is the query as a tree, from the select list down to nodes of kind "input" with the names
// in FROM. text is what the query was compiled from; delay is how far the watermark of its input stays
// behind the latest event.
func (q *Query) Describe(text string, delay time.Duration) (*outline.Node, error) {
	tree, err := parse.Query(text)
	if err != nil {
		return nil, err
	}
	top := (&describer{with: map[string]*outline.Node{}}).query(tree)
	top.Columns = outline.Columns(q.Output())
	top.State = keeps(q.plan, delay.Microseconds())
	return top, nil
}

// keeps is the state of a plan and of those that it is made of.
func keeps(p plan, delay int64) []outline.State {
	var parts []plan
	switch p := p.(type) {
	case *chainedPlan:
		parts = []plan{p.below, p.last}
	case *fusedPlan:
		parts = []plan{p.last}
	case *mergedPlan:
		parts = []plan{p.last}
	case *afterPlan:
		parts = []plan{p.below}
	case *lookedPlan:
		parts = []plan{p.below}
	case *unnestedPlan:
		parts = []plan{p.below}
	case *renamedPlan:
		parts = []plan{p.plan}
	case *shapePlan:
		parts = []plan{p.below}
	case *numberPlan:
		parts = []plan{p.below}
	case *unionPlan:
		parts = p.terms
	}
	var out []outline.State
	for _, part := range parts {
		out = append(out, keeps(part, delay)...)
	}
	if k, ok := p.(keeper); ok {
		out = append(out, k.keeps(delay)...)
	}
	return out
}

// What is kept beside values, in bytes, roughly and with the room that lists have for more.
const (
	// tableBytes is the place of a group in its table.
	tableBytes = 24
	// instanceBytes is a window of a key: its own place, that of the key, and when it can close.
	instanceBytes = 200
	// partitionBytes is a partition of OVER.
	partitionBytes = 128
	// keptBytes is a row that a frame looks back at.
	keptBytes = 12
)

// keeps is the groups of the open windows.
func (p *windowPlan) keeps(delay int64) []outline.State {
	s := outline.State{What: "aggregates", Of: "window", Bytes: groupBytes(p.layout), Keyed: len(p.keys) > 0}
	if p.windows == nil {
		s.Bytes += instanceBytes
	} else if pane, ok := p.windows.Pane(referenceTime); ok && p.window.Size != nil && p.window.Size.Value.Months == 0 {
		if p.event == arrivals {
			delay = 0
		}
		length := pane.End - pane.Start
		s.Of = "pane of " + config.Duration(time.Duration(length)*time.Microsecond).String()
		s.Open = (p.window.Size.Value.Micros+p.lateness+delay+length-1)/length + 1
	}
	if s.Keyed {
		s.Of = "group and " + s.Of
	}
	s.Grows = grows(p.layout.Aggs)
	return []outline.State{s}
}

// grows says which aggregates take more the more values they have.
func grows(aggs []agg.Spec) string {
	var all []string
	for _, a := range aggs {
		switch a.Func {
		case agg.CountDistinct:
			all = append(all, "COUNT(DISTINCT …) adds about 40 B for each value")
		case agg.TopK:
			all = append(all, "TOP_K adds about 48 B for each value")
		case agg.ApproxDistinct:
			all = append(all, "APPROX_COUNT_DISTINCT grows with the values to 4 KiB")
		case agg.Quantile:
			all = append(all, "a quantile adds about 16 B for each value that is 1 % away from the others")
		case agg.List, agg.MinsBy, agg.MaxsBy:
			if a.Limit > foreseen {
				all = append(all, fmt.Sprintf("a list of up to %d values adds about %d B for each from the ninth on", a.Limit, width(a.Args[0])+16))
			}
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

// foreseen is how many values of a list an estimate has in it.
const foreseen = 8

// referenceTime is any time; panes of days and less have one length.
const referenceTime = 1_767_225_600_000_000

// keeps is the rows that wait for their turn and, by partition, those that frames reach back to.
func (p *overPlan) keeps(int64) []outline.State {
	row := int64(tableBytes)
	for _, i := range p.inputs {
		row += width(p.in.Fields[i].Type)
	}
	states := []outline.State{{What: "rows that wait for the watermark", Of: "row", Bytes: row}}
	for _, f := range p.frames {
		states = append(states, f.held())
	}
	return states
}

// held is what a frame keeps of earlier rows.
func (f *overFrame) held() outline.State {
	s := outline.State{What: "what OVER keeps of earlier rows", Of: "partition", Bytes: partitionBytes + groupBytes(f.partitions), Keyed: len(f.keys) > 0}
	kept := int64(keptBytes)
	for _, x := range f.args {
		kept += width(x.Type())
	}
	s.Bytes += int64(f.keeps()) * kept
	if f.ranges() {
		s.Grows = fmt.Sprintf("each row within the frame adds about %d B", kept)
	}
	return s
}

// groupBytes is what a group takes, roughly.
func groupBytes(l *agg.Layout) int64 {
	n := int64(tableBytes)
	for _, k := range l.Keys {
		n += width(k)
	}
	for _, a := range l.Aggs {
		n += aggregateBytes(a)
	}
	return n
}

func aggregateBytes(a agg.Spec) int64 {
	arg := int64(8)
	if len(a.Args) > 0 {
		arg = width(a.Args[0])
	}
	switch a.Func {
	case agg.CountAll, agg.Count:
		return 8
	case agg.ApproxDistinct:
		return 96
	case agg.VarPop, agg.VarSamp, agg.StddevPop, agg.StddevSamp:
		return 24
	case agg.Quantile:
		return 160
	case agg.List, agg.TopK, agg.MinsBy, agg.MaxsBy:
		return int64(min(max(a.Limit, 1), foreseen)) * (arg + 16)
	case agg.First, agg.Last, agg.MinBy, agg.MaxBy:
		return 2*arg + 8
	}
	return arg + 8
}

// width is the bytes of a value; those without a length of their own are taken as 16.
func width(t column.Type) int64 {
	switch t.Kind {
	case column.Boolean:
		return 1
	case column.Int, column.Float, column.Date:
		return 4
	case column.BigInt, column.Double, column.Time, column.Timestamp:
		return 8
	}
	return 16
}

// describer makes nodes of a tree.
type describer struct{ with map[string]*outline.Node }

func above(kind, text string, below ...*outline.Node) *outline.Node {
	return &outline.Node{Kind: kind, Text: text, Inputs: below}
}

func (d *describer) query(q *ast.Query) *outline.Node {
	before := d.with
	if len(q.With) > 0 {
		d.with = make(map[string]*outline.Node, len(before)+len(q.With))
		for name, n := range before {
			d.with[name] = n
		}
		for _, c := range q.With {
			d.with[c.Name] = d.query(c.Query)
		}
	}
	n := d.body(q.Body)
	d.with = before
	if len(q.OrderBy) > 0 || q.Limit != nil {
		text := "each window"
		if len(q.OrderBy) > 0 {
			text += " by " + ast.FormatOrders(q.OrderBy)
		}
		if q.Limit != nil && q.Limit.Count >= 0 {
			text += fmt.Sprintf(", the first %d", q.Limit.Count)
		}
		n = above("order", text, n)
	}
	d.times(n, q)
	return n
}

// times says when rows leave.
func (d *describer) times(n *outline.Node, q *ast.Query) {
	if q.Into != nil {
		n.Detail("into", "%s", q.Into.Name)
	}
	if q.Emit != nil {
		switch q.Emit.Kind {
		case ast.EmitOnClose:
			n.Detail("emit", "on close")
		case ast.EmitChanges:
			n.Detail("emit", "changes")
		case ast.EmitEvery:
			n.Detail("emit", "every %s", ast.Format(q.Emit.Every))
		}
	}
	if q.Lateness != nil {
		n.Detail("allowed lateness", "%s", ast.Format(q.Lateness))
	}
	if q.Late != nil {
		n.Detail("late rows", "into %s", q.Late.Name)
	}
}

func (d *describer) body(b ast.Body) *outline.Node {
	switch b := b.(type) {
	case *ast.Select:
		return d.core(b)
	case *ast.Query:
		return d.query(b)
	case *ast.Union:
		n := &outline.Node{Kind: "union all"}
		for _, t := range b.Terms {
			n.Inputs = append(n.Inputs, d.body(t))
		}
		return n
	}
	return &outline.Node{Kind: "rows"}
}

func (d *describer) core(s *ast.Select) *outline.Node {
	n := d.from(s.From)
	if s.Where != nil {
		n = above("filter", ast.Format(s.Where), n)
	}
	var keys, calls []string
	for _, k := range s.GroupBy {
		keys = append(keys, ast.Format(k))
	}
	for _, item := range s.Items {
		for _, c := range aggregatesIn(item.Expr) {
			if c.Over == nil {
				calls = append(calls, ast.Format(c))
			}
		}
	}
	if len(keys) > 0 || len(calls) > 0 || s.Window != nil || s.Having != nil {
		n = above("aggregate", "", n)
		if s.Window != nil {
			n.Detail("window", "%s", ast.FormatWindow(s.Window))
		}
		if len(keys) > 0 {
			n.Detail("keys", "%s", strings.Join(keys, ", "))
		}
		if len(calls) > 0 {
			n.Detail("aggregates", "%s", strings.Join(calls, ", "))
		}
		if s.Having != nil {
			n = above("filter", ast.Format(s.Having), n)
		}
	}
	var overs []string
	for _, item := range s.Items {
		for _, c := range oversIn(item.Expr) {
			overs = append(overs, ast.Format(c))
		}
	}
	if len(overs) > 0 {
		n = above("over", strings.Join(overs, ", "), n)
	}
	if s.Qualify != nil {
		n = above("filter", ast.Format(s.Qualify), n)
	}
	n = above("select", ast.FormatItems(s.Items), n)
	if s.Distinct {
		n = above("distinct", "", n)
	}
	return n
}

func (d *describer) from(f ast.From) *outline.Node {
	switch f := f.(type) {
	case *ast.Table:
		if n := d.with[f.Name]; n != nil {
			return n
		}
		return &outline.Node{Kind: "input", Name: f.Name}
	case *ast.Derived:
		return d.query(f.Query)
	case *ast.Unnest:
		return &outline.Node{Kind: "unnest", Text: ast.Format(f.X)}
	case *ast.Join:
		text := ""
		if f.On != nil {
			text = "on " + ast.Format(f.On)
		}
		if len(f.Using) > 0 {
			var names []string
			for _, n := range f.Using {
				names = append(names, n.Text)
			}
			text = "using " + strings.Join(names, ", ")
		}
		return above(strings.ToLower(f.Kind.String()), text, d.from(f.Left), d.from(f.Right))
	}
	return &outline.Node{Kind: "rows"}
}
