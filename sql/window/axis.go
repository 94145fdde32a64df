package window

import (
	"time"

	"github.com/millrace-io/millrace/sql/temporal"
)

// even panes all have one length. The first begins at offset.
type even struct{ pane, offset int64 }

func (a *even) index(at int64) (int64, bool) {
	at, ok := temporal.SubInt(at, a.offset)
	if !ok {
		return 0, false
	}
	i := at / a.pane
	if at%a.pane < 0 {
		i--
	}
	return i, true
}

func (a *even) start(i int64) (int64, bool) {
	at, ok := temporal.MulInt(i, a.pane)
	if !ok {
		return 0, false
	}
	return temporal.AddInt(at, a.offset)
}

// months are panes of some calendar months. They begin at offset in their first month; January 1970
// is the first month of pane 0.
type months struct{ pane, offset int64 }

// maxMonths bounds the numbers of months to those that timestamps can have.
const maxMonths = 12 * 290_000

func (a *months) index(at int64) (int64, bool) {
	at, ok := temporal.SubInt(at, a.offset)
	if !ok {
		return 0, false
	}
	t := time.UnixMicro(at).UTC()
	month := int64(t.Year()-1970)*12 + int64(t.Month()-1)
	return (month - temporal.FloorMod(month, a.pane)) / a.pane, month > -maxMonths && month < maxMonths
}

func (a *months) start(i int64) (int64, bool) {
	month, ok := temporal.MulInt(i, a.pane)
	if !ok || month <= -maxMonths || month >= maxMonths {
		return 0, false
	}
	return temporal.AddInt(time.Date(1970, time.Month(1+month), 1, 0, 0, 0, 0, time.UTC).UnixMicro(), a.offset)
}

// wall cuts what clocks show in a zone. A pane begins at the first instant at which they show its
// start or more, so that a day with a change lasts 23 or 25 hours.
type wall struct {
	axis
	zone *temporal.Zone
}

func (a *wall) index(at int64) (int64, bool) {
	local, ok := a.zone.Local(at)
	if !ok {
		return 0, false
	}
	i, ok := a.axis.index(local)
	if !ok {
		return 0, false
	}
	// What is shown for the second time belongs to the pane that has begun in between.
	for {
		next, ok := a.start(i + 1)
		if !ok {
			return 0, false
		}
		if at < next {
			return i, true
		}
		i++
	}
}

func (a *wall) start(i int64) (int64, bool) {
	local, ok := a.axis.start(i)
	if !ok {
		return 0, false
	}
	return a.zone.First(local)
}
