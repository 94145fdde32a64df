package pipelines_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace-io/millrace/engine/loopback"
	"github.com/millrace-io/millrace/pipelines"
	"github.com/millrace-io/millrace/sinks"
	sinkfile "github.com/millrace-io/millrace/sinks/file"
	"github.com/millrace-io/millrace/sinks/httpstream"
	"github.com/millrace-io/millrace/sinks/prometheus"
	"github.com/millrace-io/millrace/sinks/s3"
	"github.com/millrace-io/millrace/sinks/s3/embedded"
	"github.com/millrace-io/millrace/sinks/s3/s3test"
	"github.com/millrace-io/millrace/sinks/stdout"
	"github.com/millrace-io/millrace/sources"
	sourcefile "github.com/millrace-io/millrace/sources/file"
	"github.com/millrace-io/millrace/sources/generate"
	sourcehttp "github.com/millrace-io/millrace/sources/http"
	sourcekinesis "github.com/millrace-io/millrace/sources/kinesis"
	"github.com/millrace-io/millrace/transforms"
	"github.com/millrace-io/millrace/transforms/filter"
	"github.com/millrace-io/millrace/transforms/selection"
)

func TestMain(m *testing.M) {
	// Examples name their data from the root of the repository.
	if err := os.Chdir(".."); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func realComponents() pipelines.Components {
	return pipelines.Components{
		Sources:    []sources.Component{sourcefile.Component(), generate.Component(), sourcehttp.Component(), sourcekinesis.Component()},
		Transforms: []transforms.Component{filter.Component(), selection.Component()},
		Sinks:      []sinks.Component{sinkfile.Component(), s3.Component(new(embedded.Pool)), prometheus.Component(), httpstream.Component(), stdout.Component()},
	}
}

// running is a pipeline under test.
type running struct {
	t    *testing.T
	run  *pipelines.Run
	stop chan struct{}
	out  *bytes.Buffer
	done chan error
}

// begin loads a file with an environment and runs it on a data directory.
func begin(t *testing.T, path, data string, env map[string]string) *running {
	t.Helper()
	return beginWith(t, path, env, pipelines.Options{Data: data})
}

// beginWith is begin with some of the options.
func beginWith(t *testing.T, path string, env map[string]string, o pipelines.Options) *running {
	t.Helper()
	p, err := pipelines.Load(path, realComponents(), pipelines.LoadOptions{Getenv: func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}})
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, stop: make(chan struct{}), out: new(bytes.Buffer), done: make(chan error, 1)}
	o.Stop, o.Stdout = r.stop, r.out
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r.run, err = pipelines.Open(t.Context(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	go func() { r.done <- r.run.Wait(context.WithoutCancel(t.Context())) }()
	return r
}

// end waits for the pipeline and returns what it did.
func (r *running) end() pipelines.Summary {
	r.t.Helper()
	err := <-r.done
	s := r.run.Summary()
	if cerr := r.run.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		r.t.Fatal(err)
	}
	for _, t := range s.Tasks {
		balanced(r.t, t.Name, t.Steps)
	}
	return s
}

func task(t *testing.T, s pipelines.Summary, name string) pipelines.TaskSummary {
	t.Helper()
	for _, x := range s.Tasks {
		if x.Name == name {
			return x
		}
	}
	t.Fatalf("no task %q in %+v", name, s.Tasks)
	return pipelines.TaskSummary{}
}

func TestQuickstartDeliversOnceAndSaysSo(t *testing.T) {
	data := t.TempDir()
	s := begin(t, "pipelines/examples/quickstart.yaml", data, nil).end()
	if s.Result != "delivered" || task(t, s, "lake").Run.Passed != 1707 || len(task(t, s, "lake").Objects) != 8 {
		t.Errorf("first run: %+v", s)
	}
	if h := task(t, s, "hourly").Run; h.Aggregated != 1707 || h.Late != 0 || h.Bad != 0 {
		t.Errorf("hourly: %+v", h)
	}
	again := begin(t, "pipelines/examples/quickstart.yaml", data, nil).end()
	if lake := task(t, again, "lake"); again.Result != "delivered" || lake.Run.In != 0 || len(lake.Objects) != 0 || lake.Total.Passed != 1707 {
		t.Errorf("second run: %+v", lake)
	}
	if again.Sources[0].Written != 0 {
		t.Errorf("second run: the source wrote %d records", again.Sources[0].Written)
	}
}

