package sqldiff

import (
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // the same zones everywhere
)

// zoned is a window in a time zone, as docs/sql.md says what that is.
type zoned struct {
	kind string
	zone *time.Location
	// step and size are counted in what unit says: months, or microseconds.
	step, size int64
	months     bool
	// offset is in microseconds.
	offset int64
}

// zonedWindow follows the clocks of a zone. Its bounds are a table that is made here, so that DuckDB's zones have
// no say in it.
func (g *writer) zonedWindow() window {
	g.s.kinds = append(g.s.kinds, "zone")
	name := g.pick("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Auckland", "America/Sao_Paulo", "Asia/Kathmandu")
	if g.world.zone != "" && !g.chance(3) {
		name = g.world.zone
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		panic(err) // the zones are part of the test
	}
	z := zoned{kind: g.pick("TUMBLE", "HOP", "CUMULATE"), zone: zone}
	var step, size string
	if z.months = g.chance(6); z.months {
		z.step, z.size = 1, 1+g.r.Int64N(3)
		step, size = "INTERVAL '1' MONTH", fmt.Sprintf("INTERVAL '%d' MONTH", z.size)
	} else {
		steps := slices.DeleteFunc(intervals("30 MINUTE", "1 HOUR", "75 MINUTE", "2 HOUR", "6 HOUR", "1 DAY", "7 DAY"), func(l length) bool { return l.micros < g.span.Microseconds()/300 })
		s := steps[g.r.IntN(min(4, len(steps)))]
		z.step, z.size = s.micros, s.micros*(1+g.r.Int64N(4))
		step, size = s.text, fmt.Sprintf("INTERVAL '%d' MINUTE", z.size/60e6)
	}
	if z.kind == "TUMBLE" {
		z.size, size = z.step, step
	}
	offset := ""
	if g.chance(3) {
		o := intervals("30 MINUTE", "6 HOUR", "4 DAY")[g.r.IntN(3)]
		z.offset, offset = o.micros, "OFFSET "+o.text+", "
	}
	lengths := step + ", " + size
	if z.kind == "TUMBLE" {
		lengths = step
	}
	var values []string
	for _, w := range z.between(g.base, g.base+g.span.Microseconds()) {
		values = append(values, fmt.Sprintf("(%d, %d)", w[0], w[1]))
	}
	return window{fmt.Sprintf("%s(%s, %s, %sTIME ZONE '%s')", z.kind, g.clock, lengths, offset, name),
		fmt.Sprintf("SELECT * FROM %%s AS u JOIN (VALUES %s) AS b(ws, we) ON us >= ws AND us < we", strings.Join(values, ", "))}
}

// between is the bounds of all windows that rows of a time may be in, each pair once.
func (z zoned) between(from, to int64) [][2]int64 {
	const day = 24 * 3600 * 1e6
	each, first, last := z.step, from-2*day-z.offset, to+2*day-z.offset
	if z.kind == "CUMULATE" {
		each = z.size
	}
	if z.months {
		first, last = monthOf(first), monthOf(last)
	}
	var out [][2]int64
	for k := first/each - z.size/each - 2; k <= last/each+1; k++ {
		start := k * each
		ends := []int64{start + z.size}
		if z.kind == "CUMULATE" {
			ends = nil
			for end := start + z.step; end <= start+z.size; end += z.step {
				ends = append(ends, end)
			}
		}
		for _, end := range ends {
			w := [2]int64{z.begin(start), z.begin(end)}
			if w[0] < w[1] && w[1] > from && w[0] <= to && !slices.Contains(out, w) {
				out = append(out, w)
			}
		}
	}
	return out
}

// monthOf is how many months after January 1970 a time is in.
func monthOf(at int64) int64 {
	t := time.UnixMicro(at).UTC()
	return int64(t.Year()-1970)*12 + int64(t.Month()) - 1
}

// begin is the first instant at which clocks show a time or more; of what is counted in an hour or less that at
// which they would with the offset that they have on 2026-01-01.
func (z zoned) begin(local int64) int64 {
	if z.months {
		local = time.Date(1970, time.Month(1+local), 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	}
	local += z.offset
	const hour, quarter = 3600 * 1e6, 900 * 1e6
	shown := func(at int64) int64 {
		_, off := time.UnixMicro(at).In(z.zone).Zone()
		return at + int64(off)*1e6
	}
	if !z.months && (z.kind != "CUMULATE" && z.step <= hour || z.size <= hour) {
		year := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
		return local - (shown(year) - year)
	}
	// Zones and their changes are by quarters of an hour, and so is what is looked for.
	at := local - 15*hour
	for shown(at) < local {
		at += quarter
	}
	return at
}
