package encode

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
)

// The bytes are those of the specification, put together by hand. A reader of its own looks at all
// types in e2e.
func TestAvroIsWhatTheSpecificationSays(t *testing.T) {
	s := &column.Schema{Fields: []column.Field{{Name: "n", Type: kind(column.BigInt)}, {Name: "t", Type: kind(column.String)},
		{Name: "l", Type: list(kind(column.Int))}, {Name: "d", Type: decimal(5, 2)}}}
	b := batchOf(s, []structure{{int64(-1), "ab", []tree{int64(1), nil}, int64(-129)}, {nil, "", []tree{}, int64(128)}})
	const schema = `{"type":"record","name":"row","fields":[{"name":"n","type":["null","long"],"default":null},` +
		`{"name":"t","type":["null","string"],"default":null},{"name":"l","type":["null",{"type":"array","items":["null","int"]}],"default":null},` +
		`{"name":"d","type":["null",{"type":"bytes","logicalType":"decimal","precision":5,"scale":2}],"default":null}]}`
	head := "Obj\x01\x04\x14avro.codec\x08null\x16avro.schema" + string([]byte{byte(len(schema)*2&0x7f | 0x80), byte(len(schema) * 2 >> 7)}) + schema + "\x00"
	rows := "\x02\x01" + "\x02\x04ab" + "\x02\x04\x02\x02\x00\x00" + "\x02\x04\xff\x7f" + "\x00" + "\x02\x00" + "\x02\x00" + "\x02\x04\x00\x80"
	mark := sha256.Sum256([]byte(head + rows))
	want := head + string(mark[:16]) + "\x04" + string([]byte{byte(len(rows) * 2)}) + rows + string(mark[:16])
	if got := encodeBatches(t, writer(t, s, Options{Format: Avro, Compression: None}), b); string(got) != want {
		t.Errorf("%q, want\n%q", got, want)
	}
}

func TestAvroRecordsHaveDifferentNames(t *testing.T) {
	inner := record(kind(column.Int))
	inner.Fields[0].Name = "b"
	a := column.Type{Kind: column.Struct, Fields: []column.Field{{Name: "a", Type: inner}, {Name: "b", Type: list(inner)}}}
	head, err := avroHead(&column.Schema{Fields: []column.Field{{Name: "a", Type: a}, {Name: "a_a", Type: inner}}}, None)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{`"name":"a","namespace":"row"`, `"name":"a","namespace":"row.a"`, `"name":"b","namespace":"row.a"`, `"name":"a_a","namespace":"row"`} {
		if bytes.Count(head, []byte(`{"type":"record",`+name)) != 1 {
			t.Errorf("%s is not there once: %s", name, head)
		}
	}
}

func TestNamesThatAvroLacksAreRefused(t *testing.T) {
	for _, name := range []string{"", "1a", "a b", "a-b", "ä", `a"`} {
		s := &column.Schema{Fields: []column.Field{{Name: name, Type: kind(column.Int)}}}
		if _, err := NewWriter(s, Options{Format: Avro, Compression: None}); err == nil || !strings.Contains(err.Error(), "rename") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestAvroSyncMarkersFollowFromTheRows(t *testing.T) {
	s, rows := oneColumn(2, func(i int) string { return strings.Repeat("x", i+1) })
	w := writer(t, s, Options{Format: Avro, Compression: Zstd})
	mark := func(rows ...structure) string {
		file := encodeBatches(t, w, batchOf(s, rows))
		return string(file[len(file)-syncBytes:])
	}
	first, again, other := mark(rows[0]), mark(rows[0]), mark(rows[1])
	if first != again || first == other {
		t.Error("markers differ for the same rows, or are the same for others")
	}
}

func TestAvroBlocksCountTheirOwnRows(t *testing.T) {
	s, rows := oneColumn(1, func(int) string { return "x" })
	var file bytes.Buffer
	e := writer(t, s, Options{Format: Avro, Compression: None}).Open(&file)
	for range 2 {
		at := file.Len()
		if err := e.Add(batchOf(s, rows)); err != nil {
			t.Fatal(err)
		}
		if err := e.Flush(); err != nil {
			t.Fatal(err)
		}
		if at > 0 && file.Bytes()[at] != 2 {
			t.Errorf("the second block has %d rows", file.Bytes()[at]/2)
		}
	}
}
