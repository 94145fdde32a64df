package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/millrace-io/millrace/e2e/rig"
)

// server is `millrace serve` on a data directory, and an unmodified client of it.
type server struct {
	*kinesis.Client
	t       *testing.T
	data    string
	address string
	args    []string
	process *rig.Process
}

// serving starts a server.
func serving(t *testing.T, args ...string) *server {
	t.Helper()
	address, err := rig.FreeAddress()
	must(t, err)
	s := &server{t: t, data: filepath.Join(t.TempDir(), "data"), address: address, args: args}
	s.Client = s.client("AKIDMILLRACE", "secret")
	s.start()
	return s
}

// client is one of the server with an access key. It does not try again: a repeated put is stored twice.
func (s *server) client(key, secret string) *kinesis.Client {
	return kinesis.New(kinesis.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://" + s.address), RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}, nil
		}),
	})
}

func (s *server) start() {
	s.t.Helper()
	process, err := rig.Command{Path: binary, Args: append([]string{"serve", "--listen", s.address, "--data", s.data}, s.args...)}.Start()
	must(s.t, err)
	s.process = process
	s.t.Cleanup(func() { process.Kill() })
	must(s.t, rig.Until(within(s.t, patience), "the server", func() bool {
		return !process.Running() || strings.Contains(process.Stderr(), "serving")
	}))
	if !process.Running() {
		s.t.Fatal(process.Stderr())
	}
}

// done is a call that must succeed.
func done[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		must(t, err)
		return v
	}
}

// refused demands an error of a type.
func refused(t *testing.T, err error, code string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

func (s *server) create(name string, shards int32) {
	s.t.Helper()
	_, err := s.CreateStream(s.t.Context(), &kinesis.CreateStreamInput{StreamName: &name, ShardCount: &shards})
	must(s.t, err)
	must(s.t, kinesis.NewStreamExistsWaiter(s.Client, func(o *kinesis.StreamExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, 100*time.Millisecond
	}).Wait(s.t.Context(), &kinesis.DescribeStreamInput{StreamName: &name}, time.Minute))
}

// all reads a shard to its tip or end.
func (s *server) all(name, shard string) (records []types.Record, last *kinesis.GetRecordsOutput) {
	s.t.Helper()
	it := done[*kinesis.GetShardIteratorOutput](s.t)(s.GetShardIterator(s.t.Context(), &kinesis.GetShardIteratorInput{
		StreamName: &name, ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	}))
	for next := it.ShardIterator; next != nil; next = last.NextShardIterator {
		last = done[*kinesis.GetRecordsOutput](s.t)(s.GetRecords(s.t.Context(), &kinesis.GetRecordsInput{ShardIterator: next}))
		records = append(records, last.Records...)
		if *last.MillisBehindLatest == 0 {
			break
		}
	}
	return records, last
}

func (s *server) shards(name string) []types.Shard {
	s.t.Helper()
	return done[*kinesis.ListShardsOutput](s.t)(s.ListShards(s.t.Context(), &kinesis.ListShardsInput{StreamName: &name})).Shards
}

// TestKinesisStreamsLiveAndDie follows a stream through its states.
func TestKinesisStreamsLiveAndDie(t *testing.T) {
	s := serving(t)
	ctx := t.Context()
	status := func() types.StreamStatus {
		return done[*kinesis.DescribeStreamSummaryOutput](t)(s.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("s")})).StreamDescriptionSummary.StreamStatus
	}
	_, err := s.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("s"), ShardCount: aws.Int32(2), Tags: map[string]string{"a": "1"}})
	must(t, err)
	if got := status(); got != types.StreamStatusCreating {
		t.Errorf("a new stream is %s", got)
	}
	_, err = s.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("s"), Data: []byte("x"), PartitionKey: aws.String("k")})
	refused(t, err, "ResourceNotFoundException")
	_, err = s.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("s"), ShardCount: aws.Int32(2)})
	refused(t, err, "ResourceInUseException")
	must(t, rig.Until(within(t, patience), "ACTIVE", func() bool { return status() == types.StreamStatusActive }))

	d := done[*kinesis.DescribeStreamOutput](t)(s.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamARN: aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/s")})).StreamDescription
	if len(d.Shards) != 2 || *d.RetentionPeriodHours != 24 || *d.StreamARN != "arn:aws:kinesis:us-east-1:000000000000:stream/s" || d.StreamModeDetails.StreamMode != types.StreamModeProvisioned ||
		*d.Shards[1].HashKeyRange.EndingHashKey != "340282366920938463463374607431768211455" {
		t.Errorf("described as %+v", d)
	}
	for i := range 3 {
		s.create(fmt.Sprintf("t%d", i), 1)
	}
	var names []string
	for p := kinesis.NewListStreamsPaginator(s, &kinesis.ListStreamsInput{Limit: aws.Int32(2)}); p.HasMorePages(); {
		names = append(names, done[*kinesis.ListStreamsOutput](t)(p.NextPage(ctx)).StreamNames...)
	}
	if !slices.Equal(names, []string{"s", "t0", "t1", "t2"}) {
		t.Errorf("listed %v", names)
	}
	limits := done[*kinesis.DescribeLimitsOutput](t)(s.DescribeLimits(ctx, &kinesis.DescribeLimitsInput{}))
	if *limits.OpenShardCount != 5 || *limits.ShardLimit != 500 {
		t.Errorf("limits %+v", limits)
	}
	_, err = s.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("large"), ShardCount: aws.Int32(496)})
	refused(t, err, "LimitExceededException")

	_, err = s.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: aws.String("s")})
	must(t, err)
	if got := status(); got != types.StreamStatusDeleting {
		t.Errorf("a stream that is deleted is %s", got)
	}
	must(t, kinesis.NewStreamNotExistsWaiter(s.Client, func(o *kinesis.StreamNotExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, 100*time.Millisecond
	}).Wait(ctx, &kinesis.DescribeStreamInput{StreamName: aws.String("s")}, time.Minute))
}

