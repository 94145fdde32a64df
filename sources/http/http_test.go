package http

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
	"github.com/millrace-io/millrace/sources"
	"github.com/millrace-io/millrace/sources/sourcestest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func small() Config {
	c := defaults()
	c.PartitionKey = "id"
	c.MaxBody, c.MaxRecord, c.MaxInFlight = 4*config.KiB, 1*config.KiB, 256*config.KiB
	return c
}

// answer is what a client gets to see.
type answer struct {
	Accepted int
	Error    string
	status   int
	header   http.Header
}

func post(t *testing.T, h http.Handler, body []byte, header ...string) answer {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return do(t, h, r)
}

func do(t *testing.T, h http.Handler, r *http.Request) answer {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := answer{status: w.Code, header: w.Header()}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatalf("%d %q: %v", w.Code, w.Body, err)
	}
	return a
}

const (
	ndjson = "application/x-ndjson"
	plain  = "application/json; charset=utf-8"
)

func TestRecordsAreTakenInEveryShape(t *testing.T) {
	for _, c := range []struct {
		name, kind, body string
		want             []string
	}{
		{"an object", plain, `{"id":"a"}`, []string{`{"id":"a"}`}},
		{"an object without a type", "", ` {"id":"a"} `, []string{`{"id":"a"}`}},
		{"an object over several lines", plain, "{\n\"id\":\r\n\"a\"}\n", []string{`{ "id":  "a"}`}},
		{"an array", plain, `[{"id":"a"}, {"id":1}]`, []string{`{"id":"a"}`, `{"id":1}`}},
		{"an empty array", plain, `[]`, nil},
		{"lines", ndjson, "{\"id\":\"a\"}\r\n\n  {\"x\":[{}]} \n{\"id\":\"b\"}", []string{`{"id":"a"}`, `{"id":"b"}`, `{"x":[{}]}`}},
		{"lines under the wrong type", plain, "{\"id\":\"a\"}\n{\"id\":\"b\"}\n", []string{`{"id":"a"}`, `{"id":"b"}`}},
		{"a byte order mark", "application/jsonl", bom + `{"id":"a"}`, []string{`{"id":"a"}`}},
	} {
		s := sourcestest.New(2)
		h := newHandler(small(), sourcestest.NewEnv("in").Env, s)
		var header []string
		if c.kind != "" {
			header = []string{"Content-Type", c.kind}
		}
		a := post(t, h, []byte(c.body), header...)
		if a.status != http.StatusOK || a.Accepted != len(c.want) {
			t.Errorf("%s: %+v", c.name, a)
		}
		if diff := cmp.Diff(c.want, s.Data()); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestRecordsGetTheirKeys(t *testing.T) {
	s := sourcestest.New(1)
	h := newHandler(small(), sourcestest.NewEnv("in").Env, s)
	post(t, h, []byte(`[{"id":"a"},{"id":7},{"no":1},{"no":2}]`))
	var keys []string
	for _, r := range s.Shard(0) {
		keys = append(keys, r.Key)
	}
	if keys[0] != "a" || keys[1] != "7" || keys[2] == "" || keys[2] == keys[3] {
		t.Fatalf("keys %q", keys)
	}
}

func TestWhatIsRefusedIsRefusedWholeAndSaysWhy(t *testing.T) {
	long := `{"x":"` + strings.Repeat("y", 1024) + `"}`
	many := strings.Repeat(`{"x":1}`+"\n", 700)
	for _, c := range []struct {
		name, body string
		header     []string
		status     int
		reason     string
	}{
		{"broken object", `{"a":}`, nil, 400, "element 1 is not JSON (line 1, byte 5 of the body)"},
		{"broken element", "[{\"a\":1},\n{\"a\":2},{]", nil, 400, "element 3 is not JSON (line 2, byte"},
		{"unfinished array", `[{"a":1}`, nil, 400, "not JSON"},
		{"after the array", `[{"a":1}] {}`, nil, 400, "not JSON"},
		{"broken line", "{\"a\":1}\n\n{\"a\":tru}\n{}", []string{"Content-Type", ndjson}, 400, "line 3 is not JSON, at its byte 5"},
		{"two values in a line", "{}\n{} {}", []string{"Content-Type", ndjson}, 400, "line 2 has more than one value"},
		{"a scalar", `[{"a":1},42]`, nil, 400, "element 2 is no object"},
		{"a scalar line", "{}\n\"x\"", []string{"Content-Type", ndjson}, 400, "line 2 is no object"},
		{"deep", strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000), nil, 413, ""},
		{"nothing", "", nil, 400, "empty"},
		{"blanks", " \n\n", []string{"Content-Type", ndjson}, 400, "empty"},
		{"long record", `[{"a":1},` + long + `]`, nil, 413, "element 2 is larger than a record may be (1KiB)"},
		{"long line", "{\"a\":1}\n" + long, []string{"Content-Type", ndjson}, 413, "line 2 is larger"},
		{"large body", many, nil, 413, "larger than 4KiB"},
		{"a form", `{"a":1}`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "send application/json"},
		{"latin", `{"a":1}`, []string{"Content-Type", "application/json; charset=latin1"}, 415, "UTF-8"},
		{"no type at all", `{"a":1}`, []string{"Content-Type", ";;"}, 415, "not taken"},
		{"unknown encoding", `{"a":1}`, []string{"Content-Encoding", "br"}, 415, "use gzip, zstd or none"},
		{"not gzip", `{"a":1}`, []string{"Content-Encoding", "gzip"}, 400, "cannot be unpacked"},
		{"not zstd", `{"a":1}`, []string{"Content-Encoding", "zstd"}, 400, "cannot be unpacked"},
		{"another website", `{"a":1}`, []string{"Sec-Fetch-Site", "cross-site"}, 403, "other websites"},
	} {
		s := sourcestest.New(2)
		h := newHandler(small(), sourcestest.NewEnv("in").Env, s)
		if c.name == "deep" {
			h.cfg.MaxBody, c.status, c.reason = config.MiB, 400, "nested too deeply"
		}
		a := post(t, h, []byte(c.body), c.header...)
		if a.status != c.status || !strings.Contains(a.Error, c.reason) || a.Accepted != 0 {
			t.Errorf("%s: %d %q, want %d %q", c.name, a.status, a.Error, c.status, c.reason)
		}
		if got := s.Data(); len(got) > 0 {
			t.Errorf("%s: stored %q", c.name, got)
		}
	}
}

func TestPathAndMethodAreChecked(t *testing.T) {
	c := small()
	c.Path = "/events"
	h := newHandler(c, sourcestest.NewEnv("in").Env, sourcestest.New(1))
	if a := post(t, h, []byte(`{}`)); a.status != http.StatusNotFound || !strings.Contains(a.Error, "/events") {
		t.Fatalf("%+v", a)
	}
	a := do(t, h, httptest.NewRequest(http.MethodGet, "/events", nil))
	if a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "POST" {
		t.Fatalf("%+v", a)
	}
}

func TestTokenIsWanted(t *testing.T) {
	c := small()
	c.Token = config.NewSecret("sesame")
	s := sourcestest.New(1)
	h := newHandler(c, sourcestest.NewEnv("in").Env, s)
	for _, header := range [][]string{nil, {"Authorization", "Bearer wrong"}, {"Authorization", "Basic sesame"}, {"Authorization", "sesame"}} {
		a := post(t, h, []byte(`{}`), header...)
		if a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" || strings.Contains(a.Error, "sesame") {
			t.Fatalf("%q: %+v", header, a)
		}
	}
	if a := post(t, h, []byte(`{}`), "Authorization", "bearer sesame"); a.status != http.StatusOK || len(s.Data()) != 1 {
		t.Fatalf("%+v", a)
	}
}

