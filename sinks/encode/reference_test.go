package encode

import (
	"bytes"
	"io"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/millrace-io/millrace/engine/column"
)

// shredTree appends the values that a tree has in each leaf column below a type, with their
// levels. It is the textbook algorithm, row by row, that the encoder is compared with.
func shredTree(out [][]parquet.Value, at int, t column.Type, v tree, rep, def, lists int) int {
	if v == nil {
		return absent(out, at, t, rep, def)
	}
	switch t.Kind {
	case column.Struct:
		for i, f := range t.Fields {
			at = shredTree(out, at, f.Type, v.(structure)[i], rep, def+1, lists)
		}
		return at
	case column.List:
		elems := v.([]tree)
		if len(elems) == 0 {
			return absent(out, at, *t.Elem, rep, def+1)
		}
		next := at
		for i, e := range elems {
			r := rep
			if i > 0 {
				r = lists + 1
			}
			next = shredTree(out, at, *t.Elem, e, r, def+2, lists+1)
		}
		return next
	}
	out[at] = append(out[at], valueOf(t, v).Level(rep, def+1, at))
	return at + 1
}

func absent(out [][]parquet.Value, at int, t column.Type, rep, def int) int {
	switch t.Kind {
	case column.Struct:
		for _, f := range t.Fields {
			at = absent(out, at, f.Type, rep, def)
		}
		return at
	case column.List:
		return absent(out, at, *t.Elem, rep, def)
	}
	out[at] = append(out[at], parquet.NullValue().Level(rep, def, at))
	return at + 1
}

func valueOf(t column.Type, v tree) parquet.Value {
	switch t.Kind {
	case column.Boolean:
		return parquet.BooleanValue(v.(bool))
	case column.Int, column.Date:
		return parquet.Int32Value(int32(v.(int64)))
	case column.BigInt, column.Time, column.Timestamp:
		return parquet.Int64Value(v.(int64))
	case column.Float:
		return parquet.FloatValue(float32(v.(float64)))
	case column.Double:
		return parquet.DoubleValue(v.(float64))
	case column.Decimal:
		switch {
		case t.Precision <= 9:
			return parquet.Int32Value(int32(v.(int64)))
		case t.Precision <= 18:
			return parquet.Int64Value(v.(int64))
		}
		return parquet.FixedLenByteArrayValue([]byte(v.(string)))
	case column.UUID:
		return parquet.FixedLenByteArrayValue([]byte(v.(string)))
	}
	return parquet.ByteArrayValue([]byte(v.(string)))
}

// shredRows is what every leaf column must hold.
func shredRows(s *column.Schema, rows []structure, leaves int) [][]parquet.Value {
	out := make([][]parquet.Value, leaves)
	for _, row := range rows {
		at := 0
		for i, f := range s.Fields {
			at = shredTree(out, at, f.Type, row[i], 0, 0, 0)
		}
	}
	return out
}

// readLeaves reads a file with parquet-go, all columns of all row groups. Checksums are verified
// by the reader.
func readLeaves(t testing.TB, file []byte) (*parquet.File, [][]parquet.Value) {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	out := make([][]parquet.Value, len(f.Schema().Columns()))
	for _, group := range f.RowGroups() {
		for i, chunk := range group.ColumnChunks() {
			pages := chunk.Pages()
			for {
				page, err := pages.ReadPage()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatalf("column %v: %v", f.Schema().Columns()[i], err)
				}
				out[i] = append(out[i], pageValues(t, page)...)
				parquet.Release(page)
			}
			if err := pages.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return f, out
}

func pageValues(t testing.TB, page parquet.Page) []parquet.Value {
	t.Helper()
	values := make([]parquet.Value, page.NumValues())
	n, err := page.Values().ReadValues(values)
	if err != nil && err != io.EOF || n != len(values) {
		t.Fatalf("read %d of %d values: %v", n, len(values), err)
	}
	for i := range values {
		values[i] = values[i].Clone()
	}
	return values
}

// sameLeaves compares columns value by value, levels included.
func sameLeaves(t testing.TB, l *layout, got, want [][]parquet.Value) {
	t.Helper()
	for i := range want {
		if len(got[i]) != len(want[i]) {
			t.Fatalf("column %v has %d values, want %d", l.leaves[i].path, len(got[i]), len(want[i]))
		}
		for j, w := range want[i] {
			g := got[i][j]
			if !parquet.Equal(g, w) || g.RepetitionLevel() != w.RepetitionLevel() ||
				g.DefinitionLevel() != w.DefinitionLevel() || g.IsNull() != w.IsNull() {
				t.Fatalf("column %v value %d is %+v, want %+v", l.leaves[i].path, j, g, w)
			}
		}
	}
}

// writeReference writes the values with parquet-go's own writer.
func writeReference(t testing.TB, l *layout, values [][]parquet.Value) []byte {
	t.Helper()
	var file bytes.Buffer
	root := group{}
	for _, f := range l.schema.Fields {
		node, err := nodeOf(f.Type, f.Name, 0)
		if err != nil {
			t.Fatal(err)
		}
		root.fields = append(root.fields, field{parquet.Optional(node), f.Name})
	}
	w := parquet.NewWriter(&file, parquet.NewSchema("millrace", root))
	for i, c := range w.ColumnWriters() {
		if _, err := c.WriteRowValues(values[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}
