package pipelines

import (
	"regexp"
	"strconv"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
)

// maxColumns bounds the fields of a schema, nested ones included.
const maxColumns = 4096

// schemaSpec is the schema of a stream as a file has it: {field: type}, in the order of the file.
type schemaSpec struct{ Schema *column.Schema }

// typeKinds are the types that stand for themselves.
var typeKinds = []column.Kind{
	column.Boolean, column.Int, column.BigInt, column.Float, column.Double, column.String, column.Binary,
	column.Date, column.Time, column.Timestamp, column.UUID, column.JSON,
}

// otherNames are what types are called elsewhere, for suggestions.
var otherNames = map[string]column.Kind{
	"bool": column.Boolean, "integer": column.Int, "int32": column.Int, "int64": column.BigInt, "long": column.BigInt,
	"real": column.Float, "float32": column.Float, "float64": column.Double, "number": column.Double,
	"varchar": column.String, "char": column.String, "text": column.String, "str": column.String,
	"bytes": column.Binary, "blob": column.Binary, "varbinary": column.Binary, "datetime": column.Timestamp,
	"timestamptz": column.Timestamp, "object": column.JSON, "variant": column.JSON,
}

var decimalType = regexp.MustCompile(`^decimal\(\s*(\d{1,3})\s*(?:,\s*(\d{1,3})\s*)?\)$`)

// DecodeNode implements config.NodeDecoder.
func (s *schemaSpec) DecodeNode(n *config.Node, d *config.Decoder) {
	if n.Kind == config.Null {
		d.Errorf(n, "the schema is empty; write {field: type} or remove the key")
		return
	}
	if n.Kind != config.Mapping {
		d.Errorf(n, "expected fields with their types ({field: type})")
		return
	}
	p := schemaParser{d: d}
	t := p.fields(n)
	if p.count > maxColumns {
		d.Errorf(n, "the schema has more than %d fields", maxColumns)
	}
	if !p.failed {
		s.Schema = &column.Schema{Fields: t.Fields}
	}
}

// schemaParser reads types and counts fields.
type schemaParser struct {
	d      *config.Decoder
	count  int
	failed bool
}

func (p *schemaParser) errorf(n *config.Node, format string, args ...any) {
	p.failed = true
	p.d.Errorf(n, format, args...)
}

func (p *schemaParser) fields(n *config.Node) column.Type {
	t := column.Type{Kind: column.Struct}
	if len(n.Keys) == 0 {
		p.errorf(n, "there are no fields; write {field: type}")
	}
	for i, name := range n.Keys {
		p.count++
		if name == "" {
			p.errorf(n.Values[i], "a field has no name")
			continue
		}
		t.Fields = append(t.Fields, column.Field{Name: name, Type: p.parse(n.Values[i])})
	}
	return t
}

func (p *schemaParser) parse(n *config.Node) column.Type {
	switch n.Kind {
	case config.Mapping:
		return p.fields(n)
	case config.List:
		if len(n.Items) != 1 {
			p.errorf(n, "a list type has exactly one element type, as in [string]; this one has %d", len(n.Items))
			return column.Type{}
		}
		elem := p.parse(n.Items[0])
		return column.Type{Kind: column.List, Elem: &elem}
	case config.Null:
		p.errorf(n, "the field has no type")
		return column.Type{}
	}
	return p.named(n)
}

func (p *schemaParser) named(n *config.Node) column.Type {
	text := n.Text()
	for _, k := range typeKinds {
		if k.String() == text {
			return column.Type{Kind: k}
		}
	}
	if m := decimalType.FindStringSubmatch(text); m != nil {
		precision, _ := strconv.Atoi(m[1])
		scale, _ := strconv.Atoi(m[2])
		if precision < 1 || precision > 38 || scale > precision {
			p.errorf(n, "decimal(p,s) needs a precision of 1 to 38 and a scale of 0 to the precision")
		}
		return column.Type{Kind: column.Decimal, Precision: precision, Scale: scale}
	}
	if text == "decimal" {
		p.errorf(n, "decimal needs a precision and scale, as in decimal(10,2)")
	} else if k, ok := otherNames[text]; ok {
		p.errorf(n, "unknown type %q; did you mean %q?", text, k.String())
	} else {
		p.errorf(n, "%s", config.Unknown("type", text, "types", typeNames()))
	}
	return column.Type{}
}

func typeNames() []string {
	var names []string
	for _, k := range typeKinds {
		names = append(names, k.String())
	}
	return append(names, "decimal(p,s)", "[type]", "{field: type}")
}

// JSONSchema implements config.SchemaProvider.
func (s *schemaSpec) JSONSchema(*config.Schemas) *config.Schema {
	return &config.Schema{Type: config.Types{"object"}, MinProperties: 1, Additional: &config.Additional{Schema: &config.Schema{Ref: "#/$defs/type"}}}
}

// typeSchema is the definition of a type that schemas refer to.
func typeSchema() *config.Schema {
	self := &config.Schema{Ref: "#/$defs/type"}
	names := make([]string, len(typeKinds))
	for i, k := range typeKinds {
		names[i] = k.String()
	}
	return &config.Schema{
		Description: "The type of a field.",
		AnyOf: []*config.Schema{
			{Enum: names},
			{Type: config.Types{"string"}, Pattern: decimalType.String()},
			{Type: config.Types{"array"}, Items: self, MinItems: 1, MaxItems: 1},
			{Type: config.Types{"object"}, MinProperties: 1, Additional: &config.Additional{Schema: self}},
			{Ref: "#/$defs/reference"},
		},
	}
}
