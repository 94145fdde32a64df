package sqldiff

import "fmt"

// pieces is a window that differs from key to key: what DuckDB adds to rows to have the number of theirs.
type pieces struct {
	ours string
	// numbered is SELECT *, … AS piece FROM …; end is when a piece ends, over says when it is complete.
	numbered, end, over string
}

// keyed is a query with windows that differ from key to key.
func (g *writer) keyed() {
	with, input := g.input()
	ofRows := g.chance(3)
	if !ofRows && g.from.kind == "" && g.chance(8) {
		g.arriving()
		with, input = pair{}, pair{ours: "s WHERE " + g.where.ours}
	}
	lateness := g.lateness()
	rows := g.alive(lateness.mark)
	partition := g.pickPair(same("kk"), same("o"), pair{})
	items := []pair{{"window_start AS ws", "make_timestamp(min(us))"}, {"window_end AS we", ""}}
	key := []int{0}
	if partition.ours != "" {
		key = append(key, len(items))
		items = append(items, partition)
	}
	values := g.values()
	final := len(items) + len(values)
	clauses := lateness.text
	// Windows of rows that begin at the same time cannot be told apart.
	if !ofRows || g.world.unique && g.from.kind == "" {
		if clauses = g.emit(key, final, lateness); g.s.early != nil {
			g.s.early.waits = true
			rows = fmt.Sprintf("(SELECT * FROM %s WHERE us < %s)", rows, through)
		}
	}
	w := g.pieces(rows, partition, ofRows)
	items[1].duck = "make_timestamp(within(" + w.end + "))"
	groups := pair{w.ours, "piece"}
	if partition.ours != "" {
		groups = pair{groups.ours + ", " + partition.ours, groups.duck + ", " + partition.duck}
	}
	for i, a := range values {
		if a.within != (tolerance{}) {
			g.s.within[len(items)] = a.within
		}
		items = append(items, pair{fmt.Sprintf("%s AS x%d", a.ours, i), a.duck})
	}
	if g.s.early != nil {
		items = append(items, pair{"window_final AS wf", w.over})
	}
	ours, duck := list(items)
	having := g.pick("", "", " HAVING COUNT(*) > 1")
	g.s.ours = fmt.Sprintf("%sSELECT %s FROM %s GROUP BY %s%s%s", with.ours, ours, input.ours, groups.ours, having, clauses)
	g.s.duck = fmt.Sprintf("SELECT %s FROM %s GROUP BY %s%s", duck, w.numbered, groups.duck, having)
}

// pieces makes a window over rows of DuckDB.
func (g *writer) pieces(rows string, partition pair, ofRows bool) pieces {
	by := ""
	if partition.ours != "" {
		by = "PARTITION BY " + partition.duck + " "
	}
	size := g.sizes()[g.r.IntN(2)]
	ordered := fmt.Sprintf("(SELECT *, row_number() OVER (%sORDER BY %s) - 1 AS place, lag(us) OVER (%[1]sORDER BY %s) AS before FROM %s)", by, byTime, rows)
	switch n := 1 + g.r.IntN(5); {
	case ofRows && g.chance(2):
		return pieces{fmt.Sprintf("TUMBLE(ROWS %d)", n), fmt.Sprintf("(SELECT *, place // %d AS piece FROM %s)", n, ordered), "max(us)", full(n)}
	case ofRows:
		m := 1 + g.r.IntN(n)
		return pieces{fmt.Sprintf("HOP(ROWS %d, ROWS %d)", m, n),
			fmt.Sprintf("(SELECT *, place // %d - rung AS piece FROM %s, range(%d) AS r(rung) WHERE place // %[1]d - rung >= 0 AND place - (place // %[1]d - rung) * %[1]d < %[4]d)", m, ordered, (n+m-1)/m, n),
			"max(us)", full(n)}
	case g.chance(2):
		g.s.kinds = append(g.s.kinds, "stagger")
		// The first window begins with the first row, each further one with the first row that is at its length or behind.
		starts := fmt.Sprintf("(SELECT *, list_reduce(list_transform(list_sort(list(us) OVER (%s)), lambda y: [y]), lambda w, y: CASE WHEN y[1] >= w[len(w)] + %d THEN list_concat(w, y) ELSE w END) AS starts FROM %s)", by, size.micros, rows)
		end := fmt.Sprintf("min(us) + %d", size.micros)
		return pieces{fmt.Sprintf("STAGGER(%s, %s)", g.clock, size.text), fmt.Sprintf("(SELECT *, list_max(list_filter(starts, lambda z: z <= us)) AS piece FROM %s)", starts), end, end + " <= " + through}
	}
	end := fmt.Sprintf("max(us) + %d", size.micros)
	return pieces{fmt.Sprintf("SESSION(%s, %s)", g.clock, size.text),
		fmt.Sprintf("(SELECT *, sum(CASE WHEN us - before < %d THEN 0 ELSE 1 END) OVER (%sORDER BY %s ROWS UNBOUNDED PRECEDING) AS piece FROM %s)", size.micros, by, byTime, ordered), end, end + " <= " + through}
}

// full says when a window of n rows is complete: with its last one, or at the end of the stream.
func full(n int) string { return fmt.Sprintf("(count(*) = %d OR %s = %d)", n, through, int64(1<<63-1)) }
