package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/loopback"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
	"github.com/millrace-io/millrace/pipelines"
)

func TestSettingsAreShownAndChanged(t *testing.T) {
	c := newCLI(t)
	created := decode[control.Stream](t, c.stream("create", "clicks", "--mode", "on_demand", "--max-shards", "6", "--sync", "interval", "--sync-every", "20ms", "--json"))
	if created.Mode != stream.OnDemand || created.MaxShards != 6 || created.SyncEveryMillis != 20 || created.Limits != stream.NoLimits {
		t.Errorf("created %+v", created.Settings)
	}
	want(t, c.stream("describe", "clicks"), "appends synced: every 20ms", "on demand, up to 6")
	want(t, c.stream("settings", "clicks"), "mode         on_demand", "shards       up to 6", "limits       none", "retention    24h", "encryption   none")
	want(t, c.stream("settings", "clicks", "--limits", "kinesis", "--max-shards", "auto", "--compression", "zstd"), "limits       kinesis", "up to 4 per core", "compression  zstd")
	want(t, c.stream("settings", "clicks", "--mode", "provisioned", "--sync", "never"), "mode         provisioned", "sync         never", "limits       kinesis")
	want(t, c.stream("describe", "clicks"), "limits of Kinesis")
	for _, args := range [][]string{
		{"settings", "clicks", "--max-shards", "3"}, {"settings", "clicks", "--sync-every", "1s"}, {"settings", "clicks", "--max-shards", "none"},
		{"settings", "clicks", "--sync-every", "soon"}, {"settings", "nothing"}, {"settings", "clicks", "--limits", "aws"},
		{"create", "more", "--max-shards", "3"}, {"create", "more", "--sync-every", "1s"},
	} {
		if code, _, text := c.try(append([]string{"stream"}, args...)...); code != exitUsage {
			t.Errorf("%s: exit code %d: %s", args, code, text)
		}
	}
}

// threeMiB is a file of 3,072 records of 1 KiB. put sends them as 2 MiB and 1 MiB, of which a shard
// with limits takes the second one 2 s after the first.
func threeMiB(t *testing.T) string {
	t.Helper()
	return writeFile(t, strings.Repeat(strings.Repeat("x", 1023)+"\n", 3072))
}

func TestPutAndGetKeepToTheLimitsOfADirectory(t *testing.T) {
	c := newCLI(t)
	c.stream("create", "clicks", "--limits", "kinesis")
	began := time.Now()
	want(t, c.stream("put", "clicks", "--key", "k", "--file", threeMiB(t)), "3,072 records put")
	if took := time.Since(began); took < 1500*time.Millisecond {
		t.Errorf("3 MiB were put within %s", took)
	}
	if n := strings.Count(c.stream("get", "clicks", "--raw"), "\n"); n != 3072 {
		t.Errorf("%d of 3072 records were read", n)
	}
}

func TestStatusNamesAHotKeyAndCheckTheNumberOfShards(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s := pipelines.Status{Pipeline: "shop", Ready: true, Streams: []pipelines.StreamStatus{{Name: "clicks", StreamCapacity: pipelines.StreamCapacity{
			Open: 3, Sync: stream.SyncNever, Mode: stream.OnDemand, Limits: stream.NoLimits, Splits: 4, Merges: 2, Encryption: "file:/k",
			Stuck: []pipelines.StuckShard{{Shard: "shardId-000000000007", Load: 2.5, HashKey: "12345", Part: 0.9}},
		}}}}
		if err := json.NewEncoder(w).Encode(s); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()
	var out, errs screen
	if code := run([]string{"status", strings.TrimPrefix(server.URL, "http://")}, &out, &errs); code != exitOK {
		t.Fatal(errs.text.String())
	}
	want(t, out.text.String(), "3 shards open, appends synced: never, on demand (4 split, 2 merged), encrypted",
		"shardId-000000000007 has 2.5 times the load a shard is good for, 90% of it under hash key 12345")
	file := writeFile(t, "version: 1\nname: shop\nstreams:\n  a: {shards: 2, mode: on_demand}\n  b: {mode: on_demand, max_shards: 7}\n  c: {shards: 3}\n")
	var checked screen
	if code := run([]string{"check", file}, &checked, &errs); code != exitOK {
		t.Fatal(errs.text.String())
	}
	want(t, checked.text.String(), "shards by load: 2 to 4 per core", "shards by load: 1 to 7", "3 shards")
}

