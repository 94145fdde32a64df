package kinesis

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/stream/seal"
	"github.com/millrace-io/millrace/engine/stream/seal/master"
	"github.com/millrace-io/millrace/engine/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a service on a directory of its own, whose clock stands still but for what a test moves it: how fast the
// machine is changes nothing.
type rig struct {
	*Service
	t     *testing.T
	began time.Time
	ahead atomic.Int64
}

func (r *rig) now() time.Time          { return r.began.Add(time.Duration(r.ahead.Load())) }
func (r *rig) advance(d time.Duration) { r.ahead.Add(int64(d)) }

func newRig(t *testing.T, change func(*Options)) *rig {
	t.Helper()
	return newRigOn(t, vfs.OS{}, change)
}

func newRigOn(t *testing.T, fs vfs.FS, change func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t, began: time.Now()}
	backend, err := disk.Open(fs, t.TempDir(), disk.Options{Now: r.now, Keys: func(stream, key string) (seal.Keyring, error) {
		return master.Ring(stream, key, master.Options{})
	}})
	if err != nil {
		t.Fatal(err)
	}
	local := control.NewLocal(backend, r.now)
	t.Cleanup(func() {
		if err := local.Close(); err != nil {
			t.Error(err)
		}
		if err := backend.Close(); err != nil {
			t.Error(err)
		}
	})
	o := Options{Streams: local, Now: r.now}
	if change != nil {
		change(&o)
	}
	if r.Service, err = New(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return r
}

const authorization = "AWS4-HMAC-SHA256 Credential=AK/20261122/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=00"

// request is one as an SDK sends it.
func request(operation, contentType string, body []byte) *http.Request {
	q := httptest.NewRequest("POST", "/", bytes.NewReader(body))
	q.Header.Set("X-Amz-Target", prefix+operation)
	q.Header.Set("Content-Type", contentType)
	q.Header.Set("X-Amz-Date", "20261122T010203Z")
	q.Header.Set("Authorization", authorization)
	return q
}

type answer struct {
	status int
	// kind is the error's type, empty without one.
	kind, text string
	fields     map[string]any
}

