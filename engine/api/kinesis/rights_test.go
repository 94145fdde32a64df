package kinesis

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/api/audit"
	"github.com/millrace-io/millrace/engine/api/auth"
	"github.com/millrace-io/millrace/engine/api/policy"
	"github.com/millrace-io/millrace/engine/api/wire"
)

// people are users by name, with the documents that tell what each may do.
type people map[string]string

func (p people) ByKey(string) (*auth.User, string, bool) { return nil, "", false }

func (p people) Any() bool { return true }

func (p people) ByCertificate(names []string) (*auth.User, bool) {
	text, ok := p[names[0]]
	if !ok {
		return nil, false
	}
	u := &auth.User{Name: names[0], Owner: names[0] == "owner"}
	if text != "" {
		d, err := policy.Parse(`{"Version":"2012-10-17","Statement":[`+text+`]}`, policy.Identity)
		if err != nil {
			return nil, false
		}
		u.Policy = d
	}
	return u, true
}

const everything = `{"Effect":"Allow","Action":"*","Resource":"*"}`

// guarded is a rig whose users are known by their certificates. root may do everything.
func guarded(t *testing.T, users people) *rig {
	t.Helper()
	users["root"] = everything
	return newRig(t, func(o *Options) {
		o.Verifier = &auth.Verifier{Mode: auth.MTLS, Service: "kinesis", Users: users, Now: time.Now}
		var err error
		if o.Audit, err = audit.Open(filepath.Join(t.TempDir(), "audit"), audit.Options{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = o.Audit.Close() })
	})
}

// as is a request of a user.
func (r *rig) as(user, operation, body string) answer {
	r.t.Helper()
	q := request(operation, wire.TypeJSON, []byte(body))
	q.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{Subject: pkix.Name{CommonName: user}}}}}
	return r.ask(q)
}

// mustAs is as for what must succeed.
func (r *rig) mustAs(user, operation, body string) answer {
	r.t.Helper()
	a := r.as(user, operation, body)
	if a.status != http.StatusOK {
		r.t.Fatalf("%s %s: %d %s", operation, body, a.status, a.text)
	}
	return a
}

const (
	arnOfS = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
	// another spelling, of which the server looks at the name only.
	otherARN = "arn:aws-cn:kinesis:eu-west-1:111111111111:stream/s"
)

