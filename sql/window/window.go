// Package window places rows in windows of event time. Time is cut into panes, the largest pieces
// that no window cuts, and each window is a run of panes, so that a row is folded in once however
// many windows it belongs to.
//
// The invariant to remember: panes and windows follow from the query alone. Panes do not overlap and
// leave no gap, also where a time zone sets its clocks.
package window

import (
	"encoding/binary"

	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/temporal"
)

// Span is a stretch of time [Start, End) in microseconds since the epoch, UTC.
type Span struct{ Start, End int64 }

// Assigner places rows in panes and panes in windows. It does not change; any goroutine may use it.
type Assigner interface {
	// Pane is the pane that holds a time. It reports false if that does not fit a timestamp.
	Pane(at int64) (Span, bool)
	// After is the first window, by its end, that holds a pane and ends after a time; false if there
	// is none.
	After(pane Span, end int64) (Span, bool)
	// Shape describes the windows, so that the state of other windows is refused.
	Shape(dst []byte) []byte
}

// maxPanes is how many panes a window may have: closing one looks at all of them.
const maxPanes = 10_000

// axis cuts time into numbered panes.
type axis interface {
	// index is the pane that holds a time, start where one begins; false if that does not fit.
	index(at int64) (int64, bool)
	start(index int64) (int64, bool)
}

// frames are windows of size panes, of which one begins every step panes. In those that grow, the
// windows with the same start end pane by pane until they have their size.
type frames struct {
	axis
	size, step int64
	grows      bool
	shape      []byte
}

// New makes the assigner of TUMBLE, HOP or CUMULATE. Errors point into the query.
func New(w *ast.Window) (Assigner, error) {
	step := w.Size
	if w.Step != nil {
		step = w.Step
	}
	whole, part := w.Size.Value, step.Value
	calendar := whole.Months != 0
	switch {
	case calendar != (part.Months != 0) || calendar && (whole.Micros != 0 || part.Micros != 0):
		return nil, w.Size.Errorf("the lengths of a window are all in months and years, or all in weeks, days and less")
	case calendar && w.Kind == ast.Cumulate && whole.Months%part.Months != 0:
		return nil, w.Size.Errorf("the length of CUMULATE must be a whole number of steps")
	case calendar && part.Months > whole.Months:
		return nil, step.Errorf("the advance of HOP comes first and is not longer than the window; HOP(event_time, advance, length)")
	}
	length, advance := whole.Micros, part.Micros
	if calendar {
		length, advance = whole.Months, part.Months
	}
	pane := gcd(length, advance)
	f := &frames{size: length / pane, step: advance / pane, grows: w.Kind == ast.Cumulate}
	if f.grows {
		f.step = f.size
	}
	if f.size > maxPanes {
		return nil, step.Errorf("this makes windows of %d steps; up to %d are possible", f.size, maxPanes)
	}
	var offset int64
	if w.Offset != nil {
		switch offset = w.Offset.Value.Micros; {
		case w.Offset.Value.Months != 0:
			return nil, w.Offset.Errorf("the offset of a window is in days or less")
		case offset > temporal.MaxInterval || offset < -temporal.MaxInterval:
			return nil, w.Offset.Errorf("the offset of a window is at most 10000 years")
		}
	}
	var err error
	if f.axis, err = newAxis(w, pane, advance, offset, calendar); err != nil {
		return nil, err
	}
	f.shape = append(f.shape, byte(w.Kind), flag(calendar))
	for _, v := range []int64{length, advance, offset} {
		f.shape = binary.AppendVarint(f.shape, v)
	}
	f.shape = append(binary.AppendUvarint(f.shape, uint64(len(w.Zone))), w.Zone...)
	return f, nil
}

func newAxis(w *ast.Window, pane, advance, offset int64, calendar bool) (axis, error) {
	if w.Zone == "" {
		if calendar {
			return &months{pane: pane, offset: offset}, nil
		}
		return &even{pane: pane, offset: offset}, nil
	}
	zone, err := temporal.LoadZone(w.Zone)
	if err != nil {
		return nil, w.ZonePos.Errorf("%v", err)
	}
	switch {
	case calendar:
		return &wall{axis: &months{pane: pane, offset: offset}, zone: zone}, nil
	case w.Kind != ast.Cumulate && advance <= temporal.Hour || w.Size.Value.Micros <= temporal.Hour:
		// What is counted in minutes stays even: an hour that is shown twice is two hours.
		local, _ := zone.Local(referenceTime)
		return &even{pane: pane, offset: offset - (local - referenceTime)}, nil
	}
	return &wall{axis: &even{pane: pane, offset: offset}, zone: zone}, nil
}

// referenceTime is 2026-01-01: short windows are aligned by the offset from UTC that a zone has then.
// In zones whose clocks change by whole hours that is how they are aligned all year.
const referenceTime = 20454 * temporal.Day

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Shape is the kind, the lengths, the offset and the zone.
func (f *frames) Shape(dst []byte) []byte { return append(dst, f.shape...) }

// Pane is the pane that holds a time.
func (f *frames) Pane(at int64) (Span, bool) {
	i, ok := f.index(at)
	if !ok {
		return Span{}, false
	}
	return f.span(i, i+1)
}

func (f *frames) span(from, to int64) (Span, bool) {
	start, ok1 := f.start(from)
	end, ok2 := f.start(to)
	return Span{Start: start, End: end}, ok1 && ok2
}

// After is the first window that holds the pane and ends after a time.
func (f *frames) After(pane Span, end int64) (Span, bool) {
	i, ok := f.index(pane.Start)
	if !ok {
		return Span{}, false
	}
	first, last := i, i
	switch {
	case f.grows:
		first = i - temporal.FloorMod(i, f.size)
		last = first + f.size
		// The windows are [first, to) for each to above i.
		return f.search(i+1, last, 1, end, func(to int64) (int64, int64) { return first, to })
	default:
		last = i - temporal.FloorMod(i, f.step)
		first = i + 1 - f.size
		if over := temporal.FloorMod(first, f.step); over != 0 {
			first += f.step - over
		}
		return f.search(first, last, f.step, end, func(from int64) (int64, int64) { return from, from + f.size })
	}
}

// search finds the first of the windows numbered low, low+step, … high that ends after a time.
func (f *frames) search(low, high, step, end int64, bounds func(int64) (int64, int64)) (Span, bool) {
	n := (high - low) / step
	from, to := int64(0), n+1
	for from < to {
		mid := (from + to) / 2
		w, ok := f.span(bounds(low + mid*step))
		if !ok || w.End > end {
			to = mid
		} else {
			from = mid + 1
		}
	}
	if from > n {
		return Span{}, false
	}
	return f.span(bounds(low + from*step))
}
