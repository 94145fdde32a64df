package sqldiff

import (
	"fmt"
	"strings"
)

// alive are the rows of e that WHERE takes and that are not late for windows of their own keys and for OVER.
func (g *writer) alive(mark string) string {
	g.s.late = fmt.Sprintf("SELECT count(*) FROM e WHERE (%s) AND us < %s", g.where.duck, mark)
	g.s.filtered = fmt.Sprintf("SELECT count(*) FROM e WHERE NOT coalesce((%s), false) OR ts IS NULL", g.where.duck)
	return fmt.Sprintf("(SELECT * FROM e WHERE (%s) AND us >= %s)", g.where.duck, mark)
}

// keyed is a query with windows that differ from key to key.
func (g *writer) keyed() {
	lateness, mark := g.lateness()
	rows := g.alive(mark)
	size := g.sizes()[g.r.IntN(2)]
	partition := g.pickPair(same("kk"), same("o"), pair{})
	by := ""
	if partition.ours != "" {
		by = "PARTITION BY " + partition.duck + " "
	}
	ordered := fmt.Sprintf("(SELECT *, row_number() OVER (%sORDER BY %s) - 1 AS place, lag(us) OVER (%[1]sORDER BY %s) AS before FROM %s)", by, byTime, rows)
	var win, numbered, end string
	switch g.r.IntN(4) {
	case 0, 1:
		win = fmt.Sprintf("SESSION(ts, %s)", size.text)
		numbered = fmt.Sprintf("(SELECT *, sum(CASE WHEN us - before < %d THEN 0 ELSE 1 END) OVER (%sORDER BY %s ROWS UNBOUNDED PRECEDING) AS piece FROM %s)", size.micros, by, byTime, ordered)
		end = fmt.Sprintf("max(us) + %d", size.micros)
	case 2:
		n := g.pick("1", "2", "5")
		win, numbered, end = "TUMBLE(ROWS "+n+")", fmt.Sprintf("(SELECT *, place // %s AS piece FROM %s)", n, ordered), "max(us)"
	case 3:
		n := 2 + g.r.IntN(4)
		m := 1 + g.r.IntN(n)
		win, end = fmt.Sprintf("HOP(ROWS %d, ROWS %d)", m, n), "max(us)"
		numbered = fmt.Sprintf("(SELECT *, place // %d - nth AS piece FROM %s, range(%d) AS r(nth) WHERE place // %[1]d - nth >= 0 AND place - (place // %[1]d - nth) * %[1]d < %[4]d)", m, ordered, (n+m-1)/m, n)
	}
	items := []pair{{"window_start AS ws", "make_timestamp(min(us))"}, {"window_end AS we", "make_timestamp(" + end + ")"}}
	groups := pair{win, "piece"}
	if partition.ours != "" {
		items = append(items, partition)
		groups = pair{groups.ours + ", " + partition.ours, groups.duck + ", " + partition.duck}
	}
	for i, a := range g.values() {
		if a.within != (tolerance{}) {
			g.s.within[len(items)] = a.within
		}
		items = append(items, pair{fmt.Sprintf("%s AS x%d", a.ours, i), a.duck})
	}
	g.s.tied = true
	with, from := g.input()
	ours, duck := list(items)
	having := g.pick("", "", " HAVING COUNT(*) > 1")
	g.s.ours = fmt.Sprintf("%sSELECT %s FROM %s GROUP BY %s%s%s", with.ours, ours, from.ours, groups.ours, having, lateness)
	g.s.duck = fmt.Sprintf("SELECT %s FROM %s GROUP BY %s%s", duck, numbered, groups.duck, having)
}

