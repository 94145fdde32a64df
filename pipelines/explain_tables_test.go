package pipelines_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExplainShowsWhatATableHas(t *testing.T) {
	text := explain(t, "pipelines/examples/regions.yaml", "by_region")
	_, got, ok := strings.Cut(text, "└─ left join ")
	if !ok {
		t.Fatal(text)
	}
	got = regexp.MustCompile(`[0-9.]+ KiB in memory`).ReplaceAllString(got, "N KiB in memory")
	const want = `on (k.country = c.code)
            ├─ stream clicks
            │  │  shards: 1
            │  │  retention: 24h
            │  │  event time: event_time, watermark 10s
            │  │  columns: event_time timestamp, action string, country string, price double, quantity bigint
            │  └─ source shop (generate)
            └─ table countries (file)
                  from: pipelines/examples/data/countries.csv, csv
                  key: code
                  refresh: every 10s
                  memory: 32.0 MiB at most, with the indexes of 1 query
                  now: 17 rows, N KiB in memory, content HASH
                  columns: code string, name string, region string
`
	got = regexp.MustCompile(`content [0-9a-f]{12}`).ReplaceAllString(got, "content HASH")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s\n%s", diff, text)
	}
}