// examples are a request of each operation, and the resource that the right to it is on. IT and CONSUMER stand for an iterator
// and the ARN of a consumer.
var examples = map[string]struct{ body, resource string }{
	"AddTagsToStream":                        {`{"StreamName":"s","Tags":{"a":"1"}}`, arnOfS},
	"CreateStream":                           {`{"StreamName":"s","ShardCount":1}`, arnOfS},
	"DecreaseStreamRetentionPeriod":          {`{"StreamName":"s","RetentionPeriodHours":24}`, arnOfS},
	"DeleteResourcePolicy":                   {`{"ResourceARN":"` + otherARN + `"}`, arnOfS},
	"DeleteStream":                           {`{"StreamARN":"` + otherARN + `"}`, arnOfS},
	"DeregisterStreamConsumer":               {`{"StreamARN":"` + otherARN + `","ConsumerName":"c"}`, "CONSUMER"},
	"DescribeAccountSettings":                {`{}`, "*"},
	"DescribeLimits":                         {`{}`, "*"},
	"DescribeStream":                         {`{"StreamName":"s"}`, arnOfS},
	"DescribeStreamConsumer":                 {`{"ConsumerARN":"CONSUMER"}`, "CONSUMER"},
	"DescribeStreamSummary":                  {`{"StreamARN":"` + otherARN + `"}`, arnOfS},
	"DisableEnhancedMonitoring":              {`{"StreamName":"s","ShardLevelMetrics":["ALL"]}`, arnOfS},
	"EnableEnhancedMonitoring":               {`{"StreamName":"s","ShardLevelMetrics":["ALL"]}`, arnOfS},
	"GetRecords":                             {`{"ShardIterator":"IT"}`, arnOfS},
	"GetResourcePolicy":                      {`{"ResourceARN":"CONSUMER"}`, "CONSUMER"},
	"GetShardIterator":                       {`{"StreamName":"s","ShardId":"0","ShardIteratorType":"LATEST"}`, arnOfS},
	"IncreaseStreamRetentionPeriod":          {`{"StreamName":"s","RetentionPeriodHours":48}`, arnOfS},
	"ListShards":                             {`{"StreamName":"s"}`, arnOfS},
	"ListStreamConsumers":                    {`{"StreamARN":"` + otherARN + `"}`, arnOfS},
	"ListStreams":                            {`{}`, "*"},
	"ListTagsForResource":                    {`{"ResourceARN":"` + otherARN + `/x"}`, arnOfS},
	"ListTagsForStream":                      {`{"StreamName":"s"}`, arnOfS},
	"MergeShards":                            {`{"StreamName":"s","ShardToMerge":"0","AdjacentShardToMerge":"1"}`, arnOfS},
	"PutRecord":                              {`{"StreamARN":"` + otherARN + `","Data":"YQ==","PartitionKey":"k"}`, arnOfS},
	"PutRecords":                             {`{"StreamName":"s","Records":[{"Data":"YQ==","PartitionKey":"k"}]}`, arnOfS},
	"PutResourcePolicy":                      {`{"ResourceARN":"` + otherARN + `","Policy":"{}"}`, arnOfS},
	"RegisterStreamConsumer":                 {`{"StreamARN":"` + otherARN + `","ConsumerName":"d"}`, arnOfS},
	"RemoveTagsFromStream":                   {`{"StreamName":"s","TagKeys":["a"]}`, arnOfS},
	"SplitShard":                             {`{"StreamName":"s","ShardToSplit":"0","NewStartingHashKey":"9"}`, arnOfS},
	"StartStreamEncryption":                  {`{"StreamName":"s","EncryptionType":"KMS","KeyId":"k"}`, arnOfS},
	"StopStreamEncryption":                   {`{"StreamName":"s","EncryptionType":"KMS","KeyId":"k"}`, arnOfS},
	"SubscribeToShard":                       {`{"ConsumerARN":"CONSUMER","ShardId":"0","StartingPosition":{"Type":"LATEST"}}`, "CONSUMER"},
	"TagResource":                            {`{"ResourceARN":"CONSUMER","Tags":{"a":"1"}}`, "CONSUMER"},
	"UntagResource":                          {`{"ResourceARN":"CONSUMER","TagKeys":["a"]}`, "CONSUMER"},
	"UpdateAccountSettings":                  {`{"MinimumThroughputBillingCommitment":{"Status":"ENABLED"}}`, "*"},
	"UpdateMaxRecordSize":                    {`{"StreamARN":"` + otherARN + `","MaxRecordSizeInKiB":2048}`, arnOfS},
	"UpdateShardCount":                       {`{"StreamName":"s","TargetShardCount":2,"ScalingType":"UNIFORM_SCALING"}`, arnOfS},
	"UpdateStreamMode":                       {`{"StreamARN":"` + otherARN + `","StreamModeDetails":{"StreamMode":"ON_DEMAND"}}`, arnOfS},
	"UpdateStreamRecordDistributionStrategy": {`{"StreamARN":"` + otherARN + `","RecordDistributionStrategy":"AUTO"}`, arnOfS},
	"UpdateStreamWarmThroughput":             {`{"StreamName":"s","WarmThroughputMiBps":1}`, arnOfS},
}

