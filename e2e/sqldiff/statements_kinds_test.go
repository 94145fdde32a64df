package sqldiff

import (
	"fmt"
	"strings"
)

// alive are the rows of e that WHERE takes and that are not late for windows of their own keys and for OVER.
func (g *writer) alive(mark string) string {
	g.fates(fmt.Sprintf("SELECT DISTINCT id FROM %s WHERE us < %s", g.taken(), mark), g.clock == "ts")
	return fmt.Sprintf("(SELECT * FROM %s WHERE us >= %s)", g.taken(), mark)
}

// over is a query with OVER, or one that keeps the first rows of each key.
func (g *writer) over() {
	rows := g.alive("wm")
	partition := g.pick("PARTITION BY kk ", "PARTITION BY kk, o ", "")
	with, from := g.input()
	if g.chance(4) {
		n := g.pick("1", "2")
		// One text for both: the input is a sub-query here, so that the condition may be anything.
		g.s.ours = fmt.Sprintf("SELECT id, ts, kk FROM (SELECT *, ROW_NUMBER() OVER (%sORDER BY ts) AS n FROM (SELECT * FROM %s WHERE %s) AS i) AS o WHERE n <= %s", partition, g.from.ours, g.where.ours, n)
		g.s.duck = fmt.Sprintf("SELECT id, ts, kk FROM (SELECT *, row_number() OVER (%sORDER BY %s) AS n FROM %s) WHERE n <= %s", partition, byTime, rows, n)
		return
	}
	items := []pair{same("id"), same("ts")}
	var last pair
	for i := range 1 + g.r.IntN(3) {
		last = g.overItem(partition)
		items = append(items, pair{fmt.Sprintf("%s AS x%d", last.ours, i), last.duck})
	}
	qualify := pair{}
	if g.chance(4) {
		qualify = pair{" QUALIFY " + last.ours + " IS NOT NULL", " QUALIFY " + last.duck + " IS NOT NULL"}
	}
	ours, duck := list(items)
	g.s.ours = fmt.Sprintf("%sSELECT %s FROM %s%s", with.ours, ours, from.ours, qualify.ours)
	g.s.duck = fmt.Sprintf("SELECT %s FROM %s%s", duck, rows, qualify.duck)
}

// overItem is an expression with OVER. Frames of rows have DuckDB's order of equal times, those of time do not need it.
func (g *writer) overItem(partition string) pair {
	call := func(f pair, order, frame string) pair {
		return pair{f.ours + " OVER (" + partition + "ORDER BY ts" + frame + ")", f.duck + " OVER (" + partition + "ORDER BY " + order + frame + ")"}
	}
	switch g.r.IntN(6) {
	case 0:
		return call(same("ROW_NUMBER()"), byTime, "")
	case 1:
		n := g.pick("1", "2", "3")
		if g.chance(2) {
			return call(pair{"LAG(v, " + n + ", -1)", "lag(v, " + n + ", -1)"}, byTime, "")
		}
		a := g.argument()
		return call(pair{"LAG(" + a.ours + ", " + n + ")", "lag(" + a.duck + ", " + n + ")"}, byTime, "")
	}
	a := g.argument()
	f := g.pickPair(same("COUNT(*)"), same("SUM(v)"), same("SUM(m)"), same("AVG(x)"), both("MIN(%s)", a), both("MAX(%s)", a), both("COUNT(%s)", a), both("COUNT(DISTINCT %s)", same("kk")), same("STDDEV_POP(v)"))
	if strings.HasPrefix(f.ours, "SUM(v)") {
		f.duck = "sum(v)::BIGINT"
	}
	size := g.sizes()[0]
	frame := g.pick("", fmt.Sprintf(" ROWS BETWEEN %d PRECEDING AND CURRENT ROW", g.r.IntN(5)), " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
		" RANGE BETWEEN "+size.text+" PRECEDING AND CURRENT ROW", " RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW")
	order := "ts"
	if strings.Contains(frame, "ROWS") {
		order = byTime
	}
	if f.duck == "sum(v)::BIGINT" {
		p := call(pair{f.ours, "sum(v)"}, order, frame)
		p.duck = "(" + p.duck + ")::BIGINT"
		return p
	}
	return call(f, order, frame)
}

// plain is a query without windows.
func (g *writer) plain() {
	g.fates("", false)
	items := []pair{same("id")}
	for i := range 1 + g.r.IntN(3) {
		a := g.argument()
		items = append(items, pair{fmt.Sprintf("%s AS x%d", a.ours, i), a.duck})
	}
	with, from := g.input()
	ours, duck := list(items)
	g.s.ours = fmt.Sprintf("%sSELECT %s FROM %s", with.ours, ours, from.ours)
	g.s.duck = fmt.Sprintf("%sSELECT %s FROM %s", with.duck, duck, from.duck)
}

// union is two queries one after the other, with windows or without.
func (g *writer) union() {
	terms := make([]statement, 2)
	var late []string
	for i := range terms {
		if g.chance(3) {
			terms[i] = statement{ours: fmt.Sprintf("SELECT id, kk, ts FROM %s WHERE %s", g.from.ours, g.where.ours), duck: "SELECT id, kk, ts FROM " + g.taken()}
			if i == 1 && strings.Contains(terms[0].ours, "GROUP BY") {
				terms[i] = terms[0]
			}
			continue
		}
		w := g.window()
		g.counts(w.bounds, "wm")
		late = append(late, g.s.late)
		terms[i] = statement{
			ours: fmt.Sprintf("SELECT COUNT(*) AS id, kk, window_start AS ts FROM %s WHERE %s GROUP BY %s, kk", g.from.ours, g.where.ours, w.ours),
			duck: fmt.Sprintf("SELECT count(*), kk, make_timestamp(within(ws)) FROM (%s) WHERE we > wm GROUP BY ws, we, kk", fmt.Sprintf(w.bounds, g.taken())),
		}
		if i == 1 && !strings.Contains(terms[0].ours, "GROUP BY") {
			terms[i], late = terms[0], nil
		}
	}
	// A row is late if a term finds it late; whether one filters it cannot always be told.
	g.s.late, g.s.filtered = strings.Join(late, " UNION "), ""
	g.s.ours = terms[0].ours + " UNION ALL " + terms[1].ours
	g.s.duck = terms[0].duck + " UNION ALL " + terms[1].duck
}