func (r *rig) ask(q *http.Request) answer {
	r.t.Helper()
	w := httptest.NewRecorder()
	r.ServeHTTP(w, q)
	body, err := io.ReadAll(w.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	a := answer{status: w.Code, text: string(body)}
	if len(body) > 0 && w.Header().Get("Content-Type") == wire.TypeJSON {
		if err := json.Unmarshal(body, &a.fields); err != nil {
			r.t.Fatalf("%q: %v", body, err)
		}
		a.kind, _ = a.fields["__type"].(string)
	}
	if a.fields != nil && a.kind != w.Header().Get("x-amzn-ErrorType") || w.Header().Get("x-amzn-RequestId") == "" || w.Header().Get("x-amz-id-2") == "" {
		r.t.Errorf("%s with headers %v", body, w.Header())
	}
	return a
}

func (r *rig) do(operation, body string) answer {
	r.t.Helper()
	return r.ask(request(operation, wire.TypeJSON, []byte(body)))
}

// must is do for what must succeed.
func (r *rig) must(operation, body string) map[string]any {
	r.t.Helper()
	a := r.do(operation, body)
	if a.status != http.StatusOK {
		r.t.Fatalf("%s %s: %d %s", operation, body, a.status, a.text)
	}
	return a.fields
}

func TestMistakesAreAnsweredInTheOrderOfAWS(t *testing.T) {
	r := newRig(t, nil)
	r.must("CreateStream", `{"StreamName":"s","ShardCount":1}`)
	plain := func(change func(q *http.Request)) *http.Request {
		q := request("ListStreams", wire.TypeJSON, []byte("{}"))
		change(q)
		return q
	}
	for what, c := range map[string]struct {
		q    *http.Request
		want string
	}{
		"GET":                  {plain(func(q *http.Request) { q.Method = "GET" }), "AccessDeniedException"},
		"another content type": {plain(func(q *http.Request) { q.Header.Set("Content-Type", "text/plain") }), "UnknownOperationException"},
		"an unknown operation": {plain(func(q *http.Request) {
			q.Header.Set("X-Amz-Target", prefix+"CreateChannel")
			q.Header.Del("Authorization")
		}), "UnknownOperationException"},
		"no operation":               {plain(func(q *http.Request) { q.Header.Del("X-Amz-Target") }), "UnknownOperationException"},
		"no signature":               {plain(func(q *http.Request) { q.Header.Del("Authorization") }), "MissingAuthenticationTokenException"},
		"half a signature":           {plain(func(q *http.Request) { q.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=a") }), "IncompleteSignatureException"},
		"no JSON":                    {request("PutRecord", wire.TypeJSON, []byte("{")), "SerializationException"},
		"deep JSON":                  {request("PutRecord", wire.TypeJSON, []byte(`{"x":`+strings.Repeat("[", 100000))), "SerializationException"},
		"a wrong type":               {request("PutRecord", wire.TypeJSON, []byte(`{"StreamName":1}`)), "SerializationException"},
		"no data":                    {request("PutRecord", wire.TypeJSON, []byte(`{"StreamName":"s","PartitionKey":"k"}`)), "ValidationException"},
		"no such stream":             {request("PutRecord", wire.TypeJSON, []byte(`{"StreamName":"x","PartitionKey":"k","Data":""}`)), "ResourceNotFoundException"},
		"a hash key that is too big": {request("PutRecord", wire.TypeJSON, []byte(`{"StreamName":"s","PartitionKey":"k","Data":"","ExplicitHashKey":"340282366920938463463374607431768211456"}`)), "InvalidArgumentException"},
		"no stream":                  {request("PutRecord", wire.TypeJSON, []byte(`{"PartitionKey":"k","Data":""}`)), "InvalidArgumentException"},
		"two streams":                {request("PutRecord", wire.TypeJSON, []byte(`{"StreamName":"s","StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/t","PartitionKey":"k","Data":""}`)), "InvalidArgumentException"},
		"no such shard":              {request("GetShardIterator", wire.TypeJSON, []byte(`{"StreamName":"s","ShardId":"shardId-000000000007","ShardIteratorType":"LATEST"}`)), "ResourceNotFoundException"},
		"a shard far away":           {request("GetShardIterator", wire.TypeJSON, []byte(`{"StreamName":"s","ShardId":"2147483648","ShardIteratorType":"LATEST"}`)), "ResourceNotFoundException"},
		"a made up iterator":         {request("GetRecords", wire.TypeJSON, []byte(`{"ShardIterator":"AAAAAAAAAAEBAAABogDYPzoAARAyMTQyM2YwZDhmOTM3MmNkc5yciEtxYbCOFGw9Dbl4i+w="}`)), "InvalidArgumentException"},
		"a body that is too large":   {request("PutRecords", wire.TypeJSON, make([]byte, maxBody+1)), "RequestEntityTooLargeException"},
	} {
		if a := r.ask(c.q); a.kind != c.want {
			t.Errorf("%s: %d %s, want %s", what, a.status, a.text, c.want)
		}
	}
	if a := r.do("GetRecords", `{"Limit":11111}`); a.fields["message"] != "2 validation errors detected: Value null at 'shardIterator' failed to satisfy constraint: Member must not be null; "+
		"Value '11111' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 10000" {
		t.Error(a.text)
	}
	if a := r.do("PutRecords", `{"StreamName":"s","Records":[{"Data":"","PartitionKey":"k"},{"PartitionKey":"","ExplicitHashKey":"-1"}]}`); !strings.Contains(a.text, "3 validation errors") ||
		!strings.Contains(a.text, "'records.2.member.partitionKey'") {
		t.Error(a.text)
	}
}

func TestIteratorsExpireAndDieWithTheirStream(t *testing.T) {
	r := newRig(t, nil)
	r.must("CreateStream", `{"StreamName":"s","ShardCount":1}`)
	iterator := func() string {
		return r.must("GetShardIterator", `{"StreamName":"s","ShardId":"0","ShardIteratorType":"TRIM_HORIZON"}`)["ShardIterator"].(string)
	}
	it := iterator()
	r.advance(299 * time.Second)
	next := r.must("GetRecords", `{"ShardIterator":"`+it+`"}`)["NextShardIterator"].(string)
	r.must("GetRecords", `{"ShardIterator":"\"`+it+`\""}`) // in quotes, as some clients pass it on
	r.advance(2 * time.Second)
	if a := r.do("GetRecords", `{"ShardIterator":"`+it+`"}`); a.kind != "ExpiredIteratorException" || !strings.Contains(a.text, "300000 milliseconds") {
		t.Errorf("an old iterator: %s", a.text)
	}
	r.must("GetRecords", `{"ShardIterator":"`+next+`"}`)
	it = iterator()
	r.must("DeleteStream", `{"StreamName":"s"}`)
	r.must("CreateStream", `{"StreamName":"s","ShardCount":1}`)
	if a := r.do("GetRecords", `{"ShardIterator":"`+it+`"}`); a.kind != "ResourceNotFoundException" || !strings.Contains(a.text, "Shard shardId-000000000000 in stream s under account 000000000000 does not exist") {
		t.Errorf("an iterator of a stream that was deleted: %s", a.text)
	}
}

func TestNamesOfAStreamMustAgree(t *testing.T) {
	r := newRig(t, nil)
	for _, name := range []string{"a", "b"} {
		r.must("CreateStream", `{"StreamName":"`+name+`","ShardCount":1}`)
	}
	it := r.must("GetShardIterator", `{"StreamName":"a","ShardId":"0","ShardIteratorType":"LATEST"}`)["ShardIterator"].(string)
	for arn, kind := range map[string]string{
		"arn:aws:kinesis:us-east-1:000000000000:stream/a": "",
		"arn:aws:kinesis:eu-west-1:111111111111:stream/a": "",
		"arn:aws:kinesis:us-east-1:000000000000:stream/b": "InvalidArgumentException",
		"arn:aws:kinesis:us-east-1:000000000000:table/a":  "ValidationException",
	} {
		for operation, body := range map[string]string{
			"GetRecords":            `"ShardIterator":"` + it + `"`,
			"PutRecord":             `"StreamName":"a","Data":"","PartitionKey":"k"`,
			"DescribeStreamSummary": `"StreamName":"a"`,
		} {
			if a := r.do(operation, `{"StreamARN":"`+arn+`",`+body+`}`); a.kind != kind {
				t.Errorf("%s with %s: %s", operation, arn, a.text)
			}
		}
	}
}

func TestStatesAreSeenForAMoment(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Settle = time.Minute })
	status := func() string {
		a := r.do("DescribeStreamSummary", `{"StreamName":"s"}`)
		if a.kind != "" {
			return a.kind
		}
		return a.fields["StreamDescriptionSummary"].(map[string]any)["StreamStatus"].(string)
	}
	split := `{"StreamName":"s","ShardToSplit":"0","NewStartingHashKey":"1000"}`
	r.must("CreateStream", `{"StreamName":"s","ShardCount":1}`)
	if a := r.do("SplitShard", split); status() != "CREATING" || a.kind != "ResourceInUseException" || !strings.Contains(a.text, "instead in state CREATING") {
		t.Errorf("%s, split: %s", status(), a.text)
	}
	r.advance(61 * time.Second)
	r.must("SplitShard", split)
	if status() != "UPDATING" {
		t.Error(status())
	}
	r.must("PutRecord", `{"StreamName":"s","Data":"","PartitionKey":"k"}`)
	r.advance(61 * time.Second)
	if status() != "ACTIVE" {
		t.Error(status())
	}
	r.must("DeleteStream", `{"StreamName":"s"}`)
	if a := r.do("CreateStream", `{"StreamName":"s","ShardCount":1}`); status() != "DELETING" || a.kind != "ResourceInUseException" {
		t.Errorf("%s, created again: %s", status(), a.text)
	}
	if a := r.do("ListStreams", `{}`); !strings.Contains(a.text, `"StreamNames":["s"]`) {
		t.Error(a.text)
	}
	r.advance(61 * time.Second)
	if status() != "ResourceNotFoundException" {
		t.Error(status())
	}
	for _, name := range "abcde" {
		r.must("CreateStream", `{"StreamName":"`+string(name)+`","ShardCount":1}`)
	}
	if a := r.do("CreateStream", `{"StreamName":"f","ShardCount":1}`); a.kind != "LimitExceededException" {
		t.Errorf("the sixth that is CREATING: %s", a.text)
	}
}

func TestShardFiltersFollowTheLineage(t *testing.T) {
	r := newRig(t, nil)
	r.must("CreateStream", `{"StreamName":"s","ShardCount":2}`)
	r.advance(time.Hour)
	before := r.now()
	r.advance(time.Hour)
	r.must("SplitShard", `{"StreamName":"s","ShardToSplit":"0","NewStartingHashKey":"1000"}`)
	r.advance(time.Hour)
	list := func(filter string) (ids string) {
		a := r.must("ListShards", `{"StreamName":"s","ShardFilter":{`+filter+`}}`)
		for _, sh := range a["Shards"].([]any) {
			id := sh.(map[string]any)["ShardId"].(string)
			ids += id[len(id)-1:]
		}
		return ids
	}
	at := func(at time.Time) string {
		text, _ := json.Marshal(float64(at.UnixMilli()) / 1000)
		return `,"Timestamp":` + string(text)
	}
	for filter, want := range map[string]string{
		`"Type":"AT_LATEST"`:                          "123",
		`"Type":"FROM_TRIM_HORIZON"`:                  "0123",
		`"Type":"AT_TRIM_HORIZON"`:                    "01",
		`"Type":"AFTER_SHARD_ID","ShardId":"0"`:       "123",
		`"Type":"AT_TIMESTAMP"` + at(before):          "01",
		`"Type":"AT_TIMESTAMP"` + at(r.now()):         "123",
		`"Type":"FROM_TIMESTAMP"` + at(before):        "0123",
		`"Type":"FROM_TIMESTAMP"` + at(r.now()):       "123",
		`"Type":"AT_TIMESTAMP"` + at(time.Unix(1, 0)): "01",
	} {
		if got := list(filter); got != want {
			t.Errorf("%s: %s, want %s", filter, got, want)
		}
	}
	for _, filter := range []string{`"Type":"AFTER_SHARD_ID"`, `"Type":"AT_LATEST","ShardId":"0"`, `"Type":"AT_TIMESTAMP"`, `"Type":"AT_TIMESTAMP"` + at(r.now().Add(time.Hour))} {
		if a := r.do("ListShards", `{"StreamName":"s","ShardFilter":{`+filter+`}}`); a.kind != "InvalidArgumentException" {
			t.Errorf("%s: %s", filter, a.text)
		}
	}
	token := r.must("ListShards", `{"StreamName":"s","MaxResults":3}`)["NextToken"].(string)
	if a := r.do("ListShards", `{"StreamName":"s","NextToken":"`+token+`"}`); a.kind != "InvalidArgumentException" {
		t.Errorf("a token and a name: %s", a.text)
	}
	r.advance(301 * time.Second)
	if a := r.do("ListShards", `{"NextToken":"`+token+`"}`); a.kind != "ExpiredNextTokenException" {
		t.Errorf("an old token: %s", a.text)
	}
	r.advance(25 * time.Hour)
	if got := list(`"Type":"AT_TRIM_HORIZON"`); got != "123" {
		t.Errorf("a day later, at the trim horizon: %s", got)
	}
}

func TestRetentionHidesExactly(t *testing.T) {
	r := newRig(t, nil)
	r.must("CreateStream", `{"StreamName":"s","ShardCount":1}`)
	r.must("PutRecord", `{"StreamName":"s","Data":"YQ==","PartitionKey":"k"}`)
	r.advance(12 * time.Hour)
	r.must("PutRecord", `{"StreamName":"s","Data":"Yg==","PartitionKey":"k"}`)
	count := func() int {
		it := r.must("GetShardIterator", `{"StreamName":"s","ShardId":"0","ShardIteratorType":"TRIM_HORIZON"}`)["ShardIterator"].(string)
		return len(r.must("GetRecords", `{"ShardIterator":"`+it+`"}`)["Records"].([]any))
	}
	for _, want := range []int{2, 1, 0} {
		if got := count(); got != want {
			t.Errorf("%d records, want %d", got, want)
		}
		r.advance(12*time.Hour + time.Minute)
	}
}

func TestJavaClientsSpeakCBOR(t *testing.T) {
	r := newRig(t, nil)
	r.must("CreateStream", `{"StreamName":"s","ShardCount":1}`)
	in := wire.NewWriter(wire.CBOR, nil)
	in.BeginObject()
	in.Name("StreamName")
	in.String("s")
	in.Name("Records")
	in.BeginArray()
	in.BeginObject()
	in.Name("Data")
	in.Blob([]byte{0, 255})
	in.Name("PartitionKey")
	in.String("k")
	in.EndObject()
	in.EndArray()
	in.EndObject()
	if a := r.ask(request("PutRecords", wire.TypeCBOR, in.Bytes())); a.status != http.StatusOK || !strings.Contains(a.text, "shardId-000000000000") {
		t.Fatalf("%d %q", a.status, a.text)
	}
	it := r.must("GetShardIterator", `{"StreamName":"s","ShardId":"0","ShardIteratorType":"TRIM_HORIZON"}`)["ShardIterator"].(string)
	in = wire.NewWriter(wire.CBOR, nil)
	in.BeginObject()
	in.Name("ShardIterator")
	in.String(it)
	in.EndObject()
	a := r.ask(request("GetRecords", wire.TypeCBOR, in.Bytes()))
	// A byte string of two, and a tagged time of 8 bytes: milliseconds.
	if !strings.Contains(a.text, "dData\x42\x00\xff") || !strings.Contains(a.text, "ApproximateArrivalTimestamp\xc1\x1b\x00\x00") {
		t.Errorf("%q", a.text)
	}
	if a := r.do("GetRecords", `{"ShardIterator":"`+it+`"}`); !strings.Contains(a.text, `"Data":"AP8="`) {
		t.Error(a.text)
	}
}

func TestWebPagesMayAsk(t *testing.T) {
	r := newRig(t, nil)
	q := httptest.NewRequest("OPTIONS", "/", nil)
	q.Header.Set("Origin", "http://localhost:3000")
	q.Header.Set("Access-Control-Request-Headers", "x-amz-target")
	w := httptest.NewRecorder()
	r.ServeHTTP(w, q)
	if h := w.Header(); w.Code != 200 || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Headers") != "x-amz-target" || h.Get("Access-Control-Max-Age") != "172800" {
		t.Errorf("%d %v", w.Code, h)
	}
}

// FuzzRequests sends any body to any operation: nothing but an answer may come of it.
func FuzzRequests(f *testing.F) {
	f.Add("PutRecords", []byte(`{"StreamName":"s","Records":[{"Data":"AA==","PartitionKey":"k","ExplicitHashKey":"1"}]}`), false)
	f.Add("ListShards", []byte(`{"StreamName":"s","ShardFilter":{"Type":"AT_TIMESTAMP","Timestamp":1.5}}`), false)
	f.Add("UpdateShardCount", []byte(`{"StreamName":"s","TargetShardCount":2,"ScalingType":"UNIFORM_SCALING"}`), false)
	f.Add("CreateStream", []byte("\xbfjStreamNameasjShardCount\x01\xff"), true)
	f.Fuzz(func(t *testing.T, operation string, body []byte, cbor bool) {
		r := newRig(t, func(o *Options) { o.ShardQuota = 4 })
		kind := wire.TypeJSON
		if cbor {
			kind = wire.TypeCBOR
		}
		r.must("CreateStream", `{"StreamName":"s","ShardCount":1}`)
		if a := r.ask(request(operation, kind, body)); a.status >= 500 {
			t.Errorf("%s %q: %d %s", operation, body, a.status, a.text)
		}
	})
}

// A browser lets a page of anywhere send requests to this machine, and a server without users would do all that it says.
func TestWebPagesOfOthersMayAskOnlyWhereUsersAreKnown(t *testing.T) {
	open := newRig(t, nil)
	careless := newRig(t, func(o *Options) { o.AnyOrigin = true })
	known := guarded(t, people{})
	for origin, local := range map[string]bool{
		"http://localhost:3000": true, "http://127.0.0.1:8080": true, "http://[::1]": true,
		"https://example.com": false, "http://example.com:4567": false, "http://localhost.example.com": false, "null": false, "http://127.0.0.1.example.com": false, "%": false,
	} {
		for _, method := range []string{"OPTIONS", "POST"} {
			for _, c := range []struct {
				*rig
				ok bool
			}{{open, local}, {careless, true}, {known, true}} {
				q := request("ListStreams", wire.TypeJSON, []byte("{}"))
				q.Method = method
				q.Header.Set("Origin", origin)
				w := httptest.NewRecorder()
				c.ServeHTTP(w, q)
				if let := w.Header().Get("Access-Control-Allow-Origin") == "*"; let != c.ok || !let && w.Code != http.StatusForbidden {
					t.Errorf("%s of %s: %d, with %v", method, origin, w.Code, w.Header())
				}
			}
		}
	}
}
