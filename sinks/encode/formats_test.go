package encode

import (
	"bytes"
	stdcsv "encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/column"
)

// plainNames is everyKind with names that all formats take.
func plainNames() *column.Schema {
	s := everyKind()
	for i, f := range s.Fields {
		s.Fields[i].Name = strings.NewReplacer(" ", "_", ",", "").Replace(f.Name)
	}
	return s
}

// rowFormats are options of all formats but Parquet, each compression with one of them at least.
func rowFormats() []Options {
	return []Options{
		{Format: NDJSON, Compression: None}, {Format: NDJSON, Compression: Zstd},
		{Format: JSON, Compression: None}, {Format: JSON, Compression: Snappy},
		{Format: CSV, Compression: None}, {Format: CSV, Compression: Gzip},
		{Format: Avro, Compression: None}, {Format: Avro, Compression: Zstd},
		{Format: Avro, Compression: Snappy}, {Format: Avro, Compression: Deflate},
		{Format: Raw, Compression: None, Raw: RawOptions{Column: "string", Delimiter: "\n"}},
		{Format: Raw, Compression: Gzip, Raw: RawOptions{Column: "binary"}},
	}
}

func eachFormat(t *testing.T, test func(t *testing.T, s *column.Schema, w *Writer)) {
	for _, o := range rowFormats() {
		t.Run(fmt.Sprintf("%s/%s", o.Format, o.Compression), func(t *testing.T) {
			s := plainNames()
			test(t, s, writer(t, s, o))
		})
	}
}

func TestBytesFollowFromTheRowsAlone(t *testing.T) {
	eachFormat(t, func(t *testing.T, s *column.Schema, w *Writer) {
		rows := randomRows(11, s, 4000, 0.2)
		want := encodeBatches(t, w, batchOf(s, rows))
		var split []*column.Batch
		for i := 0; i < len(rows); i += 700 {
			split = append(split, batchOf(s, rows[i:min(i+700, len(rows))]))
		}
		if got := encodeBatches(t, w, split...); !bytes.Equal(got, want) {
			t.Errorf("%d bytes when rows come in several batches, %d in one", len(got), len(want))
		}
		odd := []int32{}
		var picked []structure
		for i := 1; i < len(rows); i += 2 {
			odd = append(odd, int32(i))
			picked = append(picked, rows[i])
		}
		want = encodeBatches(t, w, batchOf(s, picked))
		if got := encodeBatches(t, w, batchOf(s, rows).With(odd)); !bytes.Equal(got, want) {
			t.Errorf("%d bytes of a selection, %d of the same rows alone", len(got), len(want))
		}
	})
}

func TestSizeIsTheFilesAndFlushLetsGoOfMemory(t *testing.T) {
	eachFormat(t, func(t *testing.T, s *column.Schema, w *Writer) {
		var file bytes.Buffer
		e := w.Open(&file)
		b := batchOf(s, randomRows(12, s, 500, 0.1))
		for range 10 {
			if err := e.Add(b); err != nil {
				t.Fatal(err)
			}
		}
		held := e.Memory()
		if e.Size() == 0 || held == 0 {
			t.Errorf("size %d, memory %d of 5000 rows", e.Size(), held)
		}
		if err := e.Flush(); err != nil {
			t.Fatal(err)
		}
		if e.Memory() != 0 || e.Size() != int64(file.Len()) || file.Len() == 0 {
			t.Errorf("after Flush: memory %d, size %d of %d written", e.Memory(), e.Size(), file.Len())
		}
		if err := e.Add(b); err != nil {
			t.Fatal(err)
		}
		if err := e.Finish(); err != nil {
			t.Fatal(err)
		}
		if e.Rows() != 5500 || e.Size() != int64(file.Len()) || e.Memory() != 0 {
			t.Errorf("%d rows, size %d of %d, memory %d", e.Rows(), e.Size(), file.Len(), e.Memory())
		}
	})
}

