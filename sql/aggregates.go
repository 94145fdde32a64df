package sql

import (
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/expr"
)

// maxList is how many values ARRAY_AGG keeps unless it is told; maxLimit is the most it and
// APPROX_TOP_K can be told.
const (
	maxList  = 1_000
	maxLimit = 10_000
)

// aggregate is one aggregate function: what it computes and how many arguments it takes.
type aggregate struct {
	of       agg.Func
	min, max int
}

var aggregateFuncs = map[string]aggregate{
	"count": {agg.Count, 1, 1}, "sum": {agg.Sum, 1, 1}, "avg": {agg.Avg, 1, 1}, "min": {agg.Min, 1, 1}, "max": {agg.Max, 1, 1},
	"approx_count_distinct": {agg.ApproxDistinct, 1, 1},
	"variance":              {agg.VarSamp, 1, 1}, "var_samp": {agg.VarSamp, 1, 1}, "var_pop": {agg.VarPop, 1, 1},
	"stddev": {agg.StddevSamp, 1, 1}, "stddev_samp": {agg.StddevSamp, 1, 1}, "stddev_pop": {agg.StddevPop, 1, 1},
	"median": {agg.Quantile, 1, 1}, "approx_quantile": {agg.Quantile, 2, 2},
	"first": {agg.First, 1, 1}, "first_value": {agg.First, 1, 1}, "any_value": {agg.First, 1, 1},
	"last": {agg.Last, 1, 1}, "last_value": {agg.Last, 1, 1},
	"min_by": {agg.MinBy, 2, 3}, "max_by": {agg.MaxBy, 2, 3}, "arg_min": {agg.MinBy, 2, 3}, "arg_max": {agg.MaxBy, 2, 3},
	"array_agg": {agg.List, 1, 2}, "approx_top_k": {agg.TopK, 2, 2},
	"bool_and": {agg.Min, 1, 1}, "bool_or": {agg.Max, 1, 1}, "every": {agg.Min, 1, 1}, "count_if": {agg.CountAll, 1, 1},
}

// aggregates compiles each different aggregate of the select list and HAVING once.
func (p *planner) aggregates() error {
	var calls []*ast.Call
	for _, item := range p.query.Items {
		calls = append(calls, aggregatesIn(item.Expr)...)
	}
	calls = append(calls, aggregatesIn(p.query.Having)...)
	var specs []agg.Spec
	for _, c := range calls {
		if p.aggregate(c) >= 0 {
			continue
		}
		spec, args, err := p.spec(c)
		if err != nil {
			return err
		}
		spec.Same = p.counted(c, spec, specs)
		p.aggs = append(p.aggs, c)
		p.plan.args = append(p.plan.args, args...)
		specs = append(specs, spec)
	}
	keys := make([]column.Type, len(p.plan.keys))
	for i, k := range p.plan.keys {
		keys[i] = k.Type()
	}
	p.plan.layout = agg.NewLayout(keys, specs)
	p.middle()
	return nil
}

// counted is the place, from 1 on, of an aggregate that holds the different values that c counts some of; 0 if there
// is none.
func (p *planner) counted(c *ast.Call, s agg.Spec, before []agg.Spec) int {
	if s.Func != agg.CountDistinct || !s.Filtered {
		return 0
	}
	for i, o := range before {
		if o.Func == s.Func && !o.Filtered && o.Args[0].Equal(s.Args[0]) && same(p.aggs[i].Args[0], c.Args[0], p.scope) {
			return i + 1
		}
	}
	return 0
}

