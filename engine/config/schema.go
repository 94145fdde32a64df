package config

import (
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// Schema is the part of JSON Schema (draft 2020-12) that describing a configuration takes.
type Schema struct {
	Dialect     string `json:"$schema,omitempty"`
	Ref         string `json:"$ref,omitempty"`
	Title       string `json:"title,omitempty"`
	Description string `json:"description,omitempty"`
	// Type is one name or several.
	Type    Types           `json:"type,omitempty"`
	Const   any             `json:"const,omitempty"`
	Enum    []string        `json:"enum,omitempty"`
	Default json.RawMessage `json:"default,omitempty"`

	Pattern       string      `json:"pattern,omitempty"`
	MinLength     int         `json:"minLength,omitempty"`
	MaxLength     int         `json:"maxLength,omitempty"`
	Minimum       json.Number `json:"minimum,omitempty"`
	Maximum       json.Number `json:"maximum,omitempty"`
	Items         *Schema     `json:"items,omitempty"`
	MinItems      int         `json:"minItems,omitempty"`
	MaxItems      int         `json:"maxItems,omitempty"`
	MinProperties int         `json:"minProperties,omitempty"`

	Properties    map[string]*Schema `json:"properties,omitempty"`
	PropertyNames *Schema            `json:"propertyNames,omitempty"`
	Required      []string           `json:"required,omitempty"`
	// Additional is the schema of the other keys; Closed forbids them.
	Additional *Additional `json:"additionalProperties,omitempty"`

	AnyOf []*Schema          `json:"anyOf,omitempty"`
	AllOf []*Schema          `json:"allOf,omitempty"`
	If    *Schema            `json:"if,omitempty"`
	Then  *Schema            `json:"then,omitempty"`
	Defs  map[string]*Schema `json:"$defs,omitempty"`
}

// Types is the names of JSON types.
type Types []string

// MarshalJSON writes one name alone and several as a list.
func (t Types) MarshalJSON() ([]byte, error) {
	if len(t) == 1 {
		return json.Marshal(t[0])
	}
	return json.Marshal([]string(t))
}

// Additional is what keys without a schema of their own hold; nothing if Schema is nil.
type Additional struct{ Schema *Schema }

// MarshalJSON writes false or the schema.
func (a Additional) MarshalJSON() ([]byte, error) {
	if a.Schema == nil {
		return []byte("false"), nil
	}
	return json.Marshal(a.Schema)
}

// SchemaProvider is implemented, on pointers, by types that decode themselves, to describe what they
// take.
type SchemaProvider interface {
	JSONSchema(s *Schemas) *Schema
}

// Schemas makes JSON Schemas of configuration structs.
type Schemas struct {
	// docs are the doc comments of fields by "import/path.Type.Field", written by docgen.
	docs map[string]string
}

// NewSchemas makes a generator; docs are the descriptions of the fields, by
// "import/path.Type.Field".
func NewSchemas(docs map[string]string) *Schemas { return &Schemas{docs} }

// Defs are the definitions that the schemas of Of refer to; the root schema carries them.
func (s *Schemas) Defs() map[string]*Schema {
	number := `[0-9]+(\.[0-9]+)?`
	return map[string]*Schema{
		"reference": {
			Description: "A text with ${env:NAME}, ${env:NAME:-default} or ${file:PATH}.",
			Type:        Types{"string"}, Pattern: `\$\{(env|file):[^}]+\}`,
		},
		"size": {
			Description: "Bytes: 64MiB, 1GB, 512KiB or a plain number.",
			AnyOf: []*Schema{
				{Type: Types{"integer"}, Minimum: "0"},
				{Type: Types{"string"}, Pattern: `^\s*` + number + `\s*([KkMmGgTt]?[Bb]|[KkMmGgTt][Ii][Bb])?\s*$`},
				ref("reference"),
			},
		},
		"duration": {
			Description: "A length of time: 30s, 5m, 24h, 7d.",
			AnyOf: []*Schema{
				{Const: 0},
				{Type: Types{"string"}, Pattern: `^\s*(0|\+?(` + number + `(d|h|m|s|ms|us|µs|ns))+)\s*$`},
				ref("reference"),
			},
		},
	}
}

func ref(name string) *Schema { return &Schema{Ref: "#/$defs/" + name} }

// Of describes what Decoder.Decode takes for the same arguments. Defaults are those that the values
// behind the pointers hold.
func (s *Schemas) Of(into ...any) *Schema {
	if len(into) == 1 {
		return s.value(reflect.ValueOf(into[0]).Elem(), field{})
	}
	values := make([]reflect.Value, len(into))
	for i, p := range into {
		values[i] = reflect.ValueOf(p).Elem()
	}
	return s.structs(values)
}

// Text describes any single value that is taken as text.
func Text() *Schema { return &Schema{Type: Types{"string", "number", "boolean"}} }

// OneOf describes a text out of a list, or a reference.
func OneOf(texts []string) *Schema {
	return &Schema{AnyOf: []*Schema{{Enum: texts}, ref("reference")}}
}

func (s *Schemas) structs(values []reflect.Value) *Schema {
	out := &Schema{Type: Types{"object"}, Properties: make(map[string]*Schema), Additional: &Additional{}}
	for _, v := range values {
		for _, f := range fieldsOf(v) {
			if _, taken := out.Properties[f.name]; taken {
				continue
			}
			p := s.value(f.value, f)
			p.Description = s.docs[f.doc]
			p.Default = defaultOf(f)
			out.Properties[f.name] = p
			if f.required {
				out.Required = append(out.Required, f.name)
			}
		}
	}
	if out.Required == nil {
		out.Type = append(out.Type, "null")
	}
	return out
}

// value describes what is decoded into v.
func (s *Schemas) value(v reflect.Value, f field) *Schema {
	if v.Kind() == reflect.Pointer && v.Type() != nodeType {
		e := reflect.New(v.Type().Elem())
		setDefaults(e)
		return s.value(e.Elem(), f)
	}
	if provider, ok := addressable(v).Interface().(SchemaProvider); ok {
		return provider.JSONSchema(s)
	}
	switch v.Type() {
	case nodeType:
		return &Schema{}
	case sizeType:
		return ref("size")
	case durationType, stdDuration:
		return ref("duration")
	}
	_, isText := addressable(v).Interface().(encoding.TextUnmarshaler)
	switch {
	case isText || v.Type() == secretType:
		return s.text(f)
	case v.Kind() == reflect.Struct:
		return s.structs([]reflect.Value{v})
	case v.Kind() == reflect.Map:
		return mapping(s.element(v.Type().Elem(), f), f)
	case v.Kind() == reflect.Slice:
		return s.list(v, f)
	}
	return s.scalar(v, f)
}

// addressable is a pointer to v or to a copy of it.
func addressable(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return v.Addr()
	}
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	return p
}

