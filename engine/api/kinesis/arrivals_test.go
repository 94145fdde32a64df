package kinesis

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/api/audit"
	"github.com/millrace-io/millrace/engine/api/auth"
	"github.com/millrace-io/millrace/engine/api/wire"
)

// timesOut reports whether a request whose body does not come is given up.
func timesOut(c net.Conn) bool {
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return false
	}
	a, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return false
	}
	return a.Body.Close() == nil && a.StatusCode == http.StatusRequestTimeout
}

func TestOfTooManyBodiesTheLongestAwaitedIsGivenUp(t *testing.T) {
	r := newRig(t, nil)
	r.arrivals.most = 4
	address := served(t, r)
	var all []net.Conn
	for i := range 12 {
		all = append(all, begin(t, address, 100, 10))
		if i >= r.arrivals.most && !timesOut(all[i-r.arrivals.most]) {
			t.Fatalf("body %d is waited for while %d is", i-r.arrivals.most, i)
		}
		// The next one is younger for the server too.
		waitFor(t, func() bool {
			r.arrivals.mu.Lock()
			defer r.arrivals.mu.Unlock()
			return r.arrivals.n == min(i+1, r.arrivals.most)
		})
	}
	// The others are not.
	for _, c := range all[len(all)-r.arrivals.most:] {
		if _, err := c.Write(bytes.Repeat([]byte(" "), 90)); err != nil {
			t.Fatal(err)
		}
		a, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if a.StatusCode != http.StatusBadRequest || a.Body.Close() != nil {
			t.Error(a.Status)
		}
	}
	r.arrivals.mu.Lock()
	defer r.arrivals.mu.Unlock()
	if r.arrivals.n != 0 || r.arrivals.oldest != nil || r.arrivals.youngest != nil {
		t.Errorf("%d are left", r.arrivals.n)
	}
}

func waitFor(t *testing.T, what func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !what(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come")
		}
	}
}

// never is a body that begins and does not go on.
type never struct {
	io.Reader
	ctx context.Context
}

func (n never) Read(b []byte) (int, error) {
	if k, err := n.Reader.Read(b); err == nil {
		return k, nil
	}
	<-n.ctx.Done()
	return 0, n.ctx.Err()
}

// clientOf sends requests to r over one connection.
func clientOf(t *testing.T, r *rig) func(*http.Request) (*http.Response, error) {
	t.Helper()
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	t.Cleanup(transport.CloseIdleConnections)
	address := served(t, r)
	return func(q *http.Request) (*http.Response, error) {
		q.RequestURI, q.URL.Scheme, q.URL.Host = "", "http", address
		return transport.RoundTrip(q)
	}
}

// On HTTP/2 one connection has hundreds of them.
func TestBodiesThatDoNotComeAreGivenUpOnOneConnectionToo(t *testing.T) {
	r := newRig(t, nil)
	r.arrivals.most = 8
	r.must("CreateStream", `{"StreamName":"s","ShardCount":1}`)
	overHTTP2 := clientOf(t, r)
	ctx, stop := context.WithCancel(t.Context())
	send := func(body io.Reader) (*http.Response, error) {
		q := request("PutRecords", wire.TypeJSON, nil).WithContext(ctx)
		q.Body, q.ContentLength = io.NopCloser(body), -1
		return overHTTP2(q)
	}
	var late atomic.Int64
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			a, err := send(never{strings.NewReader(strings.Repeat(" ", 1000)), ctx})
			if err != nil {
				return
			}
			if a.StatusCode == http.StatusRequestTimeout {
				late.Add(1)
			}
			// It waits for the body that was sent.
			<-ctx.Done()
			_ = a.Body.Close()
		})
	}
	waitFor(t, func() bool { return late.Load() >= 200-int64(r.arrivals.most) })
	a, err := send(strings.NewReader(`{"StreamName":"s","Records":[{"PartitionKey":"k","Data":"YQ=="}]}`))
	if err != nil || a.StatusCode != http.StatusOK || a.ProtoMajor != 2 {
		t.Fatalf("a request that is sent: %v, %v", a, err)
	}
	if err := a.Body.Close(); err != nil {
		t.Error(err)
	}
	stop()
	all.Wait()
}

