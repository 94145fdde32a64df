package sqldiff

import (
	"fmt"
	"time"
)

// statement is a query in both dialects, with the fate of the rows where it is the same in both.
type statement struct {
	ours, duck string
	// then is the query that reads what ours inserts, if that inserts; the answer of DuckDB is to both together.
	then string
	// late selects the ids of late rows, filtered counts rows of e; empty where DuckDB cannot say.
	late, filtered string
	// kinds are for the count of what was compared.
	kinds []string
	// early is there if rows are shown before they are final; duck then has THROUGH in it.
	early *early
	// within is how far numbers of a column may be apart, by its place; doubles 1e-9 unless it is there.
	within map[int]tolerance
}

// writer makes random statements.
type writer struct {
	*grammar
	world *world
	from  from
	// where is the condition of WHERE, TRUE without one.
	where pair
	// clock is the column that windows go by, base and span when its times begin and how long they go on.
	clock string
	base  int64
	span  time.Duration
	s     statement
}

func newWriter(g *grammar, w *world) *writer {
	return &writer{grammar: g, world: w, clock: "ts", base: w.base, span: w.span}
}

func (g *writer) chance(n int) bool { return g.r.IntN(n) == 0 }

// write makes a statement.
func (g *writer) write() statement {
	g.s = statement{within: map[int]tolerance{}}
	g.from, g.where = g.aside(), same("TRUE")
	if g.chance(2) {
		g.where = g.filter()
	}
	if g.from.kind != "" {
		g.s.kinds = append(g.s.kinds, g.from.kind)
	}
	switch g.r.IntN(11) {
	case 0, 1, 2, 3:
		g.windows()
	case 4, 10:
		g.keyed()
	case 5, 6:
		g.over()
	case 7:
		g.nested()
	case 8:
		g.plain()
	case 9:
		g.union()
	}
	return g.s
}

// input is FROM and WHERE: of the stream itself, of a sub-query with the condition, or of a name for one.
func (g *writer) input() (with, from pair) {
	plain := pair{g.from.ours + " WHERE " + g.where.ours, g.from.duck + " WHERE " + g.where.duck}
	filter := pair{"SELECT * FROM " + plain.ours, "SELECT * FROM " + plain.duck}
	switch g.r.IntN(5) {
	case 0:
		return pair{}, pair{"(" + filter.ours + ") AS f", "(" + filter.duck + ") AS f"}
	case 1:
		return pair{"WITH f AS (" + filter.ours + ") ", "WITH f AS (" + filter.duck + ") "}, same("f")
	}
	return pair{}, plain
}

// length is an interval and its microseconds.
type length struct {
	text   string
	micros int64
}

func intervals(texts ...string) []length {
	units := map[string]time.Duration{"SECOND": time.Second, "MINUTE": time.Minute, "HOUR": time.Hour, "DAY": 24 * time.Hour}
	var out []length
	for _, t := range texts {
		var n int64
		var unit string
		fmt.Sscanf(t, "%d %s", &n, &unit)
		out = append(out, length{fmt.Sprintf("INTERVAL '%d' %s", n, unit), n * units[unit].Microseconds()})
	}
	return out
}

// sizes are lengths that make some windows of the world.
func (g *writer) sizes() []length {
	switch {
	case g.span <= time.Hour:
		return intervals("30 SECOND", "1 MINUTE", "2 MINUTE", "7 MINUTE")
	case g.span <= 48*time.Hour:
		return intervals("15 MINUTE", "1 HOUR", "6 HOUR", "1 DAY")
	case g.span <= 10*24*time.Hour:
		return intervals("6 HOUR", "1 DAY", "3 DAY", "25 HOUR")
	}
	return intervals("7 DAY", "30 DAY", "100 DAY")
}

// window is one in GROUP BY: what DuckDB adds to rows to have ws and we, its bounds in microseconds.
type window struct {
	ours string
	// bounds is SELECT *, … AS ws, … AS we FROM %s, with a row for each window.
	bounds string
}

