package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"

	//lint:ignore SA1019 it is for its directory, where the models of the APIs are: nothing of it runs
	_ "github.com/aws/aws-sdk-go/aws/awserr"
)

// ref names a shape.
type ref struct{ Shape string }

// apiShape is one of the API's model.
type apiShape struct {
	Type               string
	Required           []string
	Members            map[string]ref
	Member, Key, Value ref
	Min, Max           *int64
	Pattern            string
	Enum               []string
}

func (s *apiShape) requires(member string) bool { return slices.Contains(s.Required, member) }

// apiModel is a machine-readable model of the Kinesis API.
type apiModel struct {
	Operations map[string]*struct {
		Input, Output ref
		Errors        []ref
	}
	Shapes map[string]*apiShape
}

// newerModel is what the API has since the model of aws-sdk-go 1.55.8: names and types are those of aws-sdk-go-v2's
// service/kinesis, to which the test compares the whole; bounds are those of the API's reference.
const newerModel = `{
"Shapes": {
 "StreamId": {"type": "string", "min": 1, "max": 24, "pattern": "[a-z0-9]{20}-[a-z0-9]{3}"},
 "Data": {"type": "blob", "min": 0, "max": 10485760},
 "NaturalIntegerObject": {"type": "integer", "min": 0},
 "MaxRecordSizeInKiB": {"type": "integer", "min": 1024, "max": 10240},
 "RecordDistributionStrategy": {"type": "string", "enum": ["AUTO", "USER_PARTITION_KEY"]},
 "CommitmentStatus": {"type": "string", "enum": ["ENABLED", "DISABLED"]},
 "CommitmentOutputStatus": {"type": "string", "enum": ["ENABLED", "DISABLED", "ENABLED_UNTIL_EARLIEST_ALLOWED_END"]},
 "CommitmentInput": {"type": "structure", "required": ["Status"], "members": {"Status": {"shape": "CommitmentStatus"}}},
 "CommitmentOutput": {"type": "structure", "required": ["Status"], "members": {"Status": {"shape": "CommitmentOutputStatus"}, "StartedAt": {"shape": "Timestamp"},
  "EndedAt": {"shape": "Timestamp"}, "EarliestAllowedEndAt": {"shape": "Timestamp"}}},
 "AccountSettingsInput": {"type": "structure", "required": ["MinimumThroughputBillingCommitment"], "members": {"MinimumThroughputBillingCommitment": {"shape": "CommitmentInput"}}},
 "AccountSettingsOutput": {"type": "structure", "members": {"MinimumThroughputBillingCommitment": {"shape": "CommitmentOutput"}}},
 "Nothing": {"type": "structure"},
 "ListTagsForResourceInput": {"type": "structure", "required": ["ResourceARN"], "members": {"ResourceARN": {"shape": "ResourceARN"}}},
 "ListTagsForResourceOutput": {"type": "structure", "members": {"Tags": {"shape": "TagList"}}},
 "TagResourceInput": {"type": "structure", "required": ["Tags", "ResourceARN"], "members": {"Tags": {"shape": "TagMap"}, "ResourceARN": {"shape": "ResourceARN"}}},
 "UntagResourceInput": {"type": "structure", "required": ["TagKeys", "ResourceARN"], "members": {"TagKeys": {"shape": "TagKeyList"}, "ResourceARN": {"shape": "ResourceARN"}}},
 "UpdateMaxRecordSizeInput": {"type": "structure", "required": ["MaxRecordSizeInKiB"], "members": {"StreamARN": {"shape": "StreamARN"}, "MaxRecordSizeInKiB": {"shape": "MaxRecordSizeInKiB"}}},
 "UpdateDistributionInput": {"type": "structure", "required": ["StreamARN", "RecordDistributionStrategy"], "members": {"StreamARN": {"shape": "StreamARN"},
  "RecordDistributionStrategy": {"shape": "RecordDistributionStrategy"}}},
 "UpdateWarmInput": {"type": "structure", "required": ["WarmThroughputMiBps"], "members": {"StreamName": {"shape": "StreamName"}, "StreamARN": {"shape": "StreamARN"},
  "WarmThroughputMiBps": {"shape": "NaturalIntegerObject"}}},
 "WarmThroughputObject": {"type": "structure", "members": {"TargetMiBps": {"shape": "NaturalIntegerObject"}, "CurrentMiBps": {"shape": "NaturalIntegerObject"}}},
 "UpdateWarmOutput": {"type": "structure", "members": {"StreamName": {"shape": "StreamName"}, "StreamARN": {"shape": "StreamARN"}, "WarmThroughput": {"shape": "WarmThroughputObject"}}}
},
"Operations": {
 "DescribeAccountSettings": {"input": {"shape": "Nothing"}, "output": {"shape": "AccountSettingsOutput"}},
 "UpdateAccountSettings": {"input": {"shape": "AccountSettingsInput"}, "output": {"shape": "AccountSettingsOutput"}},
 "ListTagsForResource": {"input": {"shape": "ListTagsForResourceInput"}, "output": {"shape": "ListTagsForResourceOutput"}},
 "TagResource": {"input": {"shape": "TagResourceInput"}},
 "UntagResource": {"input": {"shape": "UntagResourceInput"}},
 "UpdateMaxRecordSize": {"input": {"shape": "UpdateMaxRecordSizeInput"}},
 "UpdateStreamRecordDistributionStrategy": {"input": {"shape": "UpdateDistributionInput"}},
 "UpdateStreamWarmThroughput": {"input": {"shape": "UpdateWarmInput"}, "output": {"shape": "UpdateWarmOutput"}}
}}`

