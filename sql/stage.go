package sql

import (
	"fmt"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
	"github.com/millrace-io/millrace/sql/expr"
)

// stage is what all operators of grouped queries do alike: WHERE, the keys and arguments before rows
// are grouped, HAVING and the select list behind. It holds memory that is used again.
type stage struct {
	plan   *windowPlan
	where  *expr.Program
	keys   []*expr.Program
	args   []*expr.Program
	having *expr.Program
	items  []*expr.Program

	// arrived is the arrival times of the current batch.
	arrived column.Column
	view    column.Batch
	chosen  []int32
	all     []int32 // 0, 1, 2, …
	keyCols []*column.Column
	argCols []*column.Column
}

func newStage(p *windowPlan) stage {
	before := expr.Together([]*expr.Program{p.where}, p.keys, p.args)
	behind := expr.Together([]*expr.Program{p.having}, p.items)
	s := stage{plan: p, where: before[0][0], keys: before[1], args: before[2], having: behind[0][0], items: behind[1]}
	s.keyCols, s.argCols = make([]*column.Column, len(s.keys)), make([]*column.Column, len(s.args))
	return s
}

// choose sets s.view to b with the rows that pass WHERE.
func (s *stage) choose(b *column.Batch, taken *Taken) error {
	s.view = *b
	switch {
	case s.where != nil:
		var err error
		if s.chosen, err = s.where.Select(b, s.chosen[:0]); err != nil {
			return fmt.Errorf("evaluate WHERE: %w", err)
		}
		taken.Filtered = int64(b.Selected() - len(s.chosen))
		s.view.Selection, taken.chosen = s.chosen, s.chosen
	case b.Selection == nil:
		for len(s.all) < b.Rows {
			s.all = append(s.all, int32(len(s.all)))
		}
		s.view.Selection = s.all[:b.Rows]
	}
	return nil
}

// admit computes what the selected rows of b are taken by: their event times, which it returns, and their
// keys and arguments. Whatever can go wrong does so before a window changes. It returns nil when no row
// passes WHERE.
func (s *stage) admit(b *column.Batch, taken *Taken) (*column.Column, error) {
	if err := s.choose(b, taken); err != nil || len(s.view.Selection) == 0 {
		return nil, err
	}
	event, err := s.times(b)
	if err != nil {
		return nil, err
	}
	return event, s.evaluate()
}

// evaluate computes the keys and arguments of the rows of s.view.
func (s *stage) evaluate() error {
	for i, p := range s.keys {
		c, err := p.Eval(&s.view)
		if err != nil {
			return fmt.Errorf("evaluate key %d of GROUP BY: %w", i+1, err)
		}
		s.keyCols[i] = c
	}
	for i, p := range s.args {
		if p == nil {
			continue
		}
		c, err := p.Eval(&s.view)
		if err != nil {
			return fmt.Errorf("evaluate argument of aggregate %d: %w", i+1, err)
		}
		s.argCols[i] = c
	}
	return nil
}

// times is the event times of b.
func (s *stage) times(b *column.Batch) (*column.Column, error) {
	if s.plan.event == arrivals {
		s.arrived.Type, s.arrived.Len, s.arrived.Int64s = column.Type{Kind: column.Timestamp}, b.Rows, s.arrived.Int64s[:0]
		for _, at := range b.Origin.Arrivals {
			s.arrived.Int64s = append(s.arrived.Int64s, 1000*at)
		}
		return &s.arrived, nil
	}
	if s.plan.event >= len(b.Columns) || b.Columns[s.plan.event] == nil {
		return nil, fmt.Errorf("column %q is not in the batch", s.plan.in.Fields[s.plan.event].Name)
	}
	return b.Columns[s.plan.event], nil
}

// middle is the columns that results are gathered in before project.
func (s *stage) middle() []*build.Column {
	out := make([]*build.Column, len(s.plan.middle.Fields))
	for i, f := range s.plan.middle.Fields {
		out[i] = build.New(f.Type)
	}
	return out
}

// project applies HAVING and the select list; nil if no row is left.
func (s *stage) project(columns []*build.Column) (*column.Batch, error) {
	return s.projectBatch(build.Batch(&s.plan.middle, columns))
}

// projectBatch is project of a batch of the middle schema; columns that nothing reads may be nil.
func (s *stage) projectBatch(middle *column.Batch) (*column.Batch, error) {
	rows := make([]int32, 0, middle.Rows)
	if s.having == nil {
		for r := range int32(middle.Rows) {
			rows = append(rows, r)
		}
	} else {
		var err error
		if rows, err = s.having.Select(middle, rows); err != nil {
			return nil, fmt.Errorf("evaluate HAVING or QUALIFY: %w", err)
		}
	}
	if len(rows) == 0 {
		return nil, nil
	}
	middle.Selection = rows
	out := &column.Batch{Schema: s.plan.output(), Rows: len(rows)}
	for i, p := range s.items {
		if f := p.Field(); f >= 0 && len(rows) == middle.Rows {
			out.Columns = append(out.Columns, middle.Columns[f])
			continue
		}
		c, err := p.Eval(middle)
		if err != nil {
			return nil, fmt.Errorf("evaluate column %q: %w", out.Schema.Fields[i].Name, err)
		}
		b := build.New(p.Type())
		b.Rows(c, rows)
		out.Columns = append(out.Columns, b.Finish())
	}
	return out, nil
}