func (g *writer) window() window {
	sizes := g.sizes()
	size := sizes[g.r.IntN(len(sizes))]
	offset, off := "", int64(0)
	if g.chance(3) {
		o := intervals("7 SECOND", "90 SECOND", "4 DAY")[g.r.IntN(3)]
		offset, off = ", OFFSET "+o.text, o.micros
	}
	start := func(step int64) string { return fmt.Sprintf("below(us - %d, %d) + %d", off, step, off) }
	switch g.r.IntN(8) {
	case 0, 1:
		step := sizes[0]
		return window{fmt.Sprintf("HOP(%s, %s, %s%s)", g.clock, step.text, size.text, offset),
			fmt.Sprintf("SELECT *, ws + %d AS we FROM (SELECT *, %s - rung * %d AS ws FROM %%s, range(%d) AS r(rung)) WHERE ws + %[1]d > us",
				size.micros, start(step.micros), step.micros, (size.micros+step.micros-1)/step.micros)}
	case 2:
		step := g.r.Int64N(6) + 1
		return window{fmt.Sprintf("CUMULATE(%s, %s, INTERVAL '%d' SECOND%s)", g.clock, size.text, step*size.micros/1e6, offset),
			fmt.Sprintf("SELECT * FROM (SELECT *, ws + (rung + 1) * %d AS we FROM (SELECT *, %s AS ws FROM %%s), range(%d) AS r(rung)) WHERE we > us",
				size.micros, start(step*size.micros), step)}
	case 3:
		unit := g.pick("MONTH", "QUARTER", "YEAR")
		step := map[string]int{"MONTH": 1, "QUARTER": 3, "YEAR": 12}[unit]
		return window{"TUMBLE(" + g.clock + ", INTERVAL '1' " + unit + ")",
			fmt.Sprintf("SELECT *, epoch_us(date_trunc('%s', make_timestamp(us))::TIMESTAMP) AS ws, epoch_us(date_trunc('%[1]s', make_timestamp(us))::TIMESTAMP + INTERVAL %d MONTH) AS we FROM %%s", unit, step)}
	case 4, 5:
		// In their first years zones are by seconds.
		if !g.world.far || g.clock != "ts" {
			return g.zonedWindow()
		}
	}
	return window{fmt.Sprintf("TUMBLE(%s, %s%s)", g.clock, size.text, offset), fmt.Sprintf("SELECT *, %s AS ws, %[1]s + %d AS we FROM %%s", start(size.micros), size.micros)}
}

// key is one of GROUP BY.
func (g *writer) key() pair {
	return g.pickPair(same("kk"), same("kk"), same("kk"), same("o"), same("(v %% 3)"), build("COALESCE(%s, 'none')", "coalesce(%s, 'none')", same("kk")),
		g.text(1), g.whole(1), g.day(1), g.condition(1), same("p"), same("g"))
}

// keys are up to three, of which the list of items has some.
func (g *writer) keys() (list []pair) {
	for range g.r.IntN(3) {
		list = append(list, g.key())
	}
	return list
}

// late is ALLOWED LATENESS and LATE ROWS INTO, and the watermark of a row that DuckDB goes by.
type late struct {
	text, mark string
	micros     int64
}

func (g *writer) lateness() late {
	l := late{mark: "wm"}
	if !g.world.patient && g.chance(3) {
		seconds := g.span.Microseconds() / 16 / 1e6
		l = late{fmt.Sprintf(" ALLOWED LATENESS INTERVAL '%d' SECOND", seconds), fmt.Sprintf("(wm - %d)", seconds*1e6), seconds * 1e6}
	}
	if g.chance(4) {
		l.text += " LATE ROWS INTO late_rows"
	}
	return l
}

// arriving has windows go by when rows arrived, which is never late.
func (g *writer) arriving() {
	g.clock, g.base, g.span = "arrival_time", arrived.UnixMicro(), 10*time.Minute
	g.from.duck = "(SELECT * REPLACE (ar AS us, ar AS wm) FROM e) AS e"
	g.s.kinds = append(g.s.kinds, "arrival")
}

// counts are the fates of rows: late are those all of whose windows end by their mark.
func (g *writer) counts(bounds, mark string) {
	rows := fmt.Sprintf("(SELECT * FROM %s WHERE us IS NOT NULL)", g.taken())
	g.fates(fmt.Sprintf("SELECT id FROM (SELECT id, max(we) AS we, any_value(%s) AS mark FROM (%s) GROUP BY id) WHERE we <= mark", mark, fmt.Sprintf(bounds, rows)), g.clock == "ts")
}