// newerErrors are those that operations have besides: of new operations, and since of old ones.
var newerErrors = map[string]string{
	"CreateStream":                           "ValidationException",
	"DescribeAccountSettings":                "LimitExceededException",
	"UpdateAccountSettings":                  "InvalidArgumentException ValidationException LimitExceededException",
	"GetRecords":                             "InternalFailureException",
	"GetResourcePolicy":                      "ResourceInUseException",
	"GetShardIterator":                       "InternalFailureException",
	"PutRecord":                              "InternalFailureException",
	"PutRecords":                             "InternalFailureException",
	"ListTagsForResource":                    "ResourceNotFoundException ResourceInUseException InvalidArgumentException LimitExceededException AccessDeniedException",
	"TagResource":                            "ResourceNotFoundException ResourceInUseException InvalidArgumentException LimitExceededException AccessDeniedException",
	"UntagResource":                          "ResourceNotFoundException ResourceInUseException InvalidArgumentException LimitExceededException AccessDeniedException",
	"UpdateMaxRecordSize":                    "ResourceNotFoundException ResourceInUseException InvalidArgumentException LimitExceededException AccessDeniedException ValidationException",
	"UpdateStreamMode":                       "ValidationException",
	"UpdateStreamRecordDistributionStrategy": "ResourceNotFoundException ResourceInUseException InvalidArgumentException LimitExceededException AccessDeniedException ValidationException",
	"UpdateStreamWarmThroughput":             "ResourceNotFoundException ResourceInUseException InvalidArgumentException LimitExceededException AccessDeniedException ValidationException",
}

// newerMembers are those that older structures got.
var newerMembers = map[string]map[string]string{
	"CreateStreamInput": {"Tags": "TagMap", "WarmThroughputMiBps": "NaturalIntegerObject", "MaxRecordSizeInKiB": "MaxRecordSizeInKiB",
		"RecordDistributionStrategy": "RecordDistributionStrategy"},
	"RegisterStreamConsumerInput": {"Tags": "TagMap"},
	"UpdateStreamModeInput":       {"WarmThroughputMiBps": "NaturalIntegerObject"},
	"PutRecordInput":              {"DryRun": "BooleanObject"},
	"PutRecordsInput":             {"DryRun": "BooleanObject"},
	"GetRecordsInput":             {"DryRun": "BooleanObject"},
	"GetShardIteratorInput":       {"DryRun": "BooleanObject"},
	"SubscribeToShardInput":       {"DryRun": "BooleanObject"},
	"DescribeLimitsOutput":        {"ChannelCount": "OnDemandStreamCountObject", "ChannelCountLimit": "OnDemandStreamCountObject"},
	"StreamDescriptionSummary": {"StreamId": "StreamId", "WarmThroughput": "WarmThroughputObject", "MaxRecordSizeInKiB": "MaxRecordSizeInKiB",
		"RecordDistributionStrategy": "RecordDistributionStrategy", "ChannelCount": "ConsumerCountObject"},
}

// loadModel reads the model, brings it up to date and compares it with the SDK's types.
func loadModel(t *testing.T) *apiModel {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go").Output()
	must(t, err)
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "models", "apis", "kinesis", "2013-12-02", "api-2.json"))
	must(t, err)
	m, newer := &apiModel{}, &apiModel{}
	must(t, json.Unmarshal(text, m))
	must(t, json.Unmarshal([]byte(newerModel), newer))
	maps.Copy(m.Shapes, newer.Shapes)
	maps.Copy(m.Operations, newer.Operations)
	for name, members := range newerMembers {
		for member, s := range members {
			m.Shapes[name].Members[member] = ref{s}
		}
	}
	for op, list := range newerErrors {
		for _, e := range strings.Fields(list) {
			m.Operations[op].Errors = append(m.Operations[op].Errors, ref{e})
		}
	}
	// Since streams may spread records by themselves, a record needs no partition key.
	for _, name := range []string{"PutRecordInput", "PutRecordsRequestEntry"} {
		m.Shapes[name].Required = []string{"Data"}
	}
	for _, op := range m.Operations {
		in := m.Shapes[op.Input.Shape]
		for _, member := range []string{"StreamARN", "ConsumerARN", "ResourceARN"} {
			if _, ok := in.Members[member]; ok {
				in.Members["StreamId"] = ref{"StreamId"}
			}
		}
	}
	m.compare(t)
	return m
}

