package sqldiff

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

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
	// spills is set when state may leave memory.
	spills bool
	// lanes is how many goroutines add rows, each with an adder of its own, until the next kill.
	lanes int
	// look, if there is one, is asked behind each emission.
	look func(p *play, mark int64) error

	op     sql.Operator
	adders []sql.Adder
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
	// late are the ids of late rows, seen is the watermark of the last emission.
	late []string
	seen int64
}

// tally is what became of the rows that were read.
type tally struct{ read, aggregated, filtered, late int64 }

func newPlay(w *world, q *sql.Query, r *rand.Rand) *play {
	return &play{world: w, query: q, r: r, spills: r.IntN(3) == 0, drawer: sqltest.NewDrawer(), now: progress{next: make([]int, len(w.shards)), seen: column.MinWatermark}}
}

// run reads everything and returns all rows.
func (p *play) run() (progress, error) {
	p.commitHere()
	if err := p.open(); err != nil {
		return progress{}, err
	}
	most := []int{1, 7, 60, 1000}[p.r.IntN(4)]
	for p.left() {
		if err := p.read(1 + p.r.IntN(most)); err != nil {
			return progress{}, err
		}
		if err := p.disturb(); err != nil {
			return progress{}, err
		}
	}
	if err := p.emit(column.MaxWatermark); err != nil {
		return progress{}, err
	}
	if p.kills < 6 && p.r.IntN(4) == 0 {
		// The last chunk is lost, too.
		if err := p.kill(); err != nil {
			return progress{}, err
		}
		p.kills = 6
		return p.again()
	}
	return p.now, nil
}

// again reads what is left after a kill at the end, in one go.
func (p *play) again() (progress, error) {
	for p.left() {
		if err := p.read(1000); err != nil {
			return progress{}, err
		}
	}
	err := p.emit(column.MaxWatermark)
	return p.now, err
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
	p.lanes = max(1, p.r.IntN(6)-1)
	p.adders = sql.Adders(p.op, p.lanes)
	for _, name := range p.query.Tables() {
		if err := sql.Use(p.op, name, p.world.tables[name]); err != nil {
			return err
		}
	}
	if p.now.state == nil {
		return nil
	}
	return p.op.Restore(p.now.state)
}

// read adds the next rows of some shards, one for each lane.
func (p *play) read(n int) error {
	var from []int
	for n := 1 + p.r.IntN(p.lanes); n > 0 || len(from) == 0; n-- {
		if s := p.r.IntN(len(p.world.shards)); !slices.Contains(from, s) && p.now.next[s] < len(p.world.shards[s]) {
			from = append(from, s)
		}
	}
	var batches []*column.Batch
	for _, s := range from {
		b, err := p.batch(s, min(n, len(p.world.shards[s])-p.now.next[s]))
		if err != nil {
			return err
		}
		batches = append(batches, b)
	}
	order := p.r.Perm(p.lanes)
	taken, errs := make([]sql.Taken, len(batches)), make([]error, len(batches))
	var wg sync.WaitGroup
	for i, b := range batches {
		wg.Go(func() { taken[i], errs[i] = p.adders[order[i]].Add(b) })
	}
	wg.Wait()
	for i, s := range from {
		if errs[i] != nil {
			return errs[i]
		}
		if err := p.account(s, batches[i].Rows, taken[i]); err != nil {
			return err
		}
	}
	return nil
}

// batch is the next rows of a shard.
func (p *play) batch(s, n int) (*column.Batch, error) {
	events := p.world.shards[s][p.now.next[s]:][:n]
	cells := make([][]string, len(events))
	for i, e := range events {
		cells[i] = e.cells
	}
	b, err := sqltest.Batch(p.world.schema, cells, p.r.IntN(2) == 0)
	if err != nil {
		return nil, err
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
	return b, nil
}

// account takes down what became of the next n rows of a shard.
func (p *play) account(s, n int, t sql.Taken) error {
	if sum := t.Aggregated + t.Filtered + int64(len(t.Late)); sum != int64(n) {
		return fmt.Errorf("%d rows went in, %+v is what became of them", n, t)
	}
	for _, i := range t.Late {
		p.now.late = append(p.now.late, p.world.shards[s][p.now.next[s]+int(i)].cells[1])
	}
	p.now.next[s] += n
	c := &p.now.taken
	*c = tally{c.read + int64(n), c.aggregated + t.Aggregated, c.filtered + t.Filtered, c.late + int64(len(t.Late))}
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
	if err == nil && p.look != nil {
		err = p.look(p, mark)
	}
	p.now.seen = max(p.now.seen, mark)
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

func (p *play) commitHere() { p.committed = p.now.clone() }

func (n progress) clone() progress {
	n.next, n.rows, n.late = slices.Clone(n.next), slices.Clone(n.rows), slices.Clone(n.late)
	return n
}

func (p *play) kill() error {
	p.kills++
	p.now = p.committed.clone()
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
