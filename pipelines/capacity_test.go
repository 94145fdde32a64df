package pipelines_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream/capacity"
	"github.com/millrace-io/millrace/engine/stream/seal/master"
	"github.com/millrace-io/millrace/pipelines"
)

// pipelineFile writes a pipeline file with a stream named clicks, whose settings are given, and with
// sources. Its sink writes rows to the file that is returned.
func pipelineFile(t *testing.T, settings, sources string) (file, rows string) {
	t.Helper()
	dir := t.TempDir()
	file, rows = filepath.Join(dir, "shop.yaml"), filepath.Join(dir, "rows.ndjson")
	writePipeline(t, file, rows, settings, sources)
	return file, rows
}

func writePipeline(t *testing.T, file, rows, settings, sources string) {
	t.Helper()
	text := fmt.Sprintf(`
version: 1
streams:
  clicks: {%s, schema: {user_id: string, seq: bigint}}
sources:
%s
sinks:
  out: {type: file, from: clicks, path: %q, buffer: {age: 50ms}}
`, settings, sources, rows)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// patience is how long a test waits for what must come, on a machine however slow.
const patience = 3 * time.Minute

// await polls the status until it is as it should be.
func (r *running) await(what string, ok func(s pipelines.StreamStatus, rows int64) bool) pipelines.StreamStatus {
	r.t.Helper()
	timeout, tick := time.NewTimer(patience), time.NewTicker(10*time.Millisecond)
	defer timeout.Stop()
	defer tick.Stop()
	for {
		s := r.run.Status()
		if ok(s.Streams[0], s.Tasks[0].Delivered.Rows) {
			return s.Streams[0]
		}
		select {
		case <-tick.C:
		case err := <-r.done:
			r.t.Fatalf("%s: the pipeline ended: %v", what, err)
		case <-timeout.C:
			r.t.Fatalf("%s: %+v", what, s.Streams[0])
		}
	}
}

// checkRows demands each of n events once, and those of a user in order.
func checkRows(t *testing.T, file string, n int) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	seen := make([]bool, n)
	last := map[string]int{}
	d := json.NewDecoder(bytes.NewReader(content))
	for {
		row := struct {
			User string `json:"user_id"`
			Seq  int    `json:"seq"`
		}{}
		err := d.Decode(&row)
		if err == io.EOF {
			break
		}
		if err != nil || row.Seq >= n || seen[row.Seq] {
			t.Fatalf("row %+v is not expected, or comes twice: %v", row, err)
		}
		if before, ok := last[row.User]; ok && before > row.Seq {
			t.Errorf("user %s: event %d comes after %d", row.User, row.Seq, before)
		}
		seen[row.Seq], last[row.User] = true, row.Seq
	}
	for i, ok := range seen {
		if !ok {
			t.Fatalf("event %d of %d is missing", i, n)
		}
	}
}

func TestShardsFollowTheLoadAndEveryRowIsDeliveredOnce(t *testing.T) {
	address := freeAddress(t)
	file, rows := pipelineFile(t, "mode: on_demand, max_shards: 4", fmt.Sprintf("  in: {type: http, listen: %q, partition_key: user_id, to: clicks}", address))
	var log bytes.Buffer
	data := t.TempDir()
	r := beginWith(t, file, nil, pipelines.Options{
		Data: data, Log: slog.New(slog.NewTextHandler(&log, nil)), LookEvery: 20 * time.Millisecond,
		Capacity: capacity.Options{ShardRecords: 100, Step: 100 * time.Millisecond, CoolDown: 4},
	})
	awaitListening(t, address)
	n := 0
	r.await("four shards", func(s pipelines.StreamStatus, _ int64) bool {
		if s.Open == 4 {
			return true
		}
		if status, _ := postEvents(t, address, n, 200); status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
		n += 200
		return false
	})
	// A merge is counted a moment after its shards are seen.
	s := r.await("one shard again, every split merged, and all delivered", func(s pipelines.StreamStatus, rows int64) bool {
		return s.Open == 1 && s.Splits == s.Merges && rows == int64(n)
	})
	if s.Splits < 3 || s.Shards < 7 {
		t.Errorf("status: %+v", s)
	}
	close(r.stop)
	r.end()
	checkRows(t, rows, n)
	// The file may ask for more shards than it did when the stream was made.
	writePipeline(t, file, rows, "mode: on_demand, shards: 3", fmt.Sprintf("  idle: {type: http, listen: %q, to: clicks}", freeAddress(t)))
	again := beginWith(t, file, nil, pipelines.Options{Data: data, LookEvery: 20 * time.Millisecond})
	again.await("three shards", func(s pipelines.StreamStatus, _ int64) bool { return s.Open == 3 })
	close(again.stop)
	again.end()
	for _, text := range []string{"split shardId-", "its load is", "merge shardId-", "mode=on_demand", "sync=always"} {
		if !strings.Contains(log.String(), text) {
			t.Errorf("the log does not say %q", text)
		}
	}
}

