package sql

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql/agg"
)

// group is the state of the keys of one group. What was committed of it is its base and behind that a log
// of the rows that came since and of the times that were passed: the same again gives the same state. So
// a group that is not in memory takes rows, too, and a snapshot of one that is writes what came.
type group struct {
	unit  unit // nil while it is not in memory
	base  stored
	logs  []Part
	log   []byte // not in a part yet
	size  int64  // of base
	since int64  // bytes of logs
	// whole is set when there is no log, so that the next snapshot writes the base.
	whole bool
	dirty bool
	sum   summary
}

// stored is bytes in a part, or in the snapshot if they are few.
type stored struct {
	at   *Part
	data []byte
}

// summary is what is to be known of a group without reading it.
type summary struct {
	// low is the first time that waits, end a time before which no window ends, and first when the
	// first window began, which is kept up while the group is not in memory.
	low, end, first int64
	rows, windows   int64
	changed         bool
}

var nothing = summary{low: math.MaxInt64, end: math.MaxInt64, first: math.MaxInt64}

// due reports whether something happens when a time passes.
func (s *summary) due(through int64, shows bool) bool {
	if through == column.MaxWatermark {
		return s.rows > 0 || s.windows > 0
	}
	return s.rows > 0 && s.low < through || s.end <= through || shows && s.changed
}

// Sizes in bytes.
const (
	// smallBase is the largest base that is in the snapshot itself, and smallLog the log.
	smallBase = 512
	smallLog  = 4 << 10
	// rewrites is how much of bases one snapshot writes beside those that have to be, on top of twice what
	// came since the last one: as much as keeps logs short, and no more, since nothing is read meanwhile.
	rewrites = 1 << 20
	// maxLogs is how many pieces a log has before its base is written anew.
	maxLogs = 32
)

// The entries of a log.
const (
	logRows   = 1
	logPassed = 2
)

func newGroup(u unit) *group { return &group{unit: u, whole: true, sum: nothing} }

// add takes rows of a batch, of which the first arrived under a number.
func (g *group) add(shard record.ShardID, arrival int64, times []int64, columns []*column.Column, rows []int32) {
	g.dirty = true
	for _, r := range rows {
		g.sum.low = min(g.sum.low, times[r])
	}
	g.sum.rows += int64(len(rows))
	if g.unit != nil {
		g.unit.waits().add(shard, arrival, times, columns, rows)
	}
	if g.logging() {
		g.log = appendRows(append(g.log, logRows), shard, arrival, times, columns, rows)
	}
}

// logging reports whether the log has an entry to take. A group in memory is written whole once that is
// less.
func (g *group) logging() bool {
	if g.unit != nil && !g.whole && g.since+int64(len(g.log)) > 4*g.size {
		g.whole, g.log = true, nil
	}
	return !g.whole
}

// pass lets the group, which is in memory, take what is due.
func (g *group) pass(through int64, shows bool, out *gathered) {
	g.dirty = true
	g.unit.pass(through, shows, out)
	if g.logging() {
		g.log = append(binary.AppendVarint(append(g.log, logPassed), through), flag(shows))
	}
	g.see()
}

// see sets the summary.
func (g *group) see() {
	w := g.unit.waits()
	g.sum = summary{low: w.low, rows: int64(w.n), end: g.unit.ends(), windows: g.unit.opened(), changed: g.unit.changed(), first: math.MaxInt64}
}

// begun is when the first open window began.
func (g *group) begun() int64 {
	if g.unit == nil {
		return g.sum.first
	}
	return g.unit.begun()
}

func (g *group) memory() int64 {
	n := int64(256 + cap(g.log) + len(g.base.data) + 24*cap(g.logs))
	if g.unit != nil {
		n += g.unit.memory()
	}
	return n
}

// load brings group i back to memory.
func (o *sequenced) load(i int) error {
	g := o.groups[i]
	if g.unit != nil {
		return nil
	}
	u, err := o.replay(g)
	if err != nil {
		return fmt.Errorf("key group %d: %w", i, err)
	}
	g.unit = u
	return nil
}

