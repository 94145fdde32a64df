package column

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/record"
)

// randomRows makes rows from the odd values, about one in five of them bad.
func randomRows(r *rand.Rand, n int) [][]byte {
	names := make([]string, 0, len(oddValues))
	for name := range oddValues {
		names = append(names, name)
	}
	sort.Strings(names)
	good := map[string][]string{}
	for _, name := range names {
		for _, v := range oddValues[name] {
			if NewDecoder(everySchema(), nil, Options{}).Add(fmt.Appendf(nil, `{%q:%s}`, name, v), 0, 0) == nil {
				good[name] = append(good[name], v)
			}
		}
	}
	rows := make([][]byte, n)
	for i := range rows {
		var parts []string
		order := r.Perm(len(names))
		if r.IntN(3) > 0 { // Most producers keep to an order.
			sort.Ints(order)
		}
		for _, k := range order {
			values := good[names[k]]
			switch r.IntN(60) {
			case 0:
				values = oddValues[names[k]]
			case 1, 2, 3, 4, 5, 6, 7, 8, 9:
				continue
			}
			gap := []string{"", "", "", " ", "\t "}
			parts = append(parts, fmt.Sprintf("%q%s:%s%s%s", names[k], gap[r.IntN(4)], gap[r.IntN(5)], values[r.IntN(len(values))], gap[r.IntN(5)]))
		}
		rows[i] = []byte("{" + strings.Join(parts, []string{",", ", "}[r.IntN(2)]) + "}")
	}
	return rows
}

// decodeSplit decodes rows in batches of random size and returns the good ones as JSON, their hash,
// and how many were bad.
func decodeSplit(t *testing.T, r *rand.Rand, d *Decoder, rows [][]byte, most int) (lines []string, sum RowHash, bad int) {
	t.Helper()
	flush := func() {
		b := d.Take(Origin{Stream: "s", Shard: 3})
		if len(b.Origin.Ordinals) != b.Rows || len(b.Origin.Arrivals) != b.Rows || b.Origin.Shard != 3 {
			t.Fatalf("%d rows with %d ordinals, %d arrivals", b.Rows, len(b.Origin.Ordinals), len(b.Origin.Arrivals))
		}
		for i := range b.Rows {
			lines = append(lines, string(AppendJSON(nil, b, i)))
		}
		checkArrow(t, b)
		sum.Add(HashRows(b))
		d.Release(b)
	}
	size := 1 + r.IntN(most)
	for i, row := range rows {
		if d.Add(row, record.Ordinal(i), 0) != nil {
			bad++
		}
		if d.Len() >= size {
			flush()
			size = 1 + r.IntN(most)
		}
	}
	flush()
	return lines, sum, bad
}

// TestRowsDoNotDependOnBatchesEncodingsOrBadNeighbours decodes the same rows in one batch, in many,
// without dictionaries, and one by one in decoders of their own.
func TestRowsDoNotDependOnBatchesEncodingsOrBadNeighbours(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	rows := randomRows(r, 1500)
	want, wantSum, wantBad := decodeSplit(t, r, NewDecoder(everySchema(), nil, Options{}), rows, 1)
	if wantBad == 0 || wantBad > len(rows)/2 {
		t.Fatalf("%d of %d rows are bad", wantBad, len(rows))
	}
	for name, run := range map[string]struct {
		o    Options
		most int
	}{"small batches": {Options{}, 100}, "one batch": {Options{}, 1 << 20}, "plain": {Options{Plain: true}, 500}} {
		got, sum, bad := decodeSplit(t, r, NewDecoder(everySchema(), nil, run.o), rows, run.most)
		if bad != wantBad || len(got) != len(want) || sum != wantSum {
			t.Fatalf("%s: %d rows, %d bad, hash %s; want %d, %d, %s", name, len(got), bad, sum, len(want), wantBad, wantSum)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("%s: row %d:\n got %s\nwant %s", name, i, got[i], want[i])
			}
		}
	}
	// What was written reads back the same.
	again := make([][]byte, len(want))
	for i, line := range want {
		again[i] = []byte(line)
	}
	if got, sum, bad := decodeSplit(t, r, NewDecoder(everySchema(), nil, Options{}), again, 64); bad != 0 || sum != wantSum || got[0] != want[0] {
		t.Errorf("read back: %d bad, hash %s, want %s", bad, sum, wantSum)
	}
}

