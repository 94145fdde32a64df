package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/millrace-io/millrace/e2e/linear"
	"github.com/millrace-io/millrace/e2e/rig"
)

// Six SDK clients put, iterate and read while the server is killed, some of them over a network that loses and delays
// requests and answers. What they were told must fit with one order of all that was done on each shard.
func TestKinesisIsLinearizable(t *testing.T) {
	rounds := 10
	if long() {
		rounds = 400
	}
	random := seeded(t)
	s := serving(t, "--instant")
	chance := &chance{random: rand.New(rand.NewPCG(*seed, 1))}
	proxy, err := rig.StartProxy("http://"+s.address, chance.judge)
	must(t, err)
	defer proxy.Close()
	var sum linear.Verdict
	kills := 0
	for round := range rounds {
		v, err := s.linearRound(fmt.Sprint("s", round), random, proxy.Endpoint)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		sum = sum.Plus(v)
		kills += linearKills
	}
	lost, late := chance.done()
	fmt.Printf("linearizable under %d kills, %d answers or requests lost and %d delayed: %v\n", kills, lost, late, sum)
	if sum.Unknown == 0 || sum.Latest == 0 || lost == 0 || late == 0 {
		t.Error("nothing happened that could have gone wrong")
	}
}

// linearKills is how often the server is killed in one round.
const linearKills = 2

// linearRound lets clients work on a new stream while the server is killed.
func (s *server) linearRound(name string, random *rand.Rand, network string) (linear.Verdict, error) {
	s.create(name, 2)
	h := linear.NewHistory()
	var shards []linear.Shard
	for _, sh := range s.shards(name) {
		shards = append(shards, linear.Shard{ID: *sh.ShardId, HashKey: *sh.HashKeyRange.StartingHashKey})
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	var wait sync.WaitGroup
	for i := range 6 {
		c := &linear.Client{
			API: s, History: h, Random: rand.New(rand.NewPCG(random.Uint64(), 0)), ID: i, Stream: name, Shards: shards,
			Patience: 5 * time.Second, Failed: breathe,
		}
		switch i {
		case 0, 1:
			c.API, c.Patience = s.through(network, 1), 100*time.Millisecond
		case 2:
			c.API, c.Again = s.through(network, 3), true
		}
		wait.Go(func() { c.Run(ctx, 100) })
	}
	for range linearKills {
		// All clients together put some 700 records.
		until := h.Acknowledged() + 50 + random.IntN(150)
		err := rig.Until(ctx, "answers", func() bool { return h.Acknowledged() > until })
		if err != nil {
			return linear.Verdict{}, err
		}
		if exit := s.process.Kill(); !exit.Killed {
			return linear.Verdict{}, errors.New(exit.Stderr)
		}
		s.start()
	}
	wait.Wait()
	// What is read in the end must be read, also if the SDK drops a connection, see docs/decisions/0018.
	last := &linear.Client{API: s.through("http://"+s.address, 5), History: h, Stream: name, Shards: shards}
	if err := last.Finish(s.t.Context()); err != nil {
		return linear.Verdict{}, err
	}
	return h.Check(patience)
}

// through is a client over another way, which sends a request up to so many times.
func (s *server) through(endpoint string, attempts int) *kinesis.Client {
	o := s.Client.Options()
	o.BaseEndpoint = aws.String(endpoint)
	o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) {
		r.MaxAttempts, r.MaxBackoff, r.RateLimiter = attempts, 20*time.Millisecond, ratelimit.None
	})
	return kinesis.New(o)
}

// breathe lets a server that was killed come back.
func breathe(ctx context.Context) {
	timer := time.NewTimer(5 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// chance loses and delays requests and answers.
type chance struct {
	mu         sync.Mutex // guards all below
	random     *rand.Rand
	lost, late int
}

func (c *chance) judge(rig.Op) error {
	c.mu.Lock()
	x := c.random.IntN(100)
	var delay time.Duration
	switch {
	case x < 5:
		c.lost++
	case x < 9:
		c.late++
		delay = time.Duration(c.random.IntN(200)) * time.Millisecond
	}
	c.mu.Unlock()
	if x < 5 {
		return errors.New("lost on the way")
	}
	timer := time.NewTimer(delay)
	<-timer.C
	return nil
}

// done counts what was done.
func (c *chance) done() (lost, late int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost, c.late
}
