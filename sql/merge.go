package sql

import (
	"errors"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
)

// mergedPlan is a SELECT over UNION ALL of SELECTs without windows. Rows are merged row by row of a
// stream, so that nothing depends on how those were cut into batches.
type mergedPlan struct {
	terms [][]step
	// inputs is the number of the input of each term.
	inputs []int
	schema *column.Schema
	last   single
}

// merge puts outer on top of a union; false if below is none, or a term of it is not fusable.
func merge(below plan, outer single) (plan, bool) {
	terms := pieces(below)
	if terms == nil {
		return nil, false
	}
	p := &mergedPlan{schema: below.output(), last: outer}
	var read []int
	tops := column.Tops(outer.needs())
	for i, f := range p.schema.Fields {
		if slices.Contains(tops, f.Name) {
			read = append(read, i)
		}
	}
	for _, t := range terms {
		var needs []string
		for _, i := range read {
			needs = append(needs, t.output().Fields[i].Name)
		}
		p.terms = append(p.terms, prune(stagesOf(t), needs))
		p.inputs = append(p.inputs, t.reads()[0].input)
	}
	return p, true
}

// pieces is the terms of a union below whatever passes their rows on one by one, as plans over streams. It is
// nil for a plan that cannot be taken apart like that.
func pieces(p plan) []plan {
	var out []plan
	switch p := p.(type) {
	case *unionPlan:
		for _, t := range p.terms {
			if !fusable(t) {
				return nil
			}
			out = append(out, t)
		}
	case *renamedPlan:
		for _, t := range pieces(p.plan) {
			named := &renamedPlan{plan: t, schema: p.schema}
			if i := t.output().Index(t.eventTime()); i >= 0 {
				named.time = p.schema.Fields[i].Name
			}
			out = append(out, named)
		}
	case *mergedPlan:
		if !fusable(p.last) {
			return nil
		}
		for i, stages := range p.terms {
			stages = slices.Clone(stages)
			// What the first term calls its columns is what the SELECT on top knows.
			last := *stages[len(stages)-1].(*rowPlan)
			last.out.schema = *p.schema
			stages[len(stages)-1] = &last
			out = append(out, &fusedPlan{stages: stages, last: p.last, input: p.inputs[i]})
		}
	}
	return out
}

func (p *mergedPlan) output() *column.Schema { return p.last.output() }
func (p *mergedPlan) eventTime() string      { return p.last.eventTime() }

func (p *mergedPlan) reads() []reading {
	var out []reading
	for i, t := range p.terms {
		out = together(out, reading{input: p.inputs[i], needs: t[0].needs(), windows: p.last.reads()[0].windows})
	}
	return out
}

func (p *mergedPlan) operator() Operator {
	o := &merged{wrapped: wrapped{p.last.operator()}, inputs: p.inputs, schema: p.schema}
	for _, t := range p.terms {
		o.terms = append(o.terms, runners(t))
	}
	return o
}

// merged runs a mergedPlan.
type merged struct {
	wrapped
	terms  [][]runner
	inputs []int
	schema *column.Schema
}

// Add folds in the selected rows of b: what the terms over its input make of them. A row of the stream is
// late if one that was made of it is.
func (o *merged) Add(b *column.Batch) (Taken, error) { return o.add(o.terms, o.Operator, b) }

func (o *merged) divide(l *lanes) []Adder {
	out := divide(o.Operator, l)
	for i, a := range out {
		terms := slices.Clone(o.terms)
		for k := range terms {
			if i > 0 {
				terms[k] = twins(terms[k])
			}
		}
		out[i] = &mergedAdder{of: o, terms: terms, to: a}
	}
	return out
}

// mergedAdder has stages of its own.
type mergedAdder struct {
	of    *merged
	terms [][]runner
	to    Adder
}

// Add folds in the selected rows of b.
func (a *mergedAdder) Add(b *column.Batch) (Taken, error) { return a.of.add(a.terms, a.to, b) }

// add sends rows through terms to an operator.
func (o *merged) add(terms [][]runner, to Adder, b *column.Batch) (Taken, error) {
	parts := make([]made, 0, len(terms))
	for i, stages := range terms {
		if o.inputs[i] != b.Origin.Input {
			continue
		}
		part, from, err := through(stages, b)
		switch {
		case errors.Is(err, errWide):
			return halves(b, func(b *column.Batch) (Taken, error) { return o.add(terms, to, b) })
		case err != nil:
			return Taken{}, err
		}
		parts = append(parts, made{part, from})
	}
	if len(parts) == 1 {
		alone := *parts[0].Batch
		alone.Schema = o.schema
		return addMade(to, b, &alone, parts[0].from)
	}
	rows := selected(b)
	out, from := o.merge(b, parts, rows)
	taken, err := to.Add(out)
	if err != nil {
		return Taken{}, err
	}
	return account(len(rows), out, from, taken), nil
}

// made is rows that a term made of a batch, and which row of that each is of; nil if they are under the
// same numbers.
type made struct {
	*column.Batch
	from []int32
}

// next is the number of the part's k-th row, and which row of the batch that is of; -1 behind the last.
func (m made) next(k int) (row, of int32) {
	switch {
	case k >= m.Selected():
		return -1, -1
	case m.Selection != nil:
		row = m.Selection[k]
	default:
		row = int32(k)
	}
	if m.from != nil {
		return row, m.from[row]
	}
	return row, row
}

// merge is the rows of all terms, and which row of b each is of.
func (o *merged) merge(b *column.Batch, parts []made, rows []int32) (*column.Batch, []int32) {
	columns := builders(o.schema)
	out := &column.Batch{Schema: o.schema, Origin: b.Origin}
	var from []int32
	var ordinals []record.Ordinal
	var arrivals []int64
	next := make([]int, len(parts))
	one := make([]int32, 1)
	for _, r := range rows {
		for i, p := range parts {
			for row, of := p.next(next[i]); of >= 0 && of <= r; row, of = p.next(next[i]) {
				if next[i]++; of < r {
					continue // it is not among the rows
				}
				from = append(from, r)
				one[0] = row
				for k, c := range p.Columns {
					if c != nil {
						columns[k].Rows(c, one)
					}
				}
				if b.Origin.Ordinals != nil {
					ordinals = append(ordinals, b.Origin.Ordinals[r])
				}
				if b.Origin.Arrivals != nil {
					arrivals = append(arrivals, b.Origin.Arrivals[r])
				}
				if b.Watermarks != nil {
					out.Watermarks = append(out.Watermarks, b.Watermarks[r])
				}
			}
		}
	}
	out.Rows, out.Origin.Ordinals, out.Origin.Arrivals = len(from), ordinals, arrivals
	for k, c := range columns {
		var done *column.Column
		if parts[0].Columns[k] != nil {
			done = c.Finish()
		}
		out.Columns = append(out.Columns, done)
	}
	return out, from
}
