package table_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/memory"
	"github.com/millrace-io/millrace/engine/table"
)

func schema(fields ...column.Field) *column.Schema { return &column.Schema{Fields: fields} }

func field(name string, k column.Kind) column.Field {
	return column.Field{Name: name, Type: column.Type{Kind: k}}
}

var people = schema(field("id", column.BigInt), field("name", column.String), field("ok", column.Boolean), field("born", column.Date))

// decode is the rows of a content as lines of JSON, or the error.
func decode(s table.Spec, content string) string {
	if s.Memory == 0 {
		s.Memory = 1 << 20
	}
	rows, err := table.Decode(&s, strings.NewReader(content), int64(len(content)))
	if err != nil {
		return err.Error()
	}
	var out []byte
	for i := range rows.Rows {
		out = append(column.AppendJSON(out, rows.Batch, i), '\n')
	}
	return string(out)
}

func TestContentsBecomeRows(t *testing.T) {
	for name, c := range map[string]struct {
		spec          table.Spec
		content, want string
	}{
		"csv": {
			table.Spec{Format: table.CSV, Schema: people},
			"\ufeffborn,id,more,name,ok\r\n2000-01-31,1,x,\"Ada, \"\"the\"\" first\",TRUE\r\n,2,y,,false\n\n2001-02-03, 3 ,z,\"\",\n",
			`{"id":1,"name":"Ada, \"the\" first","ok":true,"born":"2000-01-31"}
{"id":2,"name":null,"ok":false,"born":null}
{"id":3,"name":"","ok":null,"born":"2001-02-03"}
`,
		},
		"csv with a line break in a cell": {
			table.Spec{Format: table.CSV, Schema: schema(field("a", column.String), field("b", column.Int))},
			"a,b\n\"one\ntwo\",2\nthree,3", "{\"a\":\"one\\ntwo\",\"b\":2}\n{\"a\":\"three\",\"b\":3}\n",
		},
		"csv without names, apart by semicolons": {
			table.Spec{Format: table.CSV, Schema: schema(field("a", column.String), field("b", column.Double)), CSV: table.CSVOptions{NoHeader: true, Delimiter: ';'}},
			"x;1.5\ny;-2e3\n", "{\"a\":\"x\",\"b\":1.5}\n{\"a\":\"y\",\"b\":-2000}\n",
		},
		"csv of a header alone": {table.Spec{Format: table.CSV, Schema: people}, "id,name,ok,born\n", ""},
		"an empty csv":          {table.Spec{Format: table.CSV, Schema: people}, "", "it is empty; a CSV file begins with a line of the columns' names (or set header: false)"},
		"a column that is not there": {
			table.Spec{Format: table.CSV, Schema: people}, "id,nam,ok,born\n1,a,true,2000-01-01\n",
			`line 1: unknown column "name"; did you mean "nam"?`,
		},
		"a cell of another type": {
			table.Spec{Format: table.CSV, Schema: people}, "id,name,ok,born\n1,a,true,2000-01-01\nx,b,true,2000-01-01\n",
			`line 3: field "id": offset 6: want a bigint, got "x"`,
		},
		"a short line": {
			table.Spec{Format: table.CSV, Schema: people}, "id,name,ok,born\n1,a,true,2000-01-01\n2,b\n",
			"line 3: it has 2 cells, 4 are expected",
		},
		"lines with a cell more than there are names": {
			table.Spec{Format: table.CSV, Schema: people}, "id,name,ok,born\n1,7,a,true,2000-01-01\n2,8,b,true,2000-01-01\n",
			"line 2: it has 5 cells, 4 are expected",
		},
		"an open quote": {
			table.Spec{Format: table.CSV, Schema: people}, "id,name,ok,born\n1,\"a,true,2000-01-01\n",
			"line 2: a quote is not closed",
		},
		"ndjson": {
			table.Spec{Format: table.NDJSON, Schema: people},
			"{\"name\":\"Ada\",\"id\":1,\"other\":[1]}\n\n{\"id\":2}\r\n", "{\"id\":1,\"name\":\"Ada\",\"ok\":null,\"born\":null}\n{\"id\":2,\"name\":null,\"ok\":null,\"born\":null}\n",
		},
		"a bad line of ndjson": {table.Spec{Format: table.NDJSON, Schema: people}, "{\"id\":1}\n{\"id\":", "line 2: field \"id\": offset 6: unexpected end of JSON, want a value"},
		"a key twice": {
			table.Spec{Format: table.NDJSON, Schema: people, Key: []string{"id", "name"}}, "{\"id\":1,\"name\":\"a\"}\n{\"id\":1,\"name\":\"b\"}\n{\"id\":1,\"name\":\"a\"}\n",
			"rows 1 and 3 have the same key (id, name); make the content unique, or remove key, and both are joined",
		},
		"a key that is null": {table.Spec{Format: table.NDJSON, Schema: people, Key: []string{"id"}}, "{\"id\":1}\n{\"name\":\"b\"}\n", "row 2 has no id, which is its key"},
		"no Parquet":         {table.Spec{Format: table.Parquet, Schema: people}, "PAR1 is not enough", "open it as Parquet: "},
	} {
		got := decode(c.spec, c.content)
		if got != c.want && !(strings.HasSuffix(c.want, ": ") && strings.HasPrefix(got, c.want)) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

func TestPackedContentsBecomeRows(t *testing.T) {
	const text = "{\"id\":1,\"name\":\"Ada\"}\n"
	var gz, zst bytes.Buffer
	g := gzip.NewWriter(&gz)
	z, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.WriteCloser{g, z} {
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := table.Spec{Format: table.NDJSON, Schema: people}
	want := decode(s, text)
	for _, packed := range []string{gz.String(), zst.String()} {
		if got := decode(s, packed); got != want {
			t.Error(got)
		}
		if got := decode(s, packed[:len(packed)-9]); got == want || strings.Contains(got, "Ada") {
			t.Error("half of it was taken:", got)
		}
	}
}

func TestParquetBecomesRows(t *testing.T) {
	type row struct {
		ID    int64     `parquet:"id"`
		Name  *string   `parquet:"name,optional"`
		Price int64     `parquet:"price,decimal(2:18)"`
		At    time.Time `parquet:"at,timestamp(millisecond)"`
		Day   int32     `parquet:"day,date"`
		Ratio float64   `parquet:"ratio"`
		UID   [16]byte  `parquet:"uid,uuid"`
		Tags  []string  `parquet:"tags,list"`
	}
	name := "Ada"
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b)
	rows := []row{
		{1, &name, -12345, time.UnixMilli(1_767_225_600_123).UTC(), 20454, 0.5, [16]byte{15: 7}, []string{"x", "y"}},
		{-2, nil, 7, time.UnixMilli(0).UTC(), -1, 2, [16]byte{}, nil},
	}
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	price := column.Field{Name: "price", Type: column.Type{Kind: column.Decimal, Precision: 10, Scale: 2}}
	s := table.Spec{Format: table.Parquet, Schema: schema(field("name", column.String), field("id", column.Int), price,
		field("at", column.Timestamp), field("day", column.Date), field("ratio", column.Double), field("uid", column.UUID))}
	want := `{"name":"Ada","id":1,"price":-123.45,"at":"2026-01-01T00:00:00.123Z","day":"2026-01-01","ratio":0.5,"uid":"00000000-0000-0000-0000-000000000007"}
{"name":null,"id":-2,"price":0.07,"at":"1970-01-01T00:00:00Z","day":"1969-12-31","ratio":2,"uid":"00000000-0000-0000-0000-000000000000"}
`
	if got := decode(s, b.String()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	s.Schema = schema(field("tags", column.String))
	if got := decode(s, b.String()); !strings.Contains(got, "list or struct") {
		t.Error(got)
	}
	s.Schema = schema(field("ident", column.BigInt))
	if got := decode(s, b.String()); !strings.Contains(got, `unknown column "ident"`) {
		t.Error(got)
	}
}

func TestATableBeyondItsMemoryIsRefused(t *testing.T) {
	content := strings.Repeat("{\"id\":1,\"name\":\"x\"}\n", 50_000)
	s := table.Spec{Format: table.NDJSON, Schema: people, Memory: 1 << 20}
	if got := decode(s, content); !strings.Contains(got, "its rows take more than the 1.0 MiB it may have") {
		t.Error(got)
	}
	_, err := table.Decode(&s, strings.NewReader(content), int64(len(content)))
	if large := (*table.TooLargeError)(nil); !errors.As(err, &large) {
		t.Errorf("%T", err)
	}
	if s.Memory = 16 << 20; strings.Count(decode(s, content), "\n") != 50_000 {
		t.Error("it fits")
	}
}

// bench is a table of a file with a clock.
type bench struct {
	*testing.T
	path, dir string
	meta      stream.Meta
	log       bytes.Buffer
}

func newBench(t *testing.T) *bench {
	backend, err := memory.Open(memory.NewStore(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{T: t, path: filepath.Join(t.TempDir(), "people.ndjson"), dir: filepath.Join(t.TempDir(), "versions"), meta: backend.Meta()}
}

func (b *bench) write(content string) {
	b.Helper()
	if err := os.WriteFile(b.path, []byte(content), 0o600); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) open(pinned ...int64) *table.Table {
	return table.New(table.Spec{
		Name: "people", Source: &table.File{Path: b.path}, Format: table.NDJSON, Schema: people, Memory: 1 << 20, Refresh: time.Minute,
	}, table.Options{
		Dir: b.dir, Key: "tables/p/people", Meta: b.meta, Pinned: pinned, Now: time.Now, Log: slog.New(slog.NewTextHandler(&b.log, nil)),
	})
}

// latest is the version and the first name in it, or the error.
func (b *bench) latest(x *table.Table) (checkpoint.TableVersion, string) {
	v, rows, err := x.Latest(context.Background())
	if err != nil {
		return v, err.Error()
	}
	return v, string(rows.Columns[1].Text(0))
}

func (b *bench) files() int {
	entries, err := filepath.Glob(filepath.Join(b.dir, "*.table"))
	if err != nil {
		b.Fatal(err)
	}
	return len(entries)
}

func TestVersionsOutliveTheirSource(t *testing.T) {
	b := newBench(t)
	x := b.open()
	if _, got := b.latest(x); !strings.Contains(got, `table "people": there is no file`) {
		t.Fatal(got)
	}
	b.write(`{"id":1,"name":"Ada"}`)
	first, got := b.latest(x)
	if got != "Ada" || first.Number != 1 {
		t.Fatal(first, got)
	}
	// A new content is a new version for the next run; the earlier one can still be had while it is pinned.
	b.write(`{"id":1,"name":"Bob"}`)
	x = b.open(1)
	second, got := b.latest(x)
	if got != "Bob" || second.Number != 2 || b.files() != 2 {
		t.Fatal(second, got, b.files())
	}
	rows, err := x.At(first)
	if err != nil || string(rows.Columns[1].Text(0)) != "Ada" {
		t.Fatal(err)
	}
	// Without its source a table goes on with the version of the earlier run, and says so.
	if err := os.Remove(b.path); err != nil {
		t.Fatal(err)
	}
	x = b.open()
	third, got := b.latest(x)
	if got != "Bob" || third != second {
		t.Fatal(third, got)
	}
	if s := x.Status(); s.Version != 2 || s.Failures != 1 || !strings.Contains(s.Error, "there is no file") {
		t.Errorf("%+v", s)
	}
	if !strings.Contains(b.log.String(), "level=WARN") {
		t.Error(b.log.String())
	}
	// The same content again is the same version; what nobody needs is gone.
	b.write(`{"id":1,"name":"Bob"}`)
	x = b.open()
	if v, _ := b.latest(x); v != second || b.files() != 1 {
		t.Error(v, b.files())
	}
	if _, err := x.At(first); err == nil || !strings.Contains(err.Error(), "version 1 is not in") {
		t.Error(err)
	}
}

func TestAVersionThatIsDamagedIsNotRead(t *testing.T) {
	b := newBench(t)
	b.write(`{"id":1,"name":"Ada"}`)
	x := b.open()
	first, _ := b.latest(x)
	b.write(`{"id":1,"name":"Bob"}`)
	x = b.open(1)
	b.latest(x)
	path := filepath.Join(b.dir, "00000000000000000001.table")
	if err := os.WriteFile(path, []byte(`{"id":1,"name":"Eve"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := x.At(first); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Error(err)
	}
}

// failing is a source that can be told to fail, and counts.
type failing struct {
	mu           sync.Mutex // guards what follows
	content, tag string
	err          error
	asked        []string
}

func (f *failing) String() string { return "failing" }
func (f *failing) Fetch(_ context.Context, tag string, w io.Writer) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, tag)
	if f.err != nil || tag != "" && tag == f.tag {
		return f.tag, f.err
	}
	_, err := io.WriteString(w, f.content)
	return f.tag, err
}

func TestARefreshThatFailsKeepsTheVersionBefore(t *testing.T) {
	b := newBench(t)
	synctest.Test(t, func(t *testing.T) {
		source := &failing{content: "{\"id\":1,\"name\":\"Ada\"}\n", tag: "one"}
		x := table.New(table.Spec{Name: "people", Source: source, Format: table.NDJSON, Schema: people, Memory: 1 << 20, Refresh: time.Minute},
			table.Options{Dir: b.dir, Key: "tables/p/people", Meta: b.meta, Now: time.Now, Log: slog.New(slog.NewTextHandler(&b.log, nil))})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			x.Run(ctx)
		}()
		look := func(want string, number int64, age float64, fault string) {
			t.Helper()
			synctest.Wait()
			v, got := b.latest(x)
			s := x.Status()
			if v.Number != number || got != want || s.Age != age || s.Error != fault {
				t.Errorf("version %d with %s, %+v", v.Number, got, s)
			}
		}
		look("Ada", 1, 0, "")
		x.Use("tasks/p/q", checkpoint.TableVersion{Number: 1})
		time.Sleep(61 * time.Second)
		look("Ada", 1, 1, "")
		source.set("", "one", errors.New("the store is down"))
		time.Sleep(time.Minute)
		look("Ada", 1, 61, "the store is down")
		source.set("{\"id\":1,\"nam", "two", nil)
		time.Sleep(time.Minute)
		look("Ada", 1, 121, `failing: line 1: offset 12: unexpected end of JSON, want '"' at the end of a string`)
		source.set("{\"id\":1,\"name\":\"Bob\"}\n", "two", nil)
		time.Sleep(time.Minute)
		look("Bob", 2, 1, "")
		// A task still uses the first.
		if b.files() != 2 {
			t.Error(b.files(), "files")
		}
		x.Use("tasks/p/q", checkpoint.TableVersion{Number: 2})
		source.set("{\"id\":1,\"name\":\"Eve\"}\n", "three", nil)
		time.Sleep(time.Minute)
		look("Eve", 3, 1, "")
		if b.files() != 2 {
			t.Error(b.files(), "files")
		}
		cancel()
		<-done
		if want := []string{"", "one", "one", "one", "one", "two"}; !slices.Equal(source.asked, want) {
			t.Error(source.asked)
		}
	})
}

// set says what the source does from now on.
func (f *failing) set(content, tag string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.content, f.tag, f.err = content, tag, err
}

func FuzzContentsAreRowsOrErrors(f *testing.F) {
	f.Add("id,name,ok,born\n1,\"a\",true,2000-01-01\n", uint8(0))
	f.Add("{\"id\":1}\n", uint8(1))
	f.Add("PAR1\x15\x04\x15\x10PAR1", uint8(2))
	f.Fuzz(func(_ *testing.T, content string, kind uint8) {
		format := []string{table.CSV, table.NDJSON, table.Parquet}[kind%3]
		s := table.Spec{Format: format, Schema: people, Memory: 1 << 20, Key: []string{"id"}}
		_, _ = table.Decode(&s, strings.NewReader(content), int64(len(content)))
	})
}
