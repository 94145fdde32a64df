// Package consumers is what the tests share that run consumers of other projects against `millrace serve`. Each of these
// is a package of its own: some cannot be in one program.
//
// The invariant to remember: a consumer sees every record once, and those of a shard in their order, whatever is split.
package consumers

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/millrace-io/millrace/e2e/rig"
)

// Server is `millrace serve` with a stream "s" of two shards.
type Server struct {
	*kinesis.Client
	// Endpoint for other clients.
	Endpoint string
	t        testing.TB
}

// Serve builds Millrace and starts a server that ends with the test.
func Serve(t testing.TB) *Server {
	t.Helper()
	ctx := within(t, patience)
	binary, err := rig.Build(ctx, t.TempDir())
	must(t, err)
	address, err := rig.FreeAddress()
	must(t, err)
	process, err := rig.Command{Path: binary, Args: []string{"serve", "--listen", address, "--data", filepath.Join(t.TempDir(), "data"), "--instant"}}.Start()
	must(t, err)
	t.Cleanup(func() { process.Kill() })
	must(t, rig.Until(ctx, "the server", func() bool { return !process.Running() || strings.Contains(process.Stderr(), "serving") }))
	s := &Server{Endpoint: "http://" + address, t: t}
	s.Client = kinesis.New(kinesis.Options{
		Region: "us-east-1", BaseEndpoint: &s.Endpoint,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDCONSUMER", SecretAccessKey: "secret"}, nil
		}),
	})
	_, err = s.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("s"), ShardCount: aws.Int32(2)})
	must(t, err)
	return s
}

// Feed puts the records from one number up to another one.
func (s *Server) Feed(from, to int) {
	s.t.Helper()
	in := &kinesis.PutRecordsInput{StreamName: aws.String("s")}
	for i := from; i < to; i++ {
		in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: fmt.Append(nil, "record-", i), PartitionKey: aws.String(fmt.Sprint(i % 17))})
	}
	out, err := s.PutRecords(s.t.Context(), in)
	must(s.t, err)
	if *out.FailedRecordCount > 0 {
		s.t.Fatalf("%d failed", *out.FailedRecordCount)
	}
}

// First is the shard that Split splits in the middle.
const First = "shardId-000000000000"

// Split splits the first shard.
func (s *Server) Split() {
	s.t.Helper()
	_, err := s.SplitShard(s.t.Context(), &kinesis.SplitShardInput{StreamName: aws.String("s"), ShardToSplit: aws.String(First), NewStartingHashKey: aws.String("85070591730234615865843651857942052864")})
	must(s.t, err)
}

// patience is how long a test waits for what must come, on a machine however slow.
const patience = 5 * time.Minute

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), d, fmt.Errorf("not within %v", d))
	t.Cleanup(cancel)
	return ctx
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Tape is what a consumer hands over.
type Tape struct {
	mu      sync.Mutex // guards all below
	records map[string]int
	last    map[string]string // number, by shard
	ended   map[string]bool   // shards
	wrong   []string
}

// NewTape is empty. Its methods may be called from any goroutine.
func NewTape() *Tape {
	return &Tape{records: map[string]int{}, last: map[string]string{}, ended: map[string]bool{}}
}

// Take notes a record that a shard gave.
func (p *Tape) Take(shard, number, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records[text]++
	if last := p.last[shard]; len(number) < len(last) || len(number) == len(last) && number <= last {
		p.wrong = append(p.wrong, fmt.Sprintf("%s of %s stands behind %s", number, shard, last))
	}
	p.last[shard] = number
}

// End notes that a consumer met the end of a shard.
func (p *Tape) End(shard string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended[shard] = true
}

// Has waits until there are so many records, and a shard is at its end if one is named.
func (p *Tape) Has(t testing.TB, n int, shard string) {
	t.Helper()
	err := rig.Until(within(t, patience), fmt.Sprint(n, " records"), func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.records) >= n && (shard == "" || p.ended[shard])
	})
	if err != nil {
		t.Fatalf("%v; there are %d, and %v", err, len(p.records), p.ended)
	}
}

// Check demands n records once each, and those of each shard in their order.
func (p *Tape) Check(t testing.TB, n int) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range n {
		if times := p.records[fmt.Sprint("record-", i)]; times != 1 {
			t.Errorf("record %d was seen %d times", i, times)
		}
	}
	for _, w := range p.wrong {
		t.Error(w)
	}
}
