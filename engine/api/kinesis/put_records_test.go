package kinesis

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace-io/millrace/engine/vfs"
)

// A client that repeats what was refused must not store twice what the other shards took.
func TestOnlyWhatIsNotStoredIsRefusedWhenTheDiskFillsUp(t *testing.T) {
	fs := vfs.NewMem()
	r := newRigOn(t, fs, nil)
	r.must("CreateStream", `{"StreamName":"s","ShardCount":2}`)
	var records, want []string
	for i := range 6 {
		hash, outcome := "0", fmt.Sprint("stored ", i)
		if i%3 == 1 {
			hash, outcome = "340282366920938463463374607431768211455", throughputExceeded
		}
		records = append(records, fmt.Sprintf(`{"Data":"eA==","PartitionKey":"stored %d","ExplicitHashKey":"%s"}`, i, hash))
		want = append(want, outcome)
	}
	fs.SetFault(func(o vfs.Op) error {
		if o.Kind == "write" && strings.Contains(o.Path, "streams/s/000000000001/") {
			return syscall.ENOSPC
		}
		return nil
	})
	out := r.must("PutRecords", `{"StreamName":"s","Records":[`+strings.Join(records, ",")+`]}`)
	fs.SetFault(nil)
	keys, there := map[string]string{}, 0
	for shard := range 2 {
		it := r.must("GetShardIterator", fmt.Sprintf(`{"StreamName":"s","ShardId":"%d","ShardIteratorType":"TRIM_HORIZON"}`, shard))["ShardIterator"].(string)
		for _, x := range r.must("GetRecords", `{"ShardIterator":"`+it+`"}`)["Records"].([]any) {
			e := x.(map[string]any)
			keys[e["SequenceNumber"].(string)] = e["PartitionKey"].(string)
			there++
		}
	}
	var got []string
	for _, x := range out["Records"].([]any) {
		e := x.(map[string]any)
		if kind, ok := e["ErrorCode"].(string); ok {
			got = append(got, kind)
			continue
		}
		got = append(got, keys[e["SequenceNumber"].(string)])
	}
	if !slices.Equal(got, want) || out["FailedRecordCount"] != 2.0 || there != 4 {
		t.Errorf("%v failed, %d are there; outcomes %q, want %q", out["FailedRecordCount"], there, got, want)
	}
}
