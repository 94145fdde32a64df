package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// Trim implements stream.Log.
func (l *Log) Trim(ctx context.Context, before record.Ordinal) error {
	l.mu.Lock()
	l.trimmed = max(l.trimmed, min(before, l.hold, l.next))
	l.mu.Unlock()
	return l.tidy(ctx, l.backend.options.Now())
}

// SetHold implements stream.Log.
func (l *Log) SetHold(from record.Ordinal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.hold = from
	held := l.bytesFrom(from)
	l.stream.held.Add(held - l.held)
	l.held = held
}

// addHeld counts what an append adds. Log.mu must be held.
func (l *Log) addHeld(grown int64) {
	if l.hold == stream.NoHold {
		return
	}
	l.stream.held.Add(grown)
	l.held += grown
}

// bytesFrom is how many bytes the records from an ordinal on take, as if those of one segment
// were of equal size. Log.mu must be held.
func (l *Log) bytesFrom(from record.Ordinal) int64 {
	var bytes int64
	end, size := l.next, l.size
	for i := len(l.segments) - 1; i >= 0 && from < end; i-- {
		s := l.segments[i]
		if i < len(l.segments)-1 {
			size = s.size
		}
		if s.first >= from {
			bytes += size
		} else {
			bytes += int64(float64(size) * float64(end-from) / float64(end-s.first))
		}
		end = s.first
	}
	return bytes
}

// oldest is the first record that readers see: behind what was trimmed, and what is past its
// retention unless it is held.
func (l *Log) oldest(now time.Time) record.Ordinal {
	cutoff := l.cutoff(now)
	l.mu.RLock()
	oldest, hold, known := max(l.segments[0].first, l.trimmed), l.hold, l.expiry
	l.mu.RUnlock()
	if cutoff <= 0 {
		return oldest
	}
	if cutoff > known.arrival {
		at, arrival, err := l.seek(cutoff)
		if err != nil {
			// Damage is reported to those who read it.
			return max(oldest, min(known.ordinal, hold))
		}
		known = expiry{ordinal: at, arrival: arrival}
		l.mu.Lock()
		if known.arrival > l.expiry.arrival {
			l.expiry = known
		}
		l.mu.Unlock()
	}
	return max(oldest, min(known.ordinal, hold))
}

// tidy removes the segments that hold nothing anyone may see. The last one always stays: it says
// where the log goes on. If it has expired another one is begun first.
func (l *Log) tidy(ctx context.Context, now time.Time) error {
	l.removing.Lock()
	defer l.removing.Unlock()
	err := l.removeExpired(now)
	if err != nil || !l.idle(now) {
		return err
	}
	if err := l.order(ctx, doRoll, "begin a segment of"); err != nil {
		if errors.Is(err, stream.ErrClosed) {
			return nil
		}
		return err
	}
	return l.removeExpired(now)
}

// idle reports whether the last segment holds records, and all have expired. A sealed shard is
// removed as a whole instead.
func (l *Log) idle(now time.Time) bool {
	cutoff := l.cutoff(now)
	l.mu.RLock()
	defer l.mu.RUnlock()
	return !l.sealed && !l.closed && l.next > l.segments[len(l.segments)-1].first && l.next <= l.hold && l.arrival < cutoff
}

func (l *Log) removeExpired(now time.Time) error {
	for {
		s, err := l.expired(now)
		if s == nil || err != nil {
			return err
		}
		if err := l.drop(s); err != nil {
			return fmt.Errorf("remove segment %s: %w", l.segmentPath(s), err)
		}
	}
}

// expired returns the first segment if it can go.
func (l *Log) expired(now time.Time) (*segment, error) {
	l.mu.RLock()
	segments, trimmed, hold, closed := l.segments, l.trimmed, l.hold, l.closed
	l.mu.RUnlock()
	if closed || len(segments) == 1 || segments[1].first > hold {
		return nil, nil
	}
	if segments[1].first <= trimmed {
		return segments[0], nil
	}
	cutoff := l.cutoff(now)
	if cutoff <= 0 {
		return nil, nil
	}
	floor, err := l.floor(segments[1])
	if err != nil || floor >= cutoff {
		return nil, err
	}
	return segments[0], nil
}

// drop removes the first segment, from sight before it is removed from the disk. Each removal is
// synced, so that a crash leaves no gap.
func (l *Log) drop(s *segment) error {
	l.mu.Lock()
	l.segments = l.segments[1:]
	l.mu.Unlock()
	fsys := l.backend.fs
	if err := fsys.Remove(l.indexPath(s)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := fsys.Remove(l.segmentPath(s)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fsys.SyncDir(l.dir)
}
