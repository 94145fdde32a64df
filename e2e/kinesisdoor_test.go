package e2e

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/millrace-io/millrace/e2e/rig"
)

// doorway is a pipeline whose records come by SDK.
const doorway = `version: 1
name: doorway
streams:
  events: {shards: 4, schema: {id: bigint, text: string}}
sources:
  aws: {type: kinesis, listen: "${env:LISTEN}", instant: true}
sinks:
  lake:
    type: s3
    from: events
    endpoint: http://127.0.0.1:19000
    access_key: ${env:AWS_ACCESS_KEY_ID}
    secret_key: ${env:AWS_SECRET_ACCESS_KEY}
    bucket: bench
    prefix: "${env:PREFIX}/"
    format: {type: parquet}
    buffer: {size: 256KiB, age: 1s}
`

// doorPlace is a place for it, and a client of its source.
func doorPlace(t *testing.T) (*place, *server) {
	t.Helper()
	address, err := rig.FreeAddress()
	must(t, err)
	p := pipeline(t, "doorway.yaml", doorway, "LISTEN="+address)
	s := &server{t: t, address: address}
	s.Client = s.client("AKIDMILLRACE", "secret")
	return p, s
}

// answering waits until a client is answered.
func (s *server) answering(process *rig.Process) {
	s.t.Helper()
	must(s.t, rig.Until(within(s.t, patience), "the API", func() bool {
		_, err := s.DescribeLimits(s.t.Context(), &kinesis.DescribeLimitsInput{})
		return err == nil || !process.Running()
	}))
	if !process.Running() {
		s.t.Fatal(process.Stderr())
	}
}

// putter puts numbered records. What was not answered is not sent again: it may be in the stream or not.
type putter struct {
	*server
	next atomic.Int64
	mu   sync.Mutex // guards acknowledged
	// acknowledged are the ids that were answered.
	acknowledged map[string]bool
}

func (p *putter) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.acknowledged)
}

// put puts 500 records.
func (p *putter) put(ctx context.Context) {
	var records []types.PutRecordsRequestEntry
	var ids []string
	for range 500 {
		id := strconv.FormatInt(p.next.Add(1), 10)
		ids = append(ids, id)
		records = append(records, types.PutRecordsRequestEntry{
			Data: fmt.Appendf(nil, `{"id":%s,"text":"%x"}`, id, sha256.Sum256([]byte(id))), PartitionKey: aws.String(id),
		})
	}
	out, err := p.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String("events"), Records: records})
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, r := range out.Records {
		if r.SequenceNumber != nil {
			p.acknowledged[ids[i]] = true
		}
	}
}

// until puts from four clients until so many records are acknowledged. A server that is away is waited for.
func (p *putter) until(ctx context.Context, n int) {
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for p.count() < n && ctx.Err() == nil {
				p.put(ctx)
			}
		})
	}
	all.Wait()
}

// A pipeline is fed by an SDK and killed in the middle: what was acknowledged is in the lake, once.
func TestRecordsOfAnSDKBecomeParquetOnce(t *testing.T) {
	needStore(t)
	const want = 50_000
	p, s := doorPlace(t)
	process := p.start()
	s.answering(process)
	put := &putter{server: s, acknowledged: map[string]bool{}}
	ctx := within(t, patience)
	fed := make(chan struct{})
	go func() { defer close(fed); put.until(ctx, want) }()
	must(t, rig.Until(ctx, "the middle", func() bool { return put.count() > want/3 }))
	if exit := process.Kill(); !exit.Killed {
		t.Fatal(exit.Stderr)
	}
	process = p.start()
	<-fed
	if put.count() < want {
		t.Fatalf("%d records are acknowledged, want %d\n%s", put.count(), want, process.Stderr())
	}
	process.Terminate()
	summary, _ := p.finish(process)
	if got := summary.Sources[0]; got.Written < want/3 || got.To != "*" {
		t.Errorf("the source says %+v", got)
	}
	summary, _ = p.run("--drain")
	table, objects := p.delivered()
	sameObjects(t, summary.Task("lake"), objects)
	ids, err := duck.Lines(t.Context(), "SELECT id FROM "+table)
	must(t, err)
	seen := map[string]int{}
	for _, id := range ids {
		seen[id]++
	}
	lost, twice := 0, 0
	for id := range put.acknowledged {
		if seen[id] == 0 {
			lost++
		}
	}
	for _, n := range seen {
		if n > 1 {
			twice++
		}
	}
	fmt.Printf("%d records acknowledged, %d sent, %d rows in %d objects, %d lost, %d twice\n",
		put.count(), put.next.Load(), len(ids), len(objects), lost, twice)
	if lost > 0 || twice > 0 || int64(len(ids)) != summary.Stream("events").Records {
		t.Errorf("%d lost, %d twice, %d rows of %d records", lost, twice, len(ids), summary.Stream("events").Records)
	}
}

