package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/millrace-io/millrace/e2e/rig"
)

// The server is killed again and again while eight SDK clients put records and a ninth one splits and merges shards,
// tags, registers consumers and sets policies. In the end everything is read and held against what they were told.
func TestKilledKinesisServerKeepsWhatItAcknowledged(t *testing.T) {
	const writers = 8
	kills := 15
	if long() {
		kills = 300
	}
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test -run %s -args -seed %d", t.Name(), *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	s := serving(t, "--instant")
	s.create("s", 3)
	l := newLedger(writers)
	ctx, stop := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	for w := range writers {
		mine := rand.New(rand.NewPCG(*seed, uint64(w)+1))
		wait.Go(func() { s.write(ctx, l, w, mine) })
	}
	c := newChanges(s, rand.New(rand.NewPCG(*seed, writers+1)))
	wait.Go(func() { c.run(ctx) })
	for range kills {
		before := l.answered.Load()
		must(t, rig.Until(within(t, patience), "an answer", func() bool { return l.answered.Load() > before }))
		timer := time.NewTimer(time.Duration(20+random.IntN(200)) * time.Millisecond)
		<-timer.C
		if exit := s.process.Kill(); !exit.Killed {
			t.Fatal(exit.Stderr)
		}
		s.start()
	}
	stop()
	wait.Wait()
	a := l.audit()
	for i, sh := range s.shards("s") {
		records, _ := s.all("s", *sh.ShardId)
		for _, r := range records {
			a.take(line{Shard: uint32(i), Sequence: *r.SequenceNumber, Data: string(r.Data)})
		}
	}
	v := a.end()
	c.check(t)
	fmt.Printf("%d kills: %v; %d changes of settings, %d of shards\n", kills, v, c.acknowledged, len(c.parents))
	if len(c.parents) == 0 {
		t.Error("no shard was split or merged")
	}
	for _, f := range a.findings {
		t.Error(f)
	}
	if !v.good() {
		t.Error(v)
	}
}

// write puts records until ctx is done. What was not answered is not sent again: it may be in the stream or not.
func (s *server) write(ctx context.Context, l *ledger, writer int, random *rand.Rand) {
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for ctx.Err() == nil {
		from := len(l.accounts[writer].notes)
		var records []types.PutRecordsRequestEntry
		for range 1 + random.IntN(20) {
			records = append(records, types.PutRecordsRequestEntry{Data: []byte(l.send(writer, padding(random))), PartitionKey: aws.String(strconv.Itoa(writer))})
		}
		out, err := s.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String("s"), Records: records})
		if err == nil && *out.FailedRecordCount == 0 {
			l.acknowledge(writer, from)
			continue
		}
		select {
		case <-again.C:
		case <-ctx.Done():
		}
	}
}