func TestEveryOperationNeedsItsRight(t *testing.T) {
	users := people{"nobody": ""}
	for operation := range rights {
		users["but-"+operation] = everything + `,{"Effect":"Deny","Action":"kinesis:` + operation + `","Resource":"*"}`
	}
	r := guarded(t, users)
	r.mustAs("root", "CreateStream", `{"StreamName":"s","ShardCount":1}`)
	c := r.mustAs("root", "RegisterStreamConsumer", `{"StreamARN":"`+arnOfS+`","ConsumerName":"c"}`).fields["Consumer"].(map[string]any)["ConsumerARN"].(string)
	it := r.mustAs("root", "GetShardIterator", `{"StreamName":"s","ShardId":"0","ShardIteratorType":"LATEST"}`).fields["ShardIterator"].(string)
	fill := strings.NewReplacer("CONSUMER", c, "IT", it)
	for operation := range r.actions {
		if _, ok := rights[operation]; !ok {
			t.Errorf("%s needs no right", operation)
		}
	}
	if len(rights) != len(r.actions)+2 || len(examples) != len(rights) || len(Actions()) != len(rights) {
		t.Errorf("%d rights, %d actions besides GetRecords and SubscribeToShard, %d examples", len(rights), len(r.actions), len(examples))
	}
	for operation, x := range examples {
		body, resource := fill.Replace(x.body), fill.Replace(x.resource)
		if strings.Contains(x.body, `"IT"`) {
			body = strings.Replace(x.body, "IT", it, 1)
		}
		want := "User: arn:aws:iam::000000000000:user/nobody is not authorized to perform: kinesis:" + operation + " on resource: " + resource +
			" because no identity-based policy allows the kinesis:" + operation + " action"
		if a := r.as("nobody", operation, body); a.kind != "AccessDeniedException" || a.fields["message"] != want || a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s, want %s", operation, a.status, a.text, want)
		}
		if a := r.as("but-"+operation, operation, body); a.kind != "AccessDeniedException" || !strings.Contains(a.text, "with an explicit deny in an identity-based policy") {
			t.Errorf("%s, denied: %s", operation, a.text)
		}
		// That right alone is enough.
		users["only"] = `{"Effect":"Allow","Action":"kinesis:` + operation + `","Resource":"` + resource + `"}`
		if operation == "SubscribeToShard" {
			body = strings.Replace(body, `{`, `{"DryRun":true,`, 1)
		}
		if operation != "DeleteStream" && operation != "DeregisterStreamConsumer" {
			if a := r.as("only", operation, body); a.kind == "AccessDeniedException" {
				t.Errorf("%s with the right: %s", operation, a.text)
			}
		}
	}
}

func TestWhoHasNoRightDoesNotLearnWhatThereIs(t *testing.T) {
	r := guarded(t, people{"nobody": ""})
	r.mustAs("root", "CreateStream", `{"StreamName":"s","ShardCount":1}`)
	for _, name := range []string{"s", "other"} {
		for operation, body := range map[string]string{
			"DescribeStream": `{"StreamName":"` + name + `"}`, "CreateStream": `{"StreamName":"` + name + `","ShardCount":1}`,
			"DescribeStreamConsumer": `{"StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/` + name + `","ConsumerName":"c"}`,
		} {
			if a := r.as("nobody", operation, body); a.kind != "AccessDeniedException" {
				t.Errorf("%s of %s: %s", operation, name, a.text)
			}
		}
	}
	if a := r.as("stranger", "ListStreams", `{}`); a.kind != "UnrecognizedClientException" {
		t.Error(a.text)
	}
	if a := r.do("ListStreams", `{}`); a.kind != "MissingAuthenticationTokenException" {
		t.Error(a.text)
	}
}

func TestTagsOfSomethingNewNeedTheirRight(t *testing.T) {
	r := guarded(t, people{
		"creator": `{"Effect":"Allow","Action":["kinesis:CreateStream","kinesis:RegisterStreamConsumer"],"Resource":"*"}`,
		"tagger":  `{"Effect":"Allow","Action":["kinesis:CreateStream","kinesis:RegisterStreamConsumer","kinesis:AddTagsToStream","kinesis:TagResource"],"Resource":"*"}`,
	})
	for user, ok := range map[string]bool{"creator": false, "tagger": true} {
		a := r.as(user, "CreateStream", `{"StreamName":"`+user+`","ShardCount":1,"Tags":{"a":"1"}}`)
		if (a.status == http.StatusOK) != ok || !ok && !strings.Contains(a.text, "kinesis:AddTagsToStream on resource: arn:aws:kinesis:us-east-1:000000000000:stream/creator ") {
			t.Errorf("%s: %s", user, a.text)
		}
		r.as("root", "CreateStream", `{"StreamName":"`+user+`","ShardCount":1}`)
		a = r.as(user, "RegisterStreamConsumer", `{"StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/`+user+`","ConsumerName":"c","Tags":{"a":"1"}}`)
		if (a.status == http.StatusOK) != ok || !ok && !strings.Contains(a.text, "kinesis:TagResource on resource: arn:aws:kinesis:us-east-1:000000000000:stream/creator/consumer/c ") {
			t.Errorf("%s: %s", user, a.text)
		}
	}
}