// postEvents sends records of 40 users and returns the answer's status and its Retry-After.
func postEvents(t *testing.T, address string, first, n int) (status int, after time.Duration) {
	t.Helper()
	var body strings.Builder
	for i := range n {
		fmt.Fprintf(&body, `{"user_id":"u%d","seq":%d}`+"\n", (first+i)%40, first+i)
	}
	answer, err := http.Post("http://"+address, "application/x-ndjson", strings.NewReader(body.String()))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text := answer.Header.Get("Retry-After"); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		after = time.Duration(seconds) * time.Second
	}
	return answer.StatusCode, after
}

// still is a clock that stands still until it is let go, from when on it has the time of day. What was admitted at first
// takes all that a limit allows for as long, on a machine however slow.
type still struct {
	began time.Time
	goes  atomic.Bool
}

func newStill() *still { return &still{began: time.Now()} }

func (s *still) now() time.Time {
	if s.goes.Load() {
		return time.Now()
	}
	return s.began
}

func TestThrottledClientComesAgainAndNothingIsLostOrDoubled(t *testing.T) {
	address, clock := freeAddress(t), newStill()
	file, rows := pipelineFile(t, "shards: 2, limits: kinesis", fmt.Sprintf(`
  in: {type: http, listen: %q, partition_key: user_id, to: clicks}`, address))
	r := beginWith(t, file, nil, pipelines.Options{Data: t.TempDir(), Now: clock.now})
	awaitListening(t, address)
	// After one request both shards owe more than a second's worth.
	const requests, size = 2, 5000
	refused := int64(0)
	for i := range requests {
		for {
			status, after := postEvents(t, address, i*size, size)
			if status == http.StatusOK {
				break
			}
			if status != http.StatusTooManyRequests || after < time.Second || after > 10*time.Second {
				t.Fatalf("status %d, Retry-After %s", status, after)
			}
			refused++
			clock.goes.Store(true)
			wait := time.NewTimer(after)
			<-wait.C
		}
	}
	s := r.await("all stored and delivered", func(s pipelines.StreamStatus, rows int64) bool {
		return s.Records == requests*size && rows == requests*size
	})
	if refused == 0 || s.Throttled != refused {
		t.Errorf("%d refused, status: %+v", refused, s)
	}
	if now := r.run.Status(); !now.Ready {
		t.Errorf("a throttled source is no fault: %+v", now.Faults)
	}
	close(r.stop)
	r.end()
	checkRows(t, rows, requests*size)
}

func awaitListening(t *testing.T, address string) {
	t.Helper()
	timeout, tick := time.NewTimer(patience), time.NewTicker(10*time.Millisecond)
	defer timeout.Stop()
	defer tick.Stop()
	for {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return
		}
		select {
		case <-tick.C:
		case <-timeout.C:
			t.Fatal(err)
		}
	}
}

