package sql

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/agg"
)

// chainedPlan is a SELECT with windows over a sub-query with windows. What leaves the windows below
// goes into those above at once, in the order in which it leaves, and is part of the same snapshot.
type chainedPlan struct{ below, last plan }

func (p *chainedPlan) output() *column.Schema { return p.last.output() }
func (p *chainedPlan) eventTime() string      { return p.last.eventTime() }
func (p *chainedPlan) reads() []reading       { return p.below.reads() }

func (p *chainedPlan) operator() Operator {
	return &chained{below: p.below.operator(), last: p.last.operator()}
}

// frontier is what an operator says of the rows that it has yet to emit.
type frontier interface {
	// frontier is the least event time of rows that are emitted after a watermark, if leave was called
	// with it.
	frontier(watermark int64) int64
	// leave makes rows late that would give emitted rows of an earlier time.
	leave(watermark int64)
}

// inner is the operator in those that only change rows on their way in and out.
func inner(o Operator) Operator {
	for {
		switch w := o.(type) {
		case *fused:
			o = w.Operator
		case *merged:
			o = w.Operator
		case *after:
			o = w.Operator
		case *unnested:
			o = w.Operator
		case *looked:
			o = w.Operator
		case *renamed:
			o = w.Operator
		case *shaped:
			o = w.Operator
		case *numbered:
			o = w.Operator
		default:
			return o
		}
	}
}

// frontierOf is the frontier of an operator, nil if it has none.
func frontierOf(o Operator) frontier {
	o = inner(o)
	switch w := o.(type) {
	case *chained:
		if frontierOf(w.last) == nil {
			return nil
		}
	case *union:
		if slices.ContainsFunc(w.terms, func(t Operator) bool { return frontierOf(t) == nil }) {
			return nil
		}
	}
	f, _ := o.(frontier)
	return f
}

// chained runs a chainedPlan.
type chained struct{ below, last Operator }

// Add folds in the selected rows of b.
func (o *chained) Add(b *column.Batch) (Taken, error) { return o.below.Add(b) }

// divide is of the windows below; those above get their rows from Emit.
func (o *chained) divide(l *lanes) []Adder {
	divide(o.last, l)
	return divide(o.below, l)
}

// Ready reports whether windows below or above close.
func (o *chained) Ready(watermark int64) bool {
	return o.below.Ready(watermark) || o.last.Ready(o.time(watermark))
}

// time is the watermark of the windows above.
func (o *chained) time(watermark int64) int64 {
	if watermark == column.MaxWatermark {
		return watermark
	}
	return frontierOf(o.below).frontier(watermark)
}

// frontier is that of the windows above.
func (o *chained) frontier(watermark int64) int64 {
	return frontierOf(o.last).frontier(o.time(watermark))
}

func (o *chained) leave(watermark int64) {
	frontierOf(o.below).leave(watermark)
	frontierOf(o.last).leave(o.time(watermark))
}

// Emit sends the rows of the windows below that are complete to those above, and returns those that
// complete there.
func (o *chained) Emit(watermark int64) (*column.Batch, error) {
	if !o.Ready(watermark) {
		return nil, nil
	}
	b, err := o.below.Emit(watermark)
	if err != nil {
		return nil, err
	}
	if b != nil {
		b.Watermarks = nil
		taken, err := o.last.Add(b)
		if err != nil {
			return nil, err
		}
		if len(taken.Late) > 0 {
			return nil, fmt.Errorf("%d rows of a sub-query are behind its watermark", len(taken.Late))
		}
	}
	if watermark != column.MaxWatermark {
		frontierOf(o.below).leave(watermark)
	}
	return o.last.Emit(o.time(watermark))
}

// Snapshot encodes the states of both, the lower one first with its length before it.
func (o *chained) Snapshot() ([]byte, error) {
	below, err := o.below.Snapshot()
	if err != nil {
		return nil, err
	}
	last, err := o.last.Snapshot()
	if err != nil {
		return nil, err
	}
	out := binary.AppendUvarint([]byte{chainVersion}, uint64(len(below)))
	return append(append(out, below...), last...), nil
}

// chainVersion is the first byte of the snapshot of operators that hold others.
const chainVersion = 0x81

// Restore sets both states.
func (o *chained) Restore(snapshot []byte) error {
	parts, err := split(snapshot, 2)
	if err != nil {
		return err
	}
	if err := o.below.Restore(parts[0]); err != nil {
		return err
	}
	return o.last.Restore(parts[1])
}

// split takes the states of n operators apart; all but the last have their length before them.
func split(snapshot []byte, n int) ([][]byte, error) {
	if len(snapshot) == 0 {
		return make([][]byte, n), nil
	}
	r := agg.NewReader(snapshot)
	if v := r.Bytes(1, "version"); v[0] != chainVersion {
		return nil, ErrChanged
	}
	var parts [][]byte
	for range n - 1 {
		parts = append(parts, r.Bytes(r.Count("state"), "state"))
	}
	parts = append(parts, r.Bytes(r.Rest(), "state"))
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("restore a query with sub-queries: %w", err)
	}
	return parts, nil
}

// Open is what is open in both.
func (o *chained) Open() Open { return openOf(o.below).plus(openOf(o.last)) }

// openOf is what is open in an operator, nothing if it does not tell.
func openOf(o Operator) Open {
	if w, ok := o.(Watched); ok {
		return w.Open()
	}
	return Open{Closes: column.MaxWatermark}
}

func (o Open) plus(p Open) Open {
	return Open{Windows: o.Windows + p.Windows, Rows: o.Rows + p.Rows, Closes: min(o.Closes, p.Closes)}
}

// Memory is that of both.
func (o *chained) Memory() int64 { return o.below.Memory() + o.last.Memory() }

// frontier is the start of the first window that is still open.
func (o *panes) frontier(watermark int64) int64 {
	through := minus(watermark, o.plan.lateness)
	pane, ok := o.plan.windows.Pane(through)
	if !ok {
		return column.MinWatermark
	}
	w, ok := o.plan.windows.After(pane, through)
	if !ok {
		return column.MinWatermark
	}
	return w.Start
}

func (o *panes) leave(watermark int64) {
	o.closed = max(o.closed, minus(watermark, o.plan.lateness))
}
