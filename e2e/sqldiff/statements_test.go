package sqldiff

import (
	"fmt"
	"time"
)

// statement is a query in both dialects, with the fate of the rows where it is the same in both.
type statement struct {
	ours, duck string
	// late and filtered count rows of e; empty where DuckDB cannot say.
	late, filtered string
	// within is how far numbers of a column may be apart, by its place; doubles 1e-9 unless it is there.
	within map[int]tolerance
	// tied is set when the answer depends on the shards of rows with equal times.
	tied bool
}

// writer makes random statements.
type writer struct {
	*grammar
	world *world
	// condition of WHERE, TRUE without one.
	where pair
	s     statement
}

func newWriter(g *grammar, w *world) *writer { return &writer{grammar: g, world: w} }

func (g *writer) chance(n int) bool { return g.r.IntN(n) == 0 }

// write makes a statement.
func (g *writer) write() statement {
	g.s = statement{within: map[int]tolerance{}}
	g.where = same("TRUE")
	if g.chance(2) {
		g.where = g.pickPair(g.grammar.condition(2), same("(v > 20)"), same("(kk <> 'k1' OR x < 1)"))
	}
	switch g.r.IntN(10) {
	case 0, 1, 2, 3:
		g.windows()
	case 4:
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
	filter := pair{"SELECT * FROM s WHERE " + g.where.ours, "SELECT * FROM e WHERE " + g.where.duck}
	switch g.r.IntN(5) {
	case 0:
		return pair{}, pair{"(" + filter.ours + ") AS f", "(" + filter.duck + ") AS f"}
	case 1:
		return pair{"WITH f AS (" + filter.ours + ") ", "WITH f AS (" + filter.duck + ") "}, same("f")
	}
	return pair{}, pair{"s WHERE " + g.where.ours, "e WHERE " + g.where.duck}
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
	case g.world.span <= time.Hour:
		return intervals("30 SECOND", "1 MINUTE", "2 MINUTE", "7 MINUTE")
	case g.world.span <= 48*time.Hour:
		return intervals("15 MINUTE", "1 HOUR", "6 HOUR", "1 DAY")
	case g.world.span <= 10*24*time.Hour:
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
		return window{fmt.Sprintf("HOP(ts, %s, %s%s)", step.text, size.text, offset),
			fmt.Sprintf("SELECT *, ws + %d AS we FROM (SELECT *, %s - nth * %d AS ws FROM %%s, range(%d) AS r(nth)) WHERE ws + %[1]d > us",
				size.micros, start(step.micros), step.micros, (size.micros+step.micros-1)/step.micros)}
	case 2:
		step := g.r.Int64N(6) + 1
		return window{fmt.Sprintf("CUMULATE(ts, %s, INTERVAL '%d' SECOND%s)", size.text, step*size.micros/1e6, offset),
			fmt.Sprintf("SELECT * FROM (SELECT *, ws + (nth + 1) * %d AS we FROM (SELECT *, %s AS ws FROM %%s), range(%d) AS r(nth)) WHERE we > us",
				size.micros, start(step*size.micros), step)}
	case 3:
		unit := g.pick("MONTH", "QUARTER", "YEAR")
		step := map[string]int{"MONTH": 1, "QUARTER": 3, "YEAR": 12}[unit]
		return window{"TUMBLE(ts, INTERVAL '1' " + unit + ")",
			fmt.Sprintf("SELECT *, epoch_us(date_trunc('%s', ts)::TIMESTAMP) AS ws, epoch_us(date_trunc('%[1]s', ts)::TIMESTAMP + INTERVAL %d MONTH) AS we FROM %%s", unit, step)}
	case 4, 5:
		return g.zonedWindow()
	}
	return window{fmt.Sprintf("TUMBLE(ts, %s%s)", size.text, offset), fmt.Sprintf("SELECT *, %s AS ws, %[1]s + %d AS we FROM %%s", start(size.micros), size.micros)}
}