// Who waits for memory is not who does not send.
func TestBodiesThatWaitForMemoryAreNotLate(t *testing.T) {
	virtually(t, func(r *rig) {
		r.must("CreateStream", `{"StreamName":"s","ShardCount":1}`)
		var protocols http.Protocols
		protocols.SetUnencryptedHTTP2(true)
		transport := piped(r).client(&protocols)
		defer transport.CloseIdleConnections()
		if err := r.memory.Acquire(r.t.Context(), r.o.Memory); err != nil {
			r.t.Fatal(err)
		}
		time.AfterFunc(3*r.stall, func() { r.memory.Release(r.o.Memory) })
		// More than HTTP/2 sends before anybody reads.
		one := `{"PartitionKey":"k","Data":"` + strings.Repeat("AAAA", 200_000) + `"}`
		q := request("PutRecords", wire.TypeJSON, []byte(`{"StreamName":"s","Records":[`+one+`,`+one+`,`+one+`,`+one+`]}`))
		q.RequestURI, q.URL.Scheme, q.URL.Host = "", "http", "x"
		began := time.Now()
		a, err := transport.RoundTrip(q)
		if err != nil {
			r.t.Fatal(err)
		}
		if a.StatusCode != http.StatusOK || a.Body.Close() != nil || time.Since(began) < 3*r.stall {
			r.t.Errorf("%s after %s", a.Status, time.Since(began))
		}
	})
}

// Who is refused by the header alone need not send more, and takes nothing that others wait for.
func TestStrangersGetNoMemory(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	r := newRig(t, func(o *Options) {
		var err error
		if o.Audit, err = audit.Open(log, audit.Options{}); err != nil {
			t.Fatal(err)
		}
		o.Verifier = &auth.Verifier{Mode: auth.Keys, Service: "kinesis", Users: auth.Static{"AK": "SK"}, Now: o.Now}
	})
	sent := func(key string, size int) (a answer, read int) {
		body := bytes.Repeat([]byte(" "), size)
		q := request("PutRecords", wire.TypeJSON, body)
		q.Header.Del("Authorization")
		if err := auth.Sign(q, body, auth.Credentials{AccessKey: key, Secret: "other"}, "us-east-1", "kinesis", r.now()); err != nil {
			t.Fatal(err)
		}
		in := bytes.NewReader(body)
		q.Body = io.NopCloser(in)
		return r.ask(q), size - in.Len()
	}
	// All memory is others'.
	for _, m := range []struct {
		acquire func(context.Context, int64) error
		release func(int64)
		size    int64
	}{{r.memory.Acquire, r.memory.Release, r.o.Memory}, {r.small.Acquire, r.small.Release, smallMemory}} {
		if err := m.acquire(t.Context(), m.size); err != nil {
			t.Fatal(err)
		}
		defer m.release(m.size)
	}
	for _, size := range []int{tinyBody + 1, smallBody, 10 << 20} {
		if a, read := sent("stranger", size); a.kind != "UnrecognizedClientException" || read > tinyBody {
			t.Errorf("%d bytes: %s after %d", size, a.text, read)
		}
	}
	if a, _ := sent("AK", tinyBody-1); a.kind != "InvalidSignatureException" {
		t.Error(a.text)
	}
	if text, err := os.ReadFile(log); err != nil || strings.Count(string(text), `"access_key":"stranger"`) != 3 || !strings.Contains(string(text), "kinesis:PutRecords") {
		t.Errorf("the audit log has %s, %v", text, err)
	}
	if err := r.o.Audit.Close(); err != nil {
		t.Error(err)
	}
}

func TestWhatMayLastSaysLittle(t *testing.T) {
	r := newRig(t, nil)
	for _, operation := range []string{"GetRecords", "SubscribeToShard"} {
		if a := r.do(operation, strings.Repeat(" ", smallBody+1)+"{}"); a.kind != "RequestEntityTooLargeException" {
			t.Errorf("%s: %s", operation, a.text)
		}
		if a := r.do(operation, strings.Repeat(" ", smallBody-10)+"{}"); a.kind != "ValidationException" {
			t.Errorf("%s: %s", operation, a.text)
		}
	}
	if !r.memory.TryAcquire(r.o.Memory) || !r.small.TryAcquire(smallMemory) {
		t.Error("memory was not given back")
	}
}
