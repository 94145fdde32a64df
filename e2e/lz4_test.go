package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/sinks/encode"
)

// The reader of parquet-go, which reads back all other codecs, cannot be asked: see TestLZ4PagesHoldWhatUncompressedOnesDo.
func TestDuckDBReadsLZ4(t *testing.T) {
	for seed := range uint64(6) {
		s := newShape(100 + seed)
		o := s.options()
		o.Compression, o.Level = encode.LZ4Raw, 0
		ndjson, parquet := s.write(t, t.TempDir(), o, 3000)
		var declared []string
		for _, f := range s.schema.Fields {
			declared = append(declared, fmt.Sprintf("%s: '%s'", f.Name, duckType(f.Type)))
		}
		want, got := fmt.Sprintf("read_ndjson('%s', columns = {%s})", ndjson, strings.Join(declared, ", ")), fmt.Sprintf("read_parquet('%s')", parquet)
		s.sameHashes(t, want, got)
		s.sameRows(t, want, got)
		if codecs, err := duck.Lines(t.Context(), fmt.Sprintf("SELECT DISTINCT compression FROM parquet_metadata('%s')", parquet)); err != nil || strings.Join(codecs, " ") != "LZ4_RAW" {
			t.Errorf("seed %d: codecs %v, %v", seed, codecs, err)
		}
	}
}
