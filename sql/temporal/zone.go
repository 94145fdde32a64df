package temporal

import (
	_ "embed"
	"fmt"
	"strings"
	"time"
	// The zones are in the binary (0.4 MiB): the smallest containers have none, and a window must not
	// depend on what the machine has installed.
	_ "time/tzdata"

	"github.com/millrace-io/millrace/engine/config"
)

// Zone is a time zone. It may be used by any goroutine.
type Zone struct{ loc *time.Location }

// LoadZone finds a zone by its name, such as Europe/Berlin or UTC.
func LoadZone(name string) (*Zone, error) {
	loc, err := time.LoadLocation(name)
	switch {
	case name == "" || name == "Local", err != nil && nearZone(name) == "":
		return nil, fmt.Errorf("%q is no time zone; write a name such as 'Europe/Berlin' or 'UTC'", name)
	case err != nil:
		return nil, fmt.Errorf("%q is no time zone; did you mean '%s'?", name, nearZone(name))
	}
	return &Zone{loc: loc}, nil
}

// zones are the names of the IANA database, a line each.
//
//go:embed zones.txt
var zones string

// nearZone is the time zone that a misspelt name most likely means, "" when none is near. The name of a
// place alone will do; abbreviations are all near to each other.
func nearZone(name string) string {
	names := strings.Fields(zones)
	for _, z := range names {
		if strings.EqualFold(z[strings.LastIndexByte(z, '/')+1:], strings.ReplaceAll(name, " ", "_")) {
			return z
		}
	}
	if len(name) < 5 {
		return ""
	}
	return config.Suggest(name, names)
}

// Local is what a clock in the zone shows at an instant, in microseconds like a timestamp. It
// reports false when that does not fit.
func (z *Zone) Local(micros int64) (int64, bool) {
	_, offset := time.UnixMicro(micros).In(z.loc).Zone()
	return AddInt(micros, int64(offset)*Second)
}

// Instant is when a clock in the zone shows a time. Of a time that is shown twice, when clocks go
// back, it is the first; a time that is skipped, when they go forward, is as much later as they skip.
func (z *Zone) Instant(local int64) (int64, bool) {
	_, before := time.UnixMicro(local - Day).In(z.loc).Zone()
	_, after := time.UnixMicro(local + Day).In(z.loc).Zone()
	// The offset before a change gives the first of two, and carries a skipped time over the gap.
	first := local - int64(before)*Second
	if _, offset := time.UnixMicro(first).In(z.loc).Zone(); offset == before || before == after {
		return first, true
	}
	second := local - int64(after)*Second
	if _, offset := time.UnixMicro(second).In(z.loc).Zone(); offset == after {
		return second, true
	}
	return first, true
}

// Trunc cuts an instant down to the start of a unit in the zone.
func (z *Zone) Trunc(unit string, micros int64) (int64, bool) {
	local, ok := z.Local(micros)
	if !ok {
		return 0, false
	}
	start, ok := Trunc(unit, local)
	if !ok {
		return 0, false
	}
	switch unit {
	case "day", "week", "month", "quarter", "year":
		return z.Instant(start)
	}
	// Within an hour the offset stays, also when the hour is shown twice.
	return micros - (local - start), true
}

// First is the first instant at which a clock in the zone shows a time or a later one.
func (z *Zone) First(local int64) (int64, bool) {
	at, ok := z.Instant(local)
	if !ok {
		return 0, false
	}
	if shown, ok := z.Local(at); !ok || shown == local {
		return at, ok
	}
	// The time is skipped: clocks go forward over it.
	change, _ := time.UnixMicro(at).In(z.loc).ZoneBounds()
	return change.UnixMicro(), true
}