// over is a query with OVER, or one that keeps the first rows of each key.
func (g *writer) over() {
	rows := g.alive("wm")
	partition := g.pick("PARTITION BY kk ", "PARTITION BY kk, o ", "")
	with, from := g.input()
	if g.chance(4) {
		n := g.pick("1", "2")
		g.s.tied = true
		// One text for both: the input is a sub-query here, so that the condition may be anything.
		g.s.ours = fmt.Sprintf("SELECT id, ts, kk FROM (SELECT *, ROW_NUMBER() OVER (%sORDER BY ts) AS n FROM (SELECT * FROM s WHERE %s) AS i) AS o WHERE n <= %s", partition, g.where.ours, n)
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
	g.s.tied = true
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

// nested is a query over the rows of windows: windows of windows, a filter, or the best of each window.
func (g *writer) nested() {
	w := g.window()
	g.counts(w.bounds, "wm")
	inner := fmt.Sprintf("(SELECT * FROM (%s) WHERE we > wm)", fmt.Sprintf(w.bounds, "(SELECT * FROM e WHERE "+g.where.duck+")"))
	ours := fmt.Sprintf("SELECT window_start, window_end, kk, COUNT(*) AS n, SUM(v) AS sum, MAX(m) AS top FROM s WHERE %s GROUP BY %s, kk", g.where.ours, w.ours)
	duck := fmt.Sprintf("SELECT ws, we, kk, count(*) AS n, sum(v)::BIGINT AS sum, max(m) AS top FROM %s GROUP BY ws, we, kk", inner)
	switch g.r.IntN(4) {
	case 0:
		big := g.sizes()[len(g.sizes())-1].micros / 1e6 * 2
		g.s.ours = fmt.Sprintf("SELECT window_start AS w, kk, SUM(n) AS n, COUNT(*) AS c, MIN(sum) AS least, MAX(top) AS top FROM (%s) AS i GROUP BY TUMBLE(window_start, INTERVAL '%d' SECOND), kk", ours, big)
		g.s.duck = fmt.Sprintf("SELECT make_timestamp(below(ws, %d)), kk, sum(n)::BIGINT, count(*), min(sum), max(top) FROM (%s) GROUP BY 1, kk", big*1e6, duck)
	case 1:
		g.s.ours = fmt.Sprintf("WITH i AS (%s) SELECT window_start, kk, sum * 2 AS twice, CASE WHEN n > 2 THEN 'many' ELSE 'few' END AS size FROM i WHERE sum > 0 OR kk IS NULL", ours)
		g.s.duck = fmt.Sprintf("SELECT make_timestamp(ws), kk, sum * 2, CASE WHEN n > 2 THEN 'many' ELSE 'few' END FROM (%s) WHERE sum > 0 OR kk IS NULL", duck)
	case 2:
		f, most := g.pick("RANK", "DENSE_RANK"), g.pick("1", "2")
		g.s.ours = fmt.Sprintf("SELECT window_start, window_end, kk, n FROM (%s) AS i QUALIFY %s() OVER (PARTITION BY window_start, window_end ORDER BY n DESC) <= %s", ours, f, most)
		g.s.duck = fmt.Sprintf("SELECT make_timestamp(ws), make_timestamp(we), kk, n FROM (%s) QUALIFY %s() OVER (PARTITION BY ws, we ORDER BY n DESC) <= %s", duck, f, most)
	case 3:
		g.s.ours = fmt.Sprintf("SELECT window_start, window_end, kk, n FROM (%s) AS i QUALIFY ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY sum DESC, n) <= 2", ours)
		g.s.duck = fmt.Sprintf("SELECT make_timestamp(ws), make_timestamp(we), kk, n FROM (%s) QUALIFY row_number() OVER (PARTITION BY ws, we ORDER BY sum DESC NULLS FIRST, n, kk NULLS FIRST) <= 2", duck)
	}
}

// plain is a query without windows.
func (g *writer) plain() {
	g.s.filtered = fmt.Sprintf("SELECT count(*) FROM e WHERE NOT coalesce((%s), false)", g.where.duck)
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
	for i := range terms {
		if g.chance(3) {
			terms[i] = statement{ours: "SELECT id, kk, ts FROM s WHERE " + g.where.ours, duck: "SELECT id, kk, ts FROM e WHERE " + g.where.duck}
			if i == 1 && strings.Contains(terms[0].ours, "GROUP BY") {
				terms[i] = terms[0]
			}
			continue
		}
		w := g.window()
		terms[i] = statement{
			ours: fmt.Sprintf("SELECT COUNT(*) AS id, kk, window_start AS ts FROM s WHERE %s GROUP BY %s, kk", g.where.ours, w.ours),
			duck: fmt.Sprintf("SELECT count(*), kk, make_timestamp(ws) FROM (%s) WHERE we > wm GROUP BY ws, we, kk", fmt.Sprintf(w.bounds, "(SELECT * FROM e WHERE "+g.where.duck+")")),
		}
		if i == 1 && !strings.Contains(terms[0].ours, "GROUP BY") {
			terms[i] = terms[0]
		}
	}
	g.s.ours = terms[0].ours + " UNION ALL " + terms[1].ours
	g.s.duck = terms[0].duck + " UNION ALL " + terms[1].duck
}
