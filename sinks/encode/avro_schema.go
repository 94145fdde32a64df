package encode

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/millrace-io/millrace/engine/column"
)

// avroHead is the start of a container file: what it is, the schema and the codec.
func avroHead(schema *column.Schema, c Compression) ([]byte, error) {
	text, err := appendAvroRecord(nil, "row", "", schema.Fields)
	if err != nil {
		return nil, err
	}
	codec := string(c)
	switch c {
	case None:
		codec = "null"
	case Zstd:
		codec = "zstandard"
	}
	head := append([]byte(avroMagic), 4) // a block of two pairs
	for _, pair := range []string{"avro.codec", codec, "avro.schema", string(text)} {
		head = append(binary.AppendVarint(head, int64(len(pair))), pair...)
	}
	return append(head, 0), nil
}

// appendAvroRecord appends the type of a record. Records must have different full names; that of a
// nested one is its path, which its fields' names follow from.
func appendAvroRecord(dst []byte, name, namespace string, fields []column.Field) ([]byte, error) {
	dst = fmt.Appendf(dst, `{"type":"record","name":%q`, name)
	if namespace != "" {
		dst = fmt.Appendf(dst, `,"namespace":%q`, namespace)
		name = namespace + "." + name
	}
	dst = append(dst, `,"fields":[`...)
	for i, f := range fields {
		if !avroName(f.Name) {
			return nil, fmt.Errorf("column %q: names in Avro have only letters, digits and _ and do not begin with a digit; rename it with a select transform", f.Name)
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = fmt.Appendf(dst, `{"name":%q,"type":`, f.Name)
		var err error
		if dst, err = appendAvroUnion(dst, f.Name, name, f.Type); err != nil {
			return nil, err
		}
		dst = append(dst, `,"default":null}`...)
	}
	return append(dst, "]}"...), nil
}

// avroName reports whether a text is a name (Avro specification, Names).
func avroName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '_' && !letterOrDigit(c) || i == 0 && c >= '0' && c <= '9' {
			return false
		}
	}
	return s != ""
}

// appendAvroUnion appends the type of a value that may be null. name and namespace are those of a
// record in it.
func appendAvroUnion(dst []byte, name, namespace string, t column.Type) ([]byte, error) {
	dst = append(dst, `["null",`...)
	var err error
	switch t.Kind {
	case column.Struct:
		dst, err = appendAvroRecord(dst, name, namespace, t.Fields)
	case column.List:
		dst = append(dst, `{"type":"array","items":`...)
		dst, err = appendAvroUnion(dst, name, namespace, *t.Elem)
		dst = append(dst, '}')
	default:
		dst, err = appendAvroLeaf(dst, t)
	}
	return append(dst, ']'), err
}

func appendAvroLeaf(dst []byte, t column.Type) ([]byte, error) {
	logical := func(base, name string) ([]byte, error) {
		return fmt.Appendf(dst, `{"type":%q,"logicalType":%q}`, base, name), nil
	}
	switch t.Kind {
	case column.Boolean:
		return append(dst, `"boolean"`...), nil
	case column.Int:
		return append(dst, `"int"`...), nil
	case column.BigInt:
		return append(dst, `"long"`...), nil
	case column.Float:
		return append(dst, `"float"`...), nil
	case column.Double:
		return append(dst, `"double"`...), nil
	case column.String, column.JSON:
		return append(dst, `"string"`...), nil
	case column.Binary:
		return append(dst, `"bytes"`...), nil
	case column.Date:
		return logical("int", "date")
	case column.Time:
		return logical("long", "time-micros")
	case column.Timestamp:
		return logical("long", "timestamp-micros")
	case column.UUID:
		return logical("string", "uuid")
	case column.Decimal:
		dst = append(dst, `{"type":"bytes","logicalType":"decimal","precision":`...)
		dst = append(strconv.AppendInt(dst, int64(t.Precision), 10), `,"scale":`...)
		return append(strconv.AppendInt(dst, int64(t.Scale), 10), '}'), nil
	}
	return nil, fmt.Errorf("type %s has no place in Avro", t.Kind)
}
