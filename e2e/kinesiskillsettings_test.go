package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// belief is what a client may think of a thing that it made and removed.
type belief int

const (
	unknown belief = iota // a request about it was not answered
	present
	absent
)

// things of one kind by name, and the names of those that may be there, the oldest first.
type things struct {
	said map[string]belief
	made []string
}

// make notes that one is about to be made, and returns what to say once that is answered.
func (x *things) make(name string) (answered func()) {
	x.said[name] = unknown
	x.made = append(x.made, name)
	return func() { x.said[name] = present }
}

// oldest is one to remove, if there are many, and what to say once that is answered.
func (x *things) oldest() (name string, answered func(), many bool) {
	if len(x.made) <= 5 {
		return "", nil, false
	}
	name = x.made[0]
	x.said[name] = unknown
	return name, func() { x.said[name], x.made = absent, x.made[1:] }, true
}

// changes are those of a stream's shards and settings, one after the other, and what was said of each.
type changes struct {
	s      *server
	random *rand.Rand
	// n numbers the names.
	n         int
	tags      things
	consumers things
	// arns of consumers that are present.
	arns map[string]string
	// policies that the stream may have: the last one that was acknowledged, and those tried since.
	policies []string
	// parents of splits and merges that were acknowledged.
	parents []string
	// wrong is what contradicts what was said before.
	wrong []string
	// acknowledged counts them all.
	acknowledged int
}

func newChanges(s *server, random *rand.Rand) *changes {
	return &changes{s: s, random: random, tags: things{said: map[string]belief{}}, consumers: things{said: map[string]belief{}}, arns: map[string]string{}, policies: []string{"{}"}}
}

const changedARN = "arn:aws:kinesis:us-east-1:000000000000:stream/s"

// run makes changes until ctx is done.
func (c *changes) run(ctx context.Context) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		c.n++
		turn := []func(context.Context, string) error{c.tag, c.consume, c.policy}
		if c.n%4 == 0 {
			turn = append(turn, c.reshard)
		}
		for _, do := range turn {
			if do(ctx, fmt.Sprint("x", c.n)) == nil {
				c.acknowledged++
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (c *changes) tag(ctx context.Context, name string) error {
	if old, answered, many := c.tags.oldest(); many {
		_, err := c.s.RemoveTagsFromStream(ctx, &kinesis.RemoveTagsFromStreamInput{StreamName: aws.String("s"), TagKeys: []string{old}})
		if err == nil {
			answered()
		}
		return err
	}
	answered := c.tags.make(name)
	_, err := c.s.AddTagsToStream(ctx, &kinesis.AddTagsToStreamInput{StreamName: aws.String("s"), Tags: map[string]string{name: "1"}})
	if err == nil {
		answered()
	}
	return err
}

func (c *changes) consume(ctx context.Context, name string) error {
	if old, answered, many := c.consumers.oldest(); many {
		_, err := c.s.DeregisterStreamConsumer(ctx, &kinesis.DeregisterStreamConsumerInput{StreamARN: aws.String(changedARN), ConsumerName: &old})
		var missing *types.ResourceNotFoundException
		gone := errors.As(err, &missing)
		if gone && c.arns[old] != "" {
			c.wrong = append(c.wrong, fmt.Sprintf("consumer %s was registered and is not there", old))
		}
		// One whose making or removal was not answered may not be there.
		if err == nil || gone {
			answered()
		}
		delete(c.arns, old)
		return err
	}
	answered := c.consumers.make(name)
	out, err := c.s.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: aws.String(changedARN), ConsumerName: &name})
	if err == nil {
		c.arns[name] = *out.Consumer.ConsumerARN
		answered()
	}
	return err
}

func (c *changes) policy(ctx context.Context, name string) error {
	text := `{"Version":"2012-10-17","Statement":[{"Sid":"` + name + `","Effect":"Allow","Principal":"*","Action":"kinesis:*","Resource":"*"}]}`
	c.policies = append(c.policies, text)
	_, err := c.s.PutResourcePolicy(ctx, &kinesis.PutResourcePolicyInput{ResourceARN: aws.String(changedARN), Policy: &text})
	if err == nil {
		c.policies = []string{text}
	}
	return err
}