func TestHashTellsRowsApart(t *testing.T) {
	rows := []string{`{}`, `{"bigint":0}`, `{"bigint":1}`, `{"int":0}`, `{"int":1}`, `{"double":0}`, `{"double":-0.0}`, `{"timestamp":0}`, `{"boolean":false}`, `{"string":""}`,
		`{"string":"null"}`, `{"binary":""}`, `{"list":[]}`, `{"list":[[]]}`, `{"list":[["a"],["b"]]}`, `{"list":[["a","b"]]}`, `{"list":[["a","b"],[]]}`, `{"struct":{}}`, `{"struct":{"in":{}}}`,
		`{"struct":{"s":"a"}}`, `{"string":"a"}`, `{"structs":[{"a":1}]}`, `{"structs":[{"b":"1"}]}`, `{"structs":[null]}`, `{"wide":1}`, `{"decimal":1}`, `{"wide":-1}`, `{"json":null}`, `{"json":{}}`}
	seen := map[RowHash]string{}
	for _, row := range rows {
		d := NewDecoder(everySchema(), nil, Options{})
		if err := d.Add([]byte(row), 0, 0); err != nil {
			t.Fatal(err)
		}
		h := HashRows(d.Take(Origin{}))
		if other, ok := seen[h]; ok && !(row == `{"json":null}` && other == `{}`) {
			t.Errorf("%s and %s have the same hash", row, other)
		}
		seen[h] = row
	}
}

func TestHashIsTheSameInEveryProcess(t *testing.T) {
	d := NewDecoder(clickSchema(), nil, Options{})
	if got, want := HashRows(decodeAll(t, d, clickEvents(100))).String(), "715a8b90f502951bfb9fc436202f560b"; got != want {
		t.Errorf("hash %s, want %s: stored hashes no longer match", got, want)
	}
}

func TestHashIsOverSelectedRows(t *testing.T) {
	events := clickEvents(1000)
	b := decodeAll(t, NewDecoder(clickSchema(), nil, Options{}), events)
	var even, odd []int32
	for i := range int32(1000) {
		if i%2 == 0 {
			even = append(even, i)
		} else {
			odd = append(odd, i)
		}
	}
	sum := HashRows(b.With(even))
	sum.Add(HashRows(b.With(odd)))
	if whole := HashRows(b); sum != whole || sum == HashRows(b.With(even)) {
		t.Errorf("halves sum to %s, the whole is %s", sum, whole)
	}
	if none := HashRows(b.With([]int32{})); none != (RowHash{}) {
		t.Errorf("no rows hash to %s", none)
	}
}

func TestStringsLeaveTheDictionaryWhenItDoesNotPay(t *testing.T) {
	d := NewDecoder(clickSchema(), nil, Options{})
	events := clickEvents(8192 * 3)
	first := decodeAll(t, d, events[:8192])
	column := func(b *Batch, name string) *Column { return b.Columns[b.Schema.Index(name)] }
	if c := column(first, "session_id"); c.Dict != nil {
		t.Errorf("8192 distinct values stayed in a dictionary")
	}
	for i, from := 0, 8192; from < len(events); i, from = i+1, from+8192 {
		b := decodeAll(t, d, events[from:from+8192])
		for _, name := range []string{"action", "country", "user_agent"} {
			c := column(b, name)
			if c.Dict == nil || c.Dict != column(first, name).Dict || c.DictLen > 50 {
				t.Errorf("%s: dictionary %p of %d values in batch %d, %p in the first", name, c.Dict, c.DictLen, i+1, column(first, name).Dict)
			}
		}
	}
}

func TestDriftingValuesStartANewDictionary(t *testing.T) {
	schema := &Schema{Fields: []Field{{"s", Type{Kind: String}}}}
	d := NewDecoder(schema, nil, Options{})
	pad := strings.Repeat("x", 2000)
	dicts := map[*Dict]bool{}
	plain := 0
	for i := range 70_000 {
		if err := d.Add(fmt.Appendf(nil, `{"s":"%d%s"}`, i/64, pad), 0, 0); err != nil {
			t.Fatal(err)
		}
		if d.Len() < 4096 {
			continue
		}
		b := d.Take(Origin{})
		c := b.Columns[0]
		if c.Dict == nil {
			plain++
		} else {
			dicts[c.Dict] = true
			if int(c.Dict.Offsets[c.DictLen]) > maxDictionary {
				t.Fatalf("dictionary of %d bytes", c.Dict.Offsets[c.DictLen])
			}
		}
		for j, want := 0, i-b.Rows+1; j < b.Rows; j, want = j+7, want+7 {
			if got := string(c.Text(j)); got != fmt.Sprint(want/64)+pad {
				t.Fatalf("row %d is %.20s…", want, got)
			}
		}
		d.Release(b)
	}
	if len(dicts) < 5 || plain > 3 {
		t.Errorf("%d dictionaries, %d plain batches", len(dicts), plain)
	}
}
