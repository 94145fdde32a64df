package sql

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/agg"
	"github.com/millrace-io/millrace/sql/expr"
)

// mostJoined is how many rows a batch becomes at most; one that would become more comes in parts.
const mostJoined = 1 << 16

// errNoTable is a join whose table was not set, which is a mistake of the program.
var errNoTable = errors.New("a reference table is not there")

// joiner runs a joinStep. It holds memory that is used again.
type joiner struct {
	plan       *joinStep
	keys       []*expr.Program
	ours, rest *expr.Program

	// table is the rows of the table, found by index.
	table *column.Batch
	index *agg.Index
	probe *agg.Probe
	// twins join with the same table.
	twins []*joiner

	keyColumns []*column.Column
	all        []int32 // 0, 1, 2, …
	chosen     []int32
	passed     []int32
	// first is the table's row for each row of the batch, or -1.
	first []int32
	// of and to are pairs of rows of the batch and of the table.
	of, to  []int32
	pairs   pickers
	picked  pickers
	out     column.Batch
	origins origins
}

func (p *joinStep) runner() runner { return newJoiner(p) }

func newJoiner(p *joinStep) *joiner {
	j := &joiner{plan: p, keys: clones(p.keys), keyColumns: make([]*column.Column, len(p.keys))}
	if p.ours != nil {
		j.ours = p.ours.Clone()
	}
	if p.rest != nil {
		j.rest = p.rest.Clone()
	}
	n := len(p.out.Fields)
	j.pairs, j.picked = make(pickers, n), make(pickers, n)
	return j
}

// use sets the rows of the table.
func (j *joiner) use(table *column.Batch) error {
	p := j.plan
	// As behind the columns of the stream, where the programs find them.
	view := &column.Batch{Schema: p.out, Rows: table.Rows, Columns: make([]*column.Column, len(p.in.Fields), len(p.out.Fields))}
	view.Columns = append(view.Columns, table.Columns...)
	rows := upTo(table.Rows)
	if p.only != nil {
		var err error
		if rows, err = p.only.Clone().Select(view, nil); err != nil {
			return fmt.Errorf("evaluate ON for table %q: %w", p.table, err)
		}
	}
	var keys []*column.Column
	for _, q := range clones(p.theirs) {
		c, err := q.Eval(view)
		if err != nil {
			return fmt.Errorf("evaluate ON for table %q: %w", p.table, err)
		}
		keys = append(keys, c)
	}
	j.share(table, p.layout.Index(keys, rows, table.Rows))
	return nil
}

// share sets the rows of the table with their index, also for the twins.
func (j *joiner) share(table *column.Batch, index *agg.Index) {
	j.table, j.index, j.probe = table, index, agg.NewProbe(index)
	for _, t := range j.twins {
		t.share(table, index)
	}
}

func (j *joiner) twin() runner {
	t := newJoiner(j.plan)
	if j.twins = append(j.twins, t); j.table != nil {
		t.share(j.table, j.index)
	}
	return t
}

// apply joins the rows of a batch.
func (j *joiner) apply(b *column.Batch) (*column.Batch, []int32, error) {
	return j.match(b, mostJoined)
}

// match is apply for any number of rows up to most.
func (j *joiner) match(b *column.Batch, most int) (*column.Batch, []int32, error) {
	if j.table == nil {
		return nil, nil, fmt.Errorf("join %q: %w", j.plan.table, errNoTable)
	}
	rows := b.Selection
	for len(j.all) < b.Rows {
		j.all = append(j.all, int32(len(j.all)))
	}
	if rows == nil {
		rows = j.all[:b.Rows]
	}
	if err := j.find(b, rows); err != nil {
		return nil, nil, err
	}
	single := j.index.Unique() || !slices.ContainsFunc(rows, func(r int32) bool { return j.first[r] >= 0 && j.index.Next(j.first[r]) >= 0 })
	if single && j.rest == nil {
		return j.narrow(b, rows), nil, nil
	}
	if !j.pair(rows, most) && len(rows) > 1 {
		return nil, nil, errWide
	}
	if err := j.restrict(b); err != nil {
		return nil, nil, err
	}
	if single = oncePerRow(j.of); single {
		for _, r := range rows {
			j.first[r] = -1
		}
		for k, r := range j.of {
			j.first[r] = j.to[k]
		}
		return j.narrow(b, rows), nil, nil
	}
	if j.plan.left {
		j.unmatched(rows)
	}
	out := j.widen(b)
	return out, j.of, nil
}

// find sets first for some rows of a batch.
func (j *joiner) find(b *column.Batch, rows []int32) error {
	if cap(j.first) < b.Rows {
		j.first = make([]int32, b.Rows+b.Rows/8)
	}
	j.first = j.first[:b.Rows]
	if j.ours != nil {
		for _, r := range rows {
			j.first[r] = -1
		}
		var err error
		if j.passed, err = j.ours.Select(b, j.passed[:0]); err != nil {
			return fmt.Errorf("evaluate ON: %w", err)
		}
		rows = j.passed
	}
	view := b.With(rows)
	for i, q := range j.keys {
		c, err := q.Eval(view)
		if err != nil {
			return fmt.Errorf("evaluate ON: %w", err)
		}
		j.keyColumns[i] = c
	}
	j.probe.First(j.keyColumns, rows, j.first)
	return nil
}

