package sqldiff

import "fmt"

// value is an aggregate in both dialects.
type value struct {
	ours, duck string
	within     tolerance
	// list is set where values are lists, which DISTINCT does not take.
	list bool
}

// tolerance is how far numbers may be apart: in terms of the larger one, or at all.
type tolerance struct{ relative, absolute float64 }

// byTime is the order of rows where their order matters; nth is that of those that were made of one row.
const byTime = "us, sh, ord, nth"

// values are some aggregates.
func (g *writer) values() (list []value) {
	for range 1 + g.r.IntN(4) {
		list = append(list, g.aggregate())
	}
	return list
}

// argument is an expression of any type that can be compared and kept.
func (g *writer) argument() pair {
	if len(g.from.extra) > 0 && g.chance(3) {
		return g.pickPair(g.from.extra...)
	}
	return g.pickPair(same("v"), same("x"), same("m"), same("w"), same("k"), g.text(1), g.whole(1), g.time(1), g.day(1), g.condition(1), same("ts"), same("g"))
}

// number is one whose sum is far from the end of its type.
func (g *writer) number() pair {
	return g.pickPair(same("v"), same("x"), same("m"), build("(v * 2 + %s)", "(v * 2 + %s)", same("id")), same("w"), build("(x + 0.5)", "(x + 0.5::DOUBLE)"), same("q"))
}

// aggregate is one, of those rows that a filter takes.
func (g *writer) aggregate() value {
	only := pair{}
	if g.chance(4) {
		only = g.pickPair(same("v > 50"), same("o"), g.grammar.condition(1))
	}
	v := g.plainAggregate(only)
	if only.ours != "" {
		v.ours += " FILTER (WHERE " + only.ours + ")"
	}
	if only.ours == "" && g.chance(12) {
		return value{ours: "SUM(v) / COUNT(*) + MAX(id)", duck: "sum(v)::DOUBLE / count(*) + max(id)"}
	}
	return v
}

// of is a FILTER of DuckDB with conditions that are not empty.
func of(conditions ...string) string {
	text := ""
	for _, c := range conditions {
		switch {
		case c == "":
		case text == "":
			text = " FILTER (WHERE (" + c + ")"
		default:
			text += " AND (" + c + ")"
		}
	}
	if text == "" {
		return ""
	}
	return text + ")"
}