// What a client hands back from an answer before names a stream too.
func TestTokensLeadAroundNoPolicy(t *testing.T) {
	r := guarded(t, people{"alice": `{"Effect":"Allow","Action":"*","Resource":"arn:aws:kinesis:*:*:stream/hers"},{"Effect":"Allow","Action":"kinesis:ListStreams","Resource":"*"}`})
	for _, name := range []string{"s", "hers"} {
		r.mustAs("root", "CreateStream", `{"StreamName":"`+name+`","ShardCount":2}`)
		it := r.mustAs("root", "GetShardIterator", `{"StreamName":"`+name+`","ShardId":"0","ShardIteratorType":"LATEST"}`).fields["ShardIterator"].(string)
		token := r.mustAs("root", "ListShards", `{"StreamName":"`+name+`","MaxResults":1}`).fields["NextToken"].(string)
		want := ""
		if name == "s" {
			want = "AccessDeniedException"
		}
		for operation, body := range map[string]string{
			"GetRecords": `{"StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/hers","ShardIterator":"` + it + `"}`, "ListShards": `{"NextToken":"` + token + `"}`,
		} {
			if a := r.as("alice", operation, body); a.kind != want {
				t.Errorf("%s of %s: %s", operation, name, a.text)
			}
		}
	}
	r.mustAs("alice", "ListStreams", `{}`)
}

// quoted is a text as a value of JSON.
func quoted(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}

func TestPoliciesOfResourcesHold(t *testing.T) {
	r := guarded(t, people{"alice": "", "bob": ""})
	r.mustAs("root", "CreateStream", `{"StreamName":"s","ShardCount":1}`)
	c := r.mustAs("root", "RegisterStreamConsumer", `{"StreamARN":"`+arnOfS+`","ConsumerName":"c"}`).fields["Consumer"].(map[string]any)["ConsumerARN"].(string)
	put := `{"StreamName":"s","Data":"YQ==","PartitionKey":"k"}`
	attach := func(on, statements string) {
		t.Helper()
		r.mustAs("root", "PutResourcePolicy", `{"ResourceARN":"`+on+`","Policy":`+quoted(`{"Version":"2012-10-17","Statement":[`+statements+`]}`)+`}`)
	}
	aliceMay := `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/alice"},"Action":"kinesis:PutRecord","Resource":"` + arnOfS + `"}`
	attach(arnOfS, aliceMay)
	r.mustAs("alice", "PutRecord", put)
	if a := r.as("bob", "PutRecord", put); a.kind != "AccessDeniedException" {
		t.Error(a.text)
	}
	attach(arnOfS, aliceMay+`,{"Effect":"Deny","Principal":"*","Action":"kinesis:PutRecord","Resource":"*"}`)
	for _, user := range []string{"alice", "root"} {
		if a := r.as(user, "PutRecord", put); !strings.Contains(a.text, "with an explicit deny in a resource-based policy") {
			t.Errorf("%s: %s", user, a.text)
		}
	}
	r.mustAs("root", "DeleteResourcePolicy", `{"ResourceARN":"`+arnOfS+`"}`)
	r.mustAs("root", "PutRecord", put)
	if a := r.as("alice", "PutRecord", put); a.kind != "AccessDeniedException" {
		t.Error(a.text)
	}
	subscribe := `{"ConsumerARN":"` + c + `","ShardId":"0","StartingPosition":{"Type":"LATEST"},"DryRun":true}`
	attach(c, `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/alice"},"Action":"kinesis:SubscribeToShard","Resource":"`+c+`"}`)
	if a := r.as("alice", "SubscribeToShard", subscribe); a.kind != "DryRunOperationException" {
		t.Error(a.text)
	}
	if a := r.as("bob", "SubscribeToShard", subscribe); a.kind != "AccessDeniedException" {
		t.Error(a.text)
	}
}