func (s *Schemas) element(t reflect.Type, f field) *Schema {
	e := reflect.New(t)
	setDefaults(e)
	return s.value(e.Elem(), field{enum: f.enum, min: f.min, max: f.max})
}

func mapping(element *Schema, f field) *Schema {
	m := &Schema{Type: Types{"object", "null"}, Additional: &Additional{element}}
	if f.required {
		m.Type, m.MinProperties = Types{"object"}, 1
	}
	return m
}

func (s *Schemas) list(v reflect.Value, f field) *Schema {
	l := &Schema{Type: Types{"array", "null"}, Items: s.element(v.Type().Elem(), f)}
	if f.required {
		l.Type, l.MinItems = Types{"array"}, 1
	}
	return l
}

func (s *Schemas) text(f field) *Schema {
	if f.enum != nil {
		return OneOf(f.enum)
	}
	t := Text()
	if f.required {
		t.MinLength = 1
	}
	return t
}

func (s *Schemas) scalar(v reflect.Value, f field) *Schema {
	t := &Schema{Minimum: json.Number(f.min), Maximum: json.Number(f.max)}
	switch v.Kind() {
	case reflect.String:
		return s.text(f)
	case reflect.Bool:
		t.Type = Types{"boolean"}
	case reflect.Float32, reflect.Float64:
		t.Type = Types{"number"}
	default:
		t.Type = Types{"integer"}
		if v.CanUint() && t.Minimum == "" {
			t.Minimum = "0"
		}
	}
	return &Schema{AnyOf: []*Schema{t, ref("reference")}}
}

// defaultOf is the default of a key, nil for none: an empty value means that there is none.
func defaultOf(f field) json.RawMessage {
	v := f.value
	if f.required || v.Type() == secretType || v.Type() == nodeType || v.IsZero() {
		return nil
	}
	if slices.Contains([]reflect.Kind{reflect.Struct, reflect.Map, reflect.Pointer, reflect.Interface}, v.Kind()) {
		return nil
	}
	if v.Type() == stdDuration {
		v = v.Convert(durationType)
	}
	text, err := json.Marshal(v.Interface())
	if err != nil || strings.HasPrefix(string(text), "{") || string(text) == "[]" {
		return nil
	}
	return text
}

// JSONSchema implements SchemaProvider.
func (m *Map[T]) JSONSchema(s *Schemas) *Schema {
	var element T
	if def, ok := any(&element).(Defaulter); ok {
		def.SetDefaults()
	}
	return mapping(s.Of(&element), field{})
}
