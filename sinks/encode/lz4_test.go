package encode

import (
	"bytes"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/lz4"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/millrace-io/millrace/engine/column"
)

// The reader of parquet-go v0.32 cannot be asked. Its LZ4 codec decodes a page that became smaller by less than two
// thirds into other memory than it was given, and the reader, which goes by the length alone whether it did, takes
// the memory that it gave for the page.
func TestLZ4PagesHoldWhatUncompressedOnesDo(t *testing.T) {
	s, batches := clicks(8000, 4000)
	plain := dataPages(t, s, None, batches)
	packed := dataPages(t, s, LZ4Raw, batches)
	if len(packed) != len(plain) {
		t.Fatalf("%d pages, %d uncompressed", len(packed), len(plain))
	}
	smaller := 0
	for i, p := range packed {
		body := p.body
		if p.header.IsCompressed.V {
			smaller++
			// From memory of the right size the codec reads what it should.
			var err error
			if body, err = new(lz4.Codec).Decode(make([]byte, 0, len(plain[i].body)), body); err != nil {
				t.Fatalf("page %d: %v", i, err)
			}
		}
		if !bytes.Equal(p.levels, plain[i].levels) || !bytes.Equal(body, plain[i].body) || p.header.Encoding != plain[i].header.Encoding {
			t.Errorf("page %d of %d values holds %d bytes, uncompressed %d others", i, p.header.NumValues, len(body), len(plain[i].body))
		}
	}
	if smaller < 5 {
		t.Errorf("%d of %d pages are compressed", smaller, len(packed))
	}
}

type dataPage struct {
	header       format.DataPageHeaderV2
	levels, body []byte
}

// dataPages are those of a file of the batches, as they lie in it.
func dataPages(t *testing.T, s *column.Schema, c Compression, batches []*column.Batch) (pages []dataPage) {
	t.Helper()
	file := encodeBatches(t, writer(t, s, parquetOptions(c)), batches...)
	f, err := parquet.OpenFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range f.RowGroups() {
		for _, chunk := range group.ColumnChunks() {
			index, err := chunk.OffsetIndex()
			if err != nil {
				t.Fatal(err)
			}
			for i := range index.NumPages() {
				at := index.Offset(i)
				in := bytes.NewReader(file[at : at+index.CompressedPageSize(i)])
				var h format.PageHeader
				if err := thrift.NewDecoder(new(thrift.CompactProtocol).NewReader(in)).Decode(&h); err != nil {
					t.Fatal(err)
				}
				v2 := h.DataPageHeaderV2.V
				rest := file[at+index.CompressedPageSize(i)-int64(h.CompressedPageSize):][:h.CompressedPageSize]
				levels := v2.DefinitionLevelsByteLength + v2.RepetitionLevelsByteLength
				pages = append(pages, dataPage{header: v2, levels: rest[:levels], body: rest[levels:]})
			}
		}
	}
	return pages
}
