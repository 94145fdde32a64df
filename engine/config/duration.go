package config

import (
	"fmt"
	"strings"
	"time"
)

// Duration is a length of time: "60s", "24h", "7d", "1d12h".
type Duration time.Duration

// ParseDuration reads a duration as time.ParseDuration does, and days before the rest. A number
// without a unit is a mistake, except 0.
func ParseDuration(text string) (Duration, error) {
	text = strings.TrimSpace(text)
	number, unit := splitUnit(text)
	if number != "" && unit == "" {
		if strings.Trim(number, "0.") == "" {
			return 0, nil
		}
		return 0, fmt.Errorf("a duration needs a unit: %ss for seconds, %sm for minutes, %sh for hours, %sd for days", number, number, number, number)
	}
	var days time.Duration
	rest := text
	if before, after, ok := strings.Cut(text, "d"); ok {
		d, err := time.ParseDuration(before + "h")
		if n, u := splitUnit(before); err != nil || n == "" || u != "" {
			return 0, badDuration(text)
		}
		if days = d * 24; days/24 != d {
			return 0, fmt.Errorf("duration %s is too long", quote(text))
		}
		rest = after
	}
	var d time.Duration
	if rest != "" || days == 0 && !strings.Contains(text, "d") {
		var err error
		if d, err = time.ParseDuration(rest); err != nil || d < 0 {
			return 0, badDuration(text)
		}
	}
	if days+d < days {
		return 0, fmt.Errorf("duration %s is too long", quote(text))
	}
	return Duration(days + d), nil
}

func badDuration(text string) error {
	return fmt.Errorf("expected a duration such as 30s, 5m, 24h or 7d, got %s", quote(text))
}

// Std is the duration as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String is the duration without parts that are zero: "1h" instead of "1h0m0s". Days are written as
// hours, as everywhere else in Go programs.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// MarshalText is String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
