package kinesis

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine/api/door"
	"github.com/millrace-io/millrace/engine/api/wire"
)

// served is a service behind a real listener.
func served(t *testing.T, r *rig) (address string) {
	t.Helper()
	l, err := door.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- door.Serve(t.Context(), stop, l, r.Service, door.Options{}) }()
	t.Cleanup(func() {
		close(stop)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// headOf is the head of a PutRecords which claims a length.
func headOf(claimed int) []byte {
	return fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nX-Amz-Target: %sPutRecords\r\nX-Amz-Date: 20261122T010203Z\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n",
		wire.TypeJSON, prefix, authorization, claimed)
}

// begin sends the head of a PutRecords and a part of its body.
func begin(t *testing.T, address string, claimed, sent int) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := c.Write(append(headOf(claimed), bytes.Repeat([]byte(" "), sent)...)); err != nil {
		t.Fatal(err)
	}
	return c
}

// Bodies that stop coming take the memory of others for a moment only, and those that never came take none.
func TestStalledBodiesDoNotHoldUpOthers(t *testing.T) {
	virtuallyWith(t, Options{Memory: 2 * maxAnswer}, func(r *rig) {
		r.must("CreateStream", `{"StreamName":"s","ShardCount":1}`)
		p := piped(r)
		for range 20 {
			p.begin(r.t, maxBody, 100)
		}
		var stalled []net.Conn
		for range 6 {
			stalled = append(stalled, p.begin(r.t, maxBody, 2*smallBody))
		}
		synctest.Wait()
		began := time.Now()
		q := request("PutRecords", wire.TypeJSON, []byte(`{"StreamName":"s","Records":[{"PartitionKey":"k","Data":"`+strings.Repeat("AAAA", 200_000)+`"}]}`))
		q.RequestURI, q.URL.Scheme, q.URL.Host = "", "http", "x"
		a, err := p.client(nil).RoundTrip(q)
		if err != nil {
			r.t.Fatal(err)
		}
		defer a.Body.Close()
		if text, _ := io.ReadAll(a.Body); a.StatusCode != http.StatusOK {
			r.t.Errorf("%s: %s", a.Status, text)
		}
		// Those before it have their memory one after the other.
		if took := time.Since(began); took > 6*stallAfter {
			r.t.Errorf("it took %s", took)
		}
		a, err = http.ReadResponse(bufio.NewReader(stalled[0]), nil)
		if err != nil {
			r.t.Fatal(err)
		}
		defer a.Body.Close()
		if text, _ := io.ReadAll(a.Body); a.StatusCode != http.StatusRequestTimeout || !strings.Contains(string(text), "RequestTimeoutException") {
			r.t.Errorf("one that stalled gets %s: %s", a.Status, text)
		}
	})
}

func TestBodiesWithoutALengthAreBounded(t *testing.T) {
	r := newRig(t, nil)
	q := request("PutRecords", wire.TypeJSON, nil)
	q.Body, q.ContentLength = io.NopCloser(io.LimitReader(blanks{}, maxBody+1)), -1
	if a := r.ask(q); a.kind != "RequestEntityTooLargeException" || a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", a.status, a.text)
	}
	q = request("ListStreams", wire.TypeJSON, nil)
	q.Body, q.ContentLength = io.NopCloser(io.MultiReader(io.LimitReader(blanks{}, smallBody+5), strings.NewReader("{}"))), -1
	if a := r.ask(q); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.text)
	}
}

// blanks is JSON that never begins.
type blanks struct{}

func (blanks) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

// hostile are bodies that claim more than they are, or are nothing at all.
func hostile() map[string]struct{ kind, body string } {
	deep := strings.Repeat("\x81", 60_000)
	return map[string]struct{ kind, body string }{
		"deep JSON":                  {wire.TypeJSON, `{"StreamName":` + strings.Repeat("[", 60_000)},
		"deep JSON in a record":      {wire.TypeJSON, `{"Records":[{"x":` + strings.Repeat(`{"a":`, 30_000)},
		"JSON that ends early":       {wire.TypeJSON, `{"Records":[{"Data":"AA`},
		"JSON that is no UTF-8":      {wire.TypeJSON, "{\"StreamName\":\"\xff\xfe\""},
		"a number of many digits":    {wire.TypeJSON, `{"x":` + strings.Repeat("9", 60_000)},
		"CBOR as JSON":               {wire.TypeJSON, "\xa1jStreamNameas"},
		"JSON as CBOR":               {wire.TypeCBOR, `{"StreamName":"s"}`},
		"deep CBOR":                  {wire.TypeCBOR, "\xa1gRecords" + deep},
		"deep tags of CBOR":          {wire.TypeCBOR, "\xa1gRecords" + strings.Repeat("\xc1", 60_000)},
		"a map of 2^63 entries":      {wire.TypeCBOR, "\xbb\x7f\xff\xff\xff\xff\xff\xff\xff"},
		"a list of 2^63 records":     {wire.TypeCBOR, "\xa1gRecords\x9b\x7f\xff\xff\xff\xff\xff\xff\xff"},
		"a text of 2^62 bytes":       {wire.TypeCBOR, "\xa1jStreamName\x7b\x3f\xff\xff\xff\xff\xff\xff\xff"},
		"data of 2^62 bytes":         {wire.TypeCBOR, "\xa1gRecords\x81\xa1dData\x5b\x3f\xff\xff\xff\xff\xff\xff\xffx"},
		"pieces that never end":      {wire.TypeCBOR, "\xa1gRecords\x81\xa1dData\x5f" + strings.Repeat("\x41x", 20_000)},
		"a break where none belongs": {wire.TypeCBOR, "\xff"},
		"a reserved length":          {wire.TypeCBOR, "\xbc"},
		"nothing of CBOR":            {wire.TypeCBOR, "\xa1"},
	}
}

func TestHostileBodiesAreRefusedCheaply(t *testing.T) {
	r := newRig(t, nil)
	r.must("CreateStream", `{"StreamName":"s","ShardCount":1}`)
	for what, c := range hostile() {
		var before, after runtime.MemStats
		q := request("PutRecords", c.kind, []byte(c.body))
		w := httptest.NewRecorder()
		runtime.ReadMemStats(&before)
		r.ServeHTTP(w, q)
		runtime.ReadMemStats(&after)
		if w.Code != http.StatusBadRequest || w.Header().Get("x-amzn-ErrorType") != "SerializationException" {
			t.Errorf("%s: %d %s", what, w.Code, w.Body)
		}
		if w.Header().Get("Content-Type") != c.kind {
			t.Errorf("%s: answered as %s", what, w.Header().Get("Content-Type"))
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
			t.Errorf("%s: %d bytes make it allocate %d", what, len(c.body), took)
		}
	}
}

func TestOtherContentTypesAreNoOperations(t *testing.T) {
	r := newRig(t, nil)
	for _, kind := range []string{"", "text/plain", "application/json", "application/x-www-form-urlencoded", "application/x-amz-json-1.0", "application/x-amz-json-1.1/", ";;", strings.Repeat("a", 20_000)} {
		if a := r.ask(request("ListStreams", kind, []byte("{}"))); a.kind != "UnknownOperationException" || a.status != http.StatusNotFound {
			t.Errorf("%.40q: %d %s", kind, a.status, a.text)
		}
	}
	if a := r.ask(request("ListStreams", wire.TypeJSON+"; charset=utf-8", []byte("{}"))); a.status != http.StatusOK {
		t.Errorf("with a charset: %d %s", a.status, a.text)
	}
}