func TestPutKeepsToTheLimitsOfARunningPipeline(t *testing.T) {
	c := newCLI(t)
	admin, err := loopback.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, fmt.Sprintf(`
version: 1
name: shop
streams:
  clicks: {limits: kinesis, sync: interval, schema: {user_id: string}}
sources:
  in: {type: http, listen: "127.0.0.1:0", to: clicks}
sinks:
  out: {type: file, from: clicks, path: %q, buffer: {age: 50ms}}
`, filepath.Join(t.TempDir(), "rows.ndjson")))
	done := make(chan string)
	go func() {
		code, out, errs := c.try("run", file, "--admin", admin)
		done <- fmt.Sprintf("exit code %d: %s%s", code, out, errs)
	}()
	c.awaitRecords(0)
	began := time.Now()
	want(t, c.stream("put", "clicks", "--key", "k", "--file", threeMiB(t)), "3,072 records put")
	if took := time.Since(began); took < 1500*time.Millisecond {
		t.Errorf("3 MiB were put within %s", took)
	}
	code := 0
	var out, errs screen
	if code = run([]string{"status", admin}, &out, &errs); code != exitOK {
		t.Errorf("status: %s", errs.text.String())
	}
	want(t, out.text.String(), "1 shard open, appends synced: every 100ms, limits of Kinesis (", "throttled)")
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	result := <-done
	if !strings.HasPrefix(result, "exit code 0") {
		t.Fatal(result)
	}
	want(t, result, "a power cut takes the records that came since the last sync", "sync=interval")
}

// putBefore stores records as if it were that long ago, in a stream whose shard 0 was split then.
func (c *cli) putBefore(ago time.Duration, n int) []stream.Sequence {
	c.t.Helper()
	must := func(err error) {
		c.t.Helper()
		if err != nil {
			c.t.Fatal(err)
		}
	}
	now := func() time.Time { return time.Now().Add(-ago) }
	b, err := disk.Open(vfs.OS{}, c.data, disk.Options{Now: now})
	must(err)
	s, err := stream.Create(c.t.Context(), b, stream.Spec{Name: "clicks", Shards: 2, Now: now})
	must(err)
	all := &record.Batch{}
	for i := range n {
		all.AddExplicit(nil, record.HashKey{}, fmt.Append(nil, "old", i), 0)
	}
	placed, err := s.Put(c.t.Context(), all)
	must(err)
	must(s.Split(c.t.Context(), 0, record.EvenRanges(4)[1].Start))
	must(s.Close())
	must(b.Close())
	return placed
}

func TestShorterRetentionSaysWhatItHidesAndWhatIsAskedForLater(t *testing.T) {
	c := newCLI(t)
	old := c.putBefore(2*time.Hour, 3)
	c.stream("put", "clicks", "new")
	if text := c.stream("retention", "clicks", "12h"); strings.Contains(text, "no longer") {
		t.Errorf("nothing is hidden: %s", text)
	}
	want(t, c.stream("retention", "clicks", "1h"), "1 are held now", "no longer to be read: 3 records")
	// The split shard is taken off with its records; its number is no mistake of the caller's.
	for _, args := range [][]string{{"--from", old[0].String()}, {"--shard", "0"}} {
		code, _, text := c.try(append([]string{"stream", "get", "clicks"}, args...)...)
		if code != exitFailed || !strings.Contains(text, "retention took all its records") {
			t.Errorf("%v: exit code %d: %s", args, code, text)
		}
	}
	if code, _, text := c.try("stream", "get", "clicks", "--shard", "9"); code != exitUsage || !strings.Contains(text, "not found") {
		t.Errorf("a shard that never was: exit code %d: %s", code, text)
	}
}
