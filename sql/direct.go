package sql

import "github.com/millrace-io/millrace/engine/column"

// Direct makes an operator without windows give its rows to out as Add computes them, in place of Emit, and
// reports whether the operator is one. Out gets the selected rows of a batch with the origin of the input's;
// it must not keep the batch. The rows are those that Emit would have given, shard by shard in the same order.
// Adders call out from the goroutines that they are called from.
func Direct(o Operator, out func(*column.Batch)) bool {
	for {
		switch w := o.(type) {
		case *fused:
			o = w.Operator
		case *rowOperator:
			w.direct = out
			return true
		default:
			return false
		}
	}
}

// send gives the rows of a batch to where they go directly.
func (s *selector) send() error {
	plan := s.of.plan
	columns := s.sent.Columns[:0]
	for i, p := range s.items {
		c, err := s.eval(i, p)
		if err != nil {
			return err
		}
		if t := plan.out.schema.Fields[i].Type; c.Type.Kind != t.Kind {
			// A NULL that had no type.
			typed := *c
			typed.Type = t
			c = &typed
		}
		columns = append(columns, c)
	}
	s.sent = s.view
	s.sent.Schema, s.sent.Columns = plan.output(), columns
	s.of.direct(&s.sent)
	return nil
}
