package column

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/millrace-io/millrace/engine/record"
)

func TestBadRowNamesCodeFieldAndReason(t *testing.T) {
	for _, c := range []struct{ row, code, field, message string }{
		{`{"bigint":"1"}`, CodeMismatch, "bigint", `offset 10: want a bigint, got "1"`},
		{`{"struct":{"in":{"d":true}}}`, CodeMismatch, "struct.in.d", `want a double, got true`},
		{`{"structs":[{"a":1},{"a":[]}]}`, CodeMismatch, "structs.a", `want a bigint, got an array`},
		{`{"int":3000000000}`, CodeRange, "int", `3000000000 is out of range for an int`},
		{`{"decimal":1.234}`, CodeRange, "decimal", `1.234 has too many digits after the point for a decimal(10,2)`},
		{`{"decimal":123456789}`, CodeRange, "decimal", `123456789 is out of range for a decimal(10,2)`},
		{`{"decimal":"1.234"}`, CodeRange, "decimal", `"1.234" has too many digits after the point for a decimal(10,2)`},
		{`{"decimal":"99,99"}`, CodeMismatch, "decimal", `want a decimal(10,2), got "99,99"`},
		{`{"timestamp":"2026-02-30T00:00:00Z"}`, CodeRange, "timestamp", `out of range for a timestamp`},
		{`{"timestamp":"yesterday"}`, CodeMismatch, "timestamp", `want a timestamp, got "yesterday"`},
		{`{"int":1,"int":2}`, CodeDuplicate, "int", `occurs twice`},
		{`{"struct":{"s":"a","s":"b"}}`, CodeDuplicate, "struct.s", `occurs twice`},
		{`{"int":"x"`, CodeParse, "", `unexpected end`},
		{`{"int":"x"}]`, CodeParse, "", `unexpected ']'`},
		{`[1]`, CodeParse, "", `want an object`},
		{`{"string":"\ud800"}`, CodeInvalidUTF8, "string", `surrogate`},
		{"{\"other\":\"\xff\"}", CodeInvalidUTF8, "", `not UTF-8`},
		{`{"list":` + strings.Repeat("[", 100), CodeMismatch, "list", `want [string]`},
		{`{"other":` + strings.Repeat("[", 100), CodeTooDeep, "", `64`},
		{`{"string":` + strings.Repeat("1", 100) + `}`, CodeMismatch, "string", `want a string, got 1111`},
	} {
		err := NewDecoder(everySchema(), nil, Options{}).Add([]byte(c.row), 0, 0)
		var bad *RowError
		if !errors.As(err, &bad) {
			t.Fatalf("%s: %v", c.row, err)
		}
		if c.code == CodeMismatch && c.field == "list" {
			c.code, c.field, c.message = CodeTooDeep, "", "64" // Not being JSON comes first.
		}
		if bad.Code != c.code || bad.Field != c.field || !strings.Contains(bad.Message, c.message) || len(bad.Message) > 200 {
			t.Errorf("%s:\n got %s, %q, %s\nwant %s, %q, %s", c.row, bad.Code, bad.Field, bad.Message, c.code, c.field, c.message)
		}
	}
}

func TestUnwantedColumnsAreNilAndOnlyCheckedAsJSON(t *testing.T) {
	d := NewDecoder(everySchema(), []string{"bigint", "nowhere"}, Options{})
	for row, ok := range map[string]bool{
		`{"bigint":1,"int":"not an int","struct":[]}`: true,
		`{"bigint":1,"int":01}`:                       false,
		`{"bigint":1,"int":1,"int":1}`:                false,
		`{"bigint":1,"string":"\ud800"}`:              false,
	} {
		if err := d.Add([]byte(row), 0, 0); (err == nil) != ok {
			t.Errorf("%s: %v", row, err)
		}
	}
	b := d.Take(Origin{})
	if got := string(AppendJSON(nil, b, 0)); got != `{"bigint":1}` || b.Rows != 1 || b.Columns[0] != nil {
		t.Errorf("%d rows, the first is %s", b.Rows, got)
	}
}

func TestFieldsInAnyOrderAndSpelling(t *testing.T) {
	schema := &Schema{Fields: []Field{{"a", Type{Kind: BigInt}}, {"b", Type{Kind: BigInt}}, {"c", Type{Kind: BigInt}}}}
	d := NewDecoder(schema, nil, Options{})
	rows := []string{`{"a":1,"b":2,"c":3}`, `{"c":3,"b":2,"a":1}`, `{"a": 1, "b": 2, "c": 3}`, `{"a" :1,"x":0,"b":2,"c":3}`, `{"\u0061":1,"b":2,"y":[],"c":3,"` + strings.Repeat("long", 50) + `":1}`}
	for range 3 {
		for _, row := range rows {
			if err := d.Add([]byte(row), 0, 0); err != nil {
				t.Fatalf("%s: %v", row, err)
			}
		}
	}
	b := d.Take(Origin{})
	for i := range b.Rows {
		if got := string(AppendJSON(nil, b, i)); got != rows[0] {
			t.Errorf("%s became %s", rows[i%len(rows)], got)
		}
	}
}