// Streams of the file belong to the pipeline; others come and go beside them.
func TestStreamsOfTheFileCannotBeDeleted(t *testing.T) {
	p, s := doorPlace(t)
	text, err := os.ReadFile(p.file)
	must(t, err)
	head, _, _ := strings.Cut(string(text), "sinks:")
	must(t, os.WriteFile(p.file, []byte(head+"queries:\n  copy: {sql: SELECT id FROM events}\nsinks:\n  out: {type: file, from: copy, path: out.ndjson, buffer: {age: 1s}}\n"), 0o644))
	process := p.start()
	s.answering(process)
	ctx := t.Context()
	_, err = s.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: aws.String("events")})
	refused(t, err, "ResourceInUseException")
	_, err = s.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("events"), ShardCount: aws.Int32(1)})
	refused(t, err, "ResourceInUseException")
	s.create("own", 1)
	_, err = s.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("own"), Data: []byte("x"), PartitionKey: aws.String("k")})
	must(t, err)
	_, err = s.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: aws.String("own")})
	must(t, err)
	_, err = s.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("doorway.copy"), Data: []byte("x"), PartitionKey: aws.String("k")})
	refused(t, err, "InvalidArgumentException")
	// Shards may change while the pipeline reads them.
	_, err = s.UpdateShardCount(ctx, &kinesis.UpdateShardCountInput{StreamName: aws.String("events"), TargetShardCount: aws.Int32(2), ScalingType: types.ScalingTypeUniformScaling})
	must(t, err)
	for i := range 10 {
		_, err := s.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("events"), Data: fmt.Appendf(nil, `{"id":%d}`, i), PartitionKey: aws.String(strconv.Itoa(i))})
		must(t, err)
	}
	must(t, rig.Until(within(t, patience), "the rows", func() bool {
		rows, _ := os.ReadFile(filepath.Join(p.dir, "out.ndjson"))
		return strings.Count(string(rows), "\n") == 10
	}))
	process.Terminate()
	p.finish(process)
}