func TestKinesisRecordsComeBack(t *testing.T) {
	s := serving(t, "--instant")
	ctx := t.Context()
	s.create("s", 4)
	put := func(records ...types.PutRecordsRequestEntry) *kinesis.PutRecordsOutput {
		t.Helper()
		return done[*kinesis.PutRecordsOutput](t)(s.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String("s"), Records: records}))
	}
	want := map[string][]byte{} // by sequence number
	var entries []types.PutRecordsRequestEntry
	for i := range 500 {
		entries = append(entries, types.PutRecordsRequestEntry{Data: bytes.Repeat([]byte{byte(i), 0, 255}, i), PartitionKey: aws.String(fmt.Sprintf("ключ-%d\"\\", i))})
	}
	entries[7].ExplicitHashKey = aws.String("340282366920938463463374607431768211455")
	out := put(entries...)
	for i, r := range out.Records {
		want[*r.SequenceNumber] = entries[i].Data
	}
	if *out.FailedRecordCount != 0 || *out.Records[7].ShardId != "shardId-000000000003" {
		t.Errorf("%d failed, the seventh is in %s", *out.FailedRecordCount, *out.Records[7].ShardId)
	}
	large := make([]byte, 1<<20-1)
	one := done[*kinesis.PutRecordOutput](t)(s.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("s"), Data: large, PartitionKey: aws.String("k")}))
	want[*one.SequenceNumber] = large
	_, err := s.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("s"), Data: append(large, 0), PartitionKey: aws.String("k")})
	refused(t, err, "InvalidArgumentException")
	mixed := put(types.PutRecordsRequestEntry{Data: append(large, 0), PartitionKey: aws.String("k")}, types.PutRecordsRequestEntry{Data: []byte("ok"), PartitionKey: aws.String("k")})
	if *mixed.FailedRecordCount != 1 || mixed.Records[0].ErrorCode == nil || mixed.Records[1].SequenceNumber == nil {
		t.Fatalf("one of two is too large: %+v", mixed)
	}
	want[*mixed.Records[1].SequenceNumber] = []byte("ok")
	_, err = s.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String("s"), Records: append(entries, entries[0])})
	refused(t, err, "ValidationException")

	s.process.Kill()
	s.start()
	got := 0
	for _, sh := range s.shards("s") {
		records, _ := s.all("s", *sh.ShardId)
		last := new(big.Int)
		for _, r := range records {
			got++
			if data, ok := want[*r.SequenceNumber]; !ok || !bytes.Equal(data, r.Data) {
				t.Errorf("%s has %d bytes, put were %d (%v)", *r.SequenceNumber, len(r.Data), len(data), ok)
			}
			n, _ := new(big.Int).SetString(*r.SequenceNumber, 10)
			if n.Cmp(last) <= 0 || time.Since(*r.ApproximateArrivalTimestamp).Abs() > time.Minute {
				t.Errorf("%s of %s stands behind %s", n, r.ApproximateArrivalTimestamp, last)
			}
			last = n
		}
	}
	if got != len(want) {
		t.Errorf("%d records, want %d", got, len(want))
	}
}

