package generate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/sources/sourcestest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type click struct {
	EventTime time.Time `json:"event_time"`
	UserID    string    `json:"user_id"`
	SessionID string    `json:"session_id"`
	URL       string    `json:"url"`
	Action    string    `json:"action"`
	Price     float64   `json:"price"`
	Quantity  int       `json:"quantity"`
	Country   string    `json:"country"`
	UserAgent string    `json:"user_agent"`
	Geo       struct {
		Lat, Lon *float64
	} `json:"geo"`
	Seq int64 `json:"seq"`
}

func strict(t *testing.T, line []byte, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
}

// The figures are those the benchmarks are written for.
func TestClicksLookLikeAShop(t *testing.T) {
	const n = 20_000
	event := Clicks(1)
	users, urls, actions, countries, agents := map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}
	var line []byte
	size, escaped, late := 0, 0, 0
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range int64(n) {
		line = event(line[:0], i)
		var c click
		strict(t, line, &c)
		size += len(line)
		if bytes.IndexByte(line, '\\') >= 0 {
			escaped++
		}
		behind := start.Add(time.Duration(i) * time.Millisecond).Sub(c.EventTime)
		if behind < 0 || behind >= 5*time.Second {
			t.Fatalf("event %d is %s behind", i, behind)
		}
		if behind > 0 {
			late++
		}
		if c.Seq != i || len(c.SessionID) != 16 || c.Geo.Lat == nil || c.Geo.Lon == nil || math.Abs(*c.Geo.Lat) > 90 || math.Abs(*c.Geo.Lon) > 180 {
			t.Fatalf("event %d: %s", i, line)
		}
		users[c.UserID]++
		actions[c.Action]++
		countries[c.Country]++
		agent, odd, _ := strings.Cut(c.UserAgent, ` \ `)
		if odd != "" && odd != "\"beta\"\t\U0001F680" {
			t.Fatalf("user agent %q", c.UserAgent)
		}
		agents[agent]++
		url, _, _ := strings.Cut(c.URL, "?")
		urls[url]++
	}
	mean := float64(size) / n
	t.Logf("mean %.1f bytes, %d users, %d urls, %.2f%% escaped, %.1f%% late", mean, len(users), len(urls), 100*float64(escaped)/n, 100*float64(late)/n)
	if math.Abs(mean-258) > 3 {
		t.Errorf("mean %.1f bytes, want 258", mean)
	}
	if len(actions) != 6 || len(countries) != 17 || len(agents) != 48 || len(urls) < 5_000 || len(urls) > 25_000 || len(users) < 5_000 {
		t.Errorf("%d actions, %d countries, %d agents, %d urls, %d users", len(actions), len(countries), len(agents), len(urls), len(users))
	}
	if share := float64(escaped) / n; share < 0.018 || share > 0.022 {
		t.Errorf("%.3f have escapes", share)
	}
	top := 0
	for _, count := range users {
		top = max(top, count)
	}
	if top < n/50 || top > n/5 {
		t.Errorf("the busiest user has %d of %d events", top, n)
	}
}

func TestStocksWander(t *testing.T) {
	event := newStocks(1, clock{start: firstEvent, interval: 1}).append
	low, high := math.MaxFloat64, 0.0
	symbols := map[string]bool{}
	var line []byte
	for i := int64(0); i < 20_000_000; i += 997 {
		line = event(line[:0], i)
		var s struct {
			EventTime      time.Time `json:"event_time"`
			Symbol, Sector string
			Price, Change  float64
		}
		strict(t, line, &s)
		symbols[s.Symbol] = true
		if math.Abs(s.Change) > s.Price/20 {
			t.Fatalf("a jump: %s", line)
		}
		if s.Symbol == "ABCD" {
			low, high = min(low, s.Price), max(high, s.Price)
		}
	}
	if len(symbols) != 10 || low < 20 || high > 400 || high-low < 10 {
		t.Fatalf("%d symbols, ABCD from %.2f to %.2f", len(symbols), low, high)
	}
}

func TestEventsDependOnSeedAndNumberAlone(t *testing.T) {
	for _, kind := range []string{"clicks", "stocks"} {
		make := func(seed int64) func([]byte, int64) []byte {
			s := source{cfg: Config{Kind: kind, Seed: seed}}
			event, err := s.events(0)
			if err != nil {
				t.Fatal(err)
			}
			return event
		}
		a, b, other := make(7), make(7), make(8)
		b(nil, 5)
		if string(a(nil, 1000)) != string(b(nil, 1000)) || string(a(nil, 1000)) == string(other(nil, 1000)) {
			t.Fatal(kind)
		}
	}
}