// group is a query with windows: what is grouped, in both dialects.
func (g *writer) windows() {
	with, input := g.input()
	if g.from.kind == "" && g.chance(8) {
		g.arriving()
		with, input = pair{}, pair{"s WHERE " + g.where.ours, g.from.duck + " WHERE " + g.where.duck}
	}
	w, lateness := g.window(), g.lateness()
	g.counts(w.bounds, lateness.mark)
	bounded := fmt.Sprintf("(SELECT * FROM (%s) WHERE we > %s)", fmt.Sprintf(w.bounds, "(SELECT * FROM "+input.duck+")"), lateness.mark)
	g.grouped(with, input.ours, w.ours, bounded, lateness)
}

// grouped writes SELECT … GROUP BY over rows that DuckDB has with ws and we.
func (g *writer) grouped(with pair, from, win, bounded string, lateness late) {
	items := []pair{{"window_start AS ws", "make_timestamp(within(ws))"}, {"window_end AS we", "make_timestamp(within(we))"}}
	groups := pair{win, "ws, we"}
	keys, key := g.keys(), []int{0, 1}
	for i, k := range keys {
		key = append(key, len(items))
		groups.ours += ", " + k.ours
		groups.duck += ", (" + k.duck + ")"
		items = append(items, pair{fmt.Sprintf("%s AS k%d", k.ours, i), "(" + k.duck + ")"})
	}
	lists := false
	for i, a := range g.values() {
		lists = lists || a.list
		if a.within != (tolerance{}) {
			g.s.within[len(items)] = a.within
		}
		items = append(items, pair{fmt.Sprintf("%s AS x%d", a.ours, i), a.duck})
	}
	having := pair{}
	if g.chance(4) {
		having = g.pickPair(same(" HAVING COUNT(*) > 1"), same(" HAVING SUM(v) > 50 OR MIN(v) IS NULL"), same(" HAVING MAX(x) IS NOT NULL AND COUNT(*) < 9"))
	}
	clauses, top, distinct := g.emit(key, len(items), lateness), top{}, ""
	if g.s.early != nil {
		items = append(items, pair{"window_final AS wf", "we <= " + through})
		// What HAVING takes no more was shown all the same.
		having = g.pickPair(pair{}, same(" HAVING COUNT(*) > 1"))
	} else {
		top = g.top(keys)
	}
	if g.s.early == nil && top.n == 0 && !lists && g.chance(8) {
		distinct = "DISTINCT "
	}
	ours, duck := list(items)
	g.s.ours = fmt.Sprintf("%sSELECT %s%s FROM %s GROUP BY %s%s%s%s", with.ours, distinct, ours, from, groups.ours, having.ours, top.ours, clauses)
	g.s.duck = fmt.Sprintf("%sSELECT %s%s%s FROM %s GROUP BY %s%s", with.duck, distinct, duck, top.place, bounded, groups.duck, having.duck)
	if top.n > 0 {
		g.s.duck = fmt.Sprintf("SELECT * EXCLUDE place FROM (%s) WHERE place > %d AND place <= %d", g.s.duck, top.skip, top.skip+top.n)
	}
}

// top is ORDER BY and LIMIT of each window; rows that are equal are in the order of their keys, NULL first.
type top struct {
	ours, place string
	n, skip     int
}

func (g *writer) top(keys []pair) top {
	if !g.chance(5) {
		return top{}
	}
	t := top{n: 1 + g.r.IntN(3), skip: g.r.IntN(2)}
	by, direction, nulls := g.pick("COUNT(*)", "SUM(v)", "MIN(v)"), g.pick("", " DESC"), g.pick("", " NULLS FIRST", " NULLS LAST")
	t.ours = fmt.Sprintf(" ORDER BY %s%s%s LIMIT %d OFFSET %d", by, direction, nulls, t.n, t.skip)
	if nulls == "" {
		nulls = map[string]string{"": " NULLS LAST", " DESC": " NULLS FIRST"}[direction]
	}
	order := by + direction + nulls
	for _, k := range keys {
		order += ", (" + k.duck + ") NULLS FIRST"
	}
	t.place = fmt.Sprintf(", row_number() OVER (PARTITION BY ws, we ORDER BY %s) AS place", order)
	return t
}

// list is the items of a SELECT in both dialects.
func list(items []pair) (ours, duck string) {
	for i, item := range items {
		if i > 0 {
			ours, duck = ours+", ", duck+", "
		}
		ours, duck = ours+item.ours, duck+fmt.Sprintf("%s AS c%d", item.duck, i)
	}
	return ours, duck
}
