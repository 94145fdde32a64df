package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

var (
	// ErrLeaseLost reports that another worker may have the shard: what was read since the last
	// checkpoint is not counted and will be read again there.
	ErrLeaseLost = errors.New("lease lost")
	// ErrHandOver is the cause of a context that ended because the shard was asked for and was
	// not given up in time.
	ErrHandOver = errors.New("another worker asked for the shard")
)

// maxAttempts bounds how often a change is tried again when others change the document too.
const maxAttempts = 10

// Lease is the right to work on one shard, while it lasts. Its methods may be called from any
// goroutine.
type Lease struct {
	table *table
	shard record.ShardID
	key   string
	// asked is closed when the shard is to be given up.
	asked chan struct{}
	end   context.CancelCauseFunc
	// lapse ends the lease when it was not renewed; nil until a worker has started it.
	lapse *time.Timer

	// writes lets one change of the document be under way at a time. It is locked before state.
	writes sync.Mutex

	state    sync.Mutex
	doc      leaseDocument
	revision uint64
	// written is the worker's time just before the last write that succeeded: nobody takes the
	// lease before written+expiry.
	written time.Time
	// lost is why the lease is over; nil while it is held.
	lost    error
	yielded bool
}

// Shard is what the lease is for.
func (l *Lease) Shard() record.ShardID { return l.shard }

// Fence rises with each change of owner, so that what a shard's owner writes elsewhere can be
// told from what a former one still writes.
func (l *Lease) Fence() uint64 { return l.document().Fence }

// Position is the next record to work on, as of the last checkpoint.
func (l *Lease) Position() record.Ordinal { return l.document().Position }

// Asked is closed when the shard should be given up: a handler then finishes what it has begun,
// checkpoints and returns. Its context ends with ErrHandOver when it takes longer than
// LeaseConfig.HandOver.
func (l *Lease) Asked() <-chan struct{} { return l.asked }

// Checkpoint records that everything before next was dealt with, and returns nil once that is
// durable. The end of ctx does not cut it short, so that a handler may record what it did before
// it was told to stop. After an error the position is the old one or next; the caller tries
// again or returns. Error: ErrLeaseLost, and the position did not move.
func (l *Lease) Checkpoint(ctx context.Context, next record.Ordinal) error {
	if have := l.Position(); next < have {
		return fmt.Errorf("checkpoint %s of %s: %d is before %d, which was recorded", l.table.group, l.shard, next, have)
	}
	err := l.change(ctx, func(d *leaseDocument) { d.Position = max(d.Position, next) })
	if err != nil {
		return fmt.Errorf("checkpoint %s of %s at %d: %w", l.table.group, l.shard, next, err)
	}
	l.table.counts.checkpoints.Add(1)
	return nil
}

// Finish records that a closed shard was worked on to its end: its children may begin. The
// handler returns after it. Error: ErrLeaseLost.
func (l *Lease) Finish(ctx context.Context) error {
	err := l.change(ctx, func(d *leaseDocument) { d.Ended, d.Owner, d.AskedBy = true, "", "" })
	if err != nil && !l.document().Ended {
		return fmt.Errorf("finish %s of %s: %w", l.shard, l.table.group, err)
	}
	return nil
}

// renew shows the others that the owner is alive.
func (l *Lease) renew(ctx context.Context) error {
	if err := l.change(ctx, func(*leaseDocument) {}); err != nil {
		return fmt.Errorf("renew %s of %s: %w", l.shard, l.table.group, err)
	}
	l.table.counts.renewals.Add(1)
	return nil
}

// outlast keeps a lease that cannot be renewed for want of room on the disk: nobody can take it over there
// either. If somebody else finds a moment with room, the next renewal sees it, and until then the fences of
// documents hold.
func (l *Lease) outlast() {
	l.state.Lock()
	defer l.state.Unlock()
	if l.lapse != nil && l.lost == nil {
		l.lapse.Reset(l.table.expiry)
	}
}

// release gives the shard to who asked for it, or to anybody.
func (l *Lease) release(ctx context.Context) error {
	to := ""
	err := l.change(ctx, func(d *leaseDocument) {
		if to = d.AskedBy; to != "" {
			d.Fence++
		}
		d.Owner, d.AskedBy = to, ""
	})
	if err != nil {
		return fmt.Errorf("release %s of %s: %w", l.shard, l.table.group, err)
	}
	if to != "" {
		l.table.counts.handedOver.Add(1)
	}
	return nil
}

