package sql

import (
	"math"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
)

// Bounded reports whether it is known how early rows may be that have yet to leave, by OutputEventTime. It is of
// windows of time that are not shown early, and of queries without windows that pass their event time on.
func (q *Query) Bounded() bool {
	return q.plan.eventTime() != "" && bounded(q.plan)
}

func bounded(p plan) bool {
	switch p := p.(type) {
	case *rowPlan:
		return p.time != ""
	case *windowPlan:
		return p.windows != nil && p.event != arrivals && p.time != "" && !p.early()
	case *fusedPlan:
		return bounded(p.last)
	case *mergedPlan:
		return bounded(p.last)
	case *afterPlan:
		return p.rows.time != "" && bounded(p.below)
	case *unnestedPlan:
		return bounded(p.below)
	case *lookedPlan:
		return bounded(p.below)
	case *renamedPlan:
		return bounded(p.plan)
	case *shapePlan:
		return bounded(p.below)
	case *numberPlan:
		return bounded(p.below)
	case *chainedPlan:
		return bounded(p.below) && bounded(p.last)
	case *unionPlan:
		return !slices.ContainsFunc(p.terms, func(t plan) bool { return !bounded(t) })
	}
	return false
}

// Frontier is the least event time of rows that an operator of a bounded query emits after a watermark, if it is not
// Ready at it. Rows that come to it behind that watermark, of a shard that was idle, are not counted.
func Frontier(o Operator, watermark int64) int64 {
	o = inner(o)
	switch w := o.(type) {
	case *union:
		least := int64(math.MaxInt64)
		for _, t := range w.terms {
			least = min(least, Frontier(t, watermark))
		}
		return least
	case *rowOperator:
		return watermark
	}
	if f := frontierOf(o); f != nil {
		return f.frontier(watermark)
	}
	return column.MinWatermark
}
