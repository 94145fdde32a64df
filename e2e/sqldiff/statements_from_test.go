package sqldiff

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/sqltest"
)

// from is what a statement reads, in both dialects: the stream, or the stream with a table joined to it or a list
// unnested. That of DuckDB has all columns of e, of which nth tells apart what was made of one row.
type from struct {
	ours, duck string
	// extra are the columns that rows of the stream have not.
	extra []pair
	// kind is for the count of what was compared.
	kind string
}

var stream = from{ours: "s", duck: "e"}

// aside is something to read other than the stream alone, now and then.
func (g *writer) aside() from {
	switch g.r.IntN(8) {
	case 0:
		return g.joined()
	case 1:
		return g.unnested()
	}
	return stream
}

// joined is the stream with table c.
func (g *writer) joined() from {
	join := g.pick("JOIN", "LEFT JOIN", "LEFT JOIN")
	on := g.pick("s.kk = c.tk", "s.kk = c.tk", "UPPER(s.kk) = UPPER(c.tk) AND s.id %% 3 <> c.tn", "s.kk = c.tk AND s.ts >= c.tf", "s.v %% 5 = c.tn AND s.x < c.tx")
	on = strings.ReplaceAll(on, "%%", "%")
	return from{
		ours:  fmt.Sprintf("s %s c ON %s", join, on),
		duck:  fmt.Sprintf("(SELECT s.* REPLACE (coalesce(tr, 0) AS nth), c.* EXCLUDE (tr) FROM e AS s %s c ON %s) AS e", join, on),
		extra: []pair{same("tk"), same("tn"), same("tx"), same("tf"), both("(%s || tk)", same("kk")), same("(v + tn)")},
		kind:  "join",
	}
}

// unnested is the stream with the elements of a list.
func (g *writer) unnested() from {
	list := g.pickPair(same("li"), same("lt"), pair{"ARRAY[v, id]", "[v, id]"}, pair{"SPLIT(k, 'b')", "string_split(k, 'b')"})
	f := from{extra: []pair{same("el"), same("el"), same("spot")}, kind: "unnest"}
	of := fmt.Sprintf("UNNEST(%s) WITH ORDINALITY AS n(el, spot)", list.duck)
	if g.chance(2) {
		f.ours = fmt.Sprintf("s CROSS JOIN UNNEST(%s) WITH ORDINALITY AS n(el, spot)", list.ours)
		f.duck = fmt.Sprintf("(SELECT s.* REPLACE (n.spot AS nth), el, spot FROM e AS s, %s) AS e", of)
		return f
	}
	f.ours = fmt.Sprintf("s LEFT JOIN UNNEST(%s) WITH ORDINALITY AS n(el, spot) ON TRUE", list.ours)
	f.duck = fmt.Sprintf("(SELECT s.* REPLACE (coalesce(n.spot, 0) AS nth), el, spot FROM e AS s LEFT JOIN %s ON TRUE) AS e", of)
	return f
}

// filter is a condition of WHERE.
func (g *writer) filter() pair {
	if len(g.from.extra) > 0 && g.chance(2) {
		column := g.from.extra[g.r.IntN(len(g.from.extra))]
		return build("(%s IS NOT NULL OR v > 50)", "(%s IS NOT NULL OR v > 50)", column)
	}
	return g.pickPair(g.grammar.condition(2), same("(v > 20)"), same("(kk <> 'k1' OR x < 1)"))
}

// taken are the rows that WHERE takes, as a query and as a table.
func (g *writer) taken() string {
	return fmt.Sprintf("(SELECT * FROM %s WHERE (%s))", g.from.duck, g.where.duck)
}

// fates says which rows come to nothing: those that WHERE does not take, or that have no time if one is needed, and
// the late ones, which a query selects.
func (g *writer) fates(late string, timed bool) {
	without := ""
	if timed {
		without = "us IS NULL OR "
	}
	g.s.filtered = fmt.Sprintf("SELECT count(*) FROM e WHERE %sid NOT IN (SELECT id FROM %s)", without, g.taken())
	g.s.late = late
}

// tableColumns are those of c, the reference table, in front of the number of the row.
const tableColumns = "tk string, tn bigint, tx double, tf timestamp"

// drawTable makes the rows of c, some of which have keys of the events.
func (w *world) drawTable(r *rand.Rand, base int64) error {
	schema, err := sqltest.Schema(tableColumns)
	if err != nil {
		return err
	}
	for range r.IntN(9) {
		row := []string{pick("k0", "k1", "k2", "K3", "k9")(r), pick("0", "1", "2", "3", "4")(r), pick("0.5", "1", "2.25")(r), instant(base + r.Int64N(w.span.Microseconds()))}
		for i := range row {
			if r.IntN(9) == 0 {
				row[i] = "null"
			}
		}
		w.tableRows = append(w.tableRows, row)
	}
	b, err := sqltest.Batch(schema, w.tableRows, r.IntN(2) == 0)
	w.tables = map[string]*column.Batch{"c": b}
	return err
}

// tableText is the statements that make c a table of DuckDB.
func (w *world) tableText() string {
	var b strings.Builder
	b.WriteString("CREATE OR REPLACE TABLE c (tk VARCHAR, tn BIGINT, tx DOUBLE, tf TIMESTAMP, tr BIGINT)")
	for i, row := range w.tableRows {
		fmt.Fprintf(&b, "; INSERT INTO c VALUES ('%s', %d)", strings.Join(row, "', '"), i+1)
	}
	return strings.ReplaceAll(b.String(), "'null'", "NULL")
}