func (g *writer) plainAggregate(only pair) value {
	a, n, filter := g.argument(), g.number(), of(only.duck)
	// there is a filter that leaves NULLs out.
	there := func(p pair) string { return of(only.duck, p.duck+" IS NOT NULL") }
	call := func(ours, duck string, p pair) value {
		return value{ours: fmt.Sprintf(ours, p.ours), duck: fmt.Sprintf(duck, p.duck) + filter}
	}
	kind := g.r.IntN(24)
	order, timed := byTime, ""
	if g.clock != "ts" && kind >= 13 && kind <= 18 {
		// These go by the event time also where windows do not, and rows may have none.
		order, timed = "ts, sh, ord, nth", "ts IS NOT NULL"
		switch {
		case !g.world.unique:
			kind = 0 // which of equal times is first depends on the window
		case kind == 15 || kind == 16:
			kind = 13
		}
	}
	switch kind {
	case 0:
		return value{ours: "COUNT(*)", duck: "count(*)" + filter}
	case 1:
		return call("COUNT(%s)", "count(%s)", a)
	case 2:
		return call("COUNT(DISTINCT %s)", "count(DISTINCT %s)", a)
	case 3:
		v := call("APPROX_COUNT_DISTINCT(%s)", "count(DISTINCT %s)", a)
		v.within = tolerance{0.1, 3} // beyond six standard deviations
		return v
	case 4:
		return call("MIN(%s)", "min(%s)", a)
	case 5:
		return call("MAX(%s)", "max(%s)", a)
	case 6, 7:
		return g.sum(n, filter)
	case 8:
		return call("AVG(%s)", "avg(%s)", g.pickPair(n, g.whole(1)))
	case 9, 10:
		f := g.pick("VAR_POP", "VAR_SAMP", "STDDEV_POP", "STDDEV_SAMP")
		return call(f+"(%s)", f+"(%s)", g.pickPair(same("v"), same("x"), same("m")))
	case 11:
		q := g.pick("0", "0.1", "0.25", "0.5", "0.9", "0.99", "1")
		sorted := fmt.Sprintf("list_sort(list((%s)::DOUBLE)%s)", n.duck, there(n))
		v := value{ours: fmt.Sprintf("APPROX_QUANTILE(%s, %s)", n.ours, q), duck: fmt.Sprintf("%s[(floor(%s::DOUBLE * (len(%[1]s) - 1)) + 1)::BIGINT]", sorted, q), within: tolerance{1. / 128, 0}}
		if q == "0.5" && g.chance(2) {
			v.ours = "MEDIAN(" + n.ours + ")"
		}
		return v
	case 12:
		k := g.pick("1", "2", "3")
		t := g.pickPair(same("k"), same("v"), same("kk"), same("y"))
		return value{ours: fmt.Sprintf("APPROX_TOP_K(%s, %s)", t.ours, k),
			duck: fmt.Sprintf("coalesce(list_transform(list_sort(list_transform(map_entries(histogram(%s)%s), lambda h: {'n': -(h.value::BIGINT), 'v': h.key}))[1:%s], lambda h: {'value': h.v, 'count': -h.n}), [])", t.duck, there(t), k), list: true}
	case 13:
		f := g.pick("FIRST", "FIRST_VALUE", "ANY_VALUE")
		return value{ours: f + "(" + a.ours + ")", duck: fmt.Sprintf("first(%s ORDER BY %s)%s", a.duck, order, of(only.duck, a.duck+" IS NOT NULL", timed))}
	case 14:
		f := g.pick("LAST", "LAST_VALUE")
		return value{ours: f + "(" + a.ours + ")", duck: fmt.Sprintf("last(%s ORDER BY %s)%s", a.duck, order, of(only.duck, a.duck+" IS NOT NULL", timed))}
	case 15, 16:
		return g.extreme(a, only)
	case 17:
		n, rows := g.pick("1", "2", "5"), g.pickPair(same("v"), same("k"), same("id"), g.time(1))
		return value{ours: fmt.Sprintf("ARRAY_AGG(%s, %s)", rows.ours, n), duck: fmt.Sprintf("coalesce((list(%s ORDER BY %s)%s)[1:%s], [])", rows.duck, order, of(only.duck, timed), n), list: true}
	case 18:
		return value{ours: "ARRAY_AGG(id)", duck: fmt.Sprintf("coalesce(list(id ORDER BY %s)%s, [])", order, of(only.duck, timed)), list: true}
	case 19:
		return call("BOOL_AND(%s)", "bool_and(%s)", g.condition(1))
	case 20:
		return call("EVERY(%s)", "bool_and(%s)", g.condition(1))
	case 21:
		return call("BOOL_OR(%s)", "bool_or(%s)", g.condition(1))
	case 22:
		c := g.condition(1)
		return value{ours: "COUNT_IF(" + c.ours + ")", duck: "count(*)" + of(only.duck, c.duck)}
	}
	return call("COUNT(DISTINCT %s)", "count(DISTINCT %s)", same("kk"))
}

// sum has the type of ours: bigint, or decimal with 38 digits, or double.
func (g *writer) sum(n pair, filter string) value {
	if g.chance(3) {
		n = g.whole(1)
	}
	duck := fmt.Sprintf("sum(%s)%s", n.duck, filter)
	switch n.ours {
	case "x", "(x + 0.5)", "m", "w", "q":
	default:
		duck = "TRY_CAST(" + duck + " AS BIGINT)"
	}
	return value{ours: "SUM(" + n.ours + ")", duck: duck}
}

// extreme is the value of the row, or of some rows, where something is least or most, in ties of the first.
func (g *writer) extreme(a, only pair) value {
	by := g.pickPair(same("v"), same("x"), same("m"), same("k"), same("u"), g.whole(1))
	f, direction := "MIN_BY", " ASC"
	if g.chance(2) {
		f, direction = "MAX_BY", " DESC"
	}
	filter := of(only.duck, a.duck+" IS NOT NULL", by.duck+" IS NOT NULL")
	order := fmt.Sprintf("ORDER BY %s%s, %s", by.duck, direction, byTime)
	if !g.chance(3) {
		return value{ours: fmt.Sprintf("%s(%s, %s)", f, a.ours, by.ours), duck: fmt.Sprintf("first(%s %s)%s", a.duck, order, filter)}
	}
	n, id := g.pick("1", "2", "4"), g.pickPair(same("id"), same("v"), same("k"))
	filter = of(only.duck, id.duck+" IS NOT NULL", by.duck+" IS NOT NULL")
	return value{ours: fmt.Sprintf("%s(%s, %s, %s)", f, id.ours, by.ours, n), duck: fmt.Sprintf("(list(%s %s)%s)[1:%s]", id.duck, order, filter, n), list: true}
}
