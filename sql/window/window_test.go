package window_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/temporal"
	"github.com/millrace-io/millrace/sql/window"
)

func micros(t *testing.T, text string) int64 {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixMicro()
}

func length(months, micros int64) *ast.Interval {
	return &ast.Interval{Value: temporal.Interval{Months: months, Micros: micros}}
}

func assigner(t *testing.T, w *ast.Window) window.Assigner {
	t.Helper()
	a, err := window.New(w)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// windows are those that hold a time.
func windows(t *testing.T, a window.Assigner, at int64) []window.Span {
	t.Helper()
	pane, ok := a.Pane(at)
	if !ok || at < pane.Start || at >= pane.End {
		t.Fatalf("%d is not in its pane %+v", at, pane)
	}
	var out []window.Span
	for end := int64(math.MinInt64); ; {
		w, ok := a.After(pane, end)
		if !ok {
			return out
		}
		if w.Start > pane.Start || w.End < pane.End || w.End <= end {
			t.Fatalf("window %+v of pane %+v after %d", w, pane, end)
		}
		out, end = append(out, w), w.End
	}
}

func TestWindowsOfATime(t *testing.T) {
	const s = temporal.Second
	for name, c := range map[string]struct {
		w    ast.Window
		at   int64
		want []window.Span
	}{
		"tumble":          {ast.Window{Kind: ast.Tumble, Size: length(0, 10*s)}, -1, []window.Span{{-10 * s, 0}}},
		"offset":          {ast.Window{Kind: ast.Tumble, Size: length(0, 10*s), Offset: length(0, 3*s)}, 2 * s, []window.Span{{-7 * s, 3 * s}}},
		"hop":             {ast.Window{Kind: ast.Hop, Size: length(0, 10*s), Step: length(0, 4*s)}, 5 * s, []window.Span{{-4 * s, 6 * s}, {0, 10 * s}, {4 * s, 14 * s}}},
		"hop of its size": {ast.Window{Kind: ast.Hop, Size: length(0, 10*s), Step: length(0, 10*s)}, 5 * s, []window.Span{{0, 10 * s}}},
		"cumulate":        {ast.Window{Kind: ast.Cumulate, Size: length(0, 6*s), Step: length(0, 2*s)}, 8 * s, []window.Span{{6 * s, 10 * s}, {6 * s, 12 * s}}},
		"month":           {ast.Window{Kind: ast.Tumble, Size: length(1, 0)}, micros(t, "2024-02-29 12:00"), []window.Span{{micros(t, "2024-02-01 00:00"), micros(t, "2024-03-01 00:00")}}},
		"quarter before 1970": {ast.Window{Kind: ast.Tumble, Size: length(3, 0)}, micros(t, "1969-12-31 23:00"),
			[]window.Span{{micros(t, "1969-10-01 00:00"), micros(t, "1970-01-01 00:00")}}},
		"day of 23 hours": {ast.Window{Kind: ast.Tumble, Size: length(0, temporal.Day), Zone: "Europe/Berlin"}, micros(t, "2026-03-29 12:00"),
			[]window.Span{{micros(t, "2026-03-28 23:00"), micros(t, "2026-03-29 22:00")}}},
		"day of 25 hours": {ast.Window{Kind: ast.Tumble, Size: length(0, temporal.Day), Zone: "Europe/Berlin"}, micros(t, "2026-10-25 22:59"),
			[]window.Span{{micros(t, "2026-10-24 22:00"), micros(t, "2026-10-25 23:00")}}},
		"an hour shown twice is two": {ast.Window{Kind: ast.Tumble, Size: length(0, temporal.Hour), Zone: "Europe/Berlin"}, micros(t, "2026-10-25 01:30"),
			[]window.Span{{micros(t, "2026-10-25 01:00"), micros(t, "2026-10-25 02:00")}}},
		"an hour in a zone off by half": {ast.Window{Kind: ast.Tumble, Size: length(0, temporal.Hour), Zone: "Asia/Kolkata"}, micros(t, "2026-10-25 01:45"),
			[]window.Span{{micros(t, "2026-10-25 01:30"), micros(t, "2026-10-25 02:30")}}},
		"month in a zone": {ast.Window{Kind: ast.Tumble, Size: length(1, 0), Zone: "America/New_York"}, micros(t, "2026-03-01 04:59"),
			[]window.Span{{micros(t, "2026-02-01 05:00"), micros(t, "2026-03-01 05:00")}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := windows(t, assigner(t, &c.w), c.at)
			if len(got) != len(c.want) {
				t.Fatalf("got %v, want %v", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Fatalf("got %v, want %v", got, c.want)
				}
			}
		})
	}
}

func TestPanesCoverTimeWithoutGaps(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	zones := []string{"", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca", "America/Sao_Paulo"}
	sizes := []int64{temporal.Second, 90 * temporal.Second, temporal.Hour, 2 * temporal.Hour, 6 * temporal.Hour, temporal.Day, temporal.Week}
	for range 150 {
		w := ast.Window{Kind: ast.WindowKind(r.IntN(2)) * ast.Cumulate, Zone: zones[r.IntN(len(zones))], Offset: length(0, r.Int64N(temporal.Day))}
		w.Size = length(0, sizes[r.IntN(len(sizes))])
		w.Step = w.Size
		if r.IntN(3) == 0 {
			w.Size = length(int64(1+r.IntN(4)), 0)
			w.Step = length(1, 0)
		}
		if r.IntN(3) > 0 && w.Kind == ast.Tumble {
			w.Kind = ast.Hop
		}
		a := assigner(t, &w)
		at := 1_700_000_000*temporal.Second + r.Int64N(temporal.Day*900)
		pane, ok := a.Pane(at)
		for range 200 {
			if !ok || pane.End <= pane.Start {
				t.Fatalf("%+v: pane %+v of %d", w, pane, at)
			}
			if last, _ := a.Pane(pane.End - 1); last != pane {
				t.Fatalf("%+v: pane %+v ends in %+v", w, pane, last)
			}
			next, nextOK := a.Pane(pane.End)
			if next.Start != pane.End {
				t.Fatalf("%+v: behind pane %+v comes %+v", w, pane, next)
			}
			windows(t, a, pane.Start)
			pane, ok = next, nextOK
		}
	}
}

func TestTimesAtTheEndsOfTimeDoNotFit(t *testing.T) {
	for _, w := range []*ast.Window{
		{Kind: ast.Tumble, Size: length(0, temporal.Hour)},
		{Kind: ast.Tumble, Size: length(1, 0)},
		{Kind: ast.Tumble, Size: length(0, temporal.Day), Zone: "Europe/Berlin"},
		{Kind: ast.Hop, Size: length(0, temporal.Hour), Step: length(0, temporal.Minute), Offset: length(0, -temporal.Minute)},
	} {
		a := assigner(t, w)
		for _, at := range []int64{math.MinInt64, math.MaxInt64} {
			if pane, ok := a.Pane(at); ok {
				if _, ok := a.After(pane, math.MinInt64); !ok {
					continue
				}
				windows(t, a, at)
			}
		}
	}
}
