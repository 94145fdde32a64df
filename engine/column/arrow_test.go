package column

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// checkArrow holds the batch against its Arrow record, value by value.
func checkArrow(t *testing.T, b *Batch) {
	t.Helper()
	r := b.Record()
	if int(r.NumRows()) != b.Rows {
		t.Fatalf("record of %d rows for a batch of %d", r.NumRows(), b.Rows)
	}
	for k, a := range r.Columns() {
		c := b.Columns[k]
		if a.Len() != b.Rows || a.NullN() != c.Nulls {
			t.Fatalf("%s: array of %d rows, %d null; want %d, %d", r.ColumnName(k), a.Len(), a.NullN(), b.Rows, c.Nulls)
		}
		for i := range b.Rows {
			if a.IsNull(i) != c.IsNull(i) {
				t.Fatalf("%s: row %d: null is %v in arrow, %v in the column", r.ColumnName(k), i, a.IsNull(i), c.IsNull(i))
			}
			if got, want := arrowText(a, i), columnText(c, i); got != want {
				t.Fatalf("%s: row %d is %s in arrow, %s in the column", r.ColumnName(k), i, got, want)
			}
		}
	}
}

// columnText is a value as arrowText writes it.
func columnText(c *Column, i int) string {
	switch {
	case c.IsNull(i):
		return "null"
	case c.Type.Kind == Binary:
		return fmt.Sprintf("%x", c.Text(i))
	case c.Type.Kind == UUID:
		return fmt.Sprintf("%x", c.Fixed[16*i:16*i+16])
	case c.Type.Kind == Float || c.Type.Kind == Double:
		return string(appendFloatText(nil, c, i))
	case c.Type.Kind == Struct || c.Type.Kind == List:
		return string(appendJSONValue(nil, c, i))
	}
	return string(AppendText(nil, c, i))
}

func arrowText(a arrow.Array, i int) string {
	if a.IsNull(i) {
		return "null"
	}
	switch a := a.(type) {
	case *array.Dictionary:
		return a.Dictionary().(*array.String).Value(a.GetValueIndex(i))
	case *array.Date32:
		return a.Value(i).FormattedString()
	case *array.Time64:
		v := a.Value(i).ToTime(arrow.Microsecond)
		return v.Format("15:04:05.999999")
	case *array.Timestamp:
		return a.Value(i).ToTime(arrow.Microsecond).Format("2006-01-02T15:04:05.999999Z")
	case *array.Decimal128:
		return a.Value(i).ToString(a.DataType().(*arrow.Decimal128Type).Scale)
	case *array.Binary:
		return fmt.Sprintf("%x", a.Value(i))
	case *array.FixedSizeBinary:
		return fmt.Sprintf("%x", a.Value(i))
	case *array.Float32:
		return string(appendFloat(nil, float64(a.Value(i)), 32))
	case *array.Float64:
		return string(appendFloat(nil, a.Value(i), 64))
	case *array.List:
		from, to := a.ValueOffsets(i)
		s := "["
		for j := from; j < to; j++ {
			if j > from {
				s += ","
			}
			s += arrowJSON(a.ListValues(), int(j))
		}
		return s + "]"
	case *array.Struct:
		s := "{"
		for j := range a.NumField() {
			if j > 0 {
				s += ","
			}
			s += fmt.Sprintf("%q:", a.DataType().(*arrow.StructType).Field(j).Name) + arrowJSON(a.Field(j), i)
		}
		return s + "}"
	}
	return a.ValueStr(i)
}

func arrowJSON(a arrow.Array, i int) string {
	switch a.(type) {
	case *array.Dictionary, *array.String:
		if a.IsValid(i) {
			return quoteJSON(arrowText(a, i))
		}
	}
	return arrowText(a, i)
}

func TestRecordSharesTheMemoryOfTheBatch(t *testing.T) {
	b := decodeAll(t, NewDecoder(clickSchema(), nil, Options{}), clickEvents(100))
	r := b.Record()
	price := r.Column(5).(*array.Float64).Float64Values()
	if unsafe.SliceData(price) != unsafe.SliceData(b.Columns[5].Float64s) {
		t.Error("prices were copied")
	}
	actions := r.Column(4).(*array.Dictionary).Indices().(*array.Int32).Int32Values()
	if unsafe.SliceData(actions) != unsafe.SliceData(b.Columns[4].IDs) {
		t.Error("ids of actions were copied")
	}
}

func TestArrowPrintsTheRowsThatWereRead(t *testing.T) {
	events := clickEvents(200)
	b := decodeAll(t, NewDecoder(clickSchema(), nil, Options{}), events)
	text, err := b.Record().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]any
	if err := json.Unmarshal(text, &rows); err != nil || len(rows) != len(events) {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, got := range rows {
		var want map[string]any
		if err := json.Unmarshal(events[i], &want); err != nil {
			t.Fatal(err)
		}
		delete(got, "event_time") // Arrow's own spelling; checkArrow compares it.
		delete(want, "event_time")
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("row %d is %v, want %v", i, got, want)
		}
	}
	checkArrow(t, b)
}
