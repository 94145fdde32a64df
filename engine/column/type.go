package column

import (
	"fmt"
	"strconv"
	"strings"
)

// MaxDepth is how deep lists and structs may be nested, in schemas and in JSON values.
const MaxDepth = 64

var kindNames = [...]string{
	Invalid: "invalid", Boolean: "boolean", Int: "int", BigInt: "bigint", Float: "float", Double: "double",
	Decimal: "decimal", String: "string", Binary: "binary", Date: "date", Time: "time", Timestamp: "timestamp",
	UUID: "uuid", JSON: "json", List: "list", Struct: "struct",
}

// String is the name of the kind in a pipeline file.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// String is the type as a pipeline file spells it: decimal(10,2), [bigint], {lat: double}.
func (t Type) String() string {
	switch t.Kind {
	case Decimal:
		return fmt.Sprintf("decimal(%d,%d)", t.Precision, t.Scale)
	case List:
		if t.Elem != nil {
			return "[" + t.Elem.String() + "]"
		}
	case Struct:
		var s strings.Builder
		for i, f := range t.Fields {
			if i > 0 {
				s.WriteString(", ")
			}
			s.WriteString(f.Name + ": " + f.Type.String())
		}
		return "{" + s.String() + "}"
	}
	return t.Kind.String()
}

// Wide reports whether a Decimal is held in Fixed, since it may have more than 18 digits.
func (t Type) Wide() bool { return t.Precision > 18 }

// Equal reports whether two types are the same, field names included.
func (t Type) Equal(o Type) bool {
	if t.Kind != o.Kind || t.Precision != o.Precision || t.Scale != o.Scale || len(t.Fields) != len(o.Fields) {
		return false
	}
	if (t.Elem == nil) != (o.Elem == nil) || t.Elem != nil && !t.Elem.Equal(*o.Elem) {
		return false
	}
	for i, f := range t.Fields {
		if f.Name != o.Fields[i].Name || !f.Type.Equal(o.Fields[i].Type) {
			return false
		}
	}
	return true
}

// Validate reports the first thing in s that a Decoder or builder could not work with: a missing
// or repeated name, an unknown kind, a decimal out of bounds, too deep a nesting.
func (s *Schema) Validate() error { return validateFields(s.Fields, "", MaxDepth) }

func validateFields(fields []Field, path string, depth int) error {
	seen := make(map[string]bool, len(fields))
	for _, f := range fields {
		if f.Name == "" {
			return fmt.Errorf("%sa field has no name", path)
		}
		if seen[f.Name] {
			return fmt.Errorf("%sfield %q is declared twice", path, f.Name)
		}
		seen[f.Name] = true
		if err := validateType(f.Type, path+f.Name+": ", depth); err != nil {
			return err
		}
	}
	return nil
}

func validateType(t Type, path string, depth int) error {
	switch {
	case depth == 0:
		return fmt.Errorf("%snested more than %d deep", path, MaxDepth)
	case t.Kind == Invalid || t.Kind > Struct:
		return fmt.Errorf("%sunknown type", path)
	case t.Kind == Decimal && (t.Precision < 1 || t.Precision > 38):
		return fmt.Errorf("%sdecimal precision %d is not within 1 to 38", path, t.Precision)
	case t.Kind == Decimal && (t.Scale < 0 || t.Scale > t.Precision):
		return fmt.Errorf("%sdecimal scale %d is not within 0 to the precision %d", path, t.Scale, t.Precision)
	case t.Kind == List && t.Elem == nil:
		return fmt.Errorf("%sa list needs an element type", path)
	case t.Kind == List:
		return validateType(*t.Elem, path, depth-1)
	case t.Kind == Struct:
		return validateFields(t.Fields, path, depth-1)
	}
	return nil
}
