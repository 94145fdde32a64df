package pipelines_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/record/aggregate/aggregatetest"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
)

// TestASchemaIsInferredFromUserRecords begins with a stream that has aggregates.
func TestASchemaIsInferredFromUserRecords(t *testing.T) {
	p := newPlace(t, "    infer: {sample: 2}\n    user_records: true")
	p.write("in-1.ndjson", "{\"n\":6,\"who\":\"c\"}\n")
	b, err := disk.Open(vfs.OS{}, p.path("data"), disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := stream.Open(t.Context(), b, stream.Spec{Name: "clicks", Shards: 1, Retention: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	var batch record.Batch
	for i := range 2 {
		batch.Add([]byte("k"), aggregatetest.Pack(aggregatetest.User{Key: "k", Data: fmt.Sprintf(`{"n":%d,"who":"a"}`, 2*i)}, aggregatetest.User{Key: "l", Data: fmt.Sprintf(`{"n":%d,"who":"b"}`, 2*i+1)}), 0)
	}
	if err := s.Write(t.Context(), &batch); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{s.Close(), b.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	p.run()
	if lock := p.read("clicks.schema.yaml"); !strings.HasSuffix(lock, "schema:\n  n: bigint\n  who: string\n") {
		t.Errorf("the lock file is\n%s", lock)
	}
	_, rows := p.rows()
	slices.Sort(rows)
	if len(rows) != 5 || rows[1] != `{"n":1,"who":"b","_rest":null}` {
		t.Errorf("rows %q", rows)
	}
}