func TestServeRunsSeveralFiles(t *testing.T) {
	dir := t.TempDir()
	var files []string
	for _, name := range []string{"one", "two"} {
		file := filepath.Join(dir, name+".yaml")
		must(t, os.WriteFile(file, fmt.Appendf(nil, `version: 1
streams: {%s: {schema: {id: bigint}}}
sinks:
  out: {type: file, from: %s, path: %q, buffer: {age: 1s}}
`, name, name, filepath.Join(dir, name+".ndjson")), 0o644))
		files = append(files, file)
	}
	s := serving(t, append(files, "--region", "eu-central-1", "--account", "123456789012")...)
	said := s.process.Stderr()
	after := 0
	for _, want := range []string{"region eu-central-1", "account 123456789012", "streams", "export AWS_ENDPOINT_URL_KINESIS=http://" + s.address} {
		if !strings.Contains(said, want) {
			t.Errorf("it says %q, without %q", said, want)
		}
	}
	_, rest, _ := strings.Cut(said, " after ")
	if _, err := fmt.Sscanf(rest, "%d ms", &after); err != nil || after > 1000 {
		t.Errorf("ready after %d ms: %s", after, said)
	}
	for _, name := range []string{"one", "two"} {
		d := done[*kinesis.DescribeStreamSummaryOutput](t)(s.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: &name})).StreamDescriptionSummary
		if *d.StreamARN != "arn:aws:kinesis:eu-central-1:123456789012:stream/"+name {
			t.Errorf("ARN %s", *d.StreamARN)
		}
		_, err := s.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamARN: d.StreamARN, Data: []byte(`{"id":7}`), PartitionKey: aws.String("k")})
		must(t, err)
	}
	rows := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(dir, name+".ndjson"))
		return string(text)
	}
	must(t, rig.Until(within(t, patience), "the rows", func() bool { return rows("one") != "" && rows("two") != "" }))
	s.process.Terminate()
	exit, err := s.process.Wait(within(t, patience))
	must(t, err)
	if exit.Code != 0 {
		t.Fatalf("exit code %d\n%s", exit.Code, exit.Stderr)
	}
	for _, name := range []string{"one", "two"} {
		if got := rows(name); got != "{\"id\":7}\n" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestFilesThatCannotRunTogetherAreNamed(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		must(t, os.WriteFile(file, []byte("version: 1\n"+text), 0o644))
		return file
	}
	const s, sink = "streams: {s: {schema: {id: bigint}}}\n", "sinks: {out: {type: stdout, from: s}}\n"
	const web = "sources: {web: {type: http, to: %s, listen: \"127.0.0.1:9199\"}}\n"
	p := &place{t: t, dir: dir}
	for want, files := range map[string][]string{
		`both declare the stream "s"`:             {write("a.yaml", s+sink), write("b.yaml", s+sink)},
		`are both named "a"`:                      {write("a.yaml", s+sink), write("c.yaml", "name: a\n"+strings.ReplaceAll(s+sink, "s: {schema", "z: {schema")[:len(s)]+"sinks: {out: {type: stdout, from: z}}\n")},
		`both want the address 127.0.0.1:9199`:    {write("d.yaml", s+sink+fmt.Sprintf(web, "s")), write("e.yaml", "streams: {t: {schema: {id: bigint}}}\nsinks: {out: {type: stdout, from: t}}\n"+fmt.Sprintf(web, "t"))},
		`source "aws" opens the API itself`:       {write("f.yaml", s+sink+"sources: {aws: {type: kinesis}}\n")},
		`has the Kinesis API of all streams alre`: {write("g.yaml", s+sink+"sources: {aws: {type: kinesis}, aws2: {type: kinesis, listen: \"127.0.0.1:9198\"}}\n")},
	} {
		exit := p.other(append([]string{"serve", "--data", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0"}, files...)...)
		if exit.Code != 2 || !strings.Contains(exit.Stderr, want) {
			t.Errorf("code %d, %s; want %q", exit.Code, exit.Stderr, want)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	exit := p.other("serve", "--data", filepath.Join(dir, "data"), "--listen", l.Addr().String())
	if exit.Code == 0 || !strings.Contains(exit.Stderr, "the port is taken") {
		t.Errorf("code %d, %s", exit.Code, exit.Stderr)
	}
}

// TestKinesisSourceKnowsClientsByTheirCertificates has the source make its own certificate.
func TestKinesisSourceKnowsClientsByTheirCertificates(t *testing.T) {
	a := newAuthority(t)
	address, err := rig.FreeAddress()
	must(t, err)
	p := pipeline(t, "door.yaml", `version: 1
streams: {events: {schema: {id: bigint}}}
sources:
  aws: {type: kinesis, listen: "${env:LISTEN}", tls: auto, client_ca: "${env:CLIENTS}"}
sinks:
  out: {type: file, from: events, path: out.ndjson, buffer: {age: 1s}}
users:
  ingest: {policy: producer, certificates: [ingest.example.com]}
  owner: {policy: full-access}
`, "LISTEN="+address, "CLIENTS="+a.file)
	s := &server{t: t, address: address, data: p.data}
	s.process = p.start()
	must(t, rig.Until(within(t, patience), "the certificate", func() bool {
		return !s.process.Running() || strings.Contains(s.process.Stderr(), "clients must be told to trust it")
	}))
	if !s.process.Running() {
		t.Fatal(s.process.Stderr())
	}
	put := func(c *kinesis.Client) error {
		_, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("events"), Data: []byte(`{"id":7}`), PartitionKey: aws.String("k")})
		return err
	}
	nobody := key{"any", "thing"}
	ingest := s.secure(nobody, a.client(t, "ingest.example.com"))
	soon(t, "the API", "", func() error { _, err := ingest.ListStreams(t.Context(), &kinesis.ListStreamsInput{}); return err })
	must(t, put(ingest))
	refused(t, put(s.secure(nobody, a.client(t, "stranger"))), "UnrecognizedClientException")
	if err := put(s.secure(nobody)); err == nil {
		t.Error("a client without a certificate was let in")
	}
	owner := s.secure(nobody, a.client(t, "owner"))
	if n, err := readable(t.Context(), owner, "events"); n != 1 || err != nil {
		t.Errorf("%d records, %v", n, err)
	}
	_, err = ingest.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String("events")})
	refused(t, err, "AccessDeniedException")
	must(t, rig.Until(within(t, patience), "the row", func() bool {
		rows, _ := os.ReadFile(filepath.Join(p.dir, "out.ndjson"))
		return string(rows) == "{\"id\":7}\n"
	}))
	s.audited("ingest", "kinesis:DeleteStream", "AccessDeniedException")
	s.process.Terminate()
	exit, err := s.process.Wait(within(t, patience))
	must(t, err)
	if exit.Code != 0 {
		t.Errorf("exit code %d, %s", exit.Code, exit.Stderr)
	}
}
