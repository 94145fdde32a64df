// Package kcl runs github.com/vmware/vmware-go-kcl-v2, a client library in Go of the kind of the KCL.
package kcl

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/checkpoint"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/config"
	kcl "github.com/vmware/vmware-go-kcl-v2/clientlibrary/interfaces"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/partition"
	"github.com/vmware/vmware-go-kcl-v2/clientlibrary/worker"
	"github.com/vmware/vmware-go-kcl-v2/logger"

	"github.com/millrace-io/millrace/e2e/consumers"
)

// Two workers share the shards. The children of a shard that is split are read
// once the parent is at its end, by polling and by subscriptions.
func TestWorkersReadThroughASplit(t *testing.T) {
	for _, fanOut := range []bool{false, true} {
		t.Run(map[bool]string{false: "polling", true: "fan-out"}[fanOut], func(t *testing.T) {
			s := consumers.Serve(t)
			p := consumers.NewTape()
			leases := &leases{table: map[string]*partition.ShardStatus{}, taken: map[string]int{}}
			quiet := logrus.New()
			quiet.SetOutput(io.Discard)
			for i := range 2 {
				c := config.NewKinesisClientLibConfig("app", "s", "us-east-1", fmt.Sprint("worker-", i)).
					WithInitialPositionInStream(config.TRIM_HORIZON).WithShardSyncIntervalMillis(100).WithMaxLeasesForWorker(2).
					WithFailoverTimeMillis(5000).WithLeaseRefreshPeriodMillis(2000).WithIdleTimeBetweenReadsInMillis(50).WithMaxRecords(100).
					WithLogger(logger.NewLogrusLogger(quiet)).WithEnhancedFanOutConsumer(fanOut)
				c.ParentShardPollIntervalMillis = 50
				w := worker.NewWorker(processors{p}, c).WithKinesis(s.Client).WithCheckpointer(leases)
				if err := w.Start(); err != nil {
					t.Fatal(err)
				}
				defer w.Shutdown()
			}
			s.Feed(0, 200)
			p.Has(t, 200, "")
			s.Feed(200, 400)
			s.Split()
			s.Feed(400, 600)
			p.Has(t, 600, consumers.First)
			s.Feed(600, 800)
			p.Has(t, 800, "")
			p.Check(t, 800)
			if parts := leases.owners(); len(parts) != 2 {
				t.Errorf("shards were read by %v", parts)
			}
		})
	}
}

// processors makes one processor for each shard.
type processors struct{ tape *consumers.Tape }

func (f processors) CreateProcessor() kcl.IRecordProcessor { return &processor{tape: f.tape} }

type processor struct {
	tape  *consumers.Tape
	shard string
}

func (x *processor) Initialize(in *kcl.InitializationInput) { x.shard = in.ShardId }

func (x *processor) ProcessRecords(in *kcl.ProcessRecordsInput) {
	for _, r := range in.Records {
		x.tape.Take(x.shard, *r.SequenceNumber, string(r.Data))
	}
	if n := len(in.Records); n > 0 {
		// Only who lost the lease is refused, and then the other worker reads the records again.
		_ = in.Checkpointer.Checkpoint(in.Records[n-1].SequenceNumber)
	}
}

func (x *processor) Shutdown(in *kcl.ShutdownInput) {
	if in.ShutdownReason == kcl.TERMINATE {
		_ = in.Checkpointer.Checkpoint(nil)
		x.tape.End(x.shard)
	}
}

// leases are what the workers agree on; the library's own are in a table of DynamoDB.
type leases struct {
	mu    sync.Mutex // guards all below
	table map[string]*partition.ShardStatus
	taken map[string]int // by worker
}

func (l *leases) Init() error { return nil }

func (l *leases) GetLease(shard *partition.ShardStatus, worker string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	have := l.table[shard.ID]
	if have == nil {
		have = &partition.ShardStatus{ID: shard.ID}
		l.table[shard.ID] = have
	}
	if have.AssignedTo != "" && have.AssignedTo != worker && time.Now().Before(have.LeaseTimeout) {
		return checkpoint.ErrLeaseNotAcquired{}
	}
	l.taken[worker]++
	have.AssignedTo, have.LeaseTimeout = worker, time.Now().Add(5*time.Second)
	shard.SetLeaseOwner(worker)
	shard.SetLeaseTimeout(have.LeaseTimeout)
	return nil
}

func (l *leases) CheckpointSequence(shard *partition.ShardStatus) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.table[shard.ID].Checkpoint = shard.GetCheckpoint()
	return nil
}

func (l *leases) FetchCheckpoint(shard *partition.ShardStatus) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	have := l.table[shard.ID]
	if have == nil || have.Checkpoint == "" {
		return checkpoint.ErrSequenceIDNotFound
	}
	shard.SetCheckpoint(have.Checkpoint)
	shard.SetLeaseOwner(have.AssignedTo)
	return nil
}

func (l *leases) RemoveLeaseInfo(shard string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.table, shard)
	return nil
}

func (l *leases) RemoveLeaseOwner(shard string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.table[shard].AssignedTo = ""
	return nil
}

func (l *leases) GetLeaseOwner(shard string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.table[shard].AssignedTo, nil
}

// ListActiveWorkers and ClaimShard are for stealing leases, which is off.
func (l *leases) ListActiveWorkers(map[string]*partition.ShardStatus) (map[string][]*partition.ShardStatus, error) {
	return nil, checkpoint.ErrShardNotAssigned
}

func (l *leases) ClaimShard(*partition.ShardStatus, string) error { return nil }

// owners are the workers that held leases.
func (l *leases) owners() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken
}