// reshard splits a shard, or merges two when there are many.
func (c *changes) reshard(ctx context.Context, _ string) error {
	out, err := c.s.ListShards(ctx, &kinesis.ListShardsInput{StreamName: aws.String("s"), ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}})
	if err != nil {
		return err
	}
	open := out.Shards
	slices.SortFunc(open, func(a, b types.Shard) int { return first(a).Cmp(first(b)) })
	i := c.random.IntN(len(open) - 1)
	if len(open) >= 6 {
		_, err = c.s.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: aws.String("s"), ShardToMerge: open[i].ShardId, AdjacentShardToMerge: open[i+1].ShardId})
	} else {
		middle := new(big.Int).Add(first(open[i]), last(open[i]))
		_, err = c.s.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: aws.String("s"), ShardToSplit: open[i].ShardId, NewStartingHashKey: aws.String(middle.Rsh(middle, 1).String())})
	}
	if err == nil {
		c.parents = append(c.parents, *open[i].ShardId)
	}
	return err
}

func hashKey(text *string) *big.Int {
	n, _ := new(big.Int).SetString(*text, 10)
	return n
}

func first(s types.Shard) *big.Int { return hashKey(s.HashKeyRange.StartingHashKey) }
func last(s types.Shard) *big.Int  { return hashKey(s.HashKeyRange.EndingHashKey) }

// check holds what there is against what was said.
func (c *changes) check(t *testing.T) {
	t.Helper()
	for _, w := range c.wrong {
		t.Error(w)
	}
	tags := map[string]bool{}
	for _, tag := range done[*kinesis.ListTagsForStreamOutput](t)(c.s.ListTagsForStream(t.Context(), &kinesis.ListTagsForStreamInput{StreamName: aws.String("s")})).Tags {
		tags[*tag.Key] = true
	}
	compare(t, "tag", c.tags.said, tags)
	consumers := map[string]bool{}
	for p := kinesis.NewListStreamConsumersPaginator(c.s, &kinesis.ListStreamConsumersInput{StreamARN: aws.String(changedARN)}); p.HasMorePages(); {
		for _, x := range done[*kinesis.ListStreamConsumersOutput](t)(p.NextPage(t.Context())).Consumers {
			consumers[*x.ConsumerName] = true
			if arn := c.arns[*x.ConsumerName]; c.consumers.said[*x.ConsumerName] == present && *x.ConsumerARN != arn {
				t.Errorf("consumer %s is %s, and was %s", *x.ConsumerName, *x.ConsumerARN, arn)
			}
		}
	}
	compare(t, "consumer", c.consumers.said, consumers)
	policy := *done[*kinesis.GetResourcePolicyOutput](t)(c.s.GetResourcePolicy(t.Context(), &kinesis.GetResourcePolicyInput{ResourceARN: aws.String(changedARN)})).Policy
	if !slices.Contains(c.policies, policy) {
		t.Errorf("the policy is %s, and not one of %v", policy, c.policies)
	}
	c.lineage(t)
}

// lineage demands that the open shards hold every key once, that parents are known, and that what was split or
// merged stays so.
func (c *changes) lineage(t *testing.T) {
	t.Helper()
	shards := c.s.shards("s")
	known, children := map[string]types.Shard{}, map[string]int{}
	var open []types.Shard
	for _, sh := range shards {
		for _, p := range []*string{sh.ParentShardId, sh.AdjacentParentShardId} {
			if p == nil {
				continue
			}
			children[*p]++
			if parent, ok := known[*p]; !ok || parent.SequenceNumberRange.EndingSequenceNumber == nil {
				t.Errorf("%s has the parent %s, which is not listed before it or is open", *sh.ShardId, *p)
			}
		}
		known[*sh.ShardId] = sh
		if sh.SequenceNumberRange.EndingSequenceNumber == nil {
			open = append(open, sh)
		}
	}
	for _, p := range c.parents {
		if children[p] == 0 {
			t.Errorf("%s was split or merged, and has no children", p)
		}
	}
	slices.SortFunc(open, func(a, b types.Shard) int { return first(a).Cmp(first(b)) })
	next := new(big.Int)
	for _, sh := range open {
		if first(sh).Cmp(next) != 0 {
			t.Errorf("%s begins at %v and not at %v", *sh.ShardId, first(sh), next)
		}
		next.Add(last(sh), big.NewInt(1))
	}
	if next.Cmp(new(big.Int).Lsh(big.NewInt(1), 128)) != 0 {
		t.Errorf("the open shards end at %v", next)
	}
}

func compare(t *testing.T, what string, said map[string]belief, have map[string]bool) {
	t.Helper()
	for name, b := range said {
		if b == present && !have[name] || b == absent && have[name] {
			t.Errorf("%s %s: there is one: %v; what was said last: %d", what, name, have[name], b)
		}
	}
}
