package sqldiff

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/sqltest"
)

// inner is a query with windows whose rows another one reads. DuckDB has ws and we in microseconds where we have
// window_start and window_end.
type inner struct {
	pair
	// ofKeys is set where windows differ from key to key, so that they do not leave together.
	ofKeys bool
}

func (g *writer) inner() inner {
	columns := pair{"SELECT window_start, window_end, kk, COUNT(*) AS n, SUM(v) AS sum, MAX(m) AS top", "kk, count(*) AS n, sum(v)::BIGINT AS sum, max(m) AS top"}
	if g.chance(3) {
		g.s.kinds = append(g.s.kinds, "keyed below")
		w := g.pieces(g.alive("wm"), same("kk"), g.chance(3))
		return inner{pair{fmt.Sprintf("%s FROM %s WHERE %s GROUP BY %s, kk", columns.ours, g.from.ours, g.where.ours, w.ours),
			fmt.Sprintf("SELECT min(us) AS ws, within(%s) AS we, %s FROM %s GROUP BY piece, kk", w.end, columns.duck, w.numbered)}, true}
	}
	w := g.window()
	g.counts(w.bounds, "wm")
	return inner{pair{fmt.Sprintf("%s FROM %s WHERE %s GROUP BY %s, kk", columns.ours, g.from.ours, g.where.ours, w.ours),
		fmt.Sprintf("SELECT within(ws) AS ws, within(we) AS we, kk, n, sum, top FROM (SELECT ws, we, %s FROM (SELECT * FROM (%s) WHERE we > wm) GROUP BY ws, we, kk)", columns.duck, fmt.Sprintf(w.bounds, g.taken()))}, false}
}

// nested is a query over the rows of windows: windows of windows, a join, a filter, or the best of each window.
func (g *writer) nested() {
	i := g.inner()
	n := g.r.IntN(7)
	if i.ofKeys && n > 3 {
		n -= 3
	}
	big := g.sizes()[len(g.sizes())-1].micros / 1e6 * 2
	switch n {
	case 0:
		g.s.ours, g.s.duck = g.above(big, "window_start", "kk", "n", "sum", "top", "("+i.ours+") AS i", "("+i.duck+")")
		if !g.world.far && g.chance(2) {
			g.s.ours = strings.Replace(g.s.ours, " FROM", ", window_final AS f FROM", 1) + g.pick(" EMIT CHANGES", " EMIT EVERY INTERVAL '1' MINUTE")
			g.s.duck = strings.Replace(g.s.duck, " FROM", ", true FROM", 1)
			g.s.early = &early{key: []int{0, 1}, final: 6, blind: true}
		}
	case 1:
		g.s.ours = fmt.Sprintf("WITH i AS (%s) SELECT window_start, kk, sum * 2 AS twice, CASE WHEN n > 2 THEN 'many' ELSE 'few' END AS size FROM i WHERE sum > 0 OR kk IS NULL", i.ours)
		g.s.duck = fmt.Sprintf("SELECT make_timestamp(within(ws)), kk, sum * 2, CASE WHEN n > 2 THEN 'many' ELSE 'few' END FROM (%s) WHERE sum > 0 OR kk IS NULL", i.duck)
	case 2:
		g.chained(i, big)
	case 3:
		join := g.pick("JOIN", "LEFT JOIN")
		g.s.ours = fmt.Sprintf("SELECT i.window_start, i.kk, i.n, c.tn, c.tx FROM (%s) AS i %s c ON i.kk = c.tk AND i.n > c.tn", i.ours, join)
		g.s.duck = fmt.Sprintf("SELECT make_timestamp(within(ws)), kk, n, tn, tx FROM (%s) AS i %s c ON i.kk = c.tk AND i.n > c.tn", i.duck, join)
	case 4:
		f, most := g.pick("RANK", "DENSE_RANK"), g.pick("1", "2")
		g.s.ours = fmt.Sprintf("SELECT window_start, window_end, kk, n FROM (%s) AS i QUALIFY %s() OVER (PARTITION BY window_start, window_end ORDER BY n DESC) <= %s", i.ours, f, most)
		g.s.duck = fmt.Sprintf("SELECT make_timestamp(within(ws)), make_timestamp(within(we)), kk, n FROM (%s) QUALIFY %s() OVER (PARTITION BY ws, we ORDER BY n DESC) <= %s", i.duck, f, most)
	case 5:
		g.s.ours = fmt.Sprintf("SELECT window_start, window_end, kk, n FROM (%s) AS i QUALIFY ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY sum DESC, n) <= 2", i.ours)
		g.s.duck = fmt.Sprintf("SELECT make_timestamp(within(ws)), make_timestamp(within(we)), kk, n FROM (%s) QUALIFY row_number() OVER (PARTITION BY ws, we ORDER BY sum DESC NULLS FIRST, n, kk NULLS FIRST) <= 2", i.duck)
	case 6:
		g.overBelow(big)
	}
}