func TestHostileKeysDoNotFillMemory(t *testing.T) {
	d := NewDecoder(clickSchema(), nil, Options{})
	for i := range 100_000 {
		if err := d.Add(fmt.Appendf(nil, `{"k%d":1,"seq":2}`, i), 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(d.root.links); n > maxLinks+4*len(d.root.fields) {
		t.Errorf("%d keys learned", n)
	}
}

func TestRowThatGrowsBeyondItsMemoryIsRefused(t *testing.T) {
	d := NewDecoder(everySchema(), nil, Options{MaxRow: 10_000})
	row := `{"structs":[{}` + strings.Repeat(`,{}`, 1000) + `]}`
	var bad *RowError
	if err := d.Add([]byte(row), 0, 0); !errors.As(err, &bad) || bad.Code != CodeTooLarge {
		t.Errorf("got %v", err)
	}
	if err := d.Add([]byte(`{"structs":[{}]}`), 0, 0); err != nil || d.Len() != 1 {
		t.Errorf("the next row: %v", err)
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	d := NewDecoder(clickSchema(), nil, Options{})
	events := clickEvents(1000)
	batch := func() {
		for i, e := range events {
			if err := d.Add(e, record.Ordinal(i), 1); err != nil {
				t.Fatal(err)
			}
		}
		d.Release(d.Take(Origin{}))
	}
	for range 20 { // Dictionaries grow to their full size.
		batch()
	}
	if n := testing.AllocsPerRun(20, batch); n > 2 {
		t.Errorf("%v allocations per batch", n)
	}
}

func TestBatchStaysAsItWasUntilReleased(t *testing.T) {
	d := NewDecoder(clickSchema(), nil, Options{})
	events := clickEvents(5000)
	first := decodeAll(t, d, events[:100])
	second := decodeAll(t, d, events[100:])
	for i := range 100 {
		if got, want := AppendJSON(nil, first, i), appendDecoded(t, events[i]); string(got) != want {
			t.Fatalf("row %d became %s, want %s", i, got, want)
		}
	}
	d.Release(first)
	d.Release(first)
	third, fourth := decodeAll(t, d, events[:10]), decodeAll(t, d, events[10:30])
	if third == fourth || second.Rows != 4900 || third.Rows != 10 || fourth.Rows != 20 {
		t.Error("a batch released twice was handed out twice")
	}
}

func appendDecoded(t *testing.T, event []byte) string {
	return string(AppendJSON(nil, decodeAll(t, NewDecoder(clickSchema(), nil, Options{}), [][]byte{event}), 0))
}

// TestReadersMayKeepABatchWhileTheNextIsDecoded is for the race detector.
func TestReadersMayKeepABatchWhileTheNextIsDecoded(t *testing.T) {
	d := NewDecoder(clickSchema(), nil, Options{})
	events := clickEvents(20_000)
	var readers sync.WaitGroup
	var mu sync.Mutex
	var sum RowHash
	for from := 0; from < len(events); from += 500 {
		b := decodeAll(t, d, events[from:from+500])
		readers.Go(func() {
			h := HashRows(b)
			var text []byte
			for i := range b.Rows {
				text = AppendJSON(text[:0], b, i)
			}
			d.Release(b)
			mu.Lock()
			defer mu.Unlock()
			sum.Add(h)
		})
	}
	readers.Wait()
	if want := HashRows(decodeAll(t, NewDecoder(clickSchema(), nil, Options{}), events)); sum != want {
		t.Errorf("hash %s, want %s", sum, want)
	}
}

func TestDoublesAreTheNearest(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	d := NewDecoder(&Schema{Fields: []Field{{"d", Type{Kind: Double}}}}, nil, Options{})
	var want []float64
	for range 20_000 {
		digits := r.Uint64() >> r.IntN(60)
		text := fmt.Sprintf("%020d", digits)
		text = strings.TrimLeft(text[:19], "0") + "0"
		point := r.IntN(len(text))
		if point > 0 {
			text = text[:point] + "." + text[point:]
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, v)
		if err := d.Add(fmt.Appendf(nil, `{"d":%s}`, text), 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	for i, got := range d.Take(Origin{}).Columns[0].Float64s {
		if got != want[i] {
			t.Fatalf("row %d is %v, want %v", i, got, want[i])
		}
	}
}

func TestTakeOfNothingIsAnEmptyBatch(t *testing.T) {
	b := NewDecoder(everySchema(), nil, Options{}).Take(Origin{Stream: "s"})
	if b.Rows != 0 || b.Selected() != 0 || HashRows(b) != (RowHash{}) {
		t.Errorf("%+v", b)
	}
	checkArrow(t, b)
}
