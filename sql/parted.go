package sql

import "slices"

// parted passes on what is optional to operators within another one, which share the memory.
type parted []Operator

// Keep sets where the operators keep pieces of their state.
func (o parted) Keep(in Parts, room int64) {
	for _, part := range o {
		if p, ok := part.(Parted); ok {
			p.Keep(in, room/int64(len(o)))
		}
	}
}

// Files are those that the last snapshots refer to.
func (o parted) Files() []int64 {
	var out []int64
	for _, part := range o {
		if p, ok := part.(Parted); ok {
			out = append(out, p.Files()...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Shed lets the operators let go of memory: each may take what the others leave.
func (o parted) Shed(bytes int64) error {
	for i, part := range o {
		p, ok := part.(Parted)
		if !ok {
			continue
		}
		share := bytes / int64(len(o)-i)
		if err := p.Shed(share); err != nil {
			return err
		}
		bytes = max(bytes-part.Memory(), 0)
	}
	return nil
}

// Keep sets where the operator within keeps pieces of its state.
func (o wrapped) Keep(in Parts, room int64) { parted{o.Operator}.Keep(in, room) }

// Files are those that the last snapshot of the operator within refers to.
func (o wrapped) Files() []int64 { return parted{o.Operator}.Files() }

// Shed lets the operator within let go of memory.
func (o wrapped) Shed(bytes int64) error { return parted{o.Operator}.Shed(bytes) }

// Keep sets where both keep pieces of their state.
func (o *chained) Keep(in Parts, room int64) { o.both().Keep(in, room) }

// Files are those that the last snapshots of both refer to.
func (o *chained) Files() []int64 { return o.both().Files() }

// Shed lets both let go of memory.
func (o *chained) Shed(bytes int64) error { return o.both().Shed(bytes) }

func (o *chained) both() parted { return parted{o.below, o.last} }

// Keep sets where the terms keep pieces of their state.
func (o *union) Keep(in Parts, room int64) { parted(o.terms).Keep(in, room) }

// Files are those that the last snapshots of the terms refer to.
func (o *union) Files() []int64 { return parted(o.terms).Files() }

// Shed lets the terms let go of memory.
func (o *union) Shed(bytes int64) error { return parted(o.terms).Shed(bytes) }

// Limit sets how many rows of the windows above leave at once.
func (o *chained) Limit(rows int) { limitRows(o.last, rows) }

// Limit sets how many rows leave the operator within at once.
func (o *fused) Limit(rows int) { limitRows(o.Operator, rows) }

// Limit sets how many rows leave the operator within at once.
func (o *after) Limit(rows int) { limitRows(o.Operator, rows) }

// Limit sets how many rows leave the operator within at once.
func (o *unnested) Limit(rows int) { limitRows(o.Operator, rows) }

// Limit sets how many rows leave the operator within at once.
func (o *looked) Limit(rows int) { limitRows(o.Operator, rows) }

// Limit sets how many rows leave the operator within at once.
func (o *renamed) Limit(rows int) { limitRows(o.Operator, rows) }

// Limit sets how many rows leave the operator within at once.
func (o *merged) Limit(rows int) { limitRows(o.Operator, rows) }

// limitRows sets how many rows an operator emits at once, if it can. Those that look at all rows of a window
// cannot.
func limitRows(o Operator, rows int) {
	if l, ok := o.(Limited); ok {
		l.Limit(rows)
	}
}