func TestKinesisIteratorsBeginWhereTheyAreTold(t *testing.T) {
	s := serving(t, "--instant")
	ctx := t.Context()
	s.create("s", 1)
	var numbers []string
	var middle time.Time
	for i := range 6 {
		if i == 3 {
			// Arrival times are whole milliseconds.
			middle = time.Now().Truncate(time.Millisecond).Add(time.Millisecond)
			must(t, rig.Until(within(t, patience), "the next millisecond", func() bool { return !time.Now().Before(middle) }))
		}
		r := done[*kinesis.PutRecordOutput](t)(s.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("s"), Data: []byte{byte('a' + i)}, PartitionKey: aws.String("k")}))
		numbers = append(numbers, *r.SequenceNumber)
	}
	start := *s.shards("s")[0].SequenceNumberRange.StartingSequenceNumber
	read := func(in kinesis.GetShardIteratorInput) (text string, err error) {
		in.StreamName, in.ShardId = aws.String("s"), aws.String("0")
		it, err := s.GetShardIterator(ctx, &in)
		if err != nil {
			return "", err
		}
		for range 6 { // one at a time, each with the iterator of the answer before
			out, err := s.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator, Limit: aws.Int32(1)})
			must(t, err)
			for _, r := range out.Records {
				text += string(r.Data)
			}
			it.ShardIterator = out.NextShardIterator
		}
		return text, nil
	}
	for want, in := range map[string]kinesis.GetShardIteratorInput{
		"abcdef": {ShardIteratorType: types.ShardIteratorTypeTrimHorizon},
		"":       {ShardIteratorType: types.ShardIteratorTypeLatest},
		"cdef":   {ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: &numbers[2]},
		"ef":     {ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: &numbers[3]},
		"def":    {ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: &middle},
	} {
		if got, err := read(in); got != want || err != nil {
			t.Errorf("%s: %q, want %q (%v)", in.ShardIteratorType, got, want, err)
		}
	}
	if got, err := read(kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: &start}); got != "abcdef" || err != nil {
		t.Errorf("at the shard's own number: %q, %v", got, err)
	}
	for _, in := range []kinesis.GetShardIteratorInput{
		{ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: aws.Time(time.Now().Add(time.Hour))},
		{ShardIteratorType: types.ShardIteratorTypeAtTimestamp},
		{ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber},
		{ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: aws.String("12")},
		{ShardIteratorType: types.ShardIteratorTypeLatest, StartingSequenceNumber: &start},
	} {
		_, err := read(in)
		refused(t, err, "InvalidArgumentException")
	}
}

