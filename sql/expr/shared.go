package expr

import (
	"fmt"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
)

// Shared finds functions that several expressions of a SELECT call with the same arguments, such as one that
// WHERE asks about and the select list returns. Together runs programs so that they are computed once.
type Shared struct{ calls map[string]*memo }

// NewShared is for the expressions over one input.
func NewShared() *Shared { return &Shared{calls: make(map[string]*memo)} }

// memo is a call that may stand in several places, with what it does in one of them.
type memo struct {
	call *scalar
	// places is in how many it stands.
	places int
}

// shared is what stands for a call that was compiled to n: the same for the same call of the same fields, of
// which c.read has those from reads on.
func (c *compiler) shared(e *ast.Call, n node, reads int) node {
	call, ok := n.(*scalar)
	if !ok || c.scope.Shared == nil || hasCompiled(e) {
		return n
	}
	key := fmt.Sprint(ast.Format(e), c.read[reads:])
	m := c.scope.Shared.calls[key]
	if m == nil {
		m = &memo{call: call}
		c.scope.Shared.calls[key] = m
	}
	m.places++
	c.memos = true
	return m
}

// hasCompiled reports whether a part of e has no text of its own.
func hasCompiled(e ast.Expr) bool {
	if _, ok := e.(*compiled); ok {
		return true
	}
	for _, x := range ast.Children(e) {
		if hasCompiled(x) {
			return true
		}
	}
	return false
}

func (m *memo) typ() column.Type { return m.call.t }

func (m *memo) eval(x *exec) *column.Column {
	if m.places == 1 || x.results == nil {
		return m.call.eval(x)
	}
	r := x.results.of[m]
	if r == nil {
		r = new(result)
		x.results.of[m] = r
	}
	c := &r.col
	if !r.covers(x.sel) {
		c = m.call.eval(x)
		if x.err == nil && !r.known {
			r.learn(c, x.sel)
		}
	}
	// A copy, since whoever gets a column may give it back.
	t := x.temp(m.call.t)
	t.col = *c
	return &t.col
}

// results are those of the calls that programs share, in the current batch.
type results struct {
	of map[*memo]*result
	// first is the program that begins a batch.
	first *exec
}

// result is what a call came to for the rows that done has a bit for, if known.
type result struct {
	known bool
	col   column.Column
	done  []uint64
}

func (r *results) forget() {
	for _, one := range r.of {
		one.known = false
	}
}

func (r *result) learn(c *column.Column, rows []int32) {
	r.known, r.col = true, *c
	r.done = sized(r.done, c.Len/64+1)
	clear(r.done)
	for _, i := range rows {
		r.done[i>>6] |= 1 << (i & 63)
	}
}

func (r *result) covers(rows []int32) bool {
	if !r.known {
		return false
	}
	all := uint64(1)
	for _, i := range rows {
		all &= r.done[i>>6] >> (i & 63)
	}
	return all == 1
}

// Together is programs like those in the lists for another goroutine, which compute what they share once per
// batch. They must be evaluated in their order for each batch, from the first one on; it does no harm to stop before the
// last. A column is valid until the first of them is evaluated for another batch. Programs may be nil.
func Together(lists ...[]*Program) [][]*Program {
	shared := &results{of: make(map[*memo]*result)}
	out := make([][]*Program, len(lists))
	for i, programs := range lists {
		out[i] = make([]*Program, len(programs))
		for k, p := range programs {
			if p == nil {
				continue
			}
			q := p.Clone()
			if out[i][k] = q; !p.memos {
				continue
			}
			q.x.results = shared
			if shared.first == nil {
				shared.first = &q.x
			}
		}
	}
	return out
}