// compare holds the model against the requests and answers of the SDK.
func (m *apiModel) compare(t *testing.T) {
	t.Helper()
	client := reflect.ValueOf(kinesis.New(kinesis.Options{Region: "us-east-1"}))
	for i := range client.NumMethod() {
		method := client.Type().Method(i)
		call := client.Method(i)
		if call.Type().NumIn() != 3 || strings.Contains(method.Name, "Channel") {
			continue
		}
		op := m.Operations[method.Name]
		if op == nil {
			t.Errorf("the model has no %s", method.Name)
			continue
		}
		in := call.Type().In(1).Elem()
		m.same(t, method.Name, op.Input.Shape, in)
		if method.Name != "SubscribeToShard" {
			m.same(t, method.Name, op.Output.Shape, call.Type().Out(0).Elem())
		}
		// The SDK refuses an empty request by itself and names what is missing.
		if len(m.Shapes[op.Input.Shape].Required) == 0 {
			continue
		}
		var missing []string
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		out := call.Call([]reflect.Value{reflect.ValueOf(ctx), reflect.New(in)})
		var invalid smithy.InvalidParamsError
		if err, _ := out[1].Interface().(error); errors.As(err, &invalid) {
			for _, e := range invalid.Errs() {
				missing = append(missing, strings.TrimPrefix(field(e), in.Name()+"."))
			}
		}
		for _, name := range m.Shapes[op.Input.Shape].Required {
			if !slices.Contains(missing, name) && name != "Data" {
				t.Errorf("%s: %s is not required; %v are", method.Name, name, missing)
			}
		}
	}
}

// same holds a structure against the SDK's.
func (m *apiModel) same(t *testing.T, where, name string, of reflect.Type) {
	t.Helper()
	s := m.Shapes[name]
	if s == nil {
		s = &apiShape{}
	}
	seen := map[string]bool{}
	for _, f := range reflect.VisibleFields(of) {
		if !f.IsExported() || f.Name == "ResultMetadata" || f.Anonymous {
			continue
		}
		seen[f.Name] = true
		member, ok := s.Members[f.Name]
		if !ok {
			t.Errorf("%s: the model's %s has no %s", where, name, f.Name)
			continue
		}
		m.sameType(t, where+"."+f.Name, member.Shape, f.Type)
	}
	for member := range s.Members {
		if !seen[member] {
			t.Errorf("%s: the SDK has no %s.%s", where, name, member)
		}
	}
}

func (m *apiModel) sameType(t *testing.T, where, name string, of reflect.Type) {
	t.Helper()
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	s := m.Shapes[name]
	want := map[reflect.Kind]string{reflect.String: "string", reflect.Int32: "integer", reflect.Int64: "long", reflect.Bool: "boolean",
		reflect.Slice: "list", reflect.Map: "map", reflect.Struct: "structure"}[of.Kind()]
	switch of {
	case reflect.TypeFor[time.Time]():
		want = "timestamp"
	case reflect.TypeFor[[]byte]():
		want = "blob"
	}
	if s.Type != want {
		t.Errorf("%s: %s in the model, %s in the SDK", where, s.Type, want)
		return
	}
	switch s.Type {
	case "list":
		m.sameType(t, where, s.Member.Shape, of.Elem())
	case "structure":
		m.same(t, where, name, of)
	case "string":
		if values, ok := of.MethodByName("Values"); ok {
			var list []string
			all := values.Func.Call([]reflect.Value{reflect.Zero(of)})[0]
			for i := range all.Len() {
				list = append(list, all.Index(i).String())
			}
			if slices.Sort(list); !slices.Equal(list, slices.Sorted(slices.Values(s.Enum))) {
				t.Errorf("%s: %v in the model, %v in the SDK", where, s.Enum, list)
			}
		}
	}
}

// field is what an error of the SDK's own check is about.
func field(err error) string {
	var e smithy.InvalidParamError
	if errors.As(err, &e) {
		return e.Field()
	}
	return ""
}
