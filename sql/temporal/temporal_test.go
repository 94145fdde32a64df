package temporal

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"
)

func TestTimestampsAreReadAsTheTimePackageReadsThem(t *testing.T) {
	for text, layout := range map[string]string{
		"2026-01-31":                       "2006-01-02",
		"2026-01-31 12:34":                 "2006-01-02 15:04",
		"2026-01-31T12:34:56":              "2006-01-02T15:04:05",
		"2026-01-31T12:34:56Z":             time.RFC3339,
		"1969-12-31T23:59:59.999999Z":      time.RFC3339Nano,
		"0001-01-01T00:00:00Z":             time.RFC3339,
		"9999-12-31T23:59:59.5+14:00":      time.RFC3339Nano,
		"2024-02-29T00:00:00-01:30":        time.RFC3339,
		"2026-01-31T12:34:56.1234567899Z":  time.RFC3339Nano,
		"2026-01-31t12:34:56.000001-0100x": "",
		"2026-01-31T12:34:56+01":           "2006-01-02T15:04:05-07",
		"2026-01-31T12:34:56+0130":         "2006-01-02T15:04:05-0700",
		"2023-02-29":                       "",
		"2026-13-01":                       "",
		"2026-00-01":                       "",
		"2026-01-00":                       "",
		"2026-01-31T24:00":                 "",
		"2026-01-31T12:60":                 "",
		"2026-01-31T12:34:":                "",
		"2026-01-31T12:34:56.":             "",
		"2026-01-31T12:34:56+1":            "",
		"2026-01-31T12:34:56+01:":          "",
		"2026-01-31T":                      "",
		"2026-1-31":                        "",
		"26-01-31":                         "",
		"":                                 "",
	} {
		got, ok := ParseTimestamp([]byte(text))
		if layout == "" {
			if ok {
				t.Errorf("%q is read as %d", text, got)
			}
			continue
		}
		want, err := time.Parse(layout, text)
		if err != nil {
			t.Fatal(err)
		}
		if !ok || got != want.UnixMicro() {
			t.Errorf("%q is read as %d %v, want %d", text, got, ok, want.UnixMicro())
		}
	}
}

func FuzzTimestamp(f *testing.F) {
	f.Add([]byte("2026-01-31T12:34:56.5+01:00"))
	f.Add([]byte("1969-12-31 23:59"))
	f.Fuzz(func(t *testing.T, text []byte) {
		v, ok := ParseTimestamp(text)
		if !ok {
			return
		}
		again, ok := ParseTimestamp(AppendTimestamp(nil, v))
		if y := time.UnixMicro(v).UTC().Year(); y >= 0 && y <= 9999 && (!ok || again != v) {
			t.Errorf("%q is %d, then %d", text, v, again)
		}
	})
}

func TestIntervals(t *testing.T) {
	for _, c := range []struct {
		text, unit     string
		months, micros int64
		bad            bool
	}{
		{"5", "MINUTE", 0, 5 * Minute, false},
		{"5", "minutes", 0, 5 * Minute, false},
		{"1.5", "hour", 0, 90 * Minute, false},
		{"-1", "day", 0, -Day, false},
		{"5 minutes", "", 0, 5 * Minute, false},
		{"1 day 2 h 3 ms", "", 0, Day + 2*Hour + 3*Millisecond, false},
		{"1 year 2 months 3 weeks", "", 14, 3 * Week, false},
		{"1.5", "month", 0, 0, true},
		{"5", "", 0, 0, true},
		{"", "", 0, 0, true},
		{"five", "minute", 0, 0, true},
		{"5 minutes", "hour", 0, 0, true},
		{"9223372036854775807", "week", 0, 0, true},
		{"9223372036854775807 us 1 us", "", 0, 0, true},
		{"1e300", "day", 0, 0, true},
		{"NaN", "day", 0, 0, true},
		{"9999999999", "years", 0, 0, true},
	} {
		got, err := ParseInterval(c.text, c.unit)
		if (err != nil) != c.bad || got.Months != c.months && !c.bad || got.Micros != c.micros && !c.bad {
			t.Errorf("%q %s is %+v, %v", c.text, c.unit, got, err)
		}
	}
}

