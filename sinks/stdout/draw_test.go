package stdout

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/column"
)

// fields makes columns of kinds.
func fields(kinds ...column.Kind) []column.Field {
	var out []column.Field
	for i, k := range kinds {
		out = append(out, column.Field{Name: string(rune('a' + i)), Type: column.Type{Kind: k}})
	}
	return out
}

// row makes cells; "" is null.
func row(texts ...string) []*string {
	var cells []*string
	for _, text := range texts {
		if text == "" {
			cells = append(cells, nil)
			continue
		}
		cells = append(cells, &text)
	}
	return cells
}

func wantLines(t *testing.T, got []string, want string) {
	t.Helper()
	if diff := cmp.Diff(strings.Split(strings.Trim(want, "\n"), "\n"), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTimestampsLoseWhatIsZeroEverywhere(t *testing.T) {
	for _, c := range []struct{ in, want []string }{
		{[]string{"2018-01-31 00:00:00.000000", "", "2018-02-01 00:00:00.000000"}, []string{"2018-01-31", "", "2018-02-01"}},
		{[]string{"2018-01-31 00:00:00.000000", "2018-02-01 01:00:00.000000"}, []string{"2018-01-31 00:00", "2018-02-01 01:00"}},
		{[]string{"2018-01-31 00:00:01.000000", "2018-02-01 01:00:00.000000"}, []string{"2018-01-31 00:00:01", "2018-02-01 01:00:00"}},
		{[]string{"2018-01-31 00:00:00.120000", "2018-02-01 01:00:00.000000"}, []string{"2018-01-31 00:00:00.120", "2018-02-01 01:00:00.000"}},
		{[]string{"2018-01-31 00:00:00.000001"}, []string{"2018-01-31 00:00:00.000001"}},
	} {
		got := append([]string(nil), c.in...)
		shortenTimes(got)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.in, diff)
		}
	}
}

func TestNumbersAreRounded(t *testing.T) {
	for _, c := range []struct {
		in   float64
		want string
	}{
		{0, "0"}, {2, "2"}, {-1.5, "-1.5"}, {1234.5600000000002, "1234.56"}, {0.1 + 0.2, "0.3"}, {1.99999, "2"},
		{0.00123456, "0.001235"}, {0.0312, "0.0312"}, {1e-9, "1e-09"}, {123456789012, "123456789012"}, {1e300, "1e+300"},
	} {
		if got := number(c.in, 64); got != c.want {
			t.Errorf("number(%v) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestWideValuesAreClippedToTheScreen(t *testing.T) {
	rows := [][]*string{row(strings.Repeat("x", 100), "12345678", "short"), row("y", "1", "a longer text of words")}
	f := fields(column.String, column.BigInt, column.String)
	wantLines(t, draw("t", f, rows, 0), `
t
a                                                b  c
────────────────────────────────────────  ────────  ──────────────────────
xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…  12345678  short
y                                                1  a longer text of words
`)
	wantLines(t, draw("t", f, rows, 40), `
t
a                      b  c
──────────────  ────────  ──────────────
xxxxxxxxxxxxx…  12345678  short
y                      1  a longer text…
`)
	wantLines(t, draw("t", f, rows, 20), `
t (1 more columns d…
a              b
──────  ────────
xxxxx…  12345678
y              1
`)
	for width := 1; width < 90; width++ {
		for _, line := range draw("a title", f, rows, width) {
			if n := cells(line); n > width {
				t.Errorf("width %d: %q takes %d", width, line, n)
			}
		}
	}
}

func TestWideCharactersKeepTheColumnsStraight(t *testing.T) {
	rows := [][]*string{row("東京", "1"), row("München", "2"), row("e\u0301te\u0301", "3"), row("🌍", "4")}
	wantLines(t, draw("t", fields(column.String, column.Int), rows, 0), "t\n"+
		"a        b\n"+
		"───────  ─\n"+
		"東京     1\n"+
		"München  2\n"+
		"e\u0301te\u0301      3\n"+
		"🌍       4\n")
}

// A value must not be able to move the cursor, change colours or set the window's title.
func TestNoControlCharacterReachesTheTerminal(t *testing.T) {
	hostile := "\x1b]0;title\x07\x1b[2J\r\n\t\u009b31m\u202eevil\u2066\u200b\xff\u2028"
	got := strings.Join(draw("t", []column.Field{{Name: "a\x1b[1m", Type: column.Type{Kind: column.String}}}, [][]*string{row(hostile)}, 0), "|")
	if strings.ContainsAny(got, "\x1b\x07\r\n\t\u009b\u202e\u2066\u200b\u2028") {
		t.Errorf("control characters in %q", got)
	}
	if !strings.Contains(got, "evil") || !strings.Contains(got, "·") {
		t.Errorf("the text itself is missing in %q", got)
	}
}

func TestEveryTypeHasAText(t *testing.T) {
	kind := func(k column.Kind) column.Type { return column.Type{Kind: k} }
	bigint := kind(column.BigInt)
	for _, c := range []struct {
		typ      column.Type
		in, want string
	}{
		{kind(column.Boolean), `true`, "true"},
		{kind(column.Int), `-7`, "-7"},
		{kind(column.BigInt), `9007199254740993`, "9007199254740993"},
		{kind(column.Float), `0.1`, "0.1"},
		{kind(column.Double), `2.5`, "2.5"},
		{column.Type{Kind: column.Decimal, Precision: 10, Scale: 2}, `12.3`, "12.30"},
		{column.Type{Kind: column.Decimal, Precision: 38, Scale: 2}, `12345678901234567890123.45`, "12345678901234567890123.45"},
		{kind(column.String), `"a\"b"`, `a"b`},
		{kind(column.Binary), `"AP8="`, "0x00ff"},
		{kind(column.Date), `"2018-01-31"`, "2018-01-31"},
		{kind(column.Time), `"01:02:03"`, "01:02:03"},
		{kind(column.Timestamp), `"2018-01-31T01:02:03.5Z"`, "2018-01-31 01:02:03.500000"},
		{kind(column.UUID), `"123e4567-e89b-12d3-a456-426614174000"`, "123e4567-e89b-12d3-a456-426614174000"},
		{kind(column.JSON), `{"a": [1, 2]}`, `{"a":[1,2]}`},
		{column.Type{Kind: column.List, Elem: &bigint}, `[1, null, 3]`, `[1,null,3]`},
		{column.Type{Kind: column.Struct, Fields: []column.Field{{Name: "lat", Type: kind(column.Double)}}}, `{"lat": 1.5}`, `{"lat":1.5}`},
	} {
		d := column.NewDecoder(&column.Schema{Fields: []column.Field{{Name: "v", Type: c.typ}}}, nil, column.Options{})
		if err := d.Add([]byte(`{"v":`+c.in+`}`), 0, 0); err != nil {
			t.Fatalf("%s: %v", c.in, err)
		}
		if got := cell(d.Take(column.Origin{}).Columns[0], 0); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s %s: got %q, want %q", c.typ, c.in, got, c.want)
		}
	}
}