// pair lists the rows with all that they match. It returns false if those are more than most.
func (j *joiner) pair(rows []int32, most int) bool {
	j.of, j.to = j.of[:0], j.to[:0]
	for _, r := range rows {
		for t := j.first[r]; t >= 0; t = j.index.Next(t) {
			j.of, j.to = append(j.of, r), append(j.to, t)
		}
		if len(j.of) > most && len(rows) > 1 {
			return false
		}
	}
	return true
}

// restrict leaves the pairs for which the conditions on both sides are true.
func (j *joiner) restrict(b *column.Batch) error {
	if j.rest == nil || len(j.of) == 0 {
		return nil
	}
	view := &column.Batch{Schema: j.plan.out, Rows: len(j.of), Columns: make([]*column.Column, len(j.plan.out.Fields))}
	for len(j.all) < len(j.of) {
		j.all = append(j.all, int32(len(j.all)))
	}
	for _, f := range j.rest.Needs() {
		view.Columns[f] = j.pick(&j.pairs[f], b, f, j.all[:len(j.of)], len(j.of))
	}
	passed, err := j.rest.Select(view, j.chosen[:0])
	if err != nil {
		return fmt.Errorf("evaluate ON: %w", err)
	}
	j.chosen = passed
	for k, i := range passed {
		j.of[k], j.to[k] = j.of[i], j.to[i]
	}
	j.of, j.to = j.of[:len(passed)], j.to[:len(passed)]
	return nil
}

// pick is column f of out for the pairs.
func (j *joiner) pick(p *picker, b *column.Batch, f int, rows []int32, n int) *column.Column {
	if f < len(j.plan.in.Fields) {
		return p.pick(b.Columns[f], j.of, rows, n)
	}
	return p.pick(j.table.Columns[f-len(j.plan.in.Fields)], j.to, rows, n)
}

func oncePerRow(of []int32) bool {
	for i := 1; i < len(of); i++ {
		if of[i] == of[i-1] {
			return false
		}
	}
	return true
}

// unmatched puts the rows that match none among the pairs.
func (j *joiner) unmatched(rows []int32) {
	missing := len(rows) - len(slices.Compact(slices.Clone(j.of)))
	if missing == 0 {
		return
	}
	of, to := j.of, j.to
	j.of = append(make([]int32, 0, len(of)+missing), of...)[:0]
	j.to = make([]int32, 0, len(of)+missing)
	k := 0
	for _, r := range rows {
		if k == len(of) || of[k] != r {
			j.of, j.to = append(j.of, r), append(j.to, -1)
		}
		for ; k < len(of) && of[k] == r; k++ {
			j.of, j.to = append(j.of, r), append(j.to, to[k])
		}
	}
}

// narrow is the batch with the columns of the table's row for each of its own.
func (j *joiner) narrow(b *column.Batch, rows []int32) *column.Batch {
	columns := j.out.Columns[:0]
	j.out = *b
	j.out.Schema = j.plan.out
	if !j.plan.left {
		j.chosen = j.chosen[:0]
		if j.chosen == nil {
			j.chosen = []int32{}
		}
		for _, r := range rows {
			if j.first[r] >= 0 {
				j.chosen = append(j.chosen, r)
			}
		}
		rows = j.chosen
		j.out.Selection = rows
	}
	columns = append(columns, b.Columns...)
	for i, c := range j.table.Columns {
		f := len(j.plan.in.Fields) + i
		if j.plan.wanted != nil && !j.plan.wanted[f] {
			columns = append(columns, nil)
			continue
		}
		columns = append(columns, j.picked[f].pick(c, j.first, rows, b.Rows))
	}
	j.out.Columns = columns
	return &j.out
}

// widen is a batch of the pairs.
func (j *joiner) widen(b *column.Batch) *column.Batch {
	n := len(j.of)
	for len(j.all) < n {
		j.all = append(j.all, int32(len(j.all)))
	}
	columns := j.out.Columns[:0]
	j.out = column.Batch{Schema: j.plan.out, Rows: n, Origin: b.Origin}
	for f := range j.plan.out.Fields {
		unread := j.plan.wanted != nil && !j.plan.wanted[f] || f < len(b.Columns) && b.Columns[f] == nil
		if unread {
			columns = append(columns, nil)
			continue
		}
		columns = append(columns, j.pick(&j.picked[f], b, f, j.all[:n], n))
	}
	j.out.Columns = columns
	j.origins.spread(&j.out, b, j.of)
	return &j.out
}

// gather is the values at some places, in the memory of dst.
func gather[T any](dst, values []T, at []int32) []T {
	dst = dst[:0]
	for _, i := range at {
		dst = append(dst, values[i])
	}
	return dst
}