func zip(t *testing.T, kind string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var z io.WriteCloser = gzip.NewWriter(&b)
	if kind == "zstd" {
		var err error
		if z, err = zstd.NewWriter(&b); err != nil {
			t.Fatal(err)
		}
	}
	_, err := z.Write(content)
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPackedBodiesAreUnpackedWithinLimits(t *testing.T) {
	for _, kind := range []string{"gzip", "zstd"} {
		s := sourcestest.New(1)
		h := newHandler(small(), sourcestest.NewEnv("in").Env, s)
		if a := post(t, h, zip(t, kind, []byte(`[{"id":1},{"id":2}]`)), "Content-Encoding", kind); a.Accepted != 2 {
			t.Errorf("%s: %+v", kind, a)
		}
		whole := zip(t, kind, []byte(`{"id":1}`))
		if a := post(t, h, whole[:len(whole)-3], "Content-Encoding", kind); a.status != http.StatusBadRequest {
			t.Errorf("%s cut short: %+v", kind, a)
		}
		spaces := bytes.Repeat([]byte(" "), 5000)
		if a := post(t, h, zip(t, kind, spaces), "Content-Encoding", kind); a.status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s beyond max_body: %+v", kind, a)
		}
		h = newHandler(defaults(), sourcestest.NewEnv("in").Env, s)
		if a := post(t, h, zip(t, kind, bytes.Repeat(spaces, 1000)), "Content-Encoding", kind); a.status != http.StatusRequestEntityTooLarge || !strings.Contains(a.Error, "times its size") {
			t.Errorf("%s bomb: %+v", kind, a)
		}
		if len(s.Data()) != 2 {
			t.Errorf("%s: stored %d", kind, len(s.Data()))
		}
	}
}