// spec checks and compiles one aggregate. The programs compute its arguments and its condition.
func (p *planner) spec(c *ast.Call) (agg.Spec, []*expr.Program, error) {
	name, known := strings.ToUpper(c.Name), aggregateFuncs[c.Name]
	s := agg.Spec{Func: known.of, Out: column.Type{Kind: column.BigInt}}
	switch {
	case c.Star && c.Name != "count":
		return s, nil, c.Errorf("%s(*) has no meaning; name a column", name)
	case c.Star && c.Distinct:
		return s, nil, c.Errorf("COUNT(DISTINCT *) has no meaning; name a column")
	case c.Distinct && c.Name == "count" && len(c.Args) > 1:
		return s, nil, c.Errorf("COUNT(DISTINCT …) takes one argument; to count pairs, group by both in a sub-query and count its rows")
	case !c.Star && (len(c.Args) < known.min || len(c.Args) > known.max):
		return s, nil, c.Errorf("%s takes %s, but there are %d", name, argumentCount(known), len(c.Args))
	case c.Distinct && s.Func != agg.Count && s.Func != agg.Min && s.Func != agg.Max:
		return s, nil, c.Errorf("%s(DISTINCT …) is not supported; only COUNT can be of distinct values", name)
	}
	for _, a := range c.Args {
		if len(aggregatesIn(a)) > 0 {
			return s, nil, a.Position().Errorf("an aggregate cannot be the argument of another; make the inner one a sub-query")
		}
	}
	condition := c.Filter
	var args []*expr.Program
	switch {
	case c.Star:
		s.Func = agg.CountAll
	case c.Name == "count_if":
		condition = c.Args[0]
		if c.Filter != nil {
			condition = &ast.Logic{Pos: c.Pos, And: true, Terms: []ast.Expr{c.Args[0], c.Filter}}
		}
	default:
		var err error
		if args, err = p.arguments(c, name, &s); err != nil {
			return s, nil, err
		}
	}
	for _, a := range args {
		s.Args = append(s.Args, a.Type())
	}
	if condition != nil {
		test, err := expr.Condition(condition, p.scope, "FILTER")
		if err != nil {
			return s, nil, err
		}
		s.Filtered = true
		args = append(args, test)
	}
	return s, args, nil
}

func argumentCount(a aggregate) string {
	switch {
	case a.max == 3:
		return "two arguments or three"
	case a.min != a.max:
		return "one argument or two"
	case a.min == 1:
		return "one argument"
	}
	return "two arguments"
}

// arguments compiles the arguments and sets what else there is to s.
func (p *planner) arguments(c *ast.Call, name string, s *agg.Spec) ([]*expr.Program, error) {
	x := c.Args[0]
	arg, err := expr.Compile(x, p.scope)
	if err != nil {
		return nil, err
	}
	of, double := arg.Type(), column.Type{Kind: column.Double}
	exact := of.Kind == column.Decimal
	scalar := agg.Groupable(of)
	switch s.Func {
	case agg.Count:
		if c.Distinct {
			s.Func = agg.CountDistinct
			return []*expr.Program{arg}, only(scalar, x, "COUNT(DISTINCT …)", of)
		}
		return []*expr.Program{arg}, nil
	case agg.ApproxDistinct:
		return []*expr.Program{arg}, only(scalar, x, name, of)
	case agg.Sum, agg.Avg, agg.VarPop, agg.VarSamp, agg.StddevPop, agg.StddevSamp, agg.Quantile:
		if !exact && !arg.Numeric() {
			return nil, x.Position().Errorf("%s needs numbers, but this is of type %s", name, of)
		}
		switch s.Out = double; {
		case s.Func == agg.Sum && exact:
			s.Out = column.Type{Kind: column.Decimal, Precision: 38, Scale: of.Scale}
		case s.Func == agg.Sum:
			s.Out = arg.Type()
		case s.Func == agg.Quantile:
			s.Fraction, err = fraction(c, name)
		}
		return []*expr.Program{arg}, err
	case agg.Min, agg.Max:
		s.Out = of
		if c.Name != "min" && c.Name != "max" && of.Kind != column.Boolean {
			return nil, x.Position().Errorf("%s needs conditions, but this is of type %s", name, of)
		}
		if exact || of.Kind == column.UUID {
			return []*expr.Program{arg}, nil
		}
		return []*expr.Program{arg}, only(ordered(of) && arg.Comparable(), x, name, of)
	case agg.TopK:
		s.Out = topType(of)
		if s.Limit, err = limit(c.Args[1], name); err == nil {
			err = only(scalar, x, name, of)
		}
		return []*expr.Program{arg}, err
	}
	s.Out = of
	by, err := p.orderOf(c, name, s)
	if err != nil || s.Func != agg.MinBy && s.Func != agg.MaxBy {
		return []*expr.Program{arg, by}, err
	}
	if len(c.Args) < 3 {
		if p.in.Schema.Index(p.in.EventTime) < 0 {
			return []*expr.Program{arg, by}, nil
		}
		time, err := p.eventTime(c, name)
		return []*expr.Program{arg, by, time}, err
	}
	// The best values, of which those with equal orders go by time.
	if s.Func == agg.MinBy {
		s.Func = agg.MinsBy
	} else {
		s.Func = agg.MaxsBy
	}
	s.Out = column.Type{Kind: column.List, Elem: &of}
	if s.Limit, err = limit(c.Args[2], name); err != nil {
		return nil, err
	}
	time, err := p.eventTime(c, name)
	return []*expr.Program{arg, by, time}, err
}

