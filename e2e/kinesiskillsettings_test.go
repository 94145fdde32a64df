package e2e

import (
	"context"
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

// changes are those of a stream's shards and settings, one after the other, and what was said of each.
type changes struct {
	s      *server
	random *rand.Rand
	n      int
	tags   map[string]belief
	// consumers by name, and the ARNs of those that are present.
	consumers map[string]belief
	arns      map[string]string
	// policies that the stream may have: the last one that was acknowledged, and those tried since.
	policies []string
	// parents of splits and merges that were acknowledged.
	parents []string
	// acknowledged counts them all.
	acknowledged int
}

func newChanges(s *server, random *rand.Rand) *changes {
	return &changes{s: s, random: random, tags: map[string]belief{}, consumers: map[string]belief{}, arns: map[string]string{}, policies: []string{"{}"}}
}

const changedARN = "arn:aws:kinesis:us-east-1:000000000000:stream/s"

// run makes changes until ctx is done.
func (c *changes) run(ctx context.Context) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		c.n++
		// The one that was made five turns ago is removed, so that there are never many.
		was := fmt.Sprint("x", c.n-5)
		for _, do := range []func(context.Context, string, string) error{c.tag, c.consume, c.policy, c.reshard} {
			if do(ctx, fmt.Sprint("x", c.n), was) == nil {
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

func (c *changes) tag(ctx context.Context, name, was string) error {
	c.tags[name] = unknown
	_, err := c.s.AddTagsToStream(ctx, &kinesis.AddTagsToStreamInput{StreamName: aws.String("s"), Tags: map[string]string{name: "1"}})
	if err != nil {
		return err
	}
	c.tags[name] = present
	c.tags[was] = unknown
	_, err = c.s.RemoveTagsFromStream(ctx, &kinesis.RemoveTagsFromStreamInput{StreamName: aws.String("s"), TagKeys: []string{was}})
	if err == nil {
		c.tags[was] = absent
	}
	return err
}

func (c *changes) consume(ctx context.Context, name, was string) error {
	c.consumers[name] = unknown
	out, err := c.s.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: aws.String(changedARN), ConsumerName: &name})
	if err != nil {
		return err
	}
	c.consumers[name], c.arns[name] = present, *out.Consumer.ConsumerARN
	c.consumers[was] = unknown
	_, err = c.s.DeregisterStreamConsumer(ctx, &kinesis.DeregisterStreamConsumerInput{StreamARN: aws.String(changedARN), ConsumerName: &was})
	if err == nil {
		c.consumers[was] = absent
	}
	return err
}

func (c *changes) policy(ctx context.Context, name, _ string) error {
	text := `{"Version":"2012-10-17","Statement":[{"Sid":"` + name + `","Effect":"Allow","Principal":"*","Action":"kinesis:*","Resource":"*"}]}`
	c.policies = append(c.policies, text)
	_, err := c.s.PutResourcePolicy(ctx, &kinesis.PutResourcePolicyInput{ResourceARN: aws.String(changedARN), Policy: &text})
	if err == nil {
		c.policies = []string{text}
	}
	return err
}

// reshard splits a shard, or merges two when there are many.
func (c *changes) reshard(ctx context.Context, _, _ string) error {
	if c.random.IntN(8) > 0 {
		return nil
	}
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
	tags := map[string]bool{}
	for _, tag := range done[*kinesis.ListTagsForStreamOutput](t)(c.s.ListTagsForStream(t.Context(), &kinesis.ListTagsForStreamInput{StreamName: aws.String("s")})).Tags {
		tags[*tag.Key] = true
	}
	compare(t, "tag", c.tags, tags)
	consumers := map[string]bool{}
	for p := kinesis.NewListStreamConsumersPaginator(c.s, &kinesis.ListStreamConsumersInput{StreamARN: aws.String(changedARN)}); p.HasMorePages(); {
		for _, x := range done[*kinesis.ListStreamConsumersOutput](t)(p.NextPage(t.Context())).Consumers {
			consumers[*x.ConsumerName] = true
			if arn := c.arns[*x.ConsumerName]; c.consumers[*x.ConsumerName] == present && *x.ConsumerARN != arn {
				t.Errorf("consumer %s is %s, and was %s", *x.ConsumerName, *x.ConsumerARN, arn)
			}
		}
	}
	compare(t, "consumer", c.consumers, consumers)
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