func TestTimeIsWrittenAsTheStandardLibraryDoes(t *testing.T) {
	for _, at := range []time.Time{
		time.UnixMilli(0), time.UnixMilli(-1), time.UnixMilli(firstEvent + 123), time.Date(2000, 2, 29, 23, 59, 59, 999e6, time.UTC),
		time.Date(1900, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2100, 2, 28, 12, 0, 0, 0, time.UTC), time.Date(2024, 12, 31, 1, 2, 3, 4e6, time.UTC),
	} {
		want := at.UTC().Format("2006-01-02T15:04:05.000Z")
		if got := string(appendTime(nil, at.UnixMilli())); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func run(t *testing.T, ctx context.Context, c Config, s *sourcestest.Stream) error {
	t.Helper()
	if found := c.Validate(); len(found) > 0 {
		t.Fatal(found)
	}
	src, err := open(c, sourcestest.NewEnv("made").Env)
	if err != nil {
		t.Fatal(err)
	}
	if src.Bounded() != (c.Count > 0) {
		t.Fatal("bounded:", src.Bounded())
	}
	return src.Run(ctx, s)
}

func TestCountIsMadeOnceHoweverOftenItCrashes(t *testing.T) {
	c := defaults()
	c.Count = 10_000
	s := sourcestest.New(3)
	for _, n := range []int{1, 777, 5000} {
		s.CrashAfter(n)
		if err := run(t, t.Context(), c, s); !errors.Is(err, sourcestest.ErrCrash) {
			t.Fatal(err)
		}
	}
	s.CrashAfter(-1)
	if err := run(t, t.Context(), c, s); err != nil {
		t.Fatal(err)
	}
	writes := s.Writes()
	if err := run(t, t.Context(), c, s); err != nil || s.Writes() != writes {
		t.Fatalf("%d writes, then %d: %v", writes, s.Writes(), err)
	}
	var want []string
	event := Clicks(1)
	for n := range c.Count {
		want = append(want, string(event(nil, n)))
	}
	slices.Sort(want)
	if !slices.Equal(want, s.Data()) {
		t.Fatalf("%d events, want %d", len(s.Data()), len(want))
	}
	if r := s.Records()[0]; !strings.Contains(r.Data, `"user_id":"`+r.Key+`"`) {
		t.Fatalf("%+v", r)
	}
}

func TestRateIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := defaults()
		c.Rate = 250
		s := sourcestest.New(2)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		if err := run(t, ctx, c, s); err != nil {
			t.Fatal(err)
		}
		if n := len(s.Data()); n < 2480 || n > 2500 {
			t.Fatalf("%d events in ten seconds", n)
		}
		for _, line := range s.Data() {
			var e click
			strict(t, []byte(line), &e)
			if off := e.EventTime.Sub(began); off < -5*time.Second || off > 10*time.Second {
				t.Fatalf("event %d is dated %s from the start", e.Seq, off)
			}
		}
	})
}

func TestSlowRateMakesSingleEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := defaults()
		c.Kind, c.Rate, c.Count, c.Start = "stocks", 0.5, 5, "2020-02-02T00:00:00+01:00"
		s := sourcestest.New(2)
		began := time.Now()
		if err := run(t, t.Context(), c, s); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began).Round(time.Second); took != 10*time.Second || len(s.Data()) != 5 {
			t.Fatalf("%d events took %s", len(s.Data()), took)
		}
		if first := s.Data()[0]; !strings.HasPrefix(first, `{"event_time":"2020-02-01T23:00:00.000Z","symbol":`) {
			t.Fatal(first)
		}
	})
}

func TestIntervalStretchesEventTimeAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := defaults()
		c.Kind, c.Count, c.Start, c.Interval = "nexmark", 3, "2026-01-01T00:00:00Z", config.Duration(90*time.Minute)
		s := sourcestest.New(1)
		began := time.Now()
		if err := run(t, t.Context(), c, s); err != nil {
			t.Fatal(err)
		}
		if data := s.Data(); len(data) != 3 || !strings.Contains(data[2], `"dateTime":"2026-01-01T03:00:00.000Z"`) || time.Since(began) > 0 {
			t.Fatalf("after %s: %q", time.Since(began), data)
		}
	})
}

func TestMistakesAreFound(t *testing.T) {
	c := defaults()
	if found := c.Validate(); len(found) != 0 {
		t.Fatal(found)
	}
	c.Rate, c.Interval = 5, config.Duration(time.Second)
	if found := c.Validate(); len(found) != 1 || found[0].Path != "interval" {
		t.Fatal(found)
	}
	c.Rate, c.Start = math.NaN(), "yesterday"
	if found := c.Validate(); len(found) != 2 || found[0].Path != "rate" || found[1].Path != "start" {
		t.Fatal(found)
	}
}

func BenchmarkClicks(b *testing.B) {
	event := Clicks(1)
	var line []byte
	n := int64(0)
	for b.Loop() {
		line = event(line[:0], n)
		n++
	}
	b.SetBytes(int64(len(line)))
}

func BenchmarkStocks(b *testing.B) {
	event := newStocks(1, clock{start: firstEvent, interval: 1}).append
	var line []byte
	n := int64(0)
	for b.Loop() {
		line = event(line[:0], n)
		n++
	}
}