// above is windows of some seconds over rows of windows, whose columns are called as given.
func (g *writer) above(seconds int64, start, key, n, sum, top, from, duckFrom string) (ours, duck string) {
	ours = fmt.Sprintf("SELECT window_start AS w, %s AS k, SUM(%s) AS n, COUNT(*) AS c, MIN(%s) AS least, MAX(%s) AS top FROM %s GROUP BY TUMBLE(%s, INTERVAL '%d' SECOND), %[1]s", key, n, sum, top, from, start, seconds)
	duck = fmt.Sprintf("SELECT make_timestamp(within(below(ws, %d))), kk, sum(n)::BIGINT, count(*), min(sum), max(top) FROM %s GROUP BY 1, kk", seconds*1e6, duckFrom)
	return ours, duck
}

// overBelow is windows over rows that leave OVER.
func (g *writer) overBelow(seconds int64) {
	rows := g.alive("wm")
	frame := g.pick("", "ROWS 2 PRECEDING")
	order := byTime
	if frame == "" {
		order = "us"
	}
	g.s.ours = fmt.Sprintf("SELECT window_start AS w, kk, COUNT(*) AS n, SUM(c) AS c FROM (SELECT ts, kk, COUNT(v) OVER (PARTITION BY kk ORDER BY ts %s) AS c FROM %s WHERE %s) AS i GROUP BY TUMBLE(ts, INTERVAL '%d' SECOND), kk", frame, g.from.ours, g.where.ours, seconds)
	g.s.duck = fmt.Sprintf("SELECT make_timestamp(within(below(us, %d))), kk, count(*), sum(c)::BIGINT FROM (SELECT us, kk, count(v) OVER (PARTITION BY kk ORDER BY %s %s) AS c FROM %s) GROUP BY 1, kk", seconds*1e6, order, frame, rows)
}

// middleColumns are those of the stream between two queries.
const middleColumns = "note string, total bigint, began timestamp, many bigint, who string, best decimal(14;2)"

// chained is INSERT INTO a stream that another query reads.
func (g *writer) chained(i inner, seconds int64) {
	g.s.kinds = append(g.s.kinds, "chain")
	g.s.ours = "INSERT INTO middle (began, who, many, total, best) SELECT window_start, kk, n, sum, top FROM (" + i.ours + ") AS i"
	g.s.then, g.s.duck = g.above(seconds, "began", "who", "many", "total", "best", "middle", "("+i.duck+")")
}

// through plays a statement that inserts and returns the stream that its rows make, and what is read of it.
func (o *statements) through(s statement, r *rand.Rand) (*world, *sql.Query, error) {
	q, err := sql.CompileQuery(s.ours, o.world.input)
	if err != nil {
		return nil, nil, err
	}
	schema, err := sqltest.Schema(middleColumns)
	if err != nil {
		return nil, nil, err
	}
	if err := q.InsertInto(schema); err != nil {
		return nil, nil, err
	}
	end, err := newPlay(o.world, q, r).run()
	if err != nil {
		return nil, nil, err
	}
	late, filtered := o.fates(s)
	o.ledger(s, end, late, filtered)
	w := &world{schema: schema, shards: make([][]event, 1+r.IntN(3))}
	for _, row := range end.rows {
		e := event{cells: make([]string, len(schema.Fields)), mark: column.MinWatermark, timed: true}
		for i := range e.cells {
			e.cells[i] = "null"
		}
		for i, f := range q.Output().Fields {
			e.cells[schema.Index(f.Name)] = row[i]
		}
		at := schema.Index("began")
		if _, err := fmt.Sscan(e.cells[at], &e.at); err != nil {
			return nil, nil, err
		}
		e.cells[at] = instant(e.at)
		shard := r.IntN(len(w.shards))
		w.shards[shard] = append(w.shards[shard], e)
	}
	// Nothing is late in the middle.
	w.delay = 1 << 55
	then, err := sql.CompileQuery(s.then, func(name string) (sql.Input, bool) {
		return sql.Input{Schema: schema, EventTime: "began"}, name == "middle"
	})
	return w, then, err
}

// checkChain plays two statements one behind the other and compares what leaves the second one.
func (o *statements) checkChain(s statement, r *rand.Rand) {
	o.Helper()
	w, q, err := o.through(s, r)
	if err != nil {
		o.Errorf("seed %d: %s: %s: %v", o.seed, s.ours, s.then, err)
		return
	}
	want, ok := o.answer(s.then, s.duck, q.Output())
	if !ok {
		return
	}
	o.count(s, q, len(want), 0)
	end, err := newPlay(w, q, r).run()
	if err != nil {
		o.Errorf("seed %d: %s: %s: %v", o.seed, s.ours, s.then, err)
		return
	}
	arrange(q.Output(), end.rows)
	if line := differ(q.Output(), end.rows, want, nil); line != "" {
		o.Errorf("seed %d: %s: %s\n%s\n%s", o.seed, s.ours, s.then, s.duck, line)
	}
}
