package sql

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
	"github.com/millrace-io/millrace/sql/expr"
)

// fusedPlan is a SELECT over joins and sub-queries without windows: each batch goes through these
// before the operator of the last, which sees the rows of the stream with their origin.
type fusedPlan struct {
	stages []step
	last   single
	// input is the number of what rows are of.
	input int
}

// step is what rows of a stream go through one by one.
type step interface {
	// needs is what is read of its input: columns, or fields within them (column.Within).
	needs() []string
	// needed is the step for what is read of its output, in the same way.
	needed(of []string) step
	runner() runner
}

// runner runs a step.
type runner interface {
	// apply returns the rows that are left, valid until the next call, and which row of b each is of:
	// nil if they are under the same numbers. Error: errWide.
	apply(b *column.Batch) (*column.Batch, []int32, error)
	// twin is the same for another goroutine.
	twin() runner
}

func runners(stages []step) []runner {
	out := make([]runner, len(stages))
	for i, s := range stages {
		out[i] = s.runner()
	}
	return out
}

// twins are the same steps for another goroutine.
func twins(stages []runner) []runner {
	out := make([]runner, len(stages))
	for i, s := range stages {
		out[i] = s.twin()
	}
	return out
}

// errWide says that a batch must come in smaller ones, since too many rows would be made of it.
var errWide = errors.New("too many rows for one batch")

// stagesOf is the steps of a plan that is fusable, the first one first; the last one is a SELECT.
func stagesOf(p plan) []step {
	switch p := p.(type) {
	case *fusedPlan:
		return append(slices.Clone(p.stages), stagesOf(p.last)...)
	case *renamedPlan:
		stages := stagesOf(p.plan)
		last := *stages[len(stages)-1].(*rowPlan)
		last.out.schema, last.time = p.schema, p.time
		return append(stages[:len(stages)-1], &last)
	}
	return []step{p.(*rowPlan)}
}

// prune leaves what is needed of the columns of stages.
func prune(stages []step, needs []string) []step {
	stages = slices.Clone(stages)
	for i := len(stages) - 1; i >= 0; i-- {
		stages[i] = stages[i].needed(needs)
		needs = stages[i].needs()
	}
	return stages
}

// fuse puts outer on top of steps that rows of an input go through.
func fuse(input int, stages []step, outer single) single {
	return &fusedPlan{stages: prune(stages, outer.needs()), last: outer, input: input}
}

func (p *fusedPlan) output() *column.Schema { return p.last.output() }
func (p *fusedPlan) eventTime() string      { return p.last.eventTime() }
func (p *fusedPlan) needs() []string        { return p.stages[0].needs() }

func (p *fusedPlan) reads() []reading {
	return []reading{{input: p.input, needs: p.needs(), windows: p.last.reads()[0].windows}}
}

func (p *fusedPlan) operator() Operator {
	return &fused{wrapped: wrapped{p.last.operator()}, stages: runners(p.stages)}
}

func (p *rowPlan) runner() runner { return newProjection(p) }

// projection computes the columns of a SELECT without windows for the rows that pass its condition.
type projection struct {
	plan   *rowPlan
	where  *expr.Program
	items  []*expr.Program
	chosen []int32
	out    column.Batch
}

func newProjection(p *rowPlan) *projection {
	all := expr.Together([]*expr.Program{p.where}, p.items)
	s := &projection{plan: p, where: all[0][0], items: all[1]}
	s.out.Columns = make([]*column.Column, len(p.items))
	return s
}

func (s *projection) twin() runner { return newProjection(s.plan) }

// apply returns the rows that are left, under the same numbers.
func (s *projection) apply(b *column.Batch) (*column.Batch, []int32, error) {
	columns := s.out.Columns
	s.out = *b
	s.out.Columns = columns
	if s.where != nil {
		var err error
		if s.chosen, err = s.where.Select(b, s.chosen[:0]); err != nil {
			return nil, nil, fmt.Errorf("evaluate WHERE: %w", err)
		}
		s.out.Selection = s.chosen
	}
	view := b.With(s.out.Selection)
	for i, p := range s.items {
		columns[i] = nil
		if p == nil {
			continue
		}
		c, err := p.Eval(view)
		if err != nil {
			return nil, nil, fmt.Errorf("evaluate column %q: %w", s.plan.out.schema.Fields[i].Name, err)
		}
		columns[i] = c
	}
	s.out.Schema = &s.plan.out.schema
	return &s.out, nil, nil
}

// through sends a batch through steps, one behind the other.
func through(stages []runner, b *column.Batch) (*column.Batch, []int32, error) {
	var from []int32
	for _, s := range stages {
		out, of, err := s.apply(b)
		if err != nil {
			return nil, nil, err
		}
		switch {
		case of != nil && from != nil:
			for i, r := range of {
				of[i] = from[r]
			}
			from = of
		case of != nil:
			from = of
		}
		b = out
	}
	return b, from, nil
}

// halves adds the rows of a batch as two smaller ones.
func halves(b *column.Batch, add func(b *column.Batch) (Taken, error)) (Taken, error) {
	rows := selected(b)
	var sum Taken
	for _, half := range [][]int32{rows[:len(rows)/2], rows[len(rows)/2:]} {
		taken, err := add(b.With(half))
		if err != nil {
			return sum, err
		}
		sum.Aggregated, sum.Filtered = sum.Aggregated+taken.Aggregated, sum.Filtered+taken.Filtered
		sum.Late = append(sum.Late, taken.Late...)
	}
	return sum, nil
}

// noTime counts a row that cannot be put in a window.
func (t *Taken) noTime(row int32) {
	t.Filtered++
	t.untimed = append(t.untimed, row)
}

