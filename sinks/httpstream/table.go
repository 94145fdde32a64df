package httpstream

import (
	"cmp"
	"container/list"
	"slices"
)

// event is a row with its position: how many rows the sink had taken with it.
type event struct {
	position int64
	key      string
	// text is the row as JSON. It is never changed.
	text []byte
	// pins is how many answers hold the row. sink.mu guards it.
	pins int
}

// table is the latest rows and the last changes.
type table struct {
	maxRows int
	maxSize int64
	// keyed tables have a row for each key; the others the last rows.
	keyed bool

	// latest has *event, the one that changed last at the back.
	latest     *list.List
	byKey      map[string]*list.Element
	latestSize int64
	// changes are the last ones, of which head are forgotten; all behind position held are there.
	changes     []*event
	head        int
	changesSize int64
	held, last  int64
	// evicted counts rows that left for want of room.
	evicted int64
}

func newTable(maxRows int, maxSize int64, keyed bool) *table {
	return &table{maxRows: maxRows, maxSize: maxSize, keyed: keyed, latest: list.New(), byKey: map[string]*list.Element{}}
}

// add takes a row.
func (t *table) add(key, text []byte) {
	t.last++
	e := &event{position: t.last, text: text}
	if t.keyed {
		e.key = string(key)
	}
	t.change(e)
	t.keep(e)
}

// change appends to the changes and forgets the oldest.
func (t *table) change(e *event) {
	t.changes = append(t.changes, e)
	t.changesSize += int64(len(e.text))
	for len(t.changes)-t.head > t.maxRows || t.changesSize > t.maxSize && len(t.changes) > t.head {
		old := t.changes[t.head]
		t.changes[t.head] = nil
		t.head++
		t.changesSize -= int64(len(old.text))
		t.held = old.position
	}
	if t.head > len(t.changes)/2 {
		// What is in front is moved out seldom enough to cost nothing for each row.
		t.changes = append(t.changes[:0], t.changes[t.head:]...)
		t.head = 0
	}
}

// keep makes e the latest row of its key and lets the longest untouched rows go.
func (t *table) keep(e *event) {
	if t.keyed {
		if old := t.byKey[e.key]; old != nil {
			t.drop(old)
		}
	}
	at := t.latest.PushBack(e)
	t.latestSize += e.size()
	if t.keyed {
		t.byKey[e.key] = at
	}
	for t.latest.Len() > t.maxRows || t.latestSize > t.maxSize && t.latest.Len() > 0 {
		t.drop(t.latest.Front())
		if t.keyed {
			t.evicted++
		}
	}
}

func (t *table) drop(at *list.Element) {
	e := t.latest.Remove(at).(*event)
	t.latestSize -= e.size()
	if t.keyed {
		delete(t.byKey, e.key)
	}
}

func (e *event) size() int64 { return int64(len(e.key) + len(e.text)) }

// size is the memory held, in bytes, roughly.
func (t *table) size() int64 {
	return t.latestSize + t.changesSize + int64(100*t.latest.Len()+16*len(t.changes))
}

// view is a table as clients see it. It does not change.
type view struct {
	// latest and changes rise in position.
	latest, changes []*event
	// held is the position behind which all changes are there, last that of the last row.
	held, last int64
	evicted    int64
	// replaced is closed once there is a newer view.
	replaced chan struct{}
}

func (t *table) view() *view {
	v := &view{held: t.held, last: t.last, evicted: t.evicted, replaced: make(chan struct{})}
	v.latest = make([]*event, 0, t.latest.Len())
	for at := t.latest.Front(); at != nil; at = at.Next() {
		v.latest = append(v.latest, at.Value.(*event))
	}
	v.changes = append(v.changes, t.changes[t.head:]...)
	return v
}

// after is the changes behind a position; ok is false if some of them are forgotten.
func (v *view) after(position int64) (events []*event, ok bool) {
	if position < v.held || position > v.last {
		return nil, false
	}
	// All positions from held+1 to last are there.
	return v.changes[position-v.held:], true
}

// latestAfter is the latest rows behind a position.
func (v *view) latestAfter(position int64) []*event {
	i, _ := slices.BinarySearchFunc(v.latest, position+1, func(e *event, p int64) int { return cmp.Compare(e.position, p) })
	return v.latest[i:]
}