func TestColumnsOfDifferentLengthsAreRefused(t *testing.T) {
	eachFormat(t, func(t *testing.T, s *column.Schema, w *Writer) {
		b := batchOf(s, randomRows(1, s, 20, 0))
		b.Columns[2].Int64s = b.Columns[2].Int64s[:19]
		e := w.Open(io.Discard)
		if err := e.Add(b); err == nil || e.Rows() != 0 {
			t.Errorf("%d rows, %v", e.Rows(), err)
		}
	})
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWriteErrorsStay(t *testing.T) {
	eachFormat(t, func(t *testing.T, s *column.Schema, w *Writer) {
		e := w.Open(broken{})
		b := batchOf(s, randomRows(1, s, 20, 0))
		if err := e.Add(b); err != nil {
			t.Fatal(err)
		}
		if err := e.Flush(); err == nil {
			t.Error("a write that went wrong is no error")
		}
		if e.Add(b) == nil || e.Finish() == nil {
			t.Error("rows were taken after a write went wrong")
		}
	})
}

func TestRowsTakeNoAllocation(t *testing.T) {
	s, batches := clicks(8192, 8192)
	for _, o := range []Options{
		{Format: NDJSON, Compression: None}, {Format: JSON, Compression: None}, {Format: CSV, Compression: None},
		{Format: Avro, Compression: None}, {Format: Raw, Compression: None, Raw: RawOptions{Column: "url"}},
	} {
		e := writer(t, s, o).Open(io.Discard)
		if n := testing.AllocsPerRun(5, func() {
			if err := e.Add(batches[0]); err != nil {
				t.Fatal(err)
			}
		}); n > 20 {
			t.Errorf("%s: %v allocations for 8192 rows", o.Format, n)
		}
	}
}

func TestFilesWithoutRowsAreValid(t *testing.T) {
	s := plainNames()
	empty := func(o Options) string { return string(encodeBatches(t, writer(t, s, o))) }
	if got := empty(Options{Format: JSON, Compression: None}); got != "[\n]\n" || !json.Valid([]byte(got)) {
		t.Errorf("json %q", got)
	}
	if got := empty(Options{Format: CSV, Compression: None}); !strings.HasPrefix(got, "z,a,big,") || strings.Count(got, "\r\n") != 1 {
		t.Errorf("csv %q", got)
	}
	if got := empty(Options{Format: Avro, Compression: None}); !strings.HasPrefix(got, avroMagic) {
		t.Errorf("avro %q", got)
	}
}

func TestJSONArrayHoldsTheLines(t *testing.T) {
	s := everyKind()
	b := batchOf(s, randomRows(13, s, 3000, 0.2))
	lines := encodeBatches(t, writer(t, s, Options{Format: NDJSON, Compression: None}), b)
	array := encodeBatches(t, writer(t, s, Options{Format: JSON, Compression: None}), b)
	var rows []json.RawMessage
	if err := json.Unmarshal(array, &rows); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	for _, row := range rows {
		got.Write(append(row, '\n'))
	}
	if !bytes.Equal(got.Bytes(), lines) {
		t.Errorf("%d elements, not the lines", len(rows))
	}
}

// csvText is a value as the reader of a CSV sees it.
func csvText(c *column.Column, row int, null string) string {
	if c.IsNull(row) {
		return null
	}
	s := string(column.AppendText(nil, c, row))
	// The reader of encoding/csv turns CR LF into LF, also within quotes.
	s = strings.ReplaceAll(s, "\r\n", "\n")
	if c.Type.Kind == column.Double || c.Type.Kind == column.Float {
		s = strings.NewReplacer("+Inf", "Infinity", "-Inf", "-Infinity").Replace(s)
	}
	return s
}

func TestCSVReadsBack(t *testing.T) {
	for _, o := range []CSVOptions{{}, {Null: `\N`}, {Delimiter: ';', LF: true}, {Delimiter: '\t', Null: "null", NoHeader: true}, {Delimiter: ':'}, {Delimiter: ','}} {
		t.Run(fmt.Sprintf("%+v", o), func(t *testing.T) {
			s := everyKind()
			rows := randomRows(14, s, 2000, 0.2)
			for i := range rows {
				rows[i][s.Index("string")] = []tree{"", " a ", "a,b;c\td:e", `say "hi"`, "two\r\nlines", "ünï", `\N`, "null", `\.`, nil, "\x00\x01"}[i%11]
			}
			b := batchOf(s, rows)
			file := encodeBatches(t, writer(t, s, Options{Format: CSV, Compression: None, CSV: o}), b)
			r := stdcsv.NewReader(bytes.NewReader(file))
			r.Comma = rune(o.delimiter())
			records, err := r.ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			if !o.NoHeader {
				if diff := cmp.Diff(s.Names(), records[0]); diff != "" {
					t.Errorf("header (-want +got):\n%s", diff)
				}
				records = records[1:]
			}
			if len(records) != len(rows) {
				t.Fatalf("%d records of %d rows", len(records), len(rows))
			}
			for i, record := range records {
				for k, c := range b.Columns {
					if want := csvText(c, i, o.Null); record[k] != want {
						t.Fatalf("row %d, %s: %q, want %q", i, s.Fields[k].Name, record[k], want)
					}
				}
			}
		})
	}
}

func TestCSVTellsNullFromValues(t *testing.T) {
	s := &column.Schema{Fields: []column.Field{{Name: "a", Type: kind(column.String)}, {Name: "n", Type: kind(column.BigInt)}, {Name: "f", Type: kind(column.Double)}}}
	b := batchOf(s, []structure{
		{nil, nil, nil}, {"", int64(0), 0.5}, {"0", int64(1), math.NaN()}, {`\N`, int64(-1), math.Inf(1)}, {`a"b`, nil, math.Inf(-1)}, {"a\nb", nil, nil},
	})
	for _, c := range []struct {
		options CSVOptions
		want    string
	}{
		{CSVOptions{}, "a,n,f\r\n,,\r\n\"\",0,0.5\r\n0,1,NaN\r\n\\N,-1,Infinity\r\n\"a\"\"b\",,-Infinity\r\n\"a\nb\",,\r\n"},
		{CSVOptions{Null: `\N`, LF: true}, "a,n,f\n\\N,\\N,\\N\n\"\",0,0.5\n0,1,NaN\n\"\\N\",-1,Infinity\n\"a\"\"b\",\\N,-Infinity\n\"a\nb\",\\N,\\N\n"},
		{CSVOptions{Null: "0", NoHeader: true, LF: true}, "0,0,0\n\"\",\"0\",0.5\n\"0\",1,NaN\n\\N,-1,Infinity\n\"a\"\"b\",0,-Infinity\n\"a\nb\",0,0\n"},
	} {
		if got := string(encodeBatches(t, writer(t, s, Options{Format: CSV, Compression: None, CSV: c.options}), b)); got != c.want {
			t.Errorf("%+v:\n%q, want\n%q", c.options, got, c.want)
		}
	}
}

func TestCSVOfOneColumnNeedsATextForNull(t *testing.T) {
	s, _ := oneColumn(1, func(int) string { return "" })
	_, err := NewWriter(s, Options{Format: CSV, Compression: None})
	if err == nil || !strings.Contains(err.Error(), `null: '\N'`) {
		t.Errorf("error %v", err)
	}
	writer(t, s, Options{Format: CSV, Compression: None, CSV: CSVOptions{Null: `\N`}})
}

func TestContinuedFilesHaveOneHeader(t *testing.T) {
	s, rows := oneColumn(3, func(i int) string { return fmt.Sprint("t", i) })
	w := writer(t, s, Options{Format: CSV, Compression: None, CSV: CSVOptions{Null: "-", LF: true}})
	b := batchOf(s, rows)
	file := encodeBatches(t, w, b.With([]int32{0}))
	more := bytes.NewBuffer(file)
	e := w.Continue(more)
	if err := e.Add(b.With([]int32{1, 2})); err != nil {
		t.Fatal(err)
	}
	if err := e.Finish(); err != nil {
		t.Fatal(err)
	}
	if want := encodeBatches(t, w, b); !bytes.Equal(more.Bytes(), want) {
		t.Errorf("%q, want %q", more, want)
	}
}

func TestRawIsTheBytesOfAColumn(t *testing.T) {
	s := &column.Schema{Fields: []column.Field{{Name: "n", Type: kind(column.BigInt)}, {Name: "b", Type: kind(column.Binary)}}}
	b := batchOf(s, []structure{{int64(1), "\x00\xff"}, {int64(2), nil}, {nil, "x\ny"}})
	for delimiter, want := range map[string]string{"": "\x00\xffx\ny", "\n": "\x00\xff\n\nx\ny\n", "--": "\x00\xff----x\ny--"} {
		o := Options{Format: Raw, Compression: None, Raw: RawOptions{Column: "b", Delimiter: delimiter}}
		if got := string(encodeBatches(t, writer(t, s, o), b)); got != want {
			t.Errorf("delimiter %q: %q, want %q", delimiter, got, want)
		}
	}
	only := &column.Schema{Fields: s.Fields[1:]}
	writer(t, only, Options{Format: Raw, Compression: None})
}

func TestNamesAndTypesOfFilesSayWhatTheyAre(t *testing.T) {
	for _, c := range []struct {
		format          Format
		compression     Compression
		extension, kind string
	}{
		{Parquet, Zstd, ".parquet", "application/vnd.apache.parquet"},
		{NDJSON, None, ".ndjson", "application/x-ndjson"}, {NDJSON, Snappy, ".ndjson.sz", "application/x-snappy-framed"},
		{JSON, Gzip, ".json.gz", "application/gzip"}, {CSV, None, ".csv", "text/csv; charset=utf-8; header=present"},
		{CSV, Zstd, ".csv.zst", "application/zstd"}, {Avro, Snappy, ".avro", "application/avro"},
		{Raw, None, ".bin", "application/octet-stream"}, {Raw, Gzip, ".bin.gz", "application/gzip"},
	} {
		o := Options{Format: c.format, Compression: c.compression}
		if o.Extension() != c.extension || o.ContentType() != c.kind {
			t.Errorf("%s with %s: %s, %s", c.format, c.compression, o.Extension(), o.ContentType())
		}
	}
}

func TestBlanksAtTheEndsHaveQuotes(t *testing.T) {
	c := newCSV(&column.Schema{}, CSVOptions{})
	if got := string(c.field(c.field(c.field(nil, []byte(" a")), []byte("a ")), []byte("a b"))); got != `" a""a "a b` {
		t.Errorf("%s", got)
	}
}
