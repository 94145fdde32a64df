package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sinks/encode"
)

// shape is a random schema, and rows of it as JSON, the form in which both sides read them.
type shape struct {
	r      *rand.Rand
	schema *column.Schema
	// nulls is their share on each level.
	nulls float64
}

// scalars are all types but lists and structs. Binary is left out: in JSON it is base64, which
// DuckDB takes for a text.
var scalars = []column.Kind{column.Boolean, column.Int, column.BigInt, column.Float, column.Double, column.Decimal,
	column.String, column.Date, column.Time, column.Timestamp, column.UUID, column.JSON}

func newShape(seed uint64) *shape {
	s := &shape{r: rand.New(rand.NewPCG(seed, 17)), schema: &column.Schema{}}
	s.nulls = []float64{0, 0.05, 0.5}[s.r.IntN(3)]
	for i := range 3 + s.r.IntN(8) {
		s.schema.Fields = append(s.schema.Fields, column.Field{Name: fmt.Sprintf("c%d", i), Type: s.typ(3)})
	}
	return s
}

func (s *shape) typ(depth int) column.Type {
	switch n := s.r.IntN(10); {
	case n < 2 && depth > 0:
		elem := s.typ(depth - 1)
		return column.Type{Kind: column.List, Elem: &elem}
	case n < 4 && depth > 0:
		t := column.Type{Kind: column.Struct}
		for i := range 1 + s.r.IntN(3) {
			t.Fields = append(t.Fields, column.Field{Name: fmt.Sprintf("f%d", i), Type: s.typ(depth - 1)})
		}
		return t
	}
	t := column.Type{Kind: scalars[s.r.IntN(len(scalars))]}
	if t.Kind == column.Decimal {
		t.Precision, t.Scale = []int{7, 18, 38}[s.r.IntN(3)], s.r.IntN(5)
	}
	return t
}

// value appends a value of a type. Zeros, empty texts and false are frequent: they must not become
// null. Numbers are such that no reader of JSON rounds them.
func (s *shape) value(dst []byte, t column.Type) []byte {
	if s.r.Float64() < s.nulls {
		return append(dst, "null"...)
	}
	switch t.Kind {
	case column.Boolean:
		return strconv.AppendBool(dst, s.r.IntN(2) == 0)
	case column.Int:
		return strconv.AppendInt(dst, int64(int32(s.r.Uint32())>>s.r.IntN(32)), 10)
	case column.BigInt:
		return strconv.AppendInt(dst, int64(s.r.Uint64())>>s.r.IntN(64), 10)
	case column.Float:
		return strconv.AppendFloat(dst, float64(s.r.IntN(4001)-2000)/8, 'f', -1, 64)
	case column.Double:
		return strconv.AppendFloat(dst, []float64{0, s.r.NormFloat64(), float64(s.r.IntN(10_000)) / 100}[s.r.IntN(3)], 'f', -1, 64)
	case column.Decimal:
		return fmt.Appendf(dst, "%d.%0*d", s.r.IntN(100), max(t.Scale, 1), s.r.IntN(10)*min(t.Scale, 1))
	case column.List:
		return s.list(dst, *t.Elem)
	case column.Struct:
		return s.object(dst, t.Fields)
	case column.JSON:
		return fmt.Appendf(dst, `{"n":%d}`, s.r.IntN(100))
	}
	text, _ := json.Marshal(s.text(t.Kind))
	return append(dst, text...)
}

func (s *shape) text(k column.Kind) string {
	at := time.UnixMicro(s.r.Int64N(4e15)).UTC()
	switch k {
	case column.Date:
		return at.Format(time.DateOnly)
	case column.Time:
		return at.Format("15:04:05.999999")
	case column.Timestamp:
		return at.Format("2006-01-02T15:04:05.999999Z")
	case column.UUID:
		hex := fmt.Sprintf("%016x%016x", s.r.Uint64(), s.r.Uint64())
		return strings.Join([]string{hex[:8], hex[8:12], hex[12:16], hex[16:20], hex[20:]}, "-")
	}
	return []string{"", "é\n\"", fmt.Sprint("text ", s.r.IntN(1000)), fmt.Sprintf("%016x", s.r.Uint64())}[s.r.IntN(4)]
}

