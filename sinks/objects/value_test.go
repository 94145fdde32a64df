package objects

import (
	"bytes"
	"math"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
)

// everything is a schema with each kind of type.
func everything() *column.Schema {
	s := &column.Schema{}
	field := func(name string, t column.Type) { s.Fields = append(s.Fields, column.Field{Name: name, Type: t}) }
	for _, k := range []column.Kind{
		column.Boolean, column.Int, column.BigInt, column.Float, column.Double, column.String, column.Binary,
		column.Date, column.Time, column.Timestamp, column.UUID, column.JSON,
	} {
		field(k.String(), column.Type{Kind: k})
	}
	field("narrow", column.Type{Kind: column.Decimal, Precision: 9, Scale: 2})
	field("wide", column.Type{Kind: column.Decimal, Precision: 38, Scale: 2})
	inner := column.Type{Kind: column.Struct, Fields: []column.Field{
		{Name: "x", Type: column.Type{Kind: column.BigInt}}, {Name: "y", Type: column.Type{Kind: column.String}},
	}}
	field("struct", inner)
	field("list", column.Type{Kind: column.List, Elem: &inner})
	return s
}

const full = `{"boolean":true,"int":-5,"bigint":9007199254740993,"float":1.5,"double":-0.25,"string":"ü","binary":"AQI=","date":"2026-01-15","time":"01:02:03.5",` +
	`"timestamp":"2026-01-15T01:02:03Z","uuid":"00112233-4455-6677-8899-aabbccddeeff","json":{"a":[1]},"narrow":-1.25,"wide":12345678901234567890123.45,` +
	`"struct":{"x":1,"y":""},"list":[{"x":null,"y":"z"},null,{"x":3}]}`

func TestStagedValuesComeBackAsTheyWere(t *testing.T) {
	s := everything()
	d := column.NewDecoder(s, nil, column.Options{})
	for _, row := range []string{full, `{}`, `{"list":[],"struct":{},"string":"","boolean":false}`, full} {
		if err := d.Add([]byte(row), 0, 0); err != nil {
			t.Fatalf("%s: %v", row, err)
		}
	}
	b := d.Take(column.Origin{})
	if f := b.Columns[4]; f.Float64s != nil {
		f.Float64s[0] = math.Copysign(0, -1)
	}
	columns := make([]*column.Column, len(s.Fields))
	for i, c := range b.Columns {
		builder := column.NewBuilder(s.Fields[i].Type)
		for row := range b.Rows {
			text := appendValue(nil, c, row)
			rest, err := readValue(builder, &s.Fields[i].Type, text)
			if err != nil || len(rest) != 0 {
				t.Fatalf("%s, row %d: %d bytes left, %v", s.Fields[i].Name, row, len(rest), err)
			}
			for n := range text {
				if _, err := readValue(column.NewBuilder(s.Fields[i].Type), &s.Fields[i].Type, text[:n]); err == nil {
					t.Errorf("%s, row %d: %d of %d bytes are no error", s.Fields[i].Name, row, n, len(text))
				}
			}
		}
		columns[i] = builder.Finish()
	}
	again, err := column.NewBatch(s, columns)
	if err != nil {
		t.Fatal(err)
	}
	for row := range b.Rows {
		want, got := column.AppendJSON(nil, b, row), column.AppendJSON(nil, again, row)
		if !bytes.Equal(want, got) {
			t.Errorf("%s\nbecame %s", want, got)
		}
	}
	if column.HashRows(b) != column.HashRows(again) {
		t.Error("another hash")
	}
}

func FuzzReadValue(f *testing.F) {
	s := everything()
	d := column.NewDecoder(s, nil, column.Options{})
	if err := d.Add([]byte(full), 0, 0); err != nil {
		f.Fatal(err)
	}
	b := d.Take(column.Origin{})
	for i, c := range b.Columns {
		f.Add(uint8(i), appendValue(nil, c, 0))
	}
	f.Fuzz(func(t *testing.T, field uint8, text []byte) {
		typ := &s.Fields[int(field)%len(s.Fields)].Type
		builder := column.NewBuilder(*typ)
		rest, err := readValue(builder, typ, text)
		if err != nil {
			return
		}
		again := appendValue(nil, builder.Finish(), 0)
		if len(text) > 0 && text[0] == 0 && again[0] != 0 {
			t.Error("null became a value")
		}
		if len(rest) > len(text) {
			t.Error("more is left than there was")
		}
	})
}
