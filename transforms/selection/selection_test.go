package selection

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/transforms"
)

var schema = &column.Schema{Fields: []column.Field{
	{Name: "country", Type: column.Type{Kind: column.String}},
	{Name: "price", Type: column.Type{Kind: column.Double}},
	{Name: "quantity", Type: column.Type{Kind: column.BigInt}},
	{Name: "geo", Type: column.Type{Kind: column.Struct, Fields: []column.Field{{Name: "lat", Type: column.Type{Kind: column.Double}}}}},
}}

// texts are columns as a list of the file.
func texts(list ...string) Config {
	var c Config
	for _, text := range list {
		c.Columns = append(c.Columns, Column{Text: text})
	}
	return c
}

func compile(t *testing.T, c Config) transforms.Transform {
	t.Helper()
	s, err := Component().Open(&c, schema)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// orders decodes rows, the wanted columns of them.
func orders(t *testing.T, want []string) *column.Batch {
	t.Helper()
	d := column.NewDecoder(schema, want, column.Options{})
	for i, row := range []string{
		`{"country":"FR","price":2.5,"quantity":2,"geo":{"lat":1}}`,
		`{"country":"DE","price":null,"quantity":3}`,
		`{"country":null,"price":4,"quantity":5,"geo":{"lat":2}}`,
	} {
		if err := d.Add([]byte(row), record.Ordinal(i), 0); err != nil {
			t.Fatal(err)
		}
	}
	return d.Take(column.Origin{Stream: "orders"})
}

func wantRows(t *testing.T, b *column.Batch, want ...string) {
	t.Helper()
	var got []string
	for i := range b.Rows {
		if b.Selection == nil || slices.Contains(b.Selection, int32(i)) {
			got = append(got, string(column.AppendJSON(nil, b, i)))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestColumnsAreComputed(t *testing.T) {
	s := compile(t, texts("price * quantity AS total", "country", "geo.lat"))
	if diff := cmp.Diff([]string{"total", "country", "lat"}, s.Schema().Names()); diff != "" {
		t.Errorf("schema (-want +got):\n%s", diff)
	}
	for range 2 {
		out, outcome, err := s.Apply(orders(t, nil))
		if err != nil {
			t.Fatal(err)
		}
		wantRows(t, out, `{"total":5,"country":"FR","lat":1}`, `{"total":null,"country":"DE","lat":null}`, `{"total":20,"country":null,"lat":2}`)
		if got := outcome.Counts; got.In != 3 || got.Passed != 3 || got.Filtered != 0 {
			t.Errorf("counts: %+v", got)
		}
	}
}

func TestNamesWithExpressions(t *testing.T) {
	s := compile(t, Config{Columns: Columns{{Name: "total", Text: "price * quantity"}, {Name: "place", Text: "country"}}})
	out, _, err := s.Apply(orders(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	wantRows(t, out, `{"total":5,"place":"FR"}`, `{"total":null,"place":"DE"}`, `{"total":20,"place":null}`)
}

func TestStarIsEveryColumn(t *testing.T) {
	s := compile(t, texts("*", "quantity + 1 AS more"))
	out, _, err := s.Apply(orders(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"country", "price", "quantity", "geo", "more"}, out.Schema.Names()); diff != "" {
		t.Errorf("schema (-want +got):\n%s", diff)
	}
	wantRows(t, out.With([]int32{0, 2}),
		`{"country":"FR","price":2.5,"quantity":2,"geo":{"lat":1},"more":3}`,
		`{"country":null,"price":4,"quantity":5,"geo":{"lat":2},"more":6}`)
}

func TestRowsStayWhatTheyAre(t *testing.T) {
	in := orders(t, nil).With([]int32{0, 2})
	in.Watermarks = []int64{1, 2, 3}
	out, outcome, err := compile(t, texts("price + 1 AS price")).Apply(in)
	if err != nil {
		t.Fatal(err)
	}
	wantRows(t, out, `{"price":3.5}`, `{"price":5}`)
	if got := outcome.Counts; got.In != 2 || got.Passed != 2 {
		t.Errorf("counts: %+v", got)
	}
	if diff := cmp.Diff(in.Origin, out.Origin); diff != "" || len(out.Watermarks) != 3 {
		t.Errorf("origin or watermarks changed: %s %v", diff, out.Watermarks)
	}
	if in.Schema != schema || len(in.Columns) != 4 {
		t.Error("the input was changed")
	}
}

func TestNeedsFollowsTheWantedColumns(t *testing.T) {
	s := compile(t, texts("price * quantity AS total", "country", "geo.lat", "1 AS one"))
	for _, c := range []struct{ wanted, want []string }{
		{[]string{"total"}, []string{"price", "quantity"}},
		{[]string{"lat", "country"}, []string{"country", column.Within("geo", "lat")}},
		{[]string{"one"}, []string{}},
	} {
		got := s.Needs(c.wanted)
		slices.Sort(got)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.wanted, diff)
		}
	}
}

func TestColumnsThatNobodyWantsAreNotComputed(t *testing.T) {
	s := compile(t, texts("price * quantity AS total", "country"))
	out, _, err := s.Apply(orders(t, s.Needs([]string{"country"})))
	if err != nil {
		t.Fatal(err)
	}
	if out.Columns[0] != nil || string(out.Columns[1].Text(0)) != "FR" {
		t.Errorf("columns: %v", out.Columns)
	}
}

func TestEveryMistakeIsReported(t *testing.T) {
	c := texts("pri * 2 AS x", "price * 2", "country", "quantity AS country", "price AS", "country")
	c.Columns = append(c.Columns, Column{Name: "y", Text: "price *"})
	_, err := Component().Open(&c, schema)
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("got %v", err)
	}
	want := []struct{ path, say string }{
		{"columns[0]", "pri"}, {"columns[1]", "has no name"}, {"columns[3]", "twice"},
		{"columns[4]", "AS"}, {"columns[5]", "twice"}, {"columns.y", ""},
	}
	all := joined.Unwrap()
	if len(all) != len(want) {
		t.Fatalf("%d mistakes, want %d:\n%v", len(all), len(want), err)
	}
	for i, w := range want {
		var at *config.PathError
		if !errors.As(all[i], &at) || at.Path != w.path || !strings.Contains(at.Error(), w.say) {
			t.Errorf("mistake %d: %v, want one at %s saying %q", i, all[i], w.path, w.say)
		}
	}
	var mistake *sql.Error
	if !errors.As(all[0], &mistake) {
		t.Errorf("%v is no SQL error", all[0])
	}
}

func TestSplitFindsTheName(t *testing.T) {
	for _, c := range []struct{ in, expr, name string }{
		{"a", "a", "a"},
		{" a ", "a", "a"},
		{"`order`", "`order`", "order"},
		{"geo.lat", "geo.lat", "lat"},
		{"a AS b", "a", "b"},
		{"a as b", "a", "b"},
		{"a\nAS\tb", "a", "b"},
		{"a AS `total price`", "a", "total price"},
		{`a AS "b"`, "a", "b"},
		{"CAST(a AS bigint) AS b", "CAST(a AS bigint)", "b"},
		{"'x AS y' AS b", "'x AS y'", "b"},
		{"'it''s AS' AS b", "'it''s AS'", "b"},
		{"price * quantity  AS  total", "price * quantity", "total"},
		{"ünï", "ünï", "ünï"},
	} {
		expr, name, err := split(c.in)
		if err != nil || expr != c.expr || name != c.name {
			t.Errorf("split(%q) = %q, %q, %v; want %q, %q", c.in, expr, name, err, c.expr, c.name)
		}
	}
	for _, in := range []string{"", "a + b", "CAST(a AS bigint)", "a AS", " AS b", "a AS 1b", "a AS b c", "a AS `b", "'a AS b", "a..b", "1", "a AS ``"} {
		if expr, name, err := split(in); err == nil {
			t.Errorf("split(%q) = %q, %q; want an error", in, expr, name)
		}
	}
}

func TestColumnsAreReadFromTheFile(t *testing.T) {
	for _, c := range []struct {
		text    string
		want    Columns
		mistake string
	}{
		{"columns: [a, b * 2 AS c]", Columns{{Text: "a"}, {Text: "b * 2 AS c"}}, ""},
		{"columns: {z: a, y: b * 2}", Columns{{Name: "z", Text: "a"}, {Name: "y", Text: "b * 2"}}, ""},
		{"columns: a", nil, "expected a list"},
		{"columns: []", nil, "no columns"},
		{"columns: {}", nil, "no columns"},
		{"columns: [[a]]", nil, "columns[0]"},
		{"colums: [a]", nil, `did you mean "columns"`},
	} {
		d := config.NewDecoder("test.yaml", config.Options{})
		cfg := Component().Config().(*Config)
		d.Decode(d.Parse([]byte(c.text)), cfg)
		err := d.Err()
		if c.mistake != "" {
			if err == nil || !strings.Contains(err.Error(), c.mistake) {
				t.Errorf("%s: got %v, want an error with %s", c.text, err, c.mistake)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
		}
		if diff := cmp.Diff(c.want, cfg.Columns); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.text, diff)
		}
	}
}

// FuzzSplit: whatever comes in, a name that comes out can be a name.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{"a AS b", "'x AS y' AS `b`", "CAST(a AS int)", "((", "a AS \"", "geo.`l at`", " as "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		expr, name, err := split(text)
		if err != nil {
			return
		}
		if name == "" || strings.TrimSpace(expr) == "" || !strings.Contains(text, name) || !strings.Contains(text, expr) {
			t.Errorf("split(%q) = %q, %q", text, expr, name)
		}
	})
}