func TestOwnersFindTheirWayBackFromAPolicyThatDeniesEverybody(t *testing.T) {
	r := guarded(t, people{"owner": everything})
	r.mustAs("root", "CreateStream", `{"StreamName":"s","ShardCount":1}`)
	c := r.mustAs("root", "RegisterStreamConsumer", `{"StreamARN":"`+arnOfS+`","ConsumerName":"c"}`).fields["Consumer"].(map[string]any)["ConsumerARN"].(string)
	const nobody = `{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}`
	for _, on := range []string{arnOfS, c} {
		put := `{"ResourceARN":"` + on + `","Policy":` + quoted(nobody) + `}`
		get := `{"ResourceARN":"` + on + `"}`
		r.mustAs("root", "PutResourcePolicy", put)
		for operation, body := range map[string]string{"PutResourcePolicy": put, "GetResourcePolicy": get, "DeleteResourcePolicy": get, "ListTagsForResource": get} {
			if a := r.as("root", operation, body); a.kind != "AccessDeniedException" {
				t.Errorf("%s of %s by who does not own it: %s", operation, on, a.text)
			}
		}
		if a := r.as("owner", "ListTagsForResource", get); a.kind != "AccessDeniedException" {
			t.Errorf("the policy of %s does not hold against its owner: %s", on, a.text)
		}
		if a := r.mustAs("owner", "GetResourcePolicy", get); a.fields["Policy"] != nobody {
			t.Error(a.text)
		}
		r.mustAs("owner", "PutResourcePolicy", put)
		r.mustAs("owner", "DeleteResourcePolicy", get)
		r.mustAs("root", "ListTagsForResource", get)
	}
}

func TestMalformedPoliciesAreRefusedWithTheirPlaces(t *testing.T) {
	r := newRig(t, nil)
	r.must("CreateStream", `{"StreamName":"s","ShardCount":1}`)
	for text, want := range map[string]string{
		`{"Version":"2012-10-17"}`: "1:1: a policy needs at least one Statement",
		"{\n \"Statement\": {\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}}": "2:15: a statement needs Principal",
		"x": "1:1: this is not JSON",
	} {
		if a := r.do("PutResourcePolicy", `{"ResourceARN":"`+arnOfS+`","Policy":`+quoted(text)+`}`); a.kind != "InvalidArgumentException" || !strings.Contains(a.text, want) {
			t.Errorf("%s: %s", text, a.text)
		}
	}
}

func TestPoliciesAreKeptToABoundOfBytes(t *testing.T) {
	var x policies
	for i := range 1000 {
		text := fmt.Sprintf(`{"Statement":{"Sid":"%d","Effect":"Allow","Principal":"*","Action":"kinesis:%s","Resource":"*"}}`, i, strings.Repeat("x", 18<<10))
		for range 2 {
			if d, err := x.parsed(text); d == nil || err != nil {
				t.Fatal(err)
			}
		}
		size := 0
		for kept := range x.list {
			size += len(kept)
		}
		if x.list[text] == nil || size != x.size || size > maxPolicies {
			t.Fatalf("after %d: %d bytes in %d documents, counted as %d", i, size, len(x.list), x.size)
		}
	}
}

// Earlier versions kept any JSON as a policy.
func TestUnreadablePolicyLetsNobodyInUntilItIsReplaced(t *testing.T) {
	r := guarded(t, people{})
	r.mustAs("root", "CreateStream", `{"StreamName":"s","ShardCount":1}`)
	st, err := r.o.Streams.Open(t.Context(), "s")
	if err == nil {
		err = r.extras.change(t.Context(), st, func(e *extra) error { e.Policy = `{"Version":"2012-10-17"}`; return nil })
	}
	if err != nil {
		t.Fatal(err)
	}
	if a := r.as("root", "DescribeStream", `{"StreamName":"s"}`); a.kind != "AccessDeniedException" || !strings.Contains(a.text, "until PutResourcePolicy replaces it") {
		t.Error(a.text)
	}
	r.mustAs("root", "GetResourcePolicy", `{"ResourceARN":"`+arnOfS+`"}`)
	r.mustAs("root", "DeleteResourcePolicy", `{"ResourceARN":"`+arnOfS+`"}`)
	r.mustAs("root", "DescribeStream", `{"StreamName":"s"}`)
}