func TestKinesisShardsSplitAndMerge(t *testing.T) {
	s := serving(t, "--instant")
	ctx := t.Context()
	s.create("s", 2)
	_, err := s.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("s"), Data: []byte("x"), PartitionKey: aws.String("k"), ExplicitHashKey: aws.String("0")})
	must(t, err)
	_, err = s.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: aws.String("s"), ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: aws.String("1")})
	refused(t, err, "InvalidArgumentException")
	_, err = s.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: aws.String("s"), ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: aws.String("1000")})
	must(t, err)
	records, last := s.all("s", "shardId-000000000000")
	if len(records) != 1 || last.NextShardIterator != nil || len(last.ChildShards) != 2 || last.ChildShards[0].ParentShards[0] != "shardId-000000000000" {
		t.Errorf("a shard that was split: %d records, then %+v", len(records), last)
	}
	_, err = s.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: aws.String("s"), ShardToMerge: aws.String("shardId-000000000002"), AdjacentShardToMerge: aws.String("shardId-000000000001")})
	refused(t, err, "InvalidArgumentException")
	_, err = s.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: aws.String("s"), ShardToMerge: aws.String("shardId-000000000003"), AdjacentShardToMerge: aws.String("shardId-000000000001")})
	must(t, err)
	all := s.shards("s")
	if merged := all[4]; len(all) != 5 || *merged.ParentShardId != "shardId-000000000003" || *merged.AdjacentParentShardId != "shardId-000000000001" || all[1].SequenceNumberRange.EndingSequenceNumber == nil {
		t.Errorf("shards %+v", all)
	}
	count := done[*kinesis.UpdateShardCountOutput](t)(s.UpdateShardCount(ctx, &kinesis.UpdateShardCountInput{StreamName: aws.String("s"), TargetShardCount: aws.Int32(4), ScalingType: types.ScalingTypeUniformScaling}))
	open := done[*kinesis.ListShardsOutput](t)(s.ListShards(ctx, &kinesis.ListShardsInput{StreamName: aws.String("s"), ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}})).Shards
	if *count.CurrentShardCount != 2 || *count.TargetShardCount != 4 || len(open) != 4 {
		t.Errorf("%+v, and %d are open", count, len(open))
	}
	var paged []string
	for in := (&kinesis.ListShardsInput{StreamName: aws.String("s"), MaxResults: aws.Int32(2)}); in != nil; {
		page := done[*kinesis.ListShardsOutput](t)(s.ListShards(ctx, in))
		for _, sh := range page.Shards {
			paged = append(paged, *sh.ShardId)
		}
		in = nil
		if page.NextToken != nil {
			in = &kinesis.ListShardsInput{NextToken: page.NextToken, MaxResults: aws.Int32(2)}
		}
	}
	if all := s.shards("s"); len(paged) != len(all) || paged[3] != *all[3].ShardId {
		t.Errorf("paged %v of %d", paged, len(all))
	}
	known := map[string]bool{}
	for _, sh := range s.shards("s") {
		if p := sh.ParentShardId; p != nil && !known[*p] {
			t.Errorf("%s has the parent %s, which is not listed before it", *sh.ShardId, *p)
		}
		known[*sh.ShardId] = true
	}
}