func TestFieldsWithinColumnsAreToldApart(t *testing.T) {
	s := compile(t, texts("geo.lat AS lat", "geo", "price * quantity AS total"))
	for want, wanted := range map[string][]string{
		column.Within("geo", "lat"): {"lat"},
		"geo":                       {"geo"},
		column.Within("geo", "x"):   {column.Within("geo", "x")},
		"price,quantity":            {column.Within("total", "x")},
		"":                          {"nowhere"},
	} {
		if got := strings.Join(s.Needs(wanted), ","); got != want {
			t.Errorf("%q for %q, want %q", got, wanted, want)
		}
	}
}

func TestWhatReadsAFieldThatNobodyWantsIsLeftOut(t *testing.T) {
	s := compile(t, texts("geo.lat IS NULL AS nowhere", "country"))
	d := column.NewDecoder(&column.Schema{Fields: []column.Field{schema.Fields[0], {Name: "x", Type: schema.Fields[1].Type}, {Name: "y", Type: schema.Fields[2].Type},
		{Name: "geo", Type: column.Type{Kind: column.Struct, Fields: []column.Field{{Name: "lat", Type: column.Type{Kind: column.Double}}, {Name: "lon", Type: column.Type{Kind: column.Double}}}}}}},
		[]string{"country", column.Within("geo", "lon")}, column.Options{})
	if err := d.Add([]byte(`{"country":"FR","geo":{"lat":1,"lon":2}}`), 0, 0); err != nil {
		t.Fatal(err)
	}
	out, _, err := s.Apply(d.Take(column.Origin{}))
	if err != nil || out.Columns[0] != nil || out.Columns[1] == nil {
		t.Errorf("columns %v, %v", out.Columns, err)
	}
}