func (o *sequenced) replay(g *group) (unit, error) {
	u := o.fresh()
	base := g.base.data
	var err error
	if g.base.at != nil {
		if base, err = o.readPart(*g.base.at); err != nil {
			return nil, err
		}
	}
	if len(base) > 0 {
		r := agg.NewReader(base)
		if err := u.read(r); err != nil {
			return nil, err
		}
		if err := ended(r); err != nil {
			return nil, err
		}
	}
	for _, p := range g.logs {
		piece, err := o.readPart(p)
		if err != nil {
			return nil, err
		}
		if err := o.again(u, piece); err != nil {
			return nil, err
		}
	}
	return u, o.again(u, g.log)
}

// again does what a log says.
func (o *sequenced) again(u unit, log []byte) error {
	for r := agg.NewReader(log); r.Rest() > 0; {
		switch kind := r.Bytes(1, "entry"); kind[0] {
		case logRows:
			if err := u.waits().readRows(r); err != nil {
				return err
			}
		case logPassed:
			through := r.Varint("time")
			shows := r.Bytes(1, "shows")
			if err := r.Err(); err != nil {
				return err
			}
			u.pass(through, shows[0] == 1, nil)
		default:
			return fmt.Errorf("entry %d of a log: %w", kind[0], agg.ErrSnapshot)
		}
	}
	return nil
}

func (o *sequenced) readPart(p Part) ([]byte, error) {
	if o.keep == nil {
		return nil, fmt.Errorf("the state has parts, but nowhere to read them from")
	}
	return o.keep.Read(p)
}

// store makes what is known of a group durable with the next snapshot.
func (o *sequenced) store(g *group, whole bool) error {
	if !g.dirty {
		return nil
	}
	switch {
	case g.unit != nil && (whole || g.whole || len(g.logs) >= maxLogs):
		body := g.unit.append(nil)
		base := stored{data: body}
		if o.keep != nil && len(body) > smallBase {
			at, err := o.keep.Write(body)
			if err != nil {
				return err
			}
			base = stored{at: &at}
		}
		g.base, g.logs, g.log, g.since, g.size = base, nil, nil, 0, int64(len(body))
		g.whole = base.at == nil
	case len(g.log) > smallLog:
		at, err := o.keep.Write(g.log)
		if err != nil {
			return err
		}
		g.logs, g.since, g.log = append(g.logs, at), g.since+at.Size, nil
	}
	g.dirty = false
	return nil
}

// evict lets a group leave the memory.
func (o *sequenced) evict(g *group) error {
	if err := o.store(g, g.since+int64(len(g.log)) > g.size); err != nil {
		return err
	}
	g.see()
	g.sum.first = g.unit.begun()
	// A group that is away takes rows into its log.
	g.unit, g.whole = nil, false
	return nil
}

// tight reports whether the state does not fit the memory, so that groups have to take turns.
func (o *sequenced) tight() bool {
	n := int64(0)
	for _, g := range o.groups {
		if g != nil && g.unit == nil {
			n += g.size + g.since
		}
	}
	return n > o.room/2
}

// Keep sets where groups are kept, and what all of them may take in memory.
func (o *sequenced) Keep(in Parts, room int64) { o.keep, o.room = o.lanes.guard(in), room }

// Files are those that the last snapshot refers to.
func (o *sequenced) Files() []int64 {
	var out []int64
	for _, g := range o.groups {
		if g == nil {
			continue
		}
		if g.base.at != nil {
			out = append(out, g.base.at.File)
		}
		for _, p := range g.logs {
			out = append(out, p.File)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Shed lets go of groups that have not changed since the last snapshot, the last ones first: whatever
// fits stays.
func (o *sequenced) Shed(bytes int64) error {
	if o.keep == nil {
		return nil
	}
	held := o.Memory()
	for i := len(o.groups) - 1; i >= 0 && held > bytes; i-- {
		g := o.groups[i]
		if g == nil || g.unit == nil || g.dirty {
			continue
		}
		before := g.memory()
		if err := o.evict(g); err != nil {
			return err
		}
		held -= before - g.memory()
	}
	return nil
}