func TestStreamThatCannotAcceptMakes503(t *testing.T) {
	env, s := sourcestest.NewEnv("in"), sourcestest.New(1)
	h := newHandler(small(), env.Env, s)
	for _, err := range []error{fmt.Errorf("write: %w", stream.ErrFull), stream.ErrClosed, errors.New("disk on fire")} {
		s.Refuse(err)
		a := post(t, h, []byte(`{}`))
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || strings.Contains(a.Error, "fire") {
			t.Errorf("%v: %+v", err, a)
		}
		if env.LastStatus() == nil {
			t.Errorf("%v: status says all is well", err)
		}
	}
	s.Refuse(nil)
	if a := post(t, h, []byte(`{}`)); a.status != http.StatusOK || env.LastStatus() != nil {
		t.Fatalf("%+v, status %v", a, env.LastStatus())
	}
}

func TestTooMuchInFlightMakes429UntilItIsAnswered(t *testing.T) {
	c := small()
	c.MaxInFlight = 64 * config.KiB
	w := &gate{Stream: sourcestest.New(1), enter: make(chan struct{}), leave: make(chan struct{})}
	h := newHandler(c, sourcestest.NewEnv("in").Env, w)
	var first answer
	var wg sync.WaitGroup
	wg.Go(func() { first = post(t, h, []byte(`{}`)) })
	<-w.enter
	left := h.memory.left.Load()
	h.memory.left.Store(100) // as if more requests were here
	if a := post(t, h, []byte(`{}`)); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "1" {
		t.Fatalf("%+v", a)
	}
	h.memory.left.Store(left)
	close(w.leave)
	wg.Wait()
	if first.status != http.StatusOK || h.memory.left.Load() != int64(c.MaxInFlight) {
		t.Fatalf("%+v, %d bytes left of %d", first, h.memory.left.Load(), c.MaxInFlight)
	}
}

// gate holds writes up.
type gate struct {
	*sourcestest.Stream
	enter, leave chan struct{}
}

func (g *gate) TryWrite(ctx context.Context, b *record.Batch) error {
	select {
	case g.enter <- struct{}{}:
	case <-g.leave:
	}
	<-g.leave
	return g.Stream.TryWrite(ctx, b)
}

// server is a source at work.
type server struct {
	url    string
	cancel context.CancelFunc
	done   chan error
	client *http.Client
	once   sync.Once
}

func start(t *testing.T, c Config, w sources.Writer) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &server{url: "http://" + l.Addr().String() + c.Path, cancel: cancel, done: make(chan error, 1), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}}
	go func() { s.done <- (&source{cfg: c, env: sourcestest.NewEnv("in").Env}).serve(ctx, l, w) }()
	t.Cleanup(func() { s.stop(t) })
	return s
}

// stop waits for the end of the source; it may be called again.
func (s *server) stop(t *testing.T) {
	t.Helper()
	s.once.Do(func() {
		s.cancel()
		s.client.CloseIdleConnections()
		if err := <-s.done; err != nil {
			t.Error(err)
		}
	})
}

func (s *server) post(body string) (int, error) {
	r, err := s.client.Post(s.url, ndjson, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, r.Body)
	return r.StatusCode, errors.Join(err, r.Body.Close())
}

