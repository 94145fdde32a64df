package sql

import (
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
)

// reading is what a plan reads of an input of the query.
type reading struct {
	// input is its number, the place among Query.Inputs; noInput for rows of a sub-query.
	input int
	// needs are columns, or fields within them (column.Within).
	needs   []string
	windows timing
}

const noInput = -1

// timing is what windows over an input go by.
type timing uint8

const (
	byEvent timing = 1 << iota
	byArrival
)

// together adds readings to others, of which there is one for each input.
func together(known []reading, more ...reading) []reading {
	for _, r := range more {
		i := slices.IndexFunc(known, func(k reading) bool { return k.input == r.input })
		if i < 0 {
			r.needs = slices.Clone(r.needs)
			known = append(known, r)
			continue
		}
		known[i].needs = with(known[i].needs, r.needs...)
		known[i].windows |= r.windows
	}
	return known
}

// with adds needs to others; what is within a column that is read as a whole adds nothing.
func with(known []string, more ...string) []string {
	for _, n := range more {
		if !slices.Contains(known, n) && !slices.Contains(known, column.Top(n)) {
			known = append(known, n)
		}
	}
	return known
}

// maxInputs is how many streams a statement may read. Each is read and decoded for itself, with memory of
// its own.
const maxInputs = 16

// number is the number of a stream among those that the statement reads.
func (c *composer) number(t *ast.Table) (int, error) {
	if i := slices.Index(c.inputs, t.Name); i >= 0 {
		return i, nil
	}
	if len(c.inputs) == maxInputs {
		return 0, t.Errorf("this statement reads more than %d streams; write queries that insert into the same stream for some of them", maxInputs)
	}
	c.inputs = append(c.inputs, t.Name)
	return len(c.inputs) - 1, nil
}

// namesOf is what the inputs of a plan are called.
func (c *composer) namesOf(p plan) string {
	var names []string
	for _, r := range p.reads() {
		names = append(names, c.inputs[r.input])
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// oneTime refuses a statement whose windows over an input go by different times, since that has one watermark.
func (c *composer) oneTime(at ast.Pos, p plan) error {
	for _, r := range p.reads() {
		if r.windows == byEvent|byArrival {
			return at.Errorf("windows over %q go by its event time and by %s, but a query has one watermark for it; write a query for each", c.inputs[r.input], arrivalTime)
		}
	}
	return nil
}

// Inputs are the streams, transforms and queries that the query reads, each once, in the order in which
// they were met. The place of one is the Input of the batches that are of it.
func (q *Query) Inputs() []string { return q.inputs }

// Needs is what the query reads of an input: columns, or fields within them (column.Within).
func (q *Query) Needs(input int) []string { return q.reading(input).needs }

// ByArrival reports whether windows over an input go by when its records arrived, so that its watermarks
// must, too.
func (q *Query) ByArrival(input int) bool { return q.reading(input).windows == byArrival }

// reading is what is read of an input.
func (q *Query) reading(input int) reading {
	for _, r := range q.plan.reads() {
		if r.input == input {
			return r
		}
	}
	return reading{}
}