func TestAuditLogTellsWhoDidWhat(t *testing.T) {
	r := guarded(t, people{"nobody": ""})
	name := filepath.Join(t.TempDir(), "log")
	var err error
	if r.o.Audit, err = audit.Open(name, audit.Options{}); err != nil {
		t.Fatal(err)
	}
	r.mustAs("root", "CreateStream", `{"StreamName":"s","ShardCount":1}`)
	r.mustAs("root", "PutRecord", `{"StreamName":"s","Data":"c2VjcmV0","PartitionKey":"k"}`)
	r.mustAs("root", "ListStreams", `{}`)
	r.as("nobody", "DeleteStream", `{"StreamName":"s"}`)
	r.as("nobody", "PutRecord", `{"StreamName":"s","Data":"c2VjcmV0","PartitionKey":"k"}`)
	r.as("nobody", "PutRecord", `{"StreamName":"s"}`)
	r.do("DeleteStream", `{"StreamName":"s"}`)
	r.do("PutRecord", `{"StreamName":"s","Data":"c2VjcmV0","PartitionKey":"k"}`)
	r.as("root", "DeleteStream", `{"StreamName":"x"}`)
	if err := r.o.Audit.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want := []audit.Entry{
		{User: "root", Verified: true, Action: "kinesis:CreateStream", Resource: arnOfS, Change: true, Outcome: "ok"},
		{User: "root", Verified: true, Action: "kinesis:ListStreams", Resource: "*", Outcome: "ok"},
		{User: "nobody", Verified: true, Action: "kinesis:DeleteStream", Resource: arnOfS, Change: true, Outcome: "AccessDeniedException"},
		{User: "nobody", Verified: true, Action: "kinesis:PutRecord", Resource: arnOfS, Outcome: "AccessDeniedException"},
		{Action: "kinesis:DeleteStream", Change: true, Outcome: "MissingAuthenticationTokenException"},
		{Action: "kinesis:PutRecord", Outcome: "MissingAuthenticationTokenException"},
		{User: "root", Verified: true, Action: "kinesis:DeleteStream", Resource: "arn:aws:kinesis:us-east-1:000000000000:stream/x", Change: true, Outcome: "ResourceNotFoundException"},
	}
	lines := bufio.NewScanner(strings.NewReader(string(text)))
	for i := 0; lines.Scan(); i++ {
		var e audit.Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || i >= len(want) {
			t.Fatalf("line %d: %s %v", i, lines.Text(), err)
		}
		w := want[i]
		w.Time, w.RequestID, w.From, w.TLS = e.Time, e.RequestID, "192.0.2.1", e.User != ""
		if e != w || len(e.RequestID) != 36 || time.Since(e.Time).Abs() > time.Minute {
			t.Errorf("line %d: %+v, want %+v", i, e, w)
		}
	}
	if n := strings.Count(string(text), "\n"); n != len(want) {
		t.Errorf("%d lines, want %d:\n%s", n, len(want), text)
	}
}

// newcomers are users that come while requests are under way.
type newcomers struct {
	people
	there *atomic.Bool
}

func (n newcomers) Any() bool { return n.there.Load() }

func TestSubscriptionEndsWhenItsRightDoes(t *testing.T) {
	virtually(t, func(r *rig) {
		arn := r.consumer()
		var there atomic.Bool
		r.o.Verifier = &auth.Verifier{Mode: auth.Auto, Service: "kinesis", Users: newcomers{people{}, &there}, Now: time.Now}
		s := r.subscribe(arn, horizon)
		r.put("a")
		pass(heartbeat)
		if s.ended() || s.text() != "a" {
			t.Fatalf("it ended, or read %q", s.text())
		}
		there.Store(true)
		pass(heartbeat)
		// The model of the API has no better type for it within an event stream.
		if e := s.last(); !s.ended() || e.kind != "InternalFailureException" || !strings.Contains(e.text, "security token") {
			t.Errorf("it goes on with %+v", e)
		}
		<-s.done
	})
}

func TestRightsAreAskedForAgain(t *testing.T) {
	users := people{"alice": everything}
	r := guarded(t, users)
	r.mustAs("root", "CreateStream", `{"StreamName":"s","ShardCount":1}`)
	q := request("ListShards", wire.TypeJSON, nil)
	q.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{Subject: pkix.Name{CommonName: "alice"}}}}}
	name := "s"
	in := &target{name: &name}
	c := r.newCall(q, "id")
	c.operation = "ListShards"
	if err := c.verify(q, nil); err != nil {
		t.Fatal(err)
	}
	again := func(want string) {
		t.Helper()
		var f *wire.Fault
		if err := c.again(t.Context(), q, in); errors.As(err, &f) != (want != "") || want != "" && f.Type != want {
			t.Errorf("%v, want %q", err, want)
		}
	}
	again("")
	users["alice"] = ""
	again("AccessDeniedException")
	delete(users, "alice")
	again("UnrecognizedClientException")
}
