package sql

import "github.com/millrace-io/millrace/engine/column"

// Use sets the rows of a reference table for all joins of an operator with it. It must come before the
// first Add, and after New and Restore; another version may be set between calls. The rows have the
// table's columns and must stay as they are.
func Use(o Operator, table string, rows *column.Batch) error {
	for _, j := range joinersIn(o) {
		if j.plan.table != table {
			continue
		}
		if err := j.use(rows); err != nil {
			return err
		}
	}
	return nil
}

// joinersIn are the joins of an operator.
func joinersIn(o Operator) []*joiner {
	var out []*joiner
	steps := func(stages []runner) {
		for _, s := range stages {
			if j, ok := s.(*joiner); ok {
				out = append(out, j)
			}
		}
	}
	switch o := o.(type) {
	case *fused:
		steps(o.stages)
		return append(out, joinersIn(o.Operator)...)
	case *merged:
		for _, t := range o.terms {
			steps(t)
		}
		return append(out, joinersIn(o.Operator)...)
	case *looked:
		return append(joinersIn(o.Operator), o.join)
	case *unnested:
		return joinersIn(o.Operator)
	case *after:
		return joinersIn(o.Operator)
	case *renamed:
		return joinersIn(o.Operator)
	case *shaped:
		return joinersIn(o.Operator)
	case *numbered:
		return joinersIn(o.Operator)
	case *chained:
		return append(joinersIn(o.below), joinersIn(o.last)...)
	case *union:
		for _, t := range o.terms {
			out = append(out, joinersIn(t)...)
		}
	}
	return out
}

// JoinMemory is what the indexes of an operator's joins take, in bytes.
func JoinMemory(o Operator) int64 {
	n := int64(0)
	for _, j := range joinersIn(o) {
		if j.index != nil {
			n += j.index.Memory()
		}
	}
	return n
}

// Tables are the reference tables that the query joins, each once.
func (q *Query) Tables() []string { return q.tables }
