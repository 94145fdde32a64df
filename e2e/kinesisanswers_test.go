package e2e

import (
	"encoding/base64"
	"fmt"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// answers holds answers against the model and notes which members were seen.
type answers struct {
	*apiModel
	t    *testing.T
	seen map[string]bool
}

// check holds a value against a shape.
func (a *answers) check(format, where, name string, v any) {
	a.t.Helper()
	s := a.Shapes[name]
	wrong := func(why string) { a.t.Errorf("%s in %s: %.100v is no %s: %s", where, format, v, name, why) }
	size := int64(0)
	switch s.Type {
	case "string":
		text, ok := v.(string)
		if !ok || s.Pattern != "" && !regexp.MustCompile("^(?:"+s.Pattern+")$").MatchString(text) || len(s.Enum) > 0 && !slices.Contains(s.Enum, text) {
			wrong("no such text")
		}
		size = int64(utf8.RuneCountInString(text))
	case "boolean":
		if _, ok := v.(bool); !ok {
			wrong("no boolean")
		}
		return
	case "integer", "long":
		n, ok := v.(int64)
		if x, isFloat := v.(float64); isFloat && format == typeJSON && x == math.Trunc(x) {
			n, ok = int64(x), true
		}
		if !ok {
			wrong("no whole number")
		}
		size = n
	case "timestamp":
		at, ok := v.(time.Time) // of CBOR's tag 1, whose number is taken for seconds
		seconds := float64(at.Unix()) / 1000
		if format == typeJSON {
			seconds, ok = v.(float64)
		}
		if !ok || math.Abs(seconds-float64(time.Now().Unix())) > 3600 {
			wrong("no time of today")
		}
		return
	case "blob":
		data, ok := v.([]byte)
		if text, isText := v.(string); isText && format == typeJSON {
			var err error
			data, err = base64.StdEncoding.Strict().DecodeString(text)
			ok = err == nil
		}
		if !ok {
			wrong("no binary data")
		}
		size = int64(len(data))
	case "list":
		list, ok := v.([]any)
		if !ok {
			wrong("no list")
		}
		for i, x := range list {
			a.check(format, fmt.Sprintf("%s[%d]", where, i), s.Member.Shape, x)
		}
		// Lists of what is set have a minimum for requests only: nothing need be set.
		size = max(int64(len(list)), 1)
	case "structure":
		a.structure(format, where, name, v)
		return
	}
	if s.Min != nil && size < *s.Min && !strings.HasSuffix(where, "FailedRecordCount") || s.Max != nil && size > *s.Max {
		wrong("out of its bounds")
	}
}

func (a *answers) structure(format, where, name string, v any) {
	a.t.Helper()
	s := a.Shapes[name]
	members, ok := v.(fields)
	if !ok {
		a.t.Errorf("%s in %s: %v is no %s", where, format, v, name)
	}
	for member, x := range members {
		of, ok := s.Members[member]
		if !ok {
			a.t.Errorf("%s in %s: %s has no %s", where, format, name, member)
			continue
		}
		a.seen[name+"."+member] = true
		a.check(format, where+"."+member, of.Shape, x)
	}
	for _, member := range s.Required {
		if _, ok := members[member]; !ok {
			a.t.Errorf("%s in %s: %s is missing in %v", where, format, member, v)
		}
	}
}

// step is a request that succeeds. NAME, ARN, CONSUMER and ITERATOR in it are what they stand for at that time.
type step struct {
	operation string
	body      fields
}

const policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"kinesis:GetRecords","Resource":"*"}]}`

// successes have every operation at least once.
func successes() []step {
	name := fields{"StreamName": "NAME"}
	plus := func(f fields) fields {
		out := maps.Clone(name)
		maps.Copy(out, f)
		return out
	}
	return []step{
		{"CreateStream", plus(fields{"ShardCount": 2, "Tags": fields{"a": "b"}, "MaxRecordSizeInKiB": 2048})},
		{"DescribeLimits", fields{}},
		{"DescribeStream", name},
		{"DescribeStreamSummary", name},
		{"ListStreams", fields{"Limit": 1}},
		{"PutRecord", plus(fields{"Data": []byte{0, 255}, "PartitionKey": "k", "ExplicitHashKey": "0"})},
		{"StartStreamEncryption", plus(fields{"EncryptionType": "KMS", "KeyId": "alias/k"})},
		{"PutRecords", plus(fields{"Records": []any{fields{"Data": []byte("x"), "PartitionKey": "é", "ExplicitHashKey": "0"}, fields{"Data": make([]byte, 3<<20), "PartitionKey": "k"}}})},
		{"GetShardIterator", plus(fields{"ShardId": "0", "ShardIteratorType": "TRIM_HORIZON"})},
		{"GetRecords", fields{"ShardIterator": "ITERATOR"}},
		{"DescribeStreamSummary", name},
		{"DescribeStream", name},
		{"StopStreamEncryption", plus(fields{"EncryptionType": "KMS", "KeyId": "alias/k"})},
		{"SplitShard", plus(fields{"ShardToSplit": "0", "NewStartingHashKey": "1000"})},
		{"GetRecords", fields{"ShardIterator": "ITERATOR"}},
		{"MergeShards", plus(fields{"ShardToMerge": "2", "AdjacentShardToMerge": "3"})},
		{"ListShards", plus(fields{"MaxResults": 4})},
		{"UpdateShardCount", plus(fields{"TargetShardCount": 3, "ScalingType": "UNIFORM_SCALING"})},
		{"DescribeStream", name},
		{"IncreaseStreamRetentionPeriod", plus(fields{"RetentionPeriodHours": 48})},
		{"DecreaseStreamRetentionPeriod", plus(fields{"RetentionPeriodHours": 24})},
		{"EnableEnhancedMonitoring", plus(fields{"ShardLevelMetrics": []any{"ALL"}})},
		{"DisableEnhancedMonitoring", plus(fields{"ShardLevelMetrics": []any{"IncomingBytes"}})},
		{"AddTagsToStream", plus(fields{"Tags": fields{"c": ""}})},
		{"ListTagsForStream", plus(fields{"Limit": 1})},
		{"RemoveTagsFromStream", plus(fields{"TagKeys": []any{"c"}})},
		{"TagResource", fields{"ResourceARN": "ARN", "Tags": fields{"d": "e"}}},
		{"ListTagsForResource", fields{"ResourceARN": "ARN"}},
		{"UntagResource", fields{"ResourceARN": "ARN", "TagKeys": []any{"d"}}},
		{"PutResourcePolicy", fields{"ResourceARN": "ARN", "Policy": policy}},
		{"GetResourcePolicy", fields{"ResourceARN": "ARN"}},
		{"DeleteResourcePolicy", fields{"ResourceARN": "ARN"}},
		{"RegisterStreamConsumer", fields{"StreamARN": "ARN", "ConsumerName": "c", "Tags": fields{"a": "b"}}},
		{"RegisterStreamConsumer", fields{"StreamARN": "ARN", "ConsumerName": "d"}},
		{"DescribeStreamConsumer", fields{"ConsumerARN": "CONSUMER"}},
		{"ListStreamConsumers", fields{"StreamARN": "ARN", "MaxResults": 1}},
		{"DeregisterStreamConsumer", fields{"ConsumerARN": "CONSUMER"}},
		{"UpdateMaxRecordSize", fields{"StreamARN": "ARN", "MaxRecordSizeInKiB": 1024}},
		{"UpdateStreamMode", fields{"StreamARN": "ARN", "StreamModeDetails": fields{"StreamMode": "ON_DEMAND"}}},
		{"UpdateStreamWarmThroughput", plus(fields{"WarmThroughputMiBps": 8})},
		{"UpdateStreamRecordDistributionStrategy", fields{"StreamARN": "ARN", "RecordDistributionStrategy": "AUTO"}},
		{"DescribeStreamSummary", name},
		{"UpdateAccountSettings", fields{"MinimumThroughputBillingCommitment": fields{"Status": "ENABLED"}}},
		{"DescribeAccountSettings", fields{}},
		{"DeleteStream", plus(fields{"EnforceConsumerDeletion": true})},
	}
}

// TestKinesisAnswersAreHeldToTheModel looks at each member of each answer, in both formats.
func TestKinesisAnswersAreHeldToTheModel(t *testing.T) {
	a := &answers{apiModel: loadModel(t), t: t, seen: map[string]bool{}}
	s := serving(t, "--instant")
	s.create("another", 1)
	for _, format := range []string{typeJSON, typeCBOR} {
		asked := map[string]bool{"SubscribeToShard": true} // kinesissubscribe_test.go
		now := fields{"NAME": "s", "ARN": "arn:aws:kinesis:us-east-1:000000000000:stream/s"}
		for _, x := range successes() {
			asked[x.operation] = true
			body := maps.Clone(x.body)
			for k, v := range body {
				if text, ok := v.(string); ok && now[text] != nil {
					body[k] = now[text]
				}
			}
			status, answer := s.post(x.operation, format, written(t, format, body))
			if status != http.StatusOK {
				t.Fatalf("%s in %s: %d %v", x.operation, format, status, answer)
			}
			if out := a.Operations[x.operation].Output.Shape; out != "" {
				a.check(format, x.operation, out, answer)
			} else if answer != nil {
				t.Errorf("%s in %s is answered with %v", x.operation, format, answer)
			}
			if it, ok := answer["ShardIterator"]; ok {
				now["ITERATOR"] = it
			}
			if c, ok := answer["Consumer"].(fields); ok {
				now["CONSUMER"] = c["ConsumerARN"]
			}
		}
		for op := range a.Operations {
			if !asked[op] {
				t.Errorf("%s was not asked", op)
			}
		}
	}
	a.unseen()
}

// unseen are members that no answer had: none but those that there is nothing to say in.
func (a *answers) unseen() {
	var list []string
	visited := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		s := a.Shapes[name]
		if s == nil || visited[name] {
			return
		}
		visited[name] = true
		for _, of := range []ref{s.Member, s.Value} {
			visit(of.Shape)
		}
		for member, of := range s.Members {
			if s.Type == "structure" && !a.seen[name+"."+member] {
				list = append(list, name+"."+member)
			}
			visit(of.Shape)
		}
	}
	for op, o := range a.Operations {
		if op != "SubscribeToShard" {
			visit(o.Output.Shape)
		}
	}
	slices.Sort(list)
	want := []string{
		"CommitmentOutput.EarliestAllowedEndAt", "CommitmentOutput.EndedAt", // a commitment binds nobody here
		"DescribeLimitsOutput.ChannelCount", "DescribeLimitsOutput.ChannelCountLimit", "StreamDescriptionSummary.ChannelCount", // there are none
		"StreamDescriptionSummary.StreamId", // reserved
	}
	if !slices.Equal(list, want) {
		a.t.Errorf("never seen: %v, want %v", list, want)
	}
}

// TestKinesisErrorsAreThoseOfTheModel provokes each operation in many ways: an error must be one that the operation
// has, or one that all have.
func TestKinesisErrorsAreThoseOfTheModel(t *testing.T) {
	m := loadModel(t)
	s := serving(t)
	s.create("s", 1)
	common := []string{"ValidationException", "SerializationException", "AccessDeniedException", "DryRunOperationException"}
	arn := "arn:aws:kinesis:us-east-1:000000000000:stream/"
	got := map[string]bool{}
	for _, op := range slices.Sorted(maps.Keys(m.Operations)) {
		in := m.Operations[op].Input.Shape
		allowed := slices.Clone(common)
		for _, e := range m.Operations[op].Errors {
			allowed = append(allowed, e.Shape)
		}
		for _, more := range []fields{
			{}, {"StreamName": "missing"}, {"StreamName": "s"}, {"StreamName": "s", "StreamARN": arn + "t"}, {"StreamARN": arn + "missing"}, {"StreamARN": arn + "s"},
			{"ResourceARN": arn + "missing"}, {"ResourceARN": arn + "s"}, {"ResourceARN": arn + "s/consumer/c:1"}, {"ConsumerARN": arn + "s/consumer/c:1"}, {"NextToken": "x"},
			{"StreamName": "s", "ShardId": "7"}, {"StreamName": "s", "ShardToSplit": "9", "ShardToMerge": "9"}, {"StreamName": "s", "ShardToSplit": "0", "ShardToMerge": "0", "AdjacentShardToMerge": "0"},
			{"StreamName": "s", "NextToken": "x"}, {"StreamName": "s", "RetentionPeriodHours": 1}, {"StreamName": "s", "TargetShardCount": 100000}, {"StreamName": "new", "ShardCount": 100000},
			{"StreamName": "s", "ExplicitHashKey": "999999999999999999999999999999999999999"}, {"StreamName": "s", "DryRun": true, "PartitionKey": "k"}, {"Policy": "{"},
			{"StreamName": "s", "EncryptionType": "NONE"}, {"StreamName": "s", "Records": []any{fields{"Data": []byte{}, "PartitionKey": "k", "ExplicitHashKey": "999999999999999999999999999999999999999"}}},
			{"StreamName": "creating", "ShardCount": 1},
		} {
			body := m.sample(t, in).(fields)
			for k, v := range more {
				if _, ok := m.Shapes[in].Members[k]; ok {
					body[k] = v
				}
			}
			if op == "DeleteStream" && (body["StreamName"] == "s" || body["StreamARN"] == arn+"s") {
				continue
			}
			status, answer := s.post(op, typeJSON, written(t, typeJSON, body))
			kind, _ := answer["__type"].(string)
			text, _ := answer["message"].(string)
			got[kind] = true
			if status != http.StatusOK && (status != http.StatusBadRequest || text == "" || !slices.Contains(allowed, kind)) {
				t.Errorf("%s %v: %d %s (%s), which is none of %v", op, body, status, kind, text, allowed)
			}
		}
	}
	for _, kind := range []string{"ResourceNotFoundException", "InvalidArgumentException", "ResourceInUseException", "LimitExceededException", "DryRunOperationException"} {
		if !got[kind] {
			t.Errorf("nothing provoked %s", kind)
		}
	}
}
