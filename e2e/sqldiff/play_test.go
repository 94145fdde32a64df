package sqldiff

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/sqltest"
)

// play is a run of a query over a world: rows come in batches of any size from the shards in any order, windows
// close as watermarks allow, what was not committed is lost with kills and read again, state leaves memory.
type play struct {
	world *world
	query *sql.Query
	r     *rand.Rand
	// tables are the reference tables that the query may join.
	tables map[string]*column.Batch
	// spills is set when state may leave memory.
	spills bool

	op     sql.Operator
	drawer *sqltest.Drawer
	now    progress
	// committed is what a kill goes back to.
	committed progress
	kills     int
}

// progress is how far a play is.
type progress struct {
	next  []int // by shard
	state []byte
	rows  [][]string
	taken tally
}

// tally is what became of the rows that were read.
type tally struct{ read, aggregated, filtered, late int64 }

func newPlay(w *world, q *sql.Query, tables map[string]*column.Batch, r *rand.Rand) *play {
	return &play{world: w, query: q, r: r, tables: tables, spills: r.IntN(3) == 0, drawer: sqltest.NewDrawer(), now: progress{next: make([]int, len(w.shards))}}
}

// run reads everything and returns all rows.
func (p *play) run() ([][]string, tally, error) {
	p.commitHere()
	if err := p.open(); err != nil {
		return nil, tally{}, err
	}
	most := []int{1, 7, 60, 1000}[p.r.IntN(4)]
	for p.left() {
		if err := p.read(1 + p.r.IntN(most)); err != nil {
			return nil, tally{}, err
		}
		if err := p.disturb(); err != nil {
			return nil, tally{}, err
		}
	}
	if err := p.emit(column.MaxWatermark); err != nil {
		return nil, tally{}, err
	}
	if p.kills < 6 && p.r.IntN(4) == 0 {
		// The last chunk is lost, too.
		if err := p.kill(); err != nil {
			return nil, tally{}, err
		}
		p.kills = 6
		return p.again()
	}
	return p.now.rows, p.now.taken, nil
}

// again reads what is left after a kill at the end, in one go.
func (p *play) again() ([][]string, tally, error) {
	for p.left() {
		if err := p.read(1000); err != nil {
			return nil, tally{}, err
		}
	}
	err := p.emit(column.MaxWatermark)
	return p.now.rows, p.now.taken, err
}

func (p *play) left() bool {
	for s, events := range p.world.shards {
		if p.now.next[s] < len(events) {
			return true
		}
	}
	return false
}

// open makes an operator with the committed state.
func (p *play) open() error {
	p.op = p.query.New()
	if p.spills {
		p.drawer.Keep(p.op, 64<<20)
	}
	if l, ok := p.op.(sql.Limited); ok && p.spills {
		l.Limit(1 + p.r.IntN(20))
	}
	for _, name := range p.query.Tables() {
		if err := sql.Use(p.op, name, p.tables[name]); err != nil {
			return err
		}
	}
	if p.now.state == nil {
		return nil
	}
	return p.op.Restore(p.now.state)
}

// read adds the next rows of some shard.
func (p *play) read(n int) error {
	s := p.r.IntN(len(p.world.shards))
	for p.now.next[s] == len(p.world.shards[s]) {
		s = (s + 1) % len(p.world.shards)
	}
	events := p.world.shards[s][p.now.next[s]:]
	events = events[:min(n, len(events))]
	cells := make([][]string, len(events))
	for i, e := range events {
		cells[i] = e.cells
	}
	b, err := sqltest.Batch(p.world.schema, cells, p.r.IntN(2) == 0)
	if err != nil {
		return err
	}
	input := 0
	if len(p.query.Inputs()) > 1 {
		input = p.world.streams[s]
	}
	b.Origin.Input, b.Origin.Shard = input, record.ShardID(s|input<<26)
	b.Origin.Ordinals, b.Origin.Arrivals, b.Watermarks = nil, nil, nil
	for i, e := range events {
		b.Origin.Ordinals = append(b.Origin.Ordinals, record.Ordinal(p.now.next[s]+i))
		b.Origin.Arrivals = append(b.Origin.Arrivals, e.arrival)
		mark := e.mark
		if p.query.ByArrival(0) {
			mark = e.arrival * 1000
		}
		b.Watermarks = append(b.Watermarks, mark)
	}
	t, err := p.op.Add(b)
	if err != nil {
		return err
	}
	if sum := t.Aggregated + t.Filtered + int64(len(t.Late)); sum != int64(len(events)) {
		return fmt.Errorf("%d rows went in, %+v is what became of them", len(events), t)
	}
	p.now.next[s] += len(events)
	c := &p.now.taken
	*c = tally{c.read + int64(len(events)), c.aggregated + t.Aggregated, c.filtered + t.Filtered, c.late + int64(len(t.Late))}
	return nil
}