// zonedWindow follows the clocks of a zone where none of its bounds is shown twice or never.
func (g *writer) zonedWindow() window {
	zone := "'" + g.pick("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Auckland") + "'"
	size := intervals("6 HOUR", "1 DAY", "7 DAY")[g.r.IntN(3)]
	local := "((ts AT TIME ZONE 'UTC') AT TIME ZONE " + zone + ")"
	instant := func(at string) string { return "epoch_us((" + at + ") AT TIME ZONE " + zone + ")" }
	seconds := size.micros / 1e6
	if g.chance(3) && seconds == 24*3600 {
		days := 1 + g.r.Int64N(3)
		at := fmt.Sprintf("(date_trunc('day', %s)::TIMESTAMP - nth * INTERVAL 1 DAY)", local)
		return window{fmt.Sprintf("HOP(ts, INTERVAL '1' DAY, INTERVAL '%d' DAY, TIME ZONE %s)", days, zone),
			fmt.Sprintf("SELECT *, %s AS ws, %s AS we FROM %%s, range(%d) AS r(nth)", instant(at), instant(fmt.Sprintf("%s + INTERVAL %d DAY", at, days)), days)}
	}
	if g.chance(4) {
		return window{"TUMBLE(ts, INTERVAL '1' MONTH, TIME ZONE " + zone + ")",
			fmt.Sprintf("SELECT *, %s AS ws, %s AS we FROM %%s", instant("date_trunc('month', "+local+")::TIMESTAMP"), instant("date_trunc('month', "+local+")::TIMESTAMP + INTERVAL 1 MONTH"))}
	}
	at := fmt.Sprintf("time_bucket(INTERVAL %d SECOND, %s, TIMESTAMP '1970-01-01')", seconds, local)
	return window{fmt.Sprintf("TUMBLE(ts, %s, TIME ZONE %s)", size.text, zone),
		fmt.Sprintf("SELECT *, %s AS ws, %s AS we FROM %%s", instant(at), instant(fmt.Sprintf("%s + INTERVAL %d SECOND", at, seconds)))}
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

// lateness is ALLOWED LATENESS and what DuckDB takes off watermarks.
func (g *writer) lateness() (string, string) {
	if g.world.patient || !g.chance(3) {
		return "", "wm"
	}
	seconds := g.world.span.Microseconds() / 16 / 1e6
	return fmt.Sprintf(" ALLOWED LATENESS INTERVAL '%d' SECOND", seconds), fmt.Sprintf("(wm - %d)", seconds*1e6)
}

// counts are the fates of rows: late are those all of whose windows end by their mark.
func (g *writer) counts(bounds, mark string) {
	rows := fmt.Sprintf("(SELECT * FROM e WHERE (%s) AND ts IS NOT NULL)", g.where.duck)
	g.s.late = fmt.Sprintf("SELECT count(*) FROM (SELECT max(we) AS we, any_value(%s) AS mark FROM (%s) GROUP BY id) WHERE we <= mark", mark, fmt.Sprintf(bounds, rows))
	g.s.filtered = fmt.Sprintf("SELECT count(*) FROM e WHERE NOT coalesce((%s), false) OR ts IS NULL", g.where.duck)
}

// group is a query with windows: what is grouped, in both dialects.
func (g *writer) windows() {
	w := g.window()
	lateness, mark := g.lateness()
	g.counts(w.bounds, mark)
	with, from := g.input()
	bounded := fmt.Sprintf("(SELECT * FROM (%s) WHERE we > %s)", fmt.Sprintf(w.bounds, "(SELECT * FROM "+from.duck+")"), mark)
	g.grouped(with, from.ours, w.ours, bounded, lateness)
}

// grouped writes SELECT … GROUP BY over rows that DuckDB has with ws and we.
func (g *writer) grouped(with pair, from, win, bounded, lateness string) {
	items := []pair{{"window_start AS ws", "make_timestamp(ws)"}, {"window_end AS we", "make_timestamp(we)"}}
	groups := pair{win, "ws, we"}
	keys := g.keys()
	for i, k := range keys {
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
		g.s.tied = g.s.tied || a.tied
		items = append(items, pair{fmt.Sprintf("%s AS x%d", a.ours, i), a.duck})
	}
	having := pair{}
	if g.chance(4) {
		having = g.pickPair(same(" HAVING COUNT(*) > 1"), same(" HAVING SUM(v) > 50 OR MIN(v) IS NULL"), same(" HAVING MAX(x) IS NOT NULL AND COUNT(*) < 9"))
	}
	ours, duck := list(items)
	top := g.top(keys)
	distinct := ""
	if top.n == 0 && !lists && g.chance(8) {
		distinct = "DISTINCT "
	}
	g.s.ours = fmt.Sprintf("%sSELECT %s%s FROM %s GROUP BY %s%s%s%s", with.ours, distinct, ours, from, groups.ours, having.ours, top.ours, lateness)
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
