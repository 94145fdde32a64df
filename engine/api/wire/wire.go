// Package wire is the form in which AWS clients and servers speak: JSON 1.1 and CBOR bodies, errors, and
// frames of event streams. A shape is defined once, by its Fields method, which is walked to read
// it, write it, check it and describe it.
//
// The invariant to remember: every byte comes from outside. Nothing is allocated for a size that was
// only claimed, and nesting is bounded.
package wire

import "errors"

// Format is how a body is encoded.
type Format int

// The formats.
const (
	JSON Format = iota
	CBOR
)

// Content types of bodies.
const (
	TypeJSON        = "application/x-amz-json-1.1"
	TypeCBOR        = "application/x-amz-cbor-1.1"
	TypeEventStream = "application/vnd.amazon.eventstream"
)

// ContentType is that of a body in the format.
func (f Format) ContentType() string {
	if f == CBOR {
		return TypeCBOR
	}
	return TypeJSON
}

// ErrSyntax reports a body that is not of its format at all.
var ErrSyntax = errors.New("body cannot be parsed")

// TypeError reports a value of another type than its field has. The text is what AWS answers.
type TypeError struct{ Message string }

func (e *TypeError) Error() string { return e.Message }

// maxDepth is how deep a body's objects and arrays may be nested. The deepest shape has six levels;
// the rest is for fields that are passed over.
const maxDepth = 32

// Shape is a structure of the API.
type Shape interface {
	// Fields names each field once, to whatever walks them.
	Fields(*Fields)
}

// Value is a field that reads, writes and checks itself, where that has to be fast.
type Value interface {
	ReadWire(*Reader)
	WriteWire(*Writer)
	// CheckWire notes what is wrong with the value; path is the field's.
	CheckWire(v *Violations, path string)
}

// Decode reads a shape from a body. An empty body has no fields. Errors: ErrSyntax, *TypeError.
func Decode(format Format, body []byte, s Shape) error {
	if len(body) == 0 {
		return nil
	}
	r := NewReader(format, body)
	f := Fields{mode: reading, r: r}
	f.readShape(s)
	r.end()
	return r.Err()
}

// Encode appends a shape to dst.
func Encode(format Format, dst []byte, s Shape) []byte {
	w := Writer{format: format, buf: dst}
	f := Fields{mode: writing, w: &w}
	f.writeShape(s)
	return w.buf
}

// Check returns what is wrong with a shape that was read, by the rules of its fields.
func Check(s Shape) *Violations {
	v := &Violations{}
	f := Fields{mode: checking, v: v}
	s.Fields(&f)
	return v
}