// orderOf is what decides which row FIRST, MAX_BY and the like take a value of.
func (p *planner) orderOf(c *ast.Call, name string, s *agg.Spec) (*expr.Program, error) {
	if s.Func == agg.MinBy || s.Func == agg.MaxBy {
		by, err := expr.Compile(c.Args[1], p.scope)
		if err != nil {
			return nil, err
		}
		return by, only(ordered(by.Type()), c.Args[1], name+" by the order", by.Type())
	}
	if s.Func == agg.List {
		of := s.Out
		s.Out, s.Limit = column.Type{Kind: column.List, Elem: &of}, maxList
		if len(c.Args) > 1 {
			var err error
			if s.Limit, err = limit(c.Args[1], name); err != nil {
				return nil, err
			}
		}
	}
	return p.eventTime(c, name)
}

// eventTime is the event time of the rows.
func (p *planner) eventTime(c *ast.Call, name string) (*expr.Program, error) {
	if p.in.Schema.Index(p.in.EventTime) < 0 {
		return nil, c.Errorf("%s goes by the event time of %q, which has none; declare event_time: for the stream", name, p.table.Name)
	}
	return expr.Compile(&ast.Ident{Pos: c.Pos, Parts: []ast.Name{{Text: p.in.EventTime, Quoted: true}}}, p.scope)
}

// topType is a list of values and how often they came.
func topType(of column.Type) column.Type {
	item := column.Type{Kind: column.Struct, Fields: []column.Field{{Name: "value", Type: of}, {Name: "count", Type: column.Type{Kind: column.BigInt}}}}
	return column.Type{Kind: column.List, Elem: &item}
}

// ordered reports whether values of a type are smaller and larger than others.
func ordered(t column.Type) bool {
	return agg.Groupable(t) && t.Kind != column.JSON && t.Kind != column.Binary
}

func only(ok bool, x ast.Expr, name string, of column.Type) error {
	if ok {
		return nil
	}
	return x.Position().Errorf("%s of a %s is not supported", name, of)
}

// fraction is the second argument of a quantile.
func fraction(c *ast.Call, name string) (float64, error) {
	if len(c.Args) == 1 {
		return 0.5, nil
	}
	n, ok := c.Args[1].(*ast.Number)
	if !ok || !(n.Float >= 0 && n.Float <= 1) {
		return 0, c.Args[1].Position().Errorf("%s needs a number from 0 to 1 here, such as 0.99", name)
	}
	return n.Float, nil
}

// limit is an argument that says how many values are kept.
func limit(e ast.Expr, name string) (int, error) {
	n, ok := e.(*ast.Number)
	if !ok || !n.Integer || n.Int < 1 || n.Int > maxLimit {
		return 0, e.Position().Errorf("%s needs a whole number from 1 to %d here", name, maxLimit)
	}
	return int(n.Int), nil
}