func TestMonthsKeepTheDayOrTakeTheLast(t *testing.T) {
	at := func(text string) int64 {
		v, ok := ParseTimestamp([]byte(text))
		if !ok {
			t.Fatalf("%q", text)
		}
		return v
	}
	for _, c := range []struct {
		from, to string
		months   int64
	}{
		{"2026-01-31T10:00:00Z", "2026-02-28T10:00:00Z", 1},
		{"2024-01-31", "2024-02-29", 1},
		{"2026-03-31", "2026-02-28", -1},
		{"2026-12-15T01:02:03.000004Z", "2027-01-15T01:02:03.000004Z", 1},
		{"1969-12-31T23:00:00Z", "1968-12-31T23:00:00Z", -12},
	} {
		if got, ok := (Interval{Months: c.months}).AddTo(at(c.from)); !ok || got != at(c.to) {
			t.Errorf("%s %+d months is %s", c.from, c.months, AppendTimestamp(nil, got))
		}
	}
	if _, ok := (Interval{Micros: 1}).AddTo(math.MaxInt64); ok {
		t.Error("the last microsecond has a next one")
	}
}

func TestCheckedArithmeticAgreesWithBigNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	edge := []int64{0, 1, -1, 2, math.MaxInt64, math.MinInt64, math.MaxInt64 / 2, 1 << 32, -(1 << 32)}
	for range 20_000 {
		a, b := edge[r.IntN(len(edge))], edge[r.IntN(len(edge))]
		if r.IntN(2) == 0 {
			a = r.Int64() >> r.IntN(64) * int64(1-2*r.IntN(2))
		}
		if r.IntN(2) == 0 {
			b = r.Int64() >> r.IntN(64) * int64(1-2*r.IntN(2))
		}
		x, y := big.NewInt(a), big.NewInt(b)
		for name, f := range map[string]struct {
			got  func(a, b int64) (int64, bool)
			want *big.Int
		}{
			"+": {AddInt, new(big.Int).Add(x, y)},
			"-": {SubInt, new(big.Int).Sub(x, y)},
			"*": {MulInt, new(big.Int).Mul(x, y)},
		} {
			got, ok := f.got(a, b)
			if ok != f.want.IsInt64() || ok && got != f.want.Int64() {
				t.Fatalf("%d %s %d is %d %v, want %v", a, name, b, got, ok, f.want)
			}
		}
	}
}

func TestTruncFloors(t *testing.T) {
	for text, want := range map[string][2]string{
		"1969-12-31T23:59:59Z":    {"1969-12-31T23:00:00Z", "1969-12-29T00:00:00Z"},
		"2026-01-05T00:00:00Z":    {"2026-01-05T00:00:00Z", "2026-01-05T00:00:00Z"},
		"2026-01-04T23:59:59.5Z":  {"2026-01-04T23:00:00Z", "2025-12-29T00:00:00Z"},
		"1900-01-01T12:00:00.25Z": {"1900-01-01T12:00:00Z", "1900-01-01T00:00:00Z"},
	} {
		v, _ := ParseTimestamp([]byte(text))
		for i, unit := range []string{"hour", "week"} {
			got, ok := Trunc(unit, v)
			if s := string(AppendTimestamp(nil, got)); !ok || s != want[i] {
				t.Errorf("%s cut to the %s is %s, want %s", text, unit, s, want[i])
			}
		}
	}
}

func TestParts(t *testing.T) {
	v, _ := ParseTimestamp([]byte("2026-11-08T13:14:15.016017Z"))
	want := map[string]int64{"year": 2026, "quarter": 4, "month": 11, "week": 45, "isoyear": 2026, "day": 8, "dow": 0, "isodow": 7, "doy": 312, "hour": 13,
		"minute": 14, "second": 15, "millisecond": 15016, "microsecond": 15016017, "epoch": v / Second}
	for _, part := range Parts {
		if got := Part(part, v); got != want[part] {
			t.Errorf("%s is %d, want %d", part, got, want[part])
		}
	}
	if got := Part("epoch", -1); got != -1 {
		t.Errorf("the epoch just before 1970 is %d", got)
	}
}
