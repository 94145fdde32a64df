// Package temporal is the calendar arithmetic of the dialect: dates in days, timestamps in
// microseconds since the epoch, in UTC but for where a Zone is named.
//
// The invariant to remember: nothing here depends on the clock or the time zones of the machine.
package temporal

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/config"
)

// Micros of the units with a fixed length.
const (
	Millisecond int64 = 1000
	Second            = 1000 * Millisecond
	Minute            = 60 * Second
	Hour              = 60 * Minute
	Day               = 24 * Hour
	Week              = 7 * Day
)

// Interval is a span of time: months have no fixed length, the rest is in microseconds.
type Interval struct{ Months, Micros int64 }

var units = map[string]Interval{
	"microsecond": {Micros: 1},
	"millisecond": {Micros: Millisecond},
	"second":      {Micros: Second},
	"minute":      {Micros: Minute},
	"hour":        {Micros: Hour},
	"day":         {Micros: Day},
	"week":        {Micros: Week},
	"month":       {Months: 1},
	"quarter":     {Months: 3},
	"year":        {Months: 12},
}

var shorts = map[string]string{
	"us": "microsecond", "ms": "millisecond", "s": "second", "sec": "second", "min": "minute",
	"m": "minute", "h": "hour", "hr": "hour", "d": "day", "w": "week", "mon": "month", "y": "year",
}

// Unit is the length of a unit, singular or plural, in any case.
func Unit(name string) (string, Interval, bool) {
	name = strings.ToLower(name)
	if long, ok := shorts[name]; ok {
		name = long
	}
	if _, ok := units[name]; !ok {
		name = strings.TrimSuffix(name, "s")
	}
	i, ok := units[name]
	return name, i, ok
}

// unitNames are the keys of units and their plurals.
var unitNames = []string{
	"microsecond", "millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year",
	"microseconds", "milliseconds", "seconds", "minutes", "hours", "days", "weeks", "months", "quarters", "years",
}

// NearUnit is the unit that a misspelt word most likely means, "" when none is near.
func NearUnit(word string) string { return config.Suggest(word, unitNames) }

// ParseInterval reads text as a number of the unit, or, when unit is empty, as pairs of numbers
// and units: "5 minutes", "1 hour 30 minutes".
func ParseInterval(text, unit string) (Interval, error) {
	words := strings.Fields(text)
	if unit != "" {
		words = append(words, unit)
		if len(words) != 2 {
			return Interval{}, fmt.Errorf("%q is not a number of %s", text, strings.ToLower(unit))
		}
	}
	if len(words) == 0 || len(words)%2 != 0 {
		return Interval{}, fmt.Errorf("%q is not an interval; write for example INTERVAL '5' MINUTE or INTERVAL '5 minutes'", text)
	}
	var sum Interval
	for i := 0; i < len(words); i += 2 {
		_, u, ok := Unit(words[i+1])
		if !ok {
			if meant := NearUnit(words[i+1]); meant != "" {
				return Interval{}, fmt.Errorf("unknown unit %q; did you mean %q?", words[i+1], meant)
			}
			return Interval{}, fmt.Errorf("unknown unit %q; an interval is in microseconds, milliseconds, seconds, minutes, hours, days, weeks, months or years", words[i+1])
		}
		part, err := times(words[i], u)
		if err != nil {
			return Interval{}, err
		}
		var ok1, ok2 bool
		sum.Months, ok1 = AddInt(sum.Months, part.Months)
		sum.Micros, ok2 = AddInt(sum.Micros, part.Micros)
		if !ok1 || !ok2 {
			return Interval{}, fmt.Errorf("the interval %q is too long", text)
		}
	}
	return sum, nil
}

// times is number × unit; fractions are allowed for units with a fixed length.
func times(number string, unit Interval) (Interval, error) {
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		months, ok1 := MulInt(n, unit.Months)
		micros, ok2 := MulInt(n, unit.Micros)
		if !ok1 || !ok2 || months > 12*300_000 || months < -12*300_000 {
			return Interval{}, fmt.Errorf("the interval of %s units is too long", number)
		}
		return Interval{Months: months, Micros: micros}, nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || unit.Months != 0 || !(f*float64(unit.Micros) < 9e18 && f*float64(unit.Micros) > -9e18) {
		return Interval{}, fmt.Errorf("%q is not a number of units", number)
	}
	return Interval{Micros: int64(f * float64(unit.Micros))}, nil
}

// AddTo adds the interval to a timestamp, months first; a day that the month does not have
// becomes its last. It reports false when the result does not fit.
func (i Interval) AddTo(micros int64) (int64, bool) {
	if i.Months != 0 {
		t := time.UnixMicro(micros).UTC()
		first := time.Date(t.Year(), t.Month()+time.Month(i.Months), 1, 0, 0, 0, 0, time.UTC)
		if y := first.Year(); y < -290_000 || y > 290_000 {
			return 0, false
		}
		day := min(t.Day(), first.AddDate(0, 1, -1).Day())
		micros = first.UnixMicro() + int64(day-1)*Day + FloorMod(micros, Day)
	}
	return AddInt(micros, i.Micros)
}

// String is the interval as it may stand in a literal: "14 months 90 seconds".
func (i Interval) String() string {
	unit, name := int64(1), "microseconds"
	for _, u := range []string{"day", "hour", "minute", "second", "millisecond"} {
		if i.Micros%units[u].Micros == 0 {
			unit, name = units[u].Micros, u+"s"
			break
		}
	}
	micros := strconv.FormatInt(i.Micros/unit, 10) + " " + name
	months := strconv.FormatInt(i.Months, 10) + " months"
	switch {
	case i.Months == 0:
		return micros
	case i.Micros == 0:
		return months
	}
	return months + " " + micros
}

// Negated is the interval backwards.
func (i Interval) Negated() Interval { return Interval{Months: -i.Months, Micros: -i.Micros} }

// AddInt is a+b and whether it fits.
func AddInt(a, b int64) (int64, bool) {
	s := a + b
	return s, (a^s)&(b^s) >= 0
}

// SubInt is a-b and whether it fits.
func SubInt(a, b int64) (int64, bool) {
	d := a - b
	return d, (a^b)&(a^d) >= 0
}

// MulInt is a*b and whether it fits.
func MulInt(a, b int64) (int64, bool) {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	// The signed high word: each negative factor counted 2^64 times the other too much.
	h := int64(hi)
	if a < 0 {
		h -= b
	}
	if b < 0 {
		h -= a
	}
	return int64(lo), h == int64(lo)>>63
}

// FloorMod is a mod b with the sign of b, which must be positive.
func FloorMod(a, b int64) int64 {
	m := a % b
	if m < 0 {
		m += b
	}
	return m
}

// Floor is the largest multiple of b that is not above a. It reports false when that does not fit.
func Floor(a, b int64) (int64, bool) { return SubInt(a, FloorMod(a, b)) }