// change stores what edit makes of the document, unless the lease is held under another fence.
func (l *Lease) change(ctx context.Context, edit func(*leaseDocument)) error {
	l.writes.Lock()
	defer l.writes.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.table.expiry)
	defer cancel()
	for attempt := 1; ; attempt++ {
		doc, revision, err := l.current()
		if err != nil {
			return err
		}
		edit(&doc)
		doc.Counter++
		value, err := json.Marshal(doc)
		if err != nil {
			return err
		}
		before := l.table.now()
		revision, err = l.table.meta.CAS(ctx, l.key, value, revision)
		switch {
		case err == nil:
			l.stored(doc, revision, before)
			return nil
		case !errors.Is(err, stream.ErrConflict) || attempt == maxAttempts:
			return err
		}
		if err := l.refresh(ctx); err != nil {
			return err
		}
	}
}

// refresh reads the document after somebody else changed it, or after a write whose outcome was
// not known.
func (l *Lease) refresh(ctx context.Context) error {
	l.table.counts.conflicts.Add(1)
	value, revision, err := l.table.meta.Get(ctx, l.key)
	if errors.Is(err, stream.ErrNotFound) {
		l.lose(fmt.Errorf("its document is gone: %w", ErrLeaseLost))
		return l.err()
	}
	if err != nil {
		return err
	}
	doc, err := decodeLease(value)
	if err != nil {
		return &LeaseTableError{Key: l.key, Err: err}
	}
	l.state.Lock()
	defer l.state.Unlock()
	switch {
	case doc.Ended && doc.Fence == l.doc.Fence:
		// A Finish that reported an error was stored all the same.
		l.doc, l.revision = doc, revision
		l.over(fmt.Errorf("%s was finished: %w", l.shard, ErrLeaseLost))
		return l.lost
	case doc.Owner != l.doc.Owner || doc.Fence != l.doc.Fence:
		l.over(fmt.Errorf("%s under fence %d: %w", holder(doc), doc.Fence, ErrLeaseLost))
		return l.lost
	}
	l.doc, l.revision = doc, revision
	if doc.AskedBy != "" {
		l.yieldLocked()
	}
	return nil
}

func holder(d leaseDocument) string {
	if d.Owner == "" {
		return "nobody holds it"
	}
	return fmt.Sprintf("%s holds it", d.Owner)
}

// stored takes note of a successful write.
func (l *Lease) stored(doc leaseDocument, revision uint64, before time.Time) {
	l.state.Lock()
	defer l.state.Unlock()
	if doc.Owner != l.doc.Owner && l.lost == nil {
		l.lost = fmt.Errorf("%s was given up: %w", l.shard, ErrLeaseLost)
	}
	l.doc, l.revision, l.written = doc, revision, before
	if l.lapse != nil && l.lost == nil {
		l.lapse.Reset(l.table.expiry)
	}
}

// lose ends the lease at once.
func (l *Lease) lose(why error) {
	l.state.Lock()
	defer l.state.Unlock()
	l.over(why)
}

// over is lose with state locked.
func (l *Lease) over(why error) {
	if l.lost != nil {
		return
	}
	l.lost = why
	if l.end != nil {
		l.end(why)
	}
	if !l.doc.Ended {
		l.table.counts.lost.Add(1)
	}
}

// yield tells the handler to give the shard up.
func (l *Lease) yield() {
	l.state.Lock()
	defer l.state.Unlock()
	l.yieldLocked()
}

func (l *Lease) yieldLocked() {
	if !l.yielded {
		l.yielded = true
		close(l.asked)
	}
}

func (l *Lease) document() leaseDocument {
	l.state.Lock()
	defer l.state.Unlock()
	return l.doc
}

func (l *Lease) err() error {
	l.state.Lock()
	defer l.state.Unlock()
	return l.lost
}

// current is the document to change next.
func (l *Lease) current() (leaseDocument, uint64, error) {
	l.state.Lock()
	defer l.state.Unlock()
	return l.doc, l.revision, l.lost
}

// renewIn is how long the next renewal has time, when leases are to be written every so often.
func (l *Lease) renewIn(every time.Duration) time.Duration {
	l.state.Lock()
	defer l.state.Unlock()
	return l.written.Add(every).Sub(l.table.now())
}

// start makes the lease end by itself when it is not renewed.
func (l *Lease) start(end context.CancelCauseFunc) {
	l.state.Lock()
	defer l.state.Unlock()
	l.end = end
	left := l.written.Add(l.table.expiry).Sub(l.table.now())
	l.lapse = time.AfterFunc(left, func() {
		l.lose(fmt.Errorf("not renewed for %s: %w", l.table.expiry, ErrLeaseLost))
	})
}
