package pipelines_test

import (
	"bufio"
	"encoding/json"
	"io"
	"log/slog"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/millrace-io/millrace/pipelines"
)

// fetch is the body at a URL, empty while nobody answers.
func fetch(t *testing.T, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// bySymbol is a metric as Prometheus's own parser reads it.
func bySymbol(t *testing.T, text, metric string, kind dto.MetricType) map[string]float64 {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	out := map[string]float64{}
	f := families[metric]
	if f == nil {
		return out
	}
	if f.GetType() != kind {
		t.Fatalf("%s is a %s", metric, f.GetType())
	}
	for _, m := range f.Metric {
		out[m.Label[0].GetValue()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
	}
	return out
}

// eventually tries until it is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick, late := time.NewTicker(20*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("never: %s", what)
		}
	}
}

// tradesOfAMinute pass within a second or so, and go on passing: how fast a machine is decides only how many minutes
// there are.
const tradesOfAMinute = 6000

// scraped is what a page of metrics says: how many minutes are counted, and the averages of the last of them.
func scraped(t *testing.T, text string) (minutes int, averages map[string]float64) {
	t.Helper()
	trades := 0
	for _, n := range bySymbol(t, text, "stock_trades_total", dto.MetricType_COUNTER) {
		trades += int(n)
	}
	if trades%tradesOfAMinute != 0 {
		t.Fatalf("%d trades are counted, and each minute has %d", trades, tradesOfAMinute)
	}
	return trades / tradesOfAMinute, bySymbol(t, text, "stock_price_average", dto.MetricType_GAUGE)
}

// paged is what the page of rows says: a minute and its averages, none while it has no ten shares of one minute.
func paged(text string) (minute time.Time, averages map[string]float64) {
	var page struct {
		Rows []struct {
			WindowStart time.Time `json:"window_start"`
			Symbol      string
			Average     float64
		}
	}
	if err := json.Unmarshal([]byte(text), &page); err != nil || len(page.Rows) != 10 {
		return minute, nil
	}
	averages = map[string]float64{}
	for _, row := range page.Rows {
		if !row.WindowStart.Equal(page.Rows[0].WindowStart) {
			return minute, nil
		}
		averages[row.Symbol] = row.Average
	}
	return page.Rows[0].WindowStart, averages
}

func TestPrometheusExampleIsScraped(t *testing.T) {
	example, err := os.ReadFile("pipelines/examples/prometheus.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir, address := t.TempDir(), freeAddress(t)
	trades, data := filepath.Join(dir, "trades.ndjson"), filepath.Join(dir, "data")
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	text := strings.Replace(string(example), "rate: 200 ", "rate: 4000\n    interval: 10ms\n    start: "+first.Format(time.RFC3339)+" ", 1)
	text = strings.Replace(text, "listen: 127.0.0.1:8090", "listen: "+address, 1)
	text += "  raw: {type: file, from: trades, format: ndjson, path: " + trades + "}\n"
	file := filepath.Join(dir, "example.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := begin(t, file, data, nil)
	admin, err := pipelines.ServeAdmin("127.0.0.1:0", r.run.Status, r.run.Expose, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	var metrics string
	var counted int
	var gauges map[string]float64
	eventually(t, "three minutes are in the counters", func() bool {
		metrics = fetch(t, "http://"+admin.Addr()+"/metrics")
		counted, gauges = scraped(t, metrics)
		return counted >= 3
	})
	var minute time.Time
	var rows map[string]float64
	eventually(t, "the page has a later minute of ten shares", func() bool {
		minute, rows = paged(fetch(t, "http://"+address+"/"))
		return !minute.Before(first.Add(3 * time.Minute))
	})
	close(r.stop)
	r.end()
	// What was made up to the stop comes to the file all the same.
	beginWith(t, file, nil, pipelines.Options{Data: data, Drain: true}).end()
	for what, c := range map[string]struct {
		minute time.Time
		got    map[string]float64
	}{
		"metrics": {first.Add(time.Duration(counted-1) * time.Minute), gauges}, "page": {minute, rows},
	} {
		want := averagesIn(t, trades, c.minute)
		if len(c.got) != 10 || len(want) != 10 {
			t.Fatalf("%s: %d averages of %d shares", what, len(c.got), len(want))
		}
		for symbol, average := range want {
			if math.Abs(c.got[symbol]-average) > 1e-9*average {
				t.Errorf("%s: %s has %v at %s, want %v", what, symbol, c.got[symbol], c.minute, average)
			}
		}
	}
	if !strings.Contains(metrics, "# HELP stock_price_average Average price in the last full minute.") {
		t.Error("the metrics have no help")
	}
}

// averagesIn computes what the query should have, for the minute from a time on.
func averagesIn(t *testing.T, file string, from time.Time) map[string]float64 {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sums, counts := map[string]float64{}, map[string]float64{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var row struct {
			Time   time.Time `json:"event_time"`
			Symbol string
			Price  float64
		}
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		if !row.Time.Before(from) && row.Time.Before(from.Add(time.Minute)) {
			sums[row.Symbol] += row.Price
			counts[row.Symbol]++
		}
	}
	for symbol := range sums {
		sums[symbol] /= counts[symbol]
	}
	return sums
}