// Requests that arrive together share a sync, so many clients are not slower than a few.
func TestManyClientsAtOnceEachGetTheirRecordsIn(t *testing.T) {
	b, err := disk.Open(vfs.OS{}, t.TempDir(), disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	st, err := stream.Open(t.Context(), b, stream.Spec{Name: "in", Shards: 4})
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, defaults(), st)
	const clients, requests = 64, 10
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for r := range requests {
				status, err := s.post(fmt.Sprintf("{\"id\":\"%d-%d\"}\n{\"id\":\"%d-%d-b\"}\n", c, r, c, r))
				if err != nil || status != http.StatusOK {
					t.Errorf("client %d: %d %v", c, status, err)
				}
			}
		})
	}
	wg.Wait()
	s.stop(t)
	if n, _ := st.Bounds(); n != clients*requests*2 {
		t.Fatalf("%d records", n)
	}
	if err := errors.Join(st.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestStopLetsRunningRequestsFinishAndRefusesNewOnes(t *testing.T) {
	w := &gate{Stream: sourcestest.New(1), enter: make(chan struct{}), leave: make(chan struct{})}
	h := newHandler(small(), sourcestest.NewEnv("in").Env, w)
	h.stopping.Store(true)
	if a := post(t, h, []byte(`{}`)); a.status != http.StatusServiceUnavailable || a.header.Get("Connection") != "close" || a.header.Get("Retry-After") == "" {
		t.Fatalf("%+v", a)
	}
	s := start(t, small(), w)
	var status int
	var err error
	var wg sync.WaitGroup
	wg.Go(func() { status, err = s.post(`{"id":"last"}`) })
	<-w.enter
	s.cancel()
	for { // until the listener is closed
		c, err := net.DialTimeout("tcp", strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/"), time.Second)
		if err != nil {
			break
		}
		_ = c.Close()
	}
	close(w.leave)
	wg.Wait()
	if err != nil || status != http.StatusOK || len(w.Data()) != 1 {
		t.Fatalf("%d %v, stored %q", status, err, w.Data())
	}
}

func TestBodyThatDoesNotArriveMakes408(t *testing.T) {
	c := small()
	c.Timeout = config.Duration(50 * time.Millisecond)
	s := start(t, c, sourcestest.New(1))
	r, w := io.Pipe()
	defer w.Close()
	go func() { _, _ = io.WriteString(w, `{"a":`) }()
	resp, err := s.client.Post(s.url, plain, r)
	if err != nil {
		t.Skip("the connection was cut before the answer arrived:", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestTimeout {
		t.Fatal(resp.Status)
	}
}

func TestTakenPortSaysWhatToDo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := defaults()
	c.Listen = l.Addr().String()
	err = (&source{cfg: c, env: sources.Env{Log: slog.New(slog.DiscardHandler)}}).Run(t.Context(), sourcestest.New(1))
	if err == nil || !strings.Contains(err.Error(), "set another listen address") {
		t.Fatal(err)
	}
}

func TestMistakesAreFound(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		path   string
	}{
		{func(c *Config) {}, ""},
		{func(c *Config) { c.Listen = "localhost:0" }, ""},
		{func(c *Config) { c.Listen = "[::1]:9" }, ""},
		{func(c *Config) { c.Listen = ":8080" }, "listen"},
		{func(c *Config) { c.Listen = "0.0.0.0:8080" }, "listen"},
		{func(c *Config) { c.Listen = "example.com:8080" }, "listen"},
		{func(c *Config) { c.Listen = "8080" }, "listen"},
		{func(c *Config) { c.Listen = "localhost:99999" }, "listen"},
		{func(c *Config) { c.Listen, c.Token = ":8080", config.NewSecret("x") }, ""},
		{func(c *Config) { c.Listen, c.Insecure = ":8080", true }, ""},
		{func(c *Config) { c.Path = "events" }, "path"},
		{func(c *Config) { c.MaxInFlight = config.MiB }, "max_in_flight"},
	} {
		conf := defaults()
		c.change(&conf)
		found := conf.Validate()
		if c.path == "" && len(found) > 0 || c.path != "" && (len(found) != 1 || found[0].Path != c.path) {
			t.Errorf("%s %s: %v", conf.Listen, conf.Path, found)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("{\"id\":\"a\"}\n{\"id\":1}"), true)
	f.Add([]byte(`[{"id":"a\u0041"}, {"id":{}}]`), false)
	h := newHandler(small(), sources.Env{}, nil)
	f.Fuzz(func(t *testing.T, body []byte, lines bool) {
		l := &load{keys: sources.NewKeyer("id")}
		err := h.parse(l, bytes.Clone(body), lines)
		if no := (*refusal)(nil); err != nil && !errors.As(err, &no) {
			t.Fatal(err)
		}
		for i := range l.batch.Len() {
			if r := l.batch.Record(i); !json.Valid(r.Data) || r.Data[0] != '{' || bytes.ContainsAny(r.Data, "\r\n") || len(r.Key) == 0 {
				t.Fatalf("record %q under %q", r.Data, r.Key)
			}
		}
	})
}
