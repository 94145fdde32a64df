package encode

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"

	"github.com/millrace-io/millrace/engine/column"
)

func unpack(t *testing.T, c Compression, file []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(file)
	var err error
	switch c {
	case Zstd:
		var d *zstd.Decoder
		d, err = zstd.NewReader(r)
		if err == nil {
			defer d.Close()
		}
		r = d
	case Gzip:
		r, err = gzip.NewReader(r)
	case Snappy:
		r = snappy.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestLinesAreJSONObjects(t *testing.T) {
	s := &column.Schema{Fields: []column.Field{
		{Name: "n", Type: kind(column.BigInt)}, {Name: "t", Type: kind(column.String)}}}
	rows := []structure{{int64(0), ""}, {nil, "a\"b"}, {int64(-5), nil}}
	var file bytes.Buffer
	e := writer(t, s, Options{Format: NDJSON, Compression: None}).Open(&file)
	if err := e.Add(batchOf(s, rows).With([]int32{0, 1})); err != nil {
		t.Fatal(err)
	}
	if err := e.Finish(); err != nil {
		t.Fatal(err)
	}
	b := batchOf(s, rows)
	want := fmt.Sprintf("%s\n%s\n", column.AppendJSON(nil, b, 0), column.AppendJSON(nil, b, 1))
	if file.String() != want || e.Rows() != 2 || e.Size() != int64(file.Len()) {
		t.Errorf("%d rows, %d bytes: %s", e.Rows(), e.Size(), file.String())
	}
}

func TestCompressedLinesUnpackToTheSame(t *testing.T) {
	s, rows := oneColumn(60_000, func(i int) string { return fmt.Sprintf("text %d", i) })
	b := batchOf(s, rows)
	plain := encodeBatches(t, writer(t, s, Options{Format: NDJSON, Compression: None}), b)
	if len(plain) < 2*pieceBytes {
		t.Fatalf("only %d bytes, so nothing is compressed in pieces", len(plain))
	}
	for _, c := range []Compression{Zstd, Gzip, Snappy} {
		file := encodeBatches(t, writer(t, s, Options{Format: NDJSON, Compression: c}), b)
		if got := unpack(t, c, file); !bytes.Equal(got, plain) {
			t.Errorf("%s: %d bytes, want %d", c, len(got), len(plain))
		}
	}
}

func TestOptionsThatDoNotFitAreRefused(t *testing.T) {
	for _, o := range []Options{
		{}, {Format: "orc", Compression: None}, {Format: Avro, Compression: Gzip}, {Format: CSV, Compression: Deflate}, {Format: Avro, Compression: Deflate, Level: 10},
		{Format: CSV, Compression: None, CSV: CSVOptions{Delimiter: '.'}}, {Format: CSV, Compression: None, CSV: CSVOptions{Null: "a,b"}}, {Format: CSV, Compression: None, CSV: CSVOptions{Null: `"`}},
		{Format: Raw, Compression: None}, {Format: Raw, Compression: None, Raw: RawOptions{Column: "a"}}, {Format: Raw, Compression: None, Raw: RawOptions{Column: "none"}},
		{Format: Avro, Compression: None}, {Format: Parquet}, {Format: Parquet, Compression: "lzo"},
		{Format: Parquet, Compression: Snappy, Level: 1}, {Format: NDJSON, Compression: Gzip, Level: 10},
		{Format: Parquet, Compression: Zstd, Level: -1},
	} {
		if _, err := NewWriter(everyKind(), o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}