// The clock of the limits stands still, so a source that did not give up its batch would never stop.
func TestThrottledSourceWaitsAndStopsAtOnce(t *testing.T) {
	file, rows := pipelineFile(t, "limits: kinesis", "  shop: {type: generate, kind: clicks, to: clicks}")
	data, began := t.TempDir(), time.Now()
	r := beginWith(t, file, nil, pipelines.Options{Data: data, Now: newStill().now})
	// A batch of 1 MiB has some 4,000 events: the next one has to wait for 3 s and more.
	s := r.await("a throttled write", func(s pipelines.StreamStatus, _ int64) bool { return s.Throttled > 0 })
	if s.Records == 0 || s.Records > 6000 {
		t.Errorf("%d records are stored at once", s.Records)
	}
	close(r.stop)
	sum := r.end()
	if now := r.run.Status().Streams[0]; now.Records != s.Records {
		t.Errorf("%d records are stored, %d were while the source waited", now.Records, s.Records)
	} else if most := 3 + int64(time.Since(began)/(3*time.Second)); now.Throttled > most {
		t.Errorf("%d attempts in %s: the source does not wait as long as it is told", now.Throttled, time.Since(began))
	}
	// Without limits it goes on where it stood.
	writePipeline(t, file, rows, "limits: none", "  shop: {type: generate, kind: clicks, count: 20000, to: clicks}")
	if sum.Result != "stopped" {
		t.Errorf("result %q", sum.Result)
	}
	begin(t, file, data, nil).end()
	checkRows(t, rows, 20_000)
}

func TestSettingsOfTheFileHoldAtEveryStart(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	key := filepath.Join(dir, "clicks.key")
	if _, err := master.GenerateKeyFile(key); err != nil {
		t.Fatal(err)
	}
	file, rows := pipelineFile(t, "shards: 1", "")
	var log bytes.Buffer
	for i, c := range []struct{ settings, want, log string }{
		{"sync: always", "always 0 provisioned none false", "sync=always"},
		{"sync: interval", "interval 100 provisioned none false", "sync_every=100ms"},
		{"sync: interval, sync_every: 20ms, compression: zstd", "interval 20 provisioned none false", "sync_every=20ms"},
		{"sync: never, compression: snappy, mode: on_demand, max_shards: 2, limits: kinesis", "never 0 on_demand kinesis false", "power cut takes the records that the operating system"},
		{"encryption: {key: 'file:" + key + "'}", "always 0 provisioned none true", "encryption=file:" + key},
		// Encryption stays where the file does not name it.
		{"compression: zstd", "always 0 provisioned none true", "compression=zstd"},
	} {
		n := 1000 * (i + 1)
		writePipeline(t, file, rows, c.settings, fmt.Sprintf("  shop: {type: generate, kind: clicks, count: %d, to: clicks}", n))
		log.Reset()
		r := beginWith(t, file, nil, pipelines.Options{Data: data, Log: slog.New(slog.NewTextHandler(&log, nil))})
		s := r.run.Status().Streams[0]
		if got := fmt.Sprint(s.Sync, " ", s.SyncEveryMillis, " ", s.Mode, " ", s.Limits, " ", s.Encryption != ""); got != c.want {
			t.Errorf("%s: the status says %q, want %q", c.settings, got, c.want)
		}
		r.end()
		checkRows(t, rows, n)
		if !strings.Contains(log.String(), c.log) {
			t.Errorf("%s: the log does not say %q:\n%s", c.settings, c.log, log.String())
		}
	}
}