func (s *shape) list(dst []byte, elem column.Type) []byte {
	dst = append(dst, '[')
	for i := range s.r.IntN(4) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = s.value(dst, elem)
	}
	return append(dst, ']')
}

func (s *shape) object(dst []byte, fields []column.Field) []byte {
	dst = append(dst, '{')
	for i, f := range fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = s.value(fmt.Appendf(dst, "%q:", f.Name), f.Type)
	}
	return append(dst, '}')
}

// duckType is how DuckDB names a type.
func duckType(t column.Type) string {
	switch t.Kind {
	case column.Int:
		return "INTEGER"
	case column.String:
		return "VARCHAR"
	case column.Timestamp:
		return "TIMESTAMP WITH TIME ZONE"
	case column.List:
		return duckType(*t.Elem) + "[]"
	case column.Struct:
		var fields []string
		for _, f := range t.Fields {
			fields = append(fields, f.Name+" "+duckType(f.Type))
		}
		return "STRUCT(" + strings.Join(fields, ", ") + ")"
	}
	return strings.ToUpper(t.String())
}

// options are random, and such that the file has several row groups.
func (s *shape) options() encode.Options {
	compressions := []encode.Compression{encode.Zstd, encode.Snappy, encode.Gzip, encode.LZ4Raw, encode.None}
	o := encode.Options{Format: encode.Parquet, Compression: compressions[s.r.IntN(len(compressions))], CreatedBy: "millrace test"}
	if o.Compression == encode.Zstd {
		o.Level = []int{0, 1, 3, 9}[s.r.IntN(4)]
	}
	o.GroupRows = []int{0, 700, 2500}[s.r.IntN(3)]
	for _, f := range s.schema.Fields {
		switch f.Type.Kind {
		case column.List, column.Struct, column.JSON:
		default:
			if f.Type.Kind != column.Boolean && s.r.IntN(2) == 0 {
				o.Bloom = append(o.Bloom, f.Name)
			}
			if s.r.IntN(4) == 0 {
				o.Sort = append(o.Sort, encode.SortColumn{Column: f.Name, Descending: s.r.IntN(2) == 0})
			}
		}
	}
	return o
}

// write makes a file of n rows as JSON and one as Parquet.
func (s *shape) write(t *testing.T, dir string, o encode.Options, n int) (ndjson, parquet string) {
	t.Helper()
	ndjson, parquet = filepath.Join(dir, "rows.ndjson"), filepath.Join(dir, "rows.parquet")
	w, err := encode.NewWriter(s.schema, o)
	must(t, err)
	file, err := os.Create(parquet)
	must(t, err)
	defer file.Close()
	e := w.Open(file)
	d := column.NewDecoder(s.schema, nil, column.Options{})
	var lines []byte
	for i := range n {
		line := s.object(nil, s.schema.Fields)
		must(t, d.Add(line, record.Ordinal(i), 0))
		lines = append(append(lines, line...), '\n')
		if d.Len() == 1000 || i == n-1 {
			b := d.Take(column.Origin{})
			must(t, e.Add(b))
			d.Release(b)
		}
	}
	must(t, e.Finish())
	must(t, os.WriteFile(ndjson, lines, 0o644))
	return ndjson, parquet
}