// account says what became of some rows of which others were made that an operator took; from is which row each
// of made is of, and ascends. A row is late if one that was made of it is, and filtered if none is left.
func account(rows int, made *column.Batch, from []int32, taken Taken) Taken {
	all := made.Selection
	if all == nil {
		all = upTo(made.Rows)
	}
	none := taken.Filtered == int64(len(all))
	of, late, left := int32(-1), false, false
	sum := Taken{}
	settle := func() {
		switch {
		case late:
			sum.Late = append(sum.Late, of)
		case left:
			sum.Aggregated++
		}
	}
	for _, r := range all {
		if from[r] != of {
			settle()
			of, late, left = from[r], false, false
		}
		chosen := taken.chosen == nil && !none || first(&taken.chosen, r)
		switch {
		case first(&taken.Late, r):
			late = true
		case chosen && !first(&taken.untimed, r):
			left = true
		}
	}
	settle()
	sum.Filtered = int64(rows-len(sum.Late)) - sum.Aggregated
	return sum
}

// first takes a row off the front of a list, if it is there.
func first(list *[]int32, row int32) bool {
	if len(*list) == 0 || (*list)[0] != row {
		return false
	}
	*list = (*list)[1:]
	return true
}

// fused runs a fusedPlan: Add sends rows through the stages, all else is the last operator's.
type fused struct {
	wrapped
	stages []runner
}

// Add folds in the selected rows of b.
func (o *fused) Add(b *column.Batch) (Taken, error) { return addFused(o.stages, o.Operator, b) }

func (o *fused) divide(l *lanes) []Adder {
	out := divide(o.Operator, l)
	for i, a := range out {
		stages := o.stages
		if i > 0 {
			stages = twins(stages)
		}
		out[i] = &fusedAdder{stages: stages, to: a}
	}
	return out
}

// fusedAdder has stages of its own.
type fusedAdder struct {
	stages []runner
	to     Adder
}

// Add folds in the selected rows of b.
func (a *fusedAdder) Add(b *column.Batch) (Taken, error) { return addFused(a.stages, a.to, b) }

// addFused sends rows through stages to an operator.
func addFused(stages []runner, to Adder, b *column.Batch) (Taken, error) {
	out, from, err := through(stages, b)
	switch {
	case errors.Is(err, errWide):
		return halves(b, func(b *column.Batch) (Taken, error) { return addFused(stages, to, b) })
	case err != nil:
		return Taken{}, err
	}
	return addMade(to, b, out, from)
}

// addMade adds to an operator what steps made of a batch, and says what became of that; from is which row
// of b each is of, nil if they are under the same numbers.
func addMade(to Adder, b, out *column.Batch, from []int32) (Taken, error) {
	taken, err := to.Add(out)
	if from == nil {
		taken.Filtered += int64(b.Selected() - out.Selected())
		return taken, err
	}
	return account(b.Selected(), out, from, taken), err
}

// afterPlan is a SELECT without windows over rows that leave windows.
type afterPlan struct {
	below plan
	rows  *rowPlan
}

func (p *afterPlan) output() *column.Schema { return p.rows.output() }
func (p *afterPlan) eventTime() string      { return p.rows.eventTime() }
func (p *afterPlan) reads() []reading       { return p.below.reads() }

func (p *afterPlan) operator() Operator {
	return &after{wrapped: wrapped{p.below.operator()}, rows: newProjection(p.rows)}
}

// after computes columns of what another operator emits.
type after struct {
	wrapped
	rows *projection
}

// Emit returns what is left of the rows of the operator below, valid until the next call.
func (o *after) Emit(watermark int64) (*column.Batch, error) {
	b, err := o.Operator.Emit(watermark)
	if err != nil || b == nil {
		return nil, err
	}
	left, _, err := o.rows.apply(b)
	if err != nil {
		return nil, err
	}
	if left.Selection == nil && left.Rows > 0 {
		return left, nil
	}
	return compact(left), nil
}

// compact copies the selected rows of b; nil if there are none.
func compact(b *column.Batch) *column.Batch {
	rows := selected(b)
	if len(rows) == 0 {
		return nil
	}
	columns := make([]*build.Column, len(b.Columns))
	for i, c := range b.Columns {
		columns[i] = build.New(c.Type)
		columns[i].Rows(c, rows)
	}
	return build.Batch(b.Schema, columns)
}

// selected are the rows of b that are still in.
func selected(b *column.Batch) []int32 {
	if b.Selection != nil {
		return b.Selection
	}
	return upTo(b.Rows)
}

// upTo is 0, 1, … n-1.
func upTo(n int) []int32 {
	all := make([]int32, n)
	for i := range all {
		all[i] = int32(i)
	}
	return all
}

// renamedPlan gives the columns of a plan other names.
type renamedPlan struct {
	plan
	schema column.Schema
	time   string
}

func (p *renamedPlan) output() *column.Schema { return &p.schema }
func (p *renamedPlan) eventTime() string      { return p.time }

func (p *renamedPlan) operator() Operator {
	return &renamed{wrapped: wrapped{p.plan.operator()}, schema: &p.schema}
}

type renamed struct {
	wrapped
	schema *column.Schema
}

// Emit returns the rows of the operator below under other names.
func (o *renamed) Emit(watermark int64) (*column.Batch, error) {
	b, err := o.Operator.Emit(watermark)
	if b != nil {
		b.Schema = o.schema
	}
	return b, err
}

// wrapped is an operator around another one, of which it passes on what is optional.
type wrapped struct{ Operator }

func (o wrapped) divide(l *lanes) []Adder { return divide(o.Operator, l) }

// Open is what is open in the operator within.
func (o wrapped) Open() Open { return openOf(o.Operator) }
