package pipelines_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/pipelines"
)

func explain(t *testing.T, file, id string) string {
	t.Helper()
	p, err := pipelines.Load(file, realComponents(), pipelines.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	trees, err := p.Explain(id)
	if err != nil {
		t.Fatal(err)
	}
	var s strings.Builder
	for _, n := range trees {
		s.WriteString(n.String())
	}
	return s.String()
}

func TestExplainShowsThePlanOfAQuery(t *testing.T) {
	want := `query revenue
│  parallelism: 1
│  output: stream with 1 shard
│  rows leave: when the watermark lets them, which is 10s behind the latest event of the slowest shard
│  event time: window_start, watermark 0s
│  memory: 32.0 MiB; about 140,000 combinations of keys fit, more are on disk
│  state: aggregates, about 80 B for each group and pane of 1m, of which up to 3 are open at a time for a combination of keys
└─ select window_start, country, COUNT(*) AS n, SUM((price * quantity)) AS revenue, AVG(price) AS average
   │  columns: window_start timestamp, country string, n bigint, revenue double, average double
   └─ aggregate
      │  window: TUMBLE(event_time, INTERVAL '1 minutes')
      │  keys: country
      │  aggregates: COUNT(*), SUM((price * quantity)), AVG(price)
      └─ transform purchases (filter) where action = 'purchase'
         │  columns: event_time timestamp, action string, country string, price double, quantity bigint
         └─ stream clicks
            │  shards: 1
            │  retention: 24h
            │  event time: event_time, watermark 10s
            │  columns: event_time timestamp, action string, country string, price double, quantity bigint
            └─ source shop (generate)
`
	if diff := cmp.Diff(want, explain(t, "pipelines/examples/tested.yaml", "revenue")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestExplainShowsEverySinkAndWhatTwoStepsReadOnce(t *testing.T) {
	got := explain(t, "pipelines/examples/prometheus.yaml", "")
	for _, want := range []string{"sink prices (prometheus)", "sink live (http_stream)", "source ticker (generate)"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestExplainNamesWhatItDoesNotKnow(t *testing.T) {
	p, err := pipelines.Load("pipelines/examples/tested.yaml", realComponents(), pipelines.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Explain("revenu")
	if err == nil || !strings.Contains(err.Error(), `did you mean "revenue"`) {
		t.Errorf("got %v", err)
	}
}

func TestExplainShowsEveryInputOfAQueryAndItsWatermark(t *testing.T) {
	got := explain(t, "pipelines/examples/takings.yaml", "takings")
	for _, want := range []string{
		"which is that of the slowest shard: 10s behind the latest event in orders, 1m behind the latest event in paid", "union all", "stream orders",
		"event time: ordered_at, watermark 10s", "transform paid (filter) where amount > 0", "stream receipts", "event time: at, watermark 1m", "source tills (file)",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestExplainOfProcessingTimeNamesArrivals(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p.yaml")
	text := `version: 1
streams:
  s: {schema: {ts: timestamp, k: string}, event_time: ts, watermark: 10m}
queries:
  q: {sql: "SELECT window_start, COUNT(*) AS n FROM s GROUP BY TUMBLE(arrival_time, INTERVAL '1' MINUTE)"}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got := explain(t, file, "q")
	for _, want := range []string{"which is at the latest arrival in the slowest shard", "memory: 64.0 MiB, more is on disk", "for each pane of 1m, of which up to 2 are open at a time\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
