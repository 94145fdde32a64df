package versions

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/millrace-io/millrace/engine/column"
)

// Format of the document, see docs/formats/schema.md.
const Format = 1

type document struct {
	Format   int       `json:"format"`
	Version  int64     `json:"version"`
	Created  time.Time `json:"created"`
	Origin   string    `json:"origin"`
	Fields   []field   `json:"fields"`
	Declared []string  `json:"declared,omitempty"`
	Fixed    []string  `json:"fixed,omitempty"`
}

// field is a column. Type is a string; a list or struct has List or Struct instead.
type field struct {
	Name   string  `json:"name,omitempty"`
	Type   string  `json:"type,omitempty"`
	List   *field  `json:"list,omitempty"`
	Struct []field `json:"struct,omitempty"`
}

// Encode writes a version as its document.
func Encode(v Version) ([]byte, error) {
	if err := v.Schema.Validate(); err != nil {
		return nil, err
	}
	return json.Marshal(document{
		Format: Format, Version: v.Number, Created: v.Created, Origin: v.Origin, Fields: encodeFields(v.Schema.Fields),
		Declared: v.Declared, Fixed: v.Fixed,
	})
}

func encodeFields(fields []column.Field) []field {
	out := make([]field, len(fields))
	for i, f := range fields {
		out[i] = encodeType(f.Type)
		out[i].Name = f.Name
	}
	return out
}

func encodeType(t column.Type) field {
	switch t.Kind {
	case column.List:
		elem := encodeType(*t.Elem)
		return field{List: &elem}
	case column.Struct:
		return field{Struct: encodeFields(t.Fields)}
	}
	return field{Type: t.String()}
}

// Decode reads a document and checks that its schema can be worked with.
func Decode(value []byte) (Version, error) {
	var d document
	if err := json.Unmarshal(value, &d); err != nil {
		return Version{}, err
	}
	if d.Format != Format {
		return Version{}, fmt.Errorf("format %d is not known to this program, which reads %d", d.Format, Format)
	}
	if d.Version < 1 {
		return Version{}, fmt.Errorf("version %d: want 1 or more", d.Version)
	}
	fields, err := decodeFields(d.Fields, column.MaxDepth)
	if err != nil {
		return Version{}, err
	}
	v := Version{
		Number: d.Version, Schema: &column.Schema{Fields: fields}, Declared: d.Declared, Fixed: d.Fixed,
		Origin: d.Origin, Created: d.Created,
	}
	if n := count(fields); n > MaxFields {
		return Version{}, fmt.Errorf("%d fields are more than %d", n, MaxFields)
	}
	return v, v.Schema.Validate()
}

func decodeFields(fields []field, depth int) ([]column.Field, error) {
	out := make([]column.Field, len(fields))
	for i, f := range fields {
		t, err := decodeType(f, depth)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		out[i] = column.Field{Name: f.Name, Type: t}
	}
	return out, nil
}

var decimalType = regexp.MustCompile(`^decimal\((\d{1,2}),(\d{1,2})\)$`)

func decodeType(f field, depth int) (column.Type, error) {
	if depth == 0 {
		return column.Type{}, errors.New("nested too deep")
	}
	switch {
	case f.List != nil:
		elem, err := decodeType(*f.List, depth-1)
		return column.Type{Kind: column.List, Elem: &elem}, err
	case len(f.Struct) > 0:
		fields, err := decodeFields(f.Struct, depth-1)
		return column.Type{Kind: column.Struct, Fields: fields}, err
	}
	for k := column.Boolean; k < column.List; k++ {
		if k != column.Decimal && k.String() == f.Type {
			return column.Type{Kind: k}, nil
		}
	}
	if m := decimalType.FindStringSubmatch(f.Type); m != nil {
		precision, _ := strconv.Atoi(m[1])
		scale, _ := strconv.Atoi(m[2])
		return column.Type{Kind: column.Decimal, Precision: precision, Scale: scale}, nil
	}
	return column.Type{}, fmt.Errorf("unknown type %q", f.Type)
}
