package kinesis

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/stream/memory"
)

// virtually runs a test whose time passes only while all wait.
func virtually(t *testing.T, test func(r *rig)) { virtuallyWith(t, Options{}, test) }

// virtuallyWith is virtually with some of the options.
func virtuallyWith(t *testing.T, o Options, test func(r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		backend, err := memory.Open(memory.NewStore(), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		local := control.NewLocal(backend, time.Now)
		t.Cleanup(func() {
			if err := local.Close(); err != nil {
				t.Error(err)
			}
			if err := backend.Close(); err != nil {
				t.Error(err)
			}
		})
		o.Streams = local
		s, err := New(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		test(&rig{Service: s, t: t, began: time.Now()})
	})
}

// pass lets time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// subscriber is a client that reads a subscription.
type subscriber struct {
	t      *testing.T
	began  time.Time
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex // guards what follows
	header http.Header
	status int
	bytes  []byte
	// slow holds up writes while it is not nil.
	slow chan struct{}
}

func (s *subscriber) Header() http.Header { return s.header }
func (s *subscriber) WriteHeader(n int)   { s.status = n }
func (s *subscriber) Flush()              {}

func (s *subscriber) Write(b []byte) (int, error) {
	if s.slow != nil {
		<-s.slow
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status == 0 {
		s.status = http.StatusOK
	}
	s.bytes = append(s.bytes, b...)
	return len(b), nil
}

// event is one as it came.
type event struct {
	kind     string
	children int
	behind   float64
	next     string
	text     string
}

// events are all that came so far: their checksums are right, or the test fails.
func (s *subscriber) events() (list []event) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for rest := s.bytes; len(rest) > 0; {
		m, after, err := wire.ParseMessage(rest)
		if err != nil {
			s.t.Fatalf("%v in %q", err, rest)
		}
		rest = after
		headers := map[string]string{}
		for _, h := range m.Headers {
			headers[h.Name] = h.Value
		}
		if headers[":content-type"] != wire.TypeJSON {
			s.t.Errorf("a message with the headers %v", headers)
		}
		var body struct {
			Records                    []struct{ Data []byte }
			ContinuationSequenceNumber string
			MillisBehindLatest         float64
			ChildShards                []any
			Message                    string
		}
		if err := json.Unmarshal(m.Payload, &body); err != nil {
			s.t.Fatalf("%v in %q", err, m.Payload)
		}
		e := event{kind: headers[":event-type"] + headers[":exception-type"], children: len(body.ChildShards), behind: body.MillisBehindLatest, next: body.ContinuationSequenceNumber, text: body.Message}
		for _, r := range body.Records {
			e.text += string(r.Data)
		}
		list = append(list, e)
	}
	return list
}

// text is what all records say.
func (s *subscriber) text() (text string) {
	for _, e := range s.events() {
		if e.kind == "SubscribeToShardEvent" {
			text += e.text
		}
	}
	return text
}

func (s *subscriber) last() event {
	list := s.events()
	return list[len(list)-1]
}

func (s *subscriber) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// subscribe begins a subscription, and returns once its first answer is there.
func (r *rig) subscribe(arn, position string) *subscriber {
	return r.subscribeSlowly(arn, position, nil)
}

func (r *rig) subscribeSlowly(arn, position string, slow chan struct{}) *subscriber {
	ctx, cancel := context.WithCancel(r.t.Context())
	s := &subscriber{t: r.t, began: time.Now(), cancel: cancel, done: make(chan struct{}), header: http.Header{}, slow: slow}
	q := request("SubscribeToShard", wire.TypeJSON, fmt.Appendf(nil, `{"ConsumerARN":%q,"ShardId":"0","StartingPosition":%s}`, arn, position))
	q.Header.Set("User-Agent", "aws-sdk-go-v2/1.47.7")
	go func() {
		defer close(s.done)
		r.ServeHTTP(s, q.WithContext(ctx))
	}()
	pass(lateEvents)
	return s
}

// refusal is the type of the error that a subscription was refused with, empty if it was not.
func (s *subscriber) refusal() string { return s.header.Get("x-amzn-ErrorType") }

const horizon = `{"Type":"TRIM_HORIZON"}`

func (r *rig) put(data string) (number string) {
	r.t.Helper()
	body, _ := json.Marshal(map[string]any{"StreamName": "s", "PartitionKey": "k", "Data": []byte(data)})
	return r.must("PutRecord", string(body))["SequenceNumber"].(string)
}

// consumer makes a stream of one shard with a consumer, and returns its ARN.
func (r *rig) consumer() string {
	r.t.Helper()
	r.must("CreateStream", `{"StreamName":"s","ShardCount":1}`)
	c := r.must("RegisterStreamConsumer", `{"ConsumerName":"c","StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/s"}`)
	return c["Consumer"].(map[string]any)["ConsumerARN"].(string)
}

func TestSubscriptionsLiveForFiveMinutes(t *testing.T) {
	virtually(t, func(r *rig) {
		arn := r.consumer()
		s := r.subscribe(arn, horizon)
		if list := s.events(); len(list) != 2 || list[0].kind != "initial-response" || list[1].kind != "SubscribeToShardEvent" || list[1].next == "" || list[1].behind != 0 {
			t.Fatalf("it begins with %+v", list)
		}
		pass(time.Minute)
		if n := len(s.events()); n != 2+12 {
			t.Errorf("%d messages in a minute without records, want one each 5 s", n-2)
		}
		r.put("a")
		synctest.Wait()
		if e := s.last(); e.text != "a" && s.text() != "a" {
			t.Errorf("a record came as %+v", e)
		}
		<-s.done
		if age := time.Since(s.began); age < subscriptionLife || age > subscriptionLife+time.Second {
			t.Errorf("it ended after %v", age)
		}
		if s.text() != "a" || s.last().kind != "SubscribeToShardEvent" {
			t.Errorf("records %q, and at last %+v", s.text(), s.last())
		}
		// Who goes on after the last number misses nothing and sees nothing twice.
		number := s.last().next
		r.put("b")
		s = r.subscribe(arn, `{"Type":"AFTER_SEQUENCE_NUMBER","SequenceNumber":"`+number+`"}`)
		if s.text() != "b" {
			t.Errorf("it went on with %q", s.text())
		}
		s.cancel()
		<-s.done
	})
}

func TestASecondSubscriptionTakesOverAfterFiveSeconds(t *testing.T) {
	virtually(t, func(r *rig) {
		arn := r.consumer()
		first := r.subscribe(arn, horizon)
		pass(takeover - 2*lateEvents)
		if second := r.subscribe(arn, horizon); second.refusal() != "ResourceInUseException" || first.ended() {
			t.Errorf("before 5 s: refused with %q, and the first has ended: %v", second.refusal(), first.ended())
		}
		// Another region in the ARN is the same consumer.
		pass(lateEvents)
		second := r.subscribe(strings.Replace(arn, "us-east-1", "eu-west-1", 1), horizon)
		if second.refusal() != "" || second.ended() || !first.ended() {
			t.Errorf("after 5 s: refused with %q, and the first has ended: %v", second.refusal(), first.ended())
		}
		if e := first.last(); e.kind != "ResourceInUseException" || !strings.Contains(e.text, "took the place") {
			t.Errorf("the first ended with %+v", e)
		}
		r.put("a")
		synctest.Wait()
		if first.text() != "" || second.text() != "a" {
			t.Errorf("the first read %q, the second %q", first.text(), second.text())
		}
		// A client that went away holds nobody up.
		second.cancel()
		<-second.done
		if third := r.subscribe(arn, horizon); third.refusal() != "" || third.text() != "a" {
			t.Errorf("refused with %q, read %q", third.refusal(), third.text())
		} else {
			third.cancel()
			<-third.done
		}
	})
}

func TestSubscriptionsBeginAnywhere(t *testing.T) {
	virtually(t, func(r *rig) {
		arn := r.consumer()
		var numbers []string
		for _, data := range []string{"a", "b", "c"} {
			pass(time.Second)
			numbers = append(numbers, r.put(data))
		}
		second := float64(time.Now().Add(-time.Second).UnixMilli()) / 1000
		for position, want := range map[string]string{
			horizon:             "abcd",
			`{"Type":"LATEST"}`: "d",
			`{"Type":"AT_SEQUENCE_NUMBER","SequenceNumber":"` + numbers[1] + `"}`:    "bcd",
			`{"Type":"AFTER_SEQUENCE_NUMBER","SequenceNumber":"` + numbers[1] + `"}`: "cd",
			fmt.Sprintf(`{"Type":"AT_TIMESTAMP","Timestamp":%.3f}`, second):          "bcd",
		} {
			s := r.subscribe(arn, position)
			r.put("d")
			synctest.Wait()
			if got := s.text(); strings.TrimRight(got, "d")+"d" != want || s.refusal() != "" {
				t.Errorf("%s: read %q, want %q; %s", position, got, want, s.refusal())
			}
			s.cancel()
			<-s.done
			pass(takeover)
		}
		for position, want := range map[string]string{
			`{"Type":"AT_TIMESTAMP"}`: "InvalidArgumentException",
			fmt.Sprintf(`{"Type":"AT_TIMESTAMP","Timestamp":%d}`, time.Now().Add(time.Hour).Unix()): "InvalidArgumentException",
			`{"Type":"AT_SEQUENCE_NUMBER"}`: "InvalidArgumentException",
			`{"Type":"SOMEWHERE"}`:          "ValidationException",
			`{}`:                            "ValidationException",
		} {
			if s := r.subscribe(arn, position); s.refusal() != want {
				t.Errorf("%s: %q, want %q", position, s.refusal(), want)
			}
		}
	})
}

func TestTheEndOfAShardNamesItsChildren(t *testing.T) {
	virtually(t, func(r *rig) {
		arn := r.consumer()
		r.put("a")
		s := r.subscribe(arn, horizon)
		r.must("SplitShard", `{"StreamName":"s","ShardToSplit":"0","NewStartingHashKey":"1000"}`)
		<-s.done
		list := s.events()
		if e := s.last(); e.children != 2 || e.next != "" || s.text() != "a" {
			t.Errorf("it ended with %+v of %+v", e, list)
		}
		if slices.ContainsFunc(list[:len(list)-1], func(e event) bool { return e.children > 0 }) {
			t.Errorf("children are named before the end: %+v", list)
		}
		if age := time.Since(s.began); age > time.Second {
			t.Errorf("the end came after %v", age)
		}
		// A shard that ended long ago is read and ends in the same way.
		pass(takeover)
		s = r.subscribe(arn, horizon)
		<-s.done
		if s.text() != "a" || s.last().children != 2 {
			t.Errorf("again: %+v", s.events())
		}
	})
}

// The shard comes to its end while an event that does not say so is on its way.
func TestAnEndDuringAnEventIsToldByTheNext(t *testing.T) {
	virtually(t, func(r *rig) {
		arn := r.consumer()
		r.put("a")
		slow := make(chan struct{})
		s := r.subscribeSlowly(arn, horizon, slow)
		slow <- struct{}{} // the initial response
		synctest.Wait()
		r.must("SplitShard", `{"StreamName":"s","ShardToSplit":"0","NewStartingHashKey":"1000"}`)
		close(slow)
		<-s.done
		if e := s.last(); e.children != 2 || e.next != "" || s.text() != "a" {
			t.Errorf("it ended with %+v of %+v", e, s.events())
		}
	})
}

func TestSubscriptionsEndWithWhatTheyReadFrom(t *testing.T) {
	for what, c := range map[string]struct {
		end  func(r *rig, arn string)
		want string
	}{
		"a consumer that is deregistered": {func(r *rig, arn string) { r.must("DeregisterStreamConsumer", fmt.Sprintf(`{"ConsumerARN":%q}`, arn)) }, "ResourceNotFoundException"},
		"a stream that is deleted":        {func(r *rig, _ string) { r.must("DeleteStream", `{"StreamName":"s","EnforceConsumerDeletion":true}`) }, "ResourceNotFoundException"},
		"a server that stops":             {func(r *rig, _ string) { r.EndSubscriptions() }, "SubscribeToShardEvent"},
	} {
		virtually(t, func(r *rig) {
			arn := r.consumer()
			s := r.subscribe(arn, horizon)
			c.end(r, arn)
			synctest.Wait()
			if !s.ended() || s.last().kind != c.want || len(s.events()) > 4 {
				t.Errorf("%s: %v, %+v", what, s.ended(), s.events())
			}
			s.cancel()
			<-s.done
		})
	}
}

// TestHastyClientsWait has the SDK for Go, which loses what comes too early, and another client.
func TestHastyClientsWait(t *testing.T) {
	virtually(t, func(r *rig) {
		r.must("CreateStream", `{"StreamName":"s","ShardCount":1}`)
		r.put(strings.Repeat("x", largeAnswer))
		it := r.must("GetShardIterator", `{"StreamName":"s","ShardId":"0","ShardIteratorType":"TRIM_HORIZON"}`)["ShardIterator"].(string)
		for _, c := range []struct {
			operation, agent string
			want             time.Duration
		}{
			{"GetRecords", "aws-sdk-go-v2/1.47.7 ua/2.1", lateAnswer}, {"GetRecords", "Boto3/1.43", 0}, {"DescribeLimits", "aws-sdk-go-v2/1.47.7", 0},
		} {
			q := request(c.operation, wire.TypeJSON, []byte(`{"ShardIterator":"`+it+`"}`))
			q.Header.Set("User-Agent", c.agent)
			began := time.Now()
			if a := r.ask(q); a.status != http.StatusOK || time.Since(began) != c.want {
				t.Errorf("%s to %s: %d after %v, want %v", c.operation, c.agent, a.status, time.Since(began), c.want)
			}
		}
	})
}

// TestAnEventIsSentOnce ends a subscription that waits for memory: what it sent before must not come again.
func TestAnEventIsSentOnce(t *testing.T) {
	virtually(t, func(r *rig) {
		arn := r.consumer()
		s := r.subscribe(arn, horizon)
		r.put("a")
		synctest.Wait()
		if err := r.memory.Acquire(r.t.Context(), r.o.Memory); err != nil {
			t.Fatal(err)
		}
		<-s.done
		r.memory.Release(r.o.Memory)
		if s.text() != "a" {
			t.Errorf("read %q", s.text())
		}
	})
}

// TestLargeRecordsComeInEventsOfBoundedSize also has a client that reads nothing for a while.
func TestLargeRecordsComeInEventsOfBoundedSize(t *testing.T) {
	virtually(t, func(r *rig) {
		arn := r.consumer()
		want := ""
		for i := range 5 {
			data := strings.Repeat(string(rune('a'+i)), 600<<10)
			want += data
			r.put(data)
		}
		slow := make(chan struct{})
		s := r.subscribeSlowly(arn, horizon, slow)
		pass(time.Minute)
		close(slow)
		synctest.Wait()
		if s.text() != want {
			t.Errorf("%d bytes came, want %d", len(s.text()), len(want))
		}
		behind := []float64{}
		for _, e := range s.events()[1:] {
			if len(e.text) > eventBytes {
				t.Errorf("an event of %d bytes", len(e.text))
			}
			behind = append(behind, e.behind)
		}
		if behind[0] <= 0 || behind[len(behind)-1] != 0 {
			t.Errorf("behind by %v", behind)
		}
		s.cancel()
		<-s.done
	})
}
