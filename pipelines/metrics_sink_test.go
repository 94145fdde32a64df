package pipelines_test

import (
	"bufio"
	"bytes"
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
	tick, late := time.NewTicker(20*time.Millisecond), time.After(3*time.Minute)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("never: %s", what)
		}
	}
}

// Five minutes of trades pass at once; the source that listens keeps the pipeline going.
const (
	minutesOfTrades = 5
	closedMinutes   = minutesOfTrades - 1
)

func TestPrometheusExampleIsScraped(t *testing.T) {
	example, err := os.ReadFile("pipelines/examples/prometheus.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir, address := t.TempDir(), freeAddress(t)
	trades := filepath.Join(dir, "trades.ndjson")
	text := strings.Replace(string(example), "rate: 200 ", "count: 300000 ", 1)
	text = strings.Replace(text, "listen: 127.0.0.1:8090", "listen: "+address, 1)
	text = strings.Replace(text, "sources:\n", "sources:\n  idle: {type: http, listen: '127.0.0.1:0', to: trades}\n", 1)
	text += "  raw: {type: file, from: trades, format: ndjson, path: " + trades + "}\n"
	file := filepath.Join(dir, "example.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := begin(t, file, filepath.Join(dir, "data"), nil)
	admin, err := pipelines.ServeAdmin("127.0.0.1:0", r.run.Status, r.run.Expose, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	var metrics string
	eventually(t, "all closed minutes are in the counters", func() bool {
		metrics = fetch(t, "http://"+admin.Addr()+"/metrics")
		sum := 0.0
		for _, n := range bySymbol(t, metrics, "stock_trades_total", dto.MetricType_COUNTER) {
			sum += n
		}
		return sum == closedMinutes*60_000
	})
	var page struct {
		Rows []struct {
			WindowStart time.Time `json:"window_start"`
			Symbol      string
			Average     float64
		}
	}
	last := time.Date(2026, 1, 1, 0, closedMinutes-1, 0, 0, time.UTC)
	eventually(t, "the page has the last closed minute of ten shares", func() bool {
		if err := json.Unmarshal([]byte(fetch(t, "http://"+address+"/")), &page); err != nil || len(page.Rows) != 10 {
			return false
		}
		for _, row := range page.Rows {
			if !row.WindowStart.Equal(last) {
				return false
			}
		}
		return true
	})
	eventually(t, "all trades are in the file", func() bool {
		lines, err := os.ReadFile(trades)
		return err == nil && bytes.Count(lines, []byte("\n")) == minutesOfTrades*60_000
	})
	close(r.stop)
	r.end()
	averages := averagesIn(t, trades, last)
	gauges := bySymbol(t, metrics, "stock_price_average", dto.MetricType_GAUGE)
	if len(gauges) != 10 || len(averages) != 10 {
		t.Fatalf("%d gauges, %d shares", len(gauges), len(averages))
	}
	for _, row := range page.Rows {
		if want := averages[row.Symbol]; math.Abs(gauges[row.Symbol]-want) > 1e-9*want || row.Average != gauges[row.Symbol] {
			t.Errorf("%s: %v as a metric, %v on the page, want %v", row.Symbol, gauges[row.Symbol], row.Average, want)
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