func TestDuckDBReadsEveryValueOfRandomSchemas(t *testing.T) {
	shapes := 12
	if long() {
		shapes = 300
	}
	for seed := range uint64(shapes) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			s := newShape(seed)
			o := s.options()
			ndjson, parquet := s.write(t, t.TempDir(), o, 6000)
			var declared, types []string
			for _, f := range s.schema.Fields {
				declared = append(declared, fmt.Sprintf("%s: '%s'", f.Name, duckType(f.Type)))
				types = append(types, f.Name+"|"+duckType(f.Type))
			}
			want := fmt.Sprintf("read_ndjson('%s', columns = {%s})", ndjson, strings.Join(declared, ", "))
			got := fmt.Sprintf("read_parquet('%s')", parquet)
			have, err := duck.Lines(t.Context(), "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM "+got+")")
			must(t, err)
			if strings.Join(have, "\n") != strings.Join(types, "\n") {
				t.Errorf("types\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(types, "\n"))
			}
			s.sameHashes(t, want, got)
			s.sameRows(t, want, got)
			if t.Failed() {
				t.Logf("options %+v of %v", o, types)
			}
		})
	}
}

// sameHashes compares each column, with its nulls on all levels.
func (s *shape) sameHashes(t *testing.T, want, got string) {
	t.Helper()
	for _, f := range s.schema.Fields {
		query := "SELECT COUNT(*), COUNT(%s), SUM(hash(%s)::HUGEINT) FROM "
		query = fmt.Sprintf(query, f.Name, f.Name)
		a, err := duck.Lines(t.Context(), query+want)
		must(t, err)
		b, err := duck.Lines(t.Context(), query+got)
		must(t, err)
		if a[0] != b[0] {
			t.Errorf("column %s of %s: rows, values and their hash are %s, want %s", f.Name, f.Type, b[0], a[0])
		}
	}
}

func (s *shape) sameRows(t *testing.T, want, got string) {
	t.Helper()
	for _, pair := range [][2]string{{want, got}, {got, want}} {
		if n := number(t, "SELECT COUNT(*) FROM (SELECT * FROM %s EXCEPT ALL SELECT * FROM %s)", pair[0], pair[1]); n != 0 {
			t.Errorf("%d rows of %s are not in %s", n, pair[0], pair[1])
		}
	}
}

func TestDuckDBSkipsRowGroupsByBloomFilterAndOrder(t *testing.T) {
	s := &shape{r: rand.New(rand.NewPCG(1, 1)), schema: &column.Schema{Fields: []column.Field{
		{Name: "id", Type: column.Type{Kind: column.UUID}}, {Name: "n", Type: column.Type{Kind: column.BigInt}},
		{Name: "name", Type: column.Type{Kind: column.String}},
	}}}
	o := encode.Options{Format: encode.Parquet, Compression: encode.Zstd, CreatedBy: "millrace test"}
	o.Bloom, o.Sort, o.GroupRows = []string{"n", "name"}, []encode.SortColumn{{Column: "n"}}, 2000
	_, parquet := s.write(t, t.TempDir(), o, 10_000)
	for _, c := range []struct{ column, value string }{{"n", ""}, {"name", ""}} {
		for row := range 20 {
			var value string
			must(t, duck.Row(t.Context(), fmt.Sprintf("SELECT %s::VARCHAR FROM read_parquet('%s') OFFSET %d LIMIT 1", c.column, parquet, row*499), &value))
			if n := number(t, "SELECT COUNT(*) FROM parquet_bloom_probe('%s', '%s', '%s') WHERE NOT bloom_filter_excludes", parquet, c.column, value); n == 0 {
				t.Errorf("the filters of column %s exclude %q, which is there", c.column, value)
			}
		}
		if n := number(t, "SELECT COUNT(*) FROM parquet_bloom_probe('%s', '%s', '%s') WHERE bloom_filter_excludes", parquet, c.column, "4611686018427387905"); n < 4 {
			t.Errorf("the filters of column %s exclude a value that is nowhere from %d of 5 row groups", c.column, n)
		}
	}
	if n := number(t, `SELECT COUNT(*) FROM (SELECT n, LAG(n) OVER (ORDER BY file_row_number) AS prior, file_row_number AS place
		FROM read_parquet('%s', file_row_number = true)) WHERE place %% 2000 > 0 AND n < prior`, parquet); n != 0 {
		t.Errorf("%d rows are smaller than the row before them in their row group", n)
	}
}