func TestKinesisSettingsOutliveACrash(t *testing.T) {
	s := serving(t, "--instant")
	ctx := t.Context()
	s.create("s", 1)
	name := aws.String("s")
	arn := aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/s")
	_, err := s.DecreaseStreamRetentionPeriod(ctx, &kinesis.DecreaseStreamRetentionPeriodInput{StreamName: name, RetentionPeriodHours: aws.Int32(30)})
	refused(t, err, "InvalidArgumentException")
	_, err = s.IncreaseStreamRetentionPeriod(ctx, &kinesis.IncreaseStreamRetentionPeriodInput{StreamName: name, RetentionPeriodHours: aws.Int32(48)})
	must(t, err)
	_, err = s.IncreaseStreamRetentionPeriod(ctx, &kinesis.IncreaseStreamRetentionPeriodInput{StreamName: name, RetentionPeriodHours: aws.Int32(72)})
	must(t, err)
	_, err = s.DecreaseStreamRetentionPeriod(ctx, &kinesis.DecreaseStreamRetentionPeriodInput{StreamName: name, RetentionPeriodHours: aws.Int32(48)})
	must(t, err)
	_, err = s.AddTagsToStream(ctx, &kinesis.AddTagsToStreamInput{StreamName: name, Tags: map[string]string{"a": "1", "b": "", "c": "3"}})
	must(t, err)
	_, err = s.RemoveTagsFromStream(ctx, &kinesis.RemoveTagsFromStreamInput{StreamName: name, TagKeys: []string{"a"}})
	must(t, err)
	_, err = s.StartStreamEncryption(ctx, &kinesis.StartStreamEncryptionInput{StreamName: name, EncryptionType: types.EncryptionTypeKms, KeyId: aws.String("alias/mine")})
	must(t, err)
	_, err = s.EnableEnhancedMonitoring(ctx, &kinesis.EnableEnhancedMonitoringInput{StreamName: name, ShardLevelMetrics: []types.MetricsName{types.MetricsNameAll}})
	must(t, err)
	metrics := done[*kinesis.DisableEnhancedMonitoringOutput](t)(s.DisableEnhancedMonitoring(ctx, &kinesis.DisableEnhancedMonitoringInput{StreamName: name, ShardLevelMetrics: []types.MetricsName{types.MetricsNameIncomingBytes}}))
	if len(metrics.CurrentShardLevelMetrics) != 7 || len(metrics.DesiredShardLevelMetrics) != 6 {
		t.Errorf("metrics %+v", metrics)
	}
	_, err = s.UpdateMaxRecordSize(ctx, &kinesis.UpdateMaxRecordSizeInput{StreamARN: arn, MaxRecordSizeInKiB: aws.Int32(2048)})
	must(t, err)
	const policy = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"kinesis:GetRecords","Resource":"*"}}`
	_, err = s.PutResourcePolicy(ctx, &kinesis.PutResourcePolicyInput{ResourceARN: arn, Policy: aws.String(policy)})
	must(t, err)
	_, err = s.UpdateStreamRecordDistributionStrategy(ctx, &kinesis.UpdateStreamRecordDistributionStrategyInput{StreamARN: arn, RecordDistributionStrategy: "AUTO"})
	refused(t, err, "InvalidArgumentException")
	_, err = s.UpdateStreamMode(ctx, &kinesis.UpdateStreamModeInput{StreamARN: arn, StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand}})
	must(t, err)
	_, err = s.UpdateStreamWarmThroughput(ctx, &kinesis.UpdateStreamWarmThroughputInput{StreamARN: arn, WarmThroughputMiBps: aws.Int32(20)})
	must(t, err)
	_, err = s.UpdateStreamRecordDistributionStrategy(ctx, &kinesis.UpdateStreamRecordDistributionStrategyInput{StreamARN: arn, RecordDistributionStrategy: "AUTO"})
	must(t, err)
	_, err = s.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: name, ShardToSplit: aws.String("0"), NewStartingHashKey: aws.String("1000")})
	refused(t, err, "ValidationException")
	_, err = s.UpdateAccountSettings(ctx, &kinesis.UpdateAccountSettingsInput{MinimumThroughputBillingCommitment: &types.MinimumThroughputBillingCommitmentInput{Status: "ENABLED"}})
	must(t, err)

	s.process.Kill()
	s.start()
	d := done[*kinesis.DescribeStreamSummaryOutput](t)(s.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: name})).StreamDescriptionSummary
	if *d.RetentionPeriodHours != 48 || d.EncryptionType != types.EncryptionTypeKms || *d.KeyId != "alias/mine" || len(d.EnhancedMonitoring[0].ShardLevelMetrics) != 6 ||
		*d.MaxRecordSizeInKiB != 2048 || d.StreamModeDetails.StreamMode != types.StreamModeOnDemand || *d.WarmThroughput.TargetMiBps != 20 {
		t.Errorf("described as %+v", d)
	}
	if tags := done[*kinesis.ListTagsForStreamOutput](t)(s.ListTagsForStream(ctx, &kinesis.ListTagsForStreamInput{StreamName: name, Limit: aws.Int32(1)})); len(tags.Tags) != 1 || *tags.Tags[0].Key != "b" || !*tags.HasMoreTags {
		t.Errorf("tags %+v", tags)
	}
	if p := done[*kinesis.GetResourcePolicyOutput](t)(s.GetResourcePolicy(ctx, &kinesis.GetResourcePolicyInput{ResourceARN: arn})); *p.Policy != policy {
		t.Errorf("policy %s", *p.Policy)
	}
	if a := done[*kinesis.DescribeAccountSettingsOutput](t)(s.DescribeAccountSettings(ctx, &kinesis.DescribeAccountSettingsInput{})); a.MinimumThroughputBillingCommitment.Status != "ENABLED" {
		t.Errorf("account %+v", a)
	}
	_, err = s.DeleteResourcePolicy(ctx, &kinesis.DeleteResourcePolicyInput{ResourceARN: arn})
	must(t, err)
	if p := done[*kinesis.GetResourcePolicyOutput](t)(s.GetResourcePolicy(ctx, &kinesis.GetResourcePolicyInput{ResourceARN: arn})); *p.Policy != "{}" {
		t.Errorf("a policy that is gone is %s", *p.Policy)
	}
	// AUTO needs no partition key, and spreads.
	_, err = s.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: name, Data: []byte("x")})
	must(t, err)
	_, err = s.StopStreamEncryption(ctx, &kinesis.StopStreamEncryptionInput{StreamName: name, EncryptionType: types.EncryptionTypeKms, KeyId: aws.String("alias/mine")})
	must(t, err)
}

func TestKinesisConsumersSubscribe(t *testing.T) {
	s := serving(t, "--instant")
	ctx := t.Context()
	s.create("s", 1)
	arn := aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/s")
	c := done[*kinesis.RegisterStreamConsumerOutput](t)(s.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: arn, ConsumerName: aws.String("c"), Tags: map[string]string{"a": "1"}})).Consumer
	_, err := s.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: arn, ConsumerName: aws.String("c")})
	refused(t, err, "ResourceInUseException")
	_, err = s.TagResource(ctx, &kinesis.TagResourceInput{ResourceARN: c.ConsumerARN, Tags: map[string]string{"b": "2"}})
	must(t, err)
	_, err = s.UntagResource(ctx, &kinesis.UntagResourceInput{ResourceARN: c.ConsumerARN, TagKeys: []string{"a"}})
	must(t, err)
	if tags := done[*kinesis.ListTagsForResourceOutput](t)(s.ListTagsForResource(ctx, &kinesis.ListTagsForResourceInput{ResourceARN: c.ConsumerARN})).Tags; len(tags) != 1 || *tags[0].Key != "b" {
		t.Errorf("tags %+v", tags)
	}
	if l := done[*kinesis.ListStreamConsumersOutput](t)(s.ListStreamConsumers(ctx, &kinesis.ListStreamConsumersInput{StreamARN: arn})).Consumers; len(l) != 1 || *l[0].ConsumerARN != *c.ConsumerARN {
		t.Errorf("listed %+v", l)
	}
	if d := done[*kinesis.DescribeStreamConsumerOutput](t)(s.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{StreamARN: arn, ConsumerName: aws.String("c")})).ConsumerDescription; *d.StreamARN != *arn {
		t.Errorf("described as %+v", d)
	}

	subscribe := func() (*kinesis.SubscribeToShardOutput, error) {
		return s.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{ConsumerARN: c.ConsumerARN, ShardId: aws.String("shardId-000000000000"),
			StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon}})
	}
	out, err := subscribe()
	must(t, err)
	events := out.GetStream()
	defer func() { events.Close() }()
	// smithy-go may close a connection whose answer came fast (docs/kinesis.md): on a machine that is busy the server's
	// wait is not always enough, and those who read go on with another subscription.
	if _, err = subscribe(); err != nil {
		refused(t, err, "ResourceInUseException")
	}
	for i := range 3 {
		_, err := s.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: aws.String("s"), Data: []byte{byte('a' + i)}, PartitionKey: aws.String("k")})
		must(t, err)
	}
	_, err = s.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: aws.String("s"), ShardToSplit: aws.String("0"), NewStartingHashKey: aws.String("1000")})
	must(t, err)
	text, children := "", 0
	for range 5 {
		text, children = "", 0
		for e := range events.Events() {
			event := e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value
			for _, r := range event.Records {
				text += string(r.Data)
			}
			children += len(event.ChildShards)
		}
		if events.Err() == nil {
			break
		}
		t.Logf("subscribing again: %v", events.Err())
		events.Close()
		must(t, rig.Until(within(t, patience), "a subscription", func() bool {
			out, err = subscribe()
			return err == nil
		}))
		events = out.GetStream()
	}
	if text != "abc" || children != 2 || events.Err() != nil {
		t.Errorf("subscribed to %q and %d children, %v", text, children, events.Err())
	}
	_, err = s.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: aws.String("s")})
	refused(t, err, "ResourceInUseException")
	_, err = s.DeregisterStreamConsumer(ctx, &kinesis.DeregisterStreamConsumerInput{ConsumerARN: c.ConsumerARN})
	must(t, err)
	_, err = s.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: aws.String("s")})
	must(t, err)
}

// TestKinesisKnowsWhoSigned uses the SDK's signer as the oracle.
func TestKinesisKnowsWhoSigned(t *testing.T) {
	s := serving(t, "--instant", "--access-key", "AKIDMILLRACE:secret")
	s.create("s", 1)
	_, err := s.client("AKIDMILLRACE", "guess").ListStreams(t.Context(), &kinesis.ListStreamsInput{})
	refused(t, err, "InvalidSignatureException")
	_, err = s.client("AKIDOTHER", "secret").ListStreams(t.Context(), &kinesis.ListStreamsInput{})
	refused(t, err, "UnrecognizedClientException")
}

func TestKinesisDryRunChecksAndDoesNothing(t *testing.T) {
	s := serving(t, "--instant")
	s.create("s", 1)
	_, err := s.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("s"), Data: []byte("x"), PartitionKey: aws.String("k"), DryRun: aws.Bool(true)})
	refused(t, err, "DryRunOperationException")
	_, err = s.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("t"), Data: []byte("x"), PartitionKey: aws.String("k"), DryRun: aws.Bool(true)})
	refused(t, err, "ResourceNotFoundException")
	if records, _ := s.all("s", "0"); len(records) != 0 {
		t.Errorf("%d records", len(records))
	}
}

// TestKinesisFeedsAPipeline puts records into a stream that a pipeline without sources delivers from.
func TestKinesisFeedsAPipeline(t *testing.T) {
	dir := t.TempDir()
	file, out := filepath.Join(dir, "p.yaml"), filepath.Join(dir, "out.ndjson")
	must(t, os.WriteFile(file, []byte(`version: 1
streams:
  clicks: {shards: 2, schema: {id: bigint}}
sinks:
  out: {type: file, from: clicks, path: "`+out+`", format: ndjson}
`), 0o644))
	s := serving(t, file)
	for i := range 20 {
		_, err := s.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("clicks"), Data: fmt.Appendf(nil, `{"id":%d}`, i), PartitionKey: aws.String(fmt.Sprint(i))})
		must(t, err)
	}
	s.process.Terminate()
	exit, err := s.process.Wait(within(t, patience))
	must(t, err)
	text, err := os.ReadFile(out)
	must(t, err)
	if exit.Code != 0 || bytes.Count(text, []byte("\n")) < 1 {
		t.Errorf("exit code %d, delivered %q\n%s", exit.Code, text, exit.Stderr)
	}
}
