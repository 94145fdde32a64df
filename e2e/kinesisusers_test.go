package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/millrace-io/millrace/e2e/rig"
	"github.com/millrace-io/millrace/engine/record/aggregate/aggregatetest"
)

// TestKinesisUserRecordsAreRows puts what a producer aggregated, through the API,
// and reads it as rows of a sink and on the command line.
func TestKinesisUserRecordsAreRows(t *testing.T) {
	dir := t.TempDir()
	file, out := filepath.Join(dir, "p.yaml"), filepath.Join(dir, "out.ndjson")
	must(t, os.WriteFile(file, []byte(`version: 1
streams:
  clicks: {shards: 2, user_records: true, schema: {id: bigint}}
sinks:
  out: {type: file, from: clicks, path: "`+out+`", format: ndjson}
`), 0o644))
	s := serving(t, file)
	const last = "340282366920938463463374607431768211455"
	packed := aggregatetest.Pack(aggregatetest.User{Key: "a", Hash: "0", Data: `{"id":1}`}, aggregatetest.User{Key: "b", Hash: last, Data: `{"id":2}`},
		aggregatetest.User{Key: "a", Hash: "0", Data: `{"id":3}`})
	for _, data := range [][]byte{packed, []byte(`{"id":4}`)} {
		_, err := s.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("clicks"), Data: data, PartitionKey: aws.String("a"), ExplicitHashKey: aws.String("0")})
		must(t, err)
	}
	if records, _ := s.all("clicks", "0"); len(records) != 2 || !slices.Equal(records[0].Data, packed) {
		t.Errorf("a client reads %d records", len(records))
	}
	process, err := rig.Command{Path: binary, Args: []string{"stream", "get", "clicks", "--user-records", "--raw", "--data", s.data}}.Start()
	must(t, err)
	exit, err := process.Wait(within(t, patience))
	must(t, err)
	if exit.Stdout != "{\"id\":1}\n{\"id\":3}\n{\"id\":4}\n" {
		t.Errorf("user records are %q\n%s", exit.Stdout, exit.Stderr)
	}
	s.process.Terminate()
	exit, err = s.process.Wait(within(t, patience))
	must(t, err)
	text, err := os.ReadFile(out)
	must(t, err)
	if got := strings.Fields(string(text)); exit.Code != 0 || !slices.Equal(got, []string{`{"id":1}`, `{"id":3}`, `{"id":4}`}) {
		t.Errorf("exit code %d, delivered %q\n%s", exit.Code, got, exit.Stderr)
	}
}
