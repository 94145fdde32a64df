package pipelines_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/pipelines"
)

// smallDisk mounts a file system of its own, in memory. Where that is not allowed, the tests that make every operation
// of a commit fail (engine/flow) have to do.
func smallDisk(t *testing.T, size int64) string {
	t.Helper()
	dir := t.TempDir()
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size))
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		t.Skipf("mounting a small file system is not allowed here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// What a test that failed left at work must not keep it.
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all room on a disk, as another program would.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

// spare gives so many bytes of what was filled back.
func spare(t *testing.T, name string, bytes int64) {
	t.Helper()
	info, err := os.Stat(name)
	if err == nil {
		err = os.Truncate(name, info.Size()-bytes)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// said is a log that may be read while it is written.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func TestOnARealDiskThatIsFullAPipelineStartsAndWorksOnceThereIsRoom(t *testing.T) {
	const rows, keys = 90_000, 40_000
	dir := t.TempDir()
	var input bytes.Buffer
	for i := range rows {
		fmt.Fprintf(&input, `{"ts":"2026-01-01T00:%02d:00Z","k":%d}`+"\n", i*59/rows, i%keys)
	}
	write(t, filepath.Join(dir, "in.ndjson"), input.String())
	file := func(name string) (pipeline, out string) {
		pipeline, out = filepath.Join(dir, name+".yaml"), filepath.Join(dir, name+".ndjson")
		write(t, pipeline, fmt.Sprintf(`
version: 1
streams:
  events: {schema: {ts: timestamp, k: bigint}, event_time: ts, watermark: 0s}
sources:
  f: {type: file, paths: [%q], to: events}
queries:
  per_key: {sql: "SELECT k, COUNT(*) AS n FROM events GROUP BY TUMBLE(ts, INTERVAL '1' HOUR), k"}
sinks:
  out: {type: file, from: per_key, path: %q}
`, filepath.Join(dir, "in.ndjson"), out))
		return pipeline, out
	}
	easy, want := file("easy")
	begin(t, easy, t.TempDir(), nil).end()

	disk := smallDisk(t, 32<<20)
	ballast, log := filepath.Join(disk, "ballast"), new(said)
	fill(t, ballast)
	hard, got := file("hard")
	opened := make(chan *running, 1)
	go func() {
		opened <- beginWith(t, hard, nil, pipelines.Options{Data: filepath.Join(disk, "data"), Log: slog.New(slog.NewTextHandler(log, nil))})
	}()
	until(t, "the start waits", func() bool { return strings.Contains(log.String(), "waiting for room on a disk") })
	select {
	case <-opened:
		t.Fatal("a pipeline started without room")
	default:
	}

	// Room for some of the records; what is kept for the windows goes to another program.
	spare(t, ballast, 3<<20)
	r := <-opened
	until(t, "the source waits", func() bool { return source(r, "f").State == "retrying" })
	fill(t, ballast+"-too")
	until(t, "the query waits", func() bool {
		s := r.run.Status()
		i := slices.IndexFunc(s.Tasks, func(x flow.Status) bool { return x.Name == "per_key" })
		if !s.Tasks[i].DiskFull {
			return false
		}
		if text := s.Tasks[i].Error; !strings.Contains(text, disk) || !strings.Contains(text, "free space there") {
			t.Errorf("a query on a full disk says %q", text)
		}
		if s.Ready {
			t.Error("ready on a full disk")
		}
		return true
	})
	if err := errors.Join(os.Remove(ballast), os.Remove(ballast+"-too")); err != nil {
		t.Fatal(err)
	}
	if s := r.end(); s.Result != "delivered" {
		t.Errorf("the result is %s", s.Result)
	}
	if n := strings.Count(log.String(), "waiting for room"); n > 3 {
		t.Errorf("it was said %d times:\n%s", n, log.String())
	}
	if w, g := sortedLines(t, want), sortedLines(t, got); len(w) != keys || !slices.Equal(w, g) {
		t.Errorf("%d rows, without a full disk %d; they must be the same", len(g), len(w))
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timeout, tick := time.NewTimer(patience), time.NewTicker(10*time.Millisecond)
	defer timeout.Stop()
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout.C:
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func sortedLines(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	slices.Sort(lines)
	return lines
}