// mark is the watermark of the stream: the lowest of its shards, none as long as one has not begun.
func (p *play) mark() int64 {
	low := int64(column.MaxWatermark)
	for s, events := range p.world.shards {
		latest := int64(column.MinWatermark)
		for _, e := range events[:p.now.next[s]] {
			switch {
			case p.query.ByArrival(0):
				latest = max(latest, e.arrival*1000)
			case e.timed:
				latest = max(latest, e.at-p.world.delay)
			}
		}
		low = min(low, latest)
	}
	return low
}

// disturb commits, with or without a look at which windows are over, kills, or takes memory away.
func (p *play) disturb() error {
	switch n := p.r.IntN(16); {
	case n < 3:
		if err := p.emit(p.mark()); err != nil {
			return err
		}
		return p.commit()
	case n < 5 && p.query.Windowed():
		return p.commit()
	case n < 7 && p.kills < 6:
		return p.kill()
	case n == 7 && p.kills < 6:
		// Killed between the rows of a chunk and its commit.
		if err := p.emit(p.mark()); err != nil {
			return err
		}
		return p.kill()
	case n < 10 && p.spills:
		return sqltest.Shed(p.op, 0)
	}
	return nil
}

func (p *play) emit(mark int64) error {
	for p.op.Ready(mark) {
		b, err := p.op.Emit(mark)
		if err != nil {
			return err
		}
		p.now.rows = append(p.now.rows, sqltest.CellsOf(b, deep)...)
	}
	b, err := p.op.Emit(mark)
	if rows := sqltest.CellsOf(b, deep); err == nil && len(rows) > 0 {
		err = fmt.Errorf("%d rows came although Ready said no", len(rows))
	}
	return err
}

func (p *play) commit() error {
	if p.query.Windowed() {
		var err error
		if p.now.state, err = p.drawer.Snapshot(p.op); err != nil {
			return err
		}
	}
	p.commitHere()
	return nil
}

func (p *play) commitHere() {
	p.committed = p.now
	p.committed.next, p.committed.rows = slices.Clone(p.now.next), slices.Clone(p.now.rows)
}

func (p *play) kill() error {
	p.kills++
	p.now = p.committed
	p.now.next, p.now.rows = slices.Clone(p.now.next), slices.Clone(p.now.rows)
	return p.open()
}

// deep is cell for lists and structs as well.
func deep(c *column.Column, i int) string {
	switch {
	case c.IsNull(i):
	case c.Type.Kind == column.List:
		var items []string
		for k := c.Offsets[i]; k < c.Offsets[i+1]; k++ {
			items = append(items, deep(c.Children[0], int(k)))
		}
		return "[" + strings.Join(items, ",") + "]"
	case c.Type.Kind == column.Struct:
		var items []string
		for _, child := range c.Children {
			items = append(items, deep(child, i))
		}
		return "{" + strings.Join(items, ",") + "}"
	}
	return cell(c, i)
}

// deepText is how DuckDB writes v so that it can be compared with deep.
func deepText(t column.Type, v string, depth int) string {
	text := v + "::VARCHAR"
	switch t.Kind {
	case column.Timestamp:
		text = "epoch_us(" + v + ")::VARCHAR"
	case column.UUID:
		text = "replace(" + v + "::VARCHAR, '-', '')"
	case column.List:
		z := fmt.Sprintf("z%d", depth)
		text = "'[' || array_to_string(list_transform(" + v + ", lambda " + z + ": " + deepText(*t.Elem, z, depth+1) + "), ',') || ']'"
	case column.Struct:
		var items []string
		for i := range t.Fields {
			items = append(items, deepText(t.Fields[i].Type, fmt.Sprintf("%s['%s']", v, t.Fields[i].Name), depth))
		}
		text = "CASE WHEN " + v + " IS NOT NULL THEN '{' || " + strings.Join(items, " || ',' || ") + " || '}' END"
	}
	return "coalesce(" + text + ", 'null')"
}
