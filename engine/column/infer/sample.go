// Package infer finds the schema of JSON records from a sample of them, and widens schemas by what
// comes later.
//
// The invariant to remember: what is found depends on which records were sampled, never on their
// order, and every sampled record is a row of the schema that is found.
package infer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
)

// Limits bound what a Sample remembers. Zero means the default.
type Limits struct {
	// Fields of the records, nested ones included; 4096.
	Fields int
	// Keys of a nested object; one with more is a map, and becomes json. 256.
	Keys int
	// Depth of objects and lists; what lies deeper becomes json. 12.
	Depth int
}

func (l Limits) withDefaults() Limits {
	if l.Fields <= 0 {
		l.Fields = 4096
	}
	if l.Keys <= 0 {
		l.Keys = 256
	}
	if l.Depth <= 0 {
		l.Depth = 12
	}
	l.Depth = min(l.Depth, column.MaxDepth-1)
	return l
}

// ErrTooManyFields reports records whose fields are no columns: more of them than Limits.Fields.
var ErrTooManyFields = errors.New("the records have too many different fields; their names look like values, as in a map")

// maxName is the longest name of a field that becomes a column, in bytes.
const maxName = 256

// Sample gathers what records hold. One goroutine uses it.
type Sample struct {
	limits limits
	root   node
	// check finds what no decoder takes.
	check *column.Decoder
	bad   int64
}

// limits are Limits and what is used of them.
type limits struct {
	Limits
	fields int
}

// New makes an empty sample.
func New(l Limits) *Sample {
	return &Sample{
		limits: limits{Limits: l.withDefaults()},
		check:  column.NewDecoder(&column.Schema{}, nil, column.Options{}),
	}
}

// Add takes a record in. An error is a *column.RowError when the record is no row of any schema,
// which leaves the sample as it was, or ErrTooManyFields, after which the sample is of no use.
func (s *Sample) Add(record []byte) error {
	if s.limits.fields > s.limits.Fields {
		return fmt.Errorf("%w (more than %d)", ErrTooManyFields, s.limits.Fields)
	}
	err := s.check.Add(record, 0, 0)
	if err == nil {
		s.check.Release(s.check.Take(column.Origin{}))
		err = uniqueKeys(record)
	}
	if err != nil {
		s.bad++
		return err
	}
	s.root.add(&s.limits, record, 0)
	if s.limits.fields > s.limits.Fields {
		return fmt.Errorf("%w (more than %d)", ErrTooManyFields, s.limits.Fields)
	}
	return nil
}

// Rows is how many records the sample holds, Bad how many were none.
func (s *Sample) Rows() int64 { return s.root.rows }

// Bad is how many records were no rows.
func (s *Sample) Bad() int64 { return s.bad }

// Mixed says what becomes of a field that holds scalars of kinds that have no kind in common but
// string.
type Mixed uint8

const (
	// MixedText makes it a string, for decoders with Options.Text, which take any scalar as text.
	MixedText Mixed = iota
	// MixedJSON makes it json, for decoders of declared schemas, which take strings as strings only.
	MixedJSON
)

// Schema is the schema of the records. A field that held nothing but null, or empty lists or
// objects, has no type yet and is not in it. The order is that of the records, on the average.
func (s *Sample) Schema(m Mixed) *column.Schema {
	return &column.Schema{Fields: s.root.columns(m)}
}

// named is a field of an object.
type named struct {
	name string
	*node
}

// ordered are the fields of an object in the order they come in, on the average.
func (n *node) ordered() []named {
	all := make([]named, 0, len(n.fields))
	for name, f := range n.fields {
		all = append(all, named{name, f})
	}
	slices.SortFunc(all, func(a, b named) int {
		// places/rows of both, compared without a division.
		return cmp.Or(cmp.Compare(a.places*b.rows, b.places*a.rows), cmp.Compare(a.name, b.name))
	})
	return all
}
