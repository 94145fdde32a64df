package file

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"time"
)

const (
	// pollInterval is how often files are looked at. Looking is portable and works on network
	// file systems, where notifications do not.
	pollInterval = 250 * time.Millisecond
	// patience is how many looks without a change a renamed or deleted file gets, because its
	// writer may still have it open. A quiet file is flushed then, too.
	patience = 20
	// turn is how much is read of one file before the others get theirs.
	turn = 64 << 20
	// unlimited is the limit of a last turn.
	unlimited = math.MaxInt64
)

// follower reads files that grow, come and go.
//
// A file is known by its inode while it is open: renamed, it is read to its end under the old
// identity. A file that became shorter, or begins differently, was truncated in place and goes on
// as a new one. Of two files that took each other's place while nobody looked, only the first
// lines tell.
type follower struct {
	*reader
	files []*followed
	// more is set when a file has more than its turn.
	more bool
}

func newFollower(r *reader) *follower { return &follower{reader: r} }

// run looks at the files until ctx is done.
func (f *follower) run(ctx context.Context) error {
	defer func() {
		for _, t := range f.files {
			t.close()
		}
	}()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if err := f.look(ctx); err != nil {
			return err
		}
		if f.more {
			continue
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// look reads what is new. It returns errors of the stream only; those of files may pass.
func (f *follower) look(ctx context.Context) error {
	f.more = false
	broken := f.discover()
	kept := f.files[:0]
	for i, t := range f.files {
		keep, err := f.visit(ctx, t)
		if err != nil {
			f.files = append(kept, f.files[i:]...)
			return err
		}
		if t.err != nil {
			broken = t.err
		}
		if keep {
			kept = append(kept, t)
		} else {
			t.close()
		}
	}
	clear(f.files[len(kept):])
	f.files = kept
	f.env.Status(broken)
	f.progress()
	return nil
}

func (f *follower) progress() {
	var done, total int64
	for _, t := range f.files {
		size := max(t.size, 0)
		total += size
		if t.file == nil {
			done += size
		} else {
			done += min(t.offset, size)
		}
	}
	f.env.Progress(done, total)
}

// discover matches the files that paths name now with those being followed. New ones come last,
// so that a file is read to its end before the one that took its place.
func (f *follower) discover() error {
	paths, err := expand(f.cfg.Paths, false)
	if err != nil {
		return err
	}
	named := make(map[string]*followed, len(f.files))
	for _, t := range f.files {
		t.gone = true
		named[t.path] = t
	}
	for _, path := range paths {
		info, statErr := os.Stat(path)
		if statErr != nil {
			err = statErr
			continue
		}
		if t := f.find(named[path], info); t != nil {
			t.path, t.gone = path, false
			continue
		}
		t, openErr := follow(path, f.cfg.Compression)
		if openErr != nil {
			err = openErr
			continue
		}
		f.files = append(f.files, t)
	}
	return err
}

// find is the file that a path names now, if it is followed already: the one it named before, or
// one that was renamed.
func (f *follower) find(before *followed, info os.FileInfo) *followed {
	if before != nil && os.SameFile(before.info, info) {
		return before
	}
	for _, t := range f.files {
		if t.gone && os.SameFile(t.info, info) {
			return t
		}
	}
	return nil
}

// visit reads what is new in one file; keep is false when it is done with.
func (f *follower) visit(ctx context.Context, t *followed) (keep bool, err error) {
	if !t.look() {
		return !t.gone, nil
	}
	if t.quiet > 0 {
		return f.idle(ctx, t)
	}
	t.err = f.advance(ctx, t)
	if ctx.Err() != nil {
		return true, ctx.Err()
	}
	if t.err != nil && t.file != nil {
		t.size = -1 // try again, unlike with packed files, which may just be being written
	}
	// What was read before an error counts, too.
	return true, f.send(ctx)
}

// idle does what a file gets that does not grow.
func (f *follower) idle(ctx context.Context, t *followed) (keep bool, err error) {
	switch {
	case t.file == nil:
		return !t.gone, nil
	case t.quiet < patience:
		return true, nil
	case t.gone:
		return false, f.finish(ctx, t)
	case t.begun && t.flushed != t.offset:
		t.flushed = t.offset
		return true, f.pump.Flush(ctx, t.id.producer, t.offset)
	}
	return true, nil
}

// finish takes the last line of a file that nobody writes any more.
func (f *follower) finish(ctx context.Context, t *followed) error {
	ok, err := t.begun, error(nil)
	if !ok {
		ok, err = f.start(ctx, t, t.id.known)
	}
	if ok {
		f.begin(t.path, t.id.producer, t.from(t.offset), t.offset)
		err = f.pieces(ctx, unlimited)
	}
	if err != nil {
		f.env.Log.Error("the end of a file is lost", "file", t.path, "error", err)
	}
	if err != nil || !ok {
		return ctx.Err()
	}
	if err := f.rest(ctx); err != nil {
		return err
	}
	return f.settle(ctx)
}

// advance reads what a file has more than at the last look.
func (f *follower) advance(ctx context.Context, t *followed) error {
	if t.file == nil {
		return f.readFile(ctx, t.path)
	}
	if t.begun {
		same, err := t.same(f.cfg.Format)
		if err != nil {
			return err
		}
		if !same {
			f.env.Log.Info("file was truncated; reading it as a new one", "file", t.path, "read", t.offset)
			t.begun = false
			// A copy of the old content may turn up under another name.
			if err := f.pump.Flush(ctx, t.id.producer, t.offset); err != nil {
				return err
			}
		}
	}
	if !t.begun {
		if ok, err := f.start(ctx, t, t.id.known); err != nil || !ok {
			return err
		}
	}
	f.begin(t.path, t.id.producer, t.from(t.offset), t.offset)
	limit := t.offset + turn
	err := f.pieces(ctx, limit)
	t.offset = f.cut.settled()
	if f.win.offset >= limit {
		f.more, t.size = true, -1
	}
	return err
}

// start finds out what a file is to the stream. It waits for the first line, so ok may be false.
// again says that the file was another one before.
func (f *follower) start(ctx context.Context, t *followed, again bool) (ok bool, err error) {
	head, complete, err := t.head(f.cfg.Format)
	if err != nil || head == "" || !complete && !t.gone {
		return false, err
	}
	path, err := filepath.Abs(t.path)
	if err != nil {
		return false, err
	}
	id := f.identify(path, head)
	switch {
	case id.known:
		again = again || id.position > t.size || f.taken(t, id)
	case !again:
		if old, found := f.rotated(path, head, t.size); found {
			id = old
		}
	}
	if id.known && again {
		id = f.generation(id.path, id.head, id.generation+1)
	}
	if !id.known {
		// From now on the stream's every shard knows the file, even if it is renamed in a moment.
		if err := f.pump.Flush(ctx, id.producer, 0); err != nil {
			return false, err
		}
		f.read[id.producer.ID], id.known = 0, true
	}
	t.id, t.begun, t.offset, t.flushed = id, true, id.position, id.position
	return true, nil
}

// taken reports whether another file that is being followed is the same producer.
func (f *follower) taken(t *followed, id identity) bool {
	for _, other := range f.files {
		if other != t && other.begun && other.id.producer == id.producer {
			return true
		}
	}
	return false
}