func TestStocksExampleShowsATable(t *testing.T) {
	r := begin(t, "pipelines/examples/stocks.yaml", t.TempDir(), nil)
	s := r.end()
	if q := task(t, s, "per_second").Run; q.In != 10000 || q.Aggregated != 10000 {
		t.Errorf("per_second: %+v", q)
	}
	var table string
	for _, x := range r.run.Screens() {
		table = strings.Join(x.Lines(100), "\n")
	}
	if !strings.Contains(table, "steepest") {
		t.Errorf("the table:\n%s", table)
	}
}

func TestRevenueExampleWritesWindows(t *testing.T) {
	dir := t.TempDir()
	events := filepath.Join(dir, "events.ndjson")
	var text []byte
	row := generate.Clicks(1)
	for n := range int64(20_000) {
		text = append(row(text, n), '\n')
	}
	if err := os.WriteFile(events, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "revenue.ndjson")
	s := begin(t, "pipelines/examples/revenue.yaml", filepath.Join(dir, "data"), map[string]string{"EVENTS": events, "OUT": out}).end()
	if q := task(t, s, "revenue"); q.Steps[0].In != 20_000 || q.Total.Aggregated == 0 || q.Total.Late != 0 {
		t.Errorf("revenue: %+v", q)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if rows := int64(bytes.Count(got, []byte("\n"))); rows == 0 || rows != task(t, s, "out").Total.Passed {
		t.Errorf("%d rows in the file, ledger: %+v", rows, task(t, s, "out").Total)
	}
}

// What comes out is compared with DuckDB in e2e/sqldiff.
func TestRegionsExampleJoinsItsTable(t *testing.T) {
	s := begin(t, "pipelines/examples/regions.yaml", t.TempDir(), nil).end()
	if len(s.Tables) != 1 || s.Tables[0].Version != 1 || s.Tables[0].Rows != 17 || s.Tables[0].Error != "" {
		t.Errorf("%+v", s.Tables)
	}
	for _, r := range runTests(t, "pipelines/examples/regions.yaml") {
		if !r.OK {
			t.Errorf("%+v", r)
		}
	}
}

func TestTakingsExampleReadsTwoStreams(t *testing.T) {
	s := begin(t, "pipelines/examples/takings.yaml", t.TempDir(), nil).end()
	if got := task(t, s, "takings"); got.From != "orders, receipts" || got.Total.In != 8 || got.Total.Aggregated != 8 || task(t, s, "board").Total.In != 5 {
		t.Errorf("%+v", got)
	}
	for _, r := range runTests(t, "pipelines/examples/takings.yaml") {
		if !r.OK {
			t.Errorf("%+v", r)
		}
	}
}

func TestNexmarkExampleTakesEveryBid(t *testing.T) {
	dir := t.TempDir()
	s := begin(t, "pipelines/examples/nexmark.yaml", filepath.Join(dir, "data"), map[string]string{"COUNT": "5000", "OUT": dir}).end()
	for _, name := range []string{"q0", "q5", "q19", "q10"} {
		if q := task(t, s, name).Run; q.In != 4600 || q.Passed+q.Aggregated != 4600 || q.Late+q.Bad != 0 {
			t.Errorf("%s: %+v", name, q)
		}
	}
}

// Queries of which the page shows all are those of the file, but for line breaks.
func TestNexmarkPageHasTheQueriesOfTheExample(t *testing.T) {
	page, err := os.ReadFile("docs/nexmark.md")
	if err != nil {
		t.Fatal(err)
	}
	p, err := pipelines.Load("pipelines/examples/nexmark.yaml", realComponents(), pipelines.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "```sql\n")
	text, _, _ = strings.Cut(text, "```")
	same := 0
	for _, part := range strings.Split(text, "\n-- ") {
		head, sql, _ := strings.Cut(strings.TrimPrefix(part, "-- "), "\n")
		if strings.Contains(sql, "…") || strings.Contains(sql, "--") {
			continue
		}
		i := slices.IndexFunc(p.Queries, func(q *pipelines.Query) bool { return q.Name == head })
		if i < 0 {
			t.Errorf("the file has no query %s", head)
			continue
		}
		same++
		if got, want := strings.Join(strings.Fields(sql), " "), strings.Join(strings.Fields(p.Queries[i].Text), " "); got != want {
			t.Errorf("%s is\n%s\nin the file\n%s", head, got, want)
		}
	}
	if same != 13 {
		t.Errorf("%d queries are shown in full, want 13", same)
	}
}

func TestClicksExampleDeliversToMinIO(t *testing.T) {
	store := s3test.MinIO(t)
	store.Bucket(t, "bench")
	text, err := os.ReadFile("pipelines/examples/clicks_to_s3.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, events := filepath.Join(dir, "clicks_to_s3.yaml"), filepath.Join(dir, "events.ndjson")
	changed := strings.Replace(string(text), "http://127.0.0.1:19000", store.Endpoint, 1)
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	row := generate.Clicks(2)
	if err := os.WriteFile(events, append(row(nil, 0), '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	s := begin(t, file, filepath.Join(dir, "data"), map[string]string{
		"EVENTS": events, "PREFIX": "p", "AWS_ACCESS_KEY_ID": store.AccessKey, "AWS_SECRET_ACCESS_KEY": store.SecretKey,
	}).end()
	if lake := task(t, s, "lake"); lake.Run.Passed != 1 || len(lake.Objects) != 1 || !strings.HasPrefix(lake.Objects[0].Key, "p/") {
		t.Errorf("lake: %+v", lake)
	}
}

func TestHTTPExampleDeliversWhatWasPosted(t *testing.T) {
	dir := t.TempDir()
	address := freeAddress(t)
	r := begin(t, "pipelines/examples/http_ingest.yaml", filepath.Join(dir, "data"), map[string]string{"LISTEN": address, "OUT": filepath.Join(dir, "out")})
	body := `[{"at":"2026-01-31T12:00:00Z","device":"d-1","celsius":21.5},{"at":"2026-01-31T12:00:01Z","device":"d-2","celsius":2150}]`
	answer := post(t, "http://"+address+"/readings", body)
	if answer != `{"accepted":2}` {
		t.Errorf("answer: %s", answer)
	}
	// Stopped before its tasks have read the rows, it would leave them to the next run.
	for r.run.Status().Tasks[0].Steps[0].In < 2 {
		<-time.After(time.Millisecond)
	}
	close(r.stop)
	s := r.end()
	if s.Result != "stopped" {
		t.Errorf("result %q", s.Result)
	}
	archive := task(t, s, "archive")
	if archive.Total.Passed != 1 || archive.Steps[1].Filtered != 1 {
		t.Errorf("archive: %+v", archive)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := loopback.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// post sends a body until the server is there.
func post(t *testing.T, url, body string) string {
	t.Helper()
	client := &http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	for deadline := time.Now().Add(patience); ; {
		response, err := client.Post(url, "application/json", strings.NewReader(body))
		if err != nil {
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
			<-time.After(10 * time.Millisecond)
			continue
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %v", response.Status, text, err)
		}
		return strings.TrimSpace(string(text))
	}
}

func TestRecordsAtTheSourcesLimitAreDelivered(t *testing.T) {
	dir := t.TempDir()
	events, out := filepath.Join(dir, "events.ndjson"), filepath.Join(dir, "out.ndjson")
	line := `{"n":1,"text":"` + strings.Repeat("x", 10<<20-40) + `"}` + "\n"
	if err := os.WriteFile(events, []byte(line+"not JSON "+strings.Repeat("<", 9<<20)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(file, []byte(`
version: 1
streams:
  large: {schema: {n: bigint, text: string}}
sources:
  in: {type: file, paths: ["${env:EVENTS}"], max_record: 10MiB, to: large}
sinks:
  out: {type: file, from: large, path: "${env:OUT}"}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := begin(t, file, filepath.Join(dir, "data"), map[string]string{"EVENTS": events, "OUT": out}).end()
	if got := task(t, s, "out"); got.Total.Passed != 1 || got.Steps[0].Bad != 1 || s.DeadLetters.Total != 1 {
		t.Errorf("delivered %+v, dead letters %+v", got, s.DeadLetters)
	}
}
