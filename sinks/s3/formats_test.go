package s3

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/millrace-io/millrace/sinks/encode"
)

// The second attempt, in another place, gets the rows in other batches.
func TestEveryFormatIsDeliveredAndRedoneToTheByte(t *testing.T) {
	for extension, format := range map[string]encode.Settings{
		".parquet":    {Type: encode.Parquet},
		".ndjson.zst": {Type: encode.NDJSON},
		".json.gz":    {Type: encode.JSON, Compression: encode.Gzip},
		".csv":        {Type: encode.CSV, Compression: encode.None},
		".csv.sz":     {Type: encode.CSV, Compression: encode.Snappy},
		".avro":       {Type: encode.Avro},
		".bin":        {Type: encode.Raw, Column: "country", Delimiter: "\n"},
	} {
		t.Run(extension, func(t *testing.T) {
			everywhere(t, func(p *place) {
				p.config.Format.Settings = format
				p.config.Format.Header = true
				s := p.start()
				whole := p.config.Format.Options()
				p.deliver(s, 1, batch(0, 900), batch(900, 600))
				first := p.objects(s)
				keys := slices.Sorted(maps.Keys(first))
				if len(keys) != 1 || !strings.HasSuffix(keys[0], "0000000001"+extension) {
					t.Fatalf("objects %v", keys)
				}
				if err := s.store.core.Client.RemoveObject(t.Context(), p.config.Bucket, keys[0], minio.RemoveObjectOptions{}); err != nil {
					t.Fatal(err)
				}
				again := p.start()
				p.deliver(again, 1, batch(0, 1100), batch(1100, 400))
				if second := p.objects(again); !bytes.Equal(first[keys[0]], second[keys[0]]) {
					t.Errorf("%d bytes, %d the first time", len(second[keys[0]]), len(first[keys[0]]))
				}
				info, err := again.store.core.Client.StatObject(t.Context(), p.config.Bucket, keys[0], minio.StatObjectOptions{})
				if err != nil || info.ContentType != whole.ContentType() || info.Metadata.Get("Content-Encoding") != "" {
					t.Errorf("%v: type %q, encoding %q; want %q and none", err, info.ContentType, info.Metadata.Get("Content-Encoding"), whole.ContentType())
				}
			})
		})
	}
}
