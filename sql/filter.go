package sql

import (
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/expr"
)

// filterStep passes on the rows for which a condition is true. WHERE is one where there are joins, so
// that a row of the stream counts as filtered once none of the rows that were made of it is left.
type filterStep struct {
	in    *column.Schema
	where *expr.Program
	reads []string
}

// filtered puts WHERE among the joins of a source: in front of them what is about the stream alone, which
// saves looking for partners of rows that go anyway.
func filtered(s *ast.Select, src source) ([]step, error) {
	scope := whereOf(s, scopeOf(src.table, src.in))
	terms := []ast.Expr{s.Where}
	if l, ok := s.Where.(*ast.Logic); ok && l.And {
		terms = l.Terms
	}
	var before, behind []ast.Expr
	for _, t := range terms {
		q, err := expr.Condition(t, scope, "WHERE")
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(q.Needs(), func(i int) bool { return i >= len(src.in.parts[0].Fields) }) {
			behind = append(behind, t)
		} else {
			before = append(before, t)
		}
	}
	var out []step
	add := func(terms []ast.Expr) error {
		if len(terms) == 0 {
			return nil
		}
		q, err := expr.Condition(all(terms), scope, "WHERE")
		out = append(out, &filterStep{in: src.in.Schema, where: q})
		return err
	}
	if err := add(before); err != nil {
		return nil, err
	}
	out = append(out, src.joins...)
	return out, add(behind)
}

func (p *filterStep) needs() []string {
	return with(needs(p.in, p.where), p.reads...)
}

func (p *filterStep) needed(of []string) step {
	return &filterStep{in: p.in, where: p.where, reads: of}
}

func (p *filterStep) runner() runner { return &filterer{where: p.where.Clone()} }

// filterer runs a filterStep.
type filterer struct {
	where  *expr.Program
	chosen []int32
}

func (f *filterer) twin() runner { return &filterer{where: f.where.Clone()} }

func (f *filterer) apply(b *column.Batch) (*column.Batch, []int32, error) {
	var err error
	if f.chosen, err = f.where.Select(b, f.chosen[:0]); err != nil {
		return nil, nil, fmt.Errorf("evaluate WHERE: %w", err)
	}
	return b.With(f.chosen), nil, nil
}
