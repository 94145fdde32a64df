package pipelines_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/vfs"
	"github.com/millrace-io/millrace/pipelines"
)

// A disk that runs full while the pipeline works stops its sources and nothing else, and all goes on
// by itself when there is room.
func TestFullDiskStopsSourcesOnlyAndEveryRowIsDeliveredOnce(t *testing.T) {
	const n = 60_000
	clicks := freeAddress(t)
	file, rows := pipelineFile(t, "shards: 2", fmt.Sprintf(`
  shop: {type: generate, kind: clicks, count: %d, to: clicks}
  web: {type: http, listen: %q, to: clicks}`, n, clicks))
	disk := vfs.NewMem()
	disk.SetCapacity(6 << 20)
	r := beginWith(t, file, nil, pipelines.Options{Data: t.TempDir(), FS: disk, Log: slog.New(slog.DiscardHandler)})
	admin, err := pipelines.ServeAdmin("127.0.0.1:0", r.run.Status, r.run.Expose, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()

	// Delivered rows count once the checkpoint that covers them is stored.
	r.await("the source waits, and what is there is delivered", func(s pipelines.StreamStatus, rows int64) bool {
		return source(r, "shop").State == "retrying" && rows == s.Records && rows > 1000
	})
	stored := source(r, "shop")
	if stored.Written >= n || !strings.Contains(stored.Error, "accepts no more records") {
		t.Errorf("the source while the disk is full: %+v", stored)
	}
	if code, text := get(t, "http://"+admin.Addr()+"/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(text, "shop") || !strings.Contains(text, "accepts no more records") {
		t.Errorf("readiness while the disk is full: %d %s", code, text)
	}
	disk.SetCapacity(1) // another program takes the rest
	if code := postEvent(t, clicks, `{"user_id":"web","seq":60000}`); code != http.StatusServiceUnavailable {
		t.Errorf("a client got %d while the disk is full", code)
	}

	disk.SetCapacity(1 << 30)
	r.await("the rest is delivered", func(s pipelines.StreamStatus, rows int64) bool { return rows >= n })
	if code := postEvent(t, clicks, `{"user_id":"web","seq":60000}`); code/100 != 2 {
		t.Errorf("a client got %d when there was room again", code)
	}
	r.await("the client's row too", func(s pipelines.StreamStatus, rows int64) bool { return rows == n+1 })
	if code, text := get(t, "http://"+admin.Addr()+"/readyz"); code != http.StatusOK {
		t.Errorf("readiness with room again: %d %s", code, text)
	}
	close(r.stop)
	r.end()
	checkRows(t, rows, n+1)
}

func source(r *running, name string) pipelines.SourceStatus {
	for _, s := range r.run.Status().Sources {
		if s.Name == name {
			return s
		}
	}
	return pipelines.SourceStatus{}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// postEvent sends one event to an http source and returns the status.
func postEvent(t *testing.T, addr, event string) int {
	t.Helper()
	resp, err := http.Post("http://"+addr+"/", "application/x-ndjson", strings.NewReader(event+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}
