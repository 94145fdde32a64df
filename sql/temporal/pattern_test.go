package temporal

import "testing"

func FuzzPattern(f *testing.F) {
	f.Add("%Y-%m-%d %H:%M:%S.%f", "2026-02-03 04:05:06.7", int64(1))
	f.Add("%d %b %y %I %p %z %j %%", "3 Feb 26 4 PM +01:00 34 %", int64(-1))
	f.Fuzz(func(t *testing.T, pattern, text string, micros int64) {
		p, err := ParsePattern(pattern)
		if err != nil {
			return
		}
		p.Parse([]byte(text))
		const century = 100 * 366 * Day
		p.Append(nil, micros%century)
	})
}

func TestWhatAPatternWritesItReads(t *testing.T) {
	for _, pattern := range []string{"%Y-%m-%d %H:%M:%S.%f", "%Y/%j %I:%M:%S.%f %p", "%d. %B %Y, %H%M%S%f", "%a %e %b %Y %H:%M:%S.%f %z"} {
		p, err := ParsePattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, micros := range []int64{0, -1, 1_770_091_506_789_012, 951_782_399_999_999, -2_000_000_000_000_001} {
			text := p.Append(nil, micros)
			if got, ok := p.Parse(text); !ok || got != micros {
				t.Errorf("%s of %d is %q, which reads as %d (%v)", pattern, micros, text, got, ok)
			}
		}
	}
}

func TestClocksThatGoForwardAndBack(t *testing.T) {
	berlin, err := LoadZone("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(text string) int64 {
		v, ok := ParseTimestamp([]byte(text))
		if !ok {
			t.Fatal(text)
		}
		return v
	}
	for _, c := range []struct{ local, instant string }{
		{"2026-03-29 01:59:59", "2026-03-29 00:59:59"},
		{"2026-03-29 02:00:00", "2026-03-29 01:00:00"}, // skipped: shown as 03:00
		{"2026-03-29 02:59:59", "2026-03-29 01:59:59"},
		{"2026-03-29 03:00:00", "2026-03-29 01:00:00"},
		{"2026-10-25 01:59:59", "2026-10-24 23:59:59"},
		{"2026-10-25 02:00:00", "2026-10-25 00:00:00"}, // twice: the first
		{"2026-10-25 02:59:59", "2026-10-25 00:59:59"},
		{"2026-10-25 03:00:00", "2026-10-25 02:00:00"},
		{"2026-07-01 12:00:00", "2026-07-01 10:00:00"},
	} {
		if got, _ := berlin.Instant(at(c.local)); got != at(c.instant) {
			t.Errorf("%s is %s, want %s", c.local, AppendTimestamp(nil, got), c.instant)
		}
	}
}