// inClear reports whether a text lies in clear in the segments of a data directory.
func inClear(t *testing.T, data, text string) bool {
	t.Helper()
	found := false
	err := filepath.WalkDir(filepath.Join(data, "streams", "clicks"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		found = found || bytes.Contains(content, []byte(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestStreamIsEncryptedWithTheKeyOfTheFile(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	keys := []string{filepath.Join(dir, "a.key"), filepath.Join(dir, "b.key")}
	for _, key := range keys {
		if _, err := master.GenerateKeyFile(key); err != nil {
			t.Fatal(err)
		}
	}
	source := func(n int) string {
		return fmt.Sprintf("  shop: {type: generate, kind: clicks, count: %d, to: clicks}", n)
	}
	file, rows := pipelineFile(t, "encryption: {key: 'file:"+keys[0]+"'}", source(1000))
	begin(t, file, data, nil).end()
	if inClear(t, data, "user_id") {
		t.Error("records lie in clear")
	}
	// The other key alone does not open what is there.
	writePipeline(t, file, rows, "encryption: {key: 'file:"+keys[1]+"'}", source(2000))
	p, err := pipelines.Load(file, realComponents(), pipelines.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = pipelines.Open(t.Context(), p, pipelines.Options{Data: data, Log: slog.New(slog.DiscardHandler), Now: time.Now, Stdout: io.Discard})
	if err == nil || !strings.Contains(err.Error(), `stream "clicks"`) {
		t.Fatalf("with another key: %v", err)
	}
	t.Log(err)
	// Both together do.
	writePipeline(t, file, rows, "encryption: {key: 'file:"+keys[1]+" file:"+keys[0]+"'}", source(2000))
	begin(t, file, data, nil).end()
	checkRows(t, rows, 2000)
	if inClear(t, data, "user_id") {
		t.Error("records lie in clear")
	}
}

func TestHotKeyIsNamedInStatusAndMetrics(t *testing.T) {
	address := freeAddress(t)
	file, rows := pipelineFile(t, "mode: on_demand", fmt.Sprintf("  in: {type: http, listen: %q, partition_key: user_id, to: clicks}", address))
	r := beginWith(t, file, nil, pipelines.Options{
		Data: t.TempDir(), LookEvery: 10 * time.Millisecond, Capacity: capacity.Options{ShardRecords: 10, Step: 100 * time.Millisecond},
	})
	awaitListening(t, address)
	n := 0
	s := r.await("a stuck shard", func(s pipelines.StreamStatus, _ int64) bool {
		if len(s.Stuck) > 0 {
			return true
		}
		var body []string
		for range 50 {
			body = append(body, fmt.Sprintf(`{"user_id":"celebrity","seq":%d}`, n))
			n++
		}
		post(t, "http://"+address, "["+strings.Join(body, ",")+"]")
		return false
	})
	hash := record.Hash([]byte("celebrity"))
	if hot := s.Stuck[0]; hot.Shard != "shardId-000000000000" || hot.HashKey != hash.String() || hot.Part < 0.5 || hot.Load < 0.8 || s.Open != 1 {
		t.Errorf("status: %+v", s)
	}
	want := fmt.Sprintf(`millrace_stream_stuck_shard_load{shard="shardId-000000000000",stream="clicks"} %v`, s.Stuck[0].Load)
	if text := metrics(t, func() pipelines.Status { return pipelines.Status{Streams: []pipelines.StreamStatus{s}} }); !strings.Contains(text, want+"\n") {
		t.Errorf("%s is missing in\n%s", want, text)
	}
	r.await("all delivered", func(_ pipelines.StreamStatus, rows int64) bool { return rows == int64(n) })
	close(r.stop)
	r.end()
	checkRows(t, rows, n)
}

// metrics are what is scraped.
func metrics(t *testing.T, status func() pipelines.Status) string {
	t.Helper()
	admin, err := pipelines.ServeAdmin("127.0.0.1:0", status, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	client := &http.Client{}
	defer client.CloseIdleConnections()
	answer, err := client.Get("http://" + admin.Addr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestMetricsTellOfEachStream(t *testing.T) {
	address := freeAddress(t)
	file, _ := pipelineFile(t, "shards: 2, sync: never, limits: kinesis", fmt.Sprintf("  in: {type: http, listen: %q, to: clicks}", address))
	r := begin(t, file, t.TempDir(), nil)
	text := metrics(t, r.run.Status)
	for _, line := range []string{
		`millrace_durability_info{stream="clicks",sync="never"} 1`, `millrace_stream_open_shards{stream="clicks"} 2`,
		`millrace_stream_throttled_writes_total{stream="clicks"} 0`, `millrace_stream_splits_total{stream="clicks"} 0`,
		`millrace_stream_merges_total{stream="clicks"} 0`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("%s is missing", line)
		}
	}
	close(r.stop)
	r.end()
}
