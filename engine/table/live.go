package table

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/stream"
)

// Options are what a Table gets from the outside.
type Options struct {
	// Dir is where versions are kept, Key the document that says which one is the latest.
	Dir, Key string
	Meta     stream.Meta
	// Pinned are versions that plans of earlier runs may need.
	Pinned []int64
	Now    func() time.Time
	Log    *slog.Logger
}

// Table is a reference table of a running pipeline. It may be used from several goroutines.
type Table struct {
	spec  Spec
	o     Options
	shelf shelf
	// loading makes sure that one goroutine at a time reads the source.
	loading sync.Mutex
	// tag is that of the content that the source gave last; loading guards it.
	tag string

	mu     sync.Mutex // guards what follows
	now    *version
	status Status
	// users are the versions that tasks use, by task.
	users map[string]int64
}

// version is one in memory.
type version struct {
	checkpoint.TableVersion
	rows Rows
}

// New makes a table that is read when it is first asked for.
func New(s Spec, o Options) *Table {
	return &Table{
		spec: s, o: o, shelf: shelf{dir: o.Dir, meta: o.Meta, key: o.Key}, users: map[string]int64{},
		status: Status{Name: s.Name, From: s.Source.String()},
	}
}

func (t *Table) fail(err error) error { return fmt.Errorf("table %q: %w", t.spec.Name, err) }

// Latest is the version that is the latest one, with its rows. The first call reads the table; its error
// says why that cannot be done, and the next call tries again.
func (t *Table) Latest(ctx context.Context) (checkpoint.TableVersion, *column.Batch, error) {
	if v := t.current(); v != nil {
		return v.TableVersion, v.rows.Batch, nil
	}
	t.loading.Lock()
	defer t.loading.Unlock()
	if v := t.current(); v != nil {
		return v.TableVersion, v.rows.Batch, nil
	}
	err := t.refresh(ctx)
	v := t.current()
	if v == nil {
		return checkpoint.TableVersion{}, nil, err
	}
	return v.TableVersion, v.rows.Batch, nil
}

func (t *Table) current() *version {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now
}

// At returns the rows of a version that a plan names.
func (t *Table) At(v checkpoint.TableVersion) (*column.Batch, error) {
	if c := t.current(); c != nil && c.TableVersion == v {
		return c.rows.Batch, nil
	}
	rows, err := t.read(v)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, t.fail(fmt.Errorf("version %d is not in %s any more; restore the data directory from a backup", v.Number, t.o.Dir))
	}
	if err != nil {
		return nil, t.fail(fmt.Errorf("version %d: %w", v.Number, err))
	}
	return rows.Batch, nil
}

func (t *Table) read(v checkpoint.TableVersion) (Rows, error) {
	f, size, err := t.shelf.open(v)
	if err != nil {
		return Rows{}, err
	}
	defer f.Close()
	return Decode(&t.spec, f, size)
}

// Use notes which version a task uses, so that it is kept.
func (t *Table) Use(task string, v checkpoint.TableVersion) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.users[task] = v.Number
}

// Run reads the table again and again until ctx ends.
func (t *Table) Run(ctx context.Context) {
	if t.spec.Refresh <= 0 {
		return
	}
	tick := time.NewTicker(t.spec.Refresh)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if t.current() != nil { // else who needs it reads it
			t.loading.Lock()
			_ = t.refresh(ctx) // it was logged, and is in the status
			t.loading.Unlock()
		}
	}
}

// refresh looks at the source and takes what is new there. After an error the version before stays, or
// where there is none yet, the latest of an earlier run.
func (t *Table) refresh(ctx context.Context) error {
	err := t.take(ctx)
	if ctx.Err() != nil {
		return t.fail(ctx.Err())
	}
	if err == nil {
		t.note(func(s *Status) { s.Error = "" })
		return nil
	}
	t.note(func(s *Status) { s.Error, s.Failures = err.Error(), s.Failures+1 })
	err = t.fail(err)
	if t.current() == nil && !t.recall(ctx) {
		return err
	}
	t.o.Log.Warn("a reference table could not be read; the version before stays in use", "table", t.spec.Name, "version", t.current().Number, "error", errors.Unwrap(err))
	return err
}

func (t *Table) note(change func(s *Status)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.status)
}

// take reads the source.
func (t *Table) take(ctx context.Context) error {
	c, err := t.shelf.fetch(ctx, t.spec.Source, t.tag)
	if err != nil {
		return err
	}
	if c == nil {
		t.seen()
		return nil
	}
	d, revision, err := t.shelf.latest(ctx)
	if err != nil {
		return errors.Join(err, c.drop())
	}
	if v := t.current(); v != nil && v.Hash == c.hash {
		t.tag = c.tag
		t.seen()
		return c.drop()
	}
	rows, err := Decode(&t.spec, c.file, c.size)
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", t.spec.Source, err), c.drop())
	}
	d.Origin, d.Seen, d.Bytes = t.origin(), t.o.Now().UTC(), c.size
	// The version of an earlier run is written again: it may have been damaged since.
	if d.Hash != c.hash {
		d.Number, d.Hash = d.Number+1, c.hash
	}
	if err := t.shelf.keep(ctx, c, d, revision); err != nil {
		return fmt.Errorf("keep it in %s: %w", t.o.Dir, err)
	}
	t.tag = c.tag
	t.adopt(d, rows)
	t.tidy()
	return nil
}

// origin tells contents apart that are not of this table as it is declared now.
func (t *Table) origin() string { return t.spec.Format + " " + t.spec.Source.String() }

// recall takes the latest version of an earlier run.
func (t *Table) recall(ctx context.Context) bool {
	d, _, err := t.shelf.latest(ctx)
	if err != nil || d.Number == 0 || d.Origin != t.origin() {
		return false
	}
	rows, err := t.read(d.TableVersion)
	if err != nil {
		return false
	}
	t.adopt(d, rows)
	return true
}

func (t *Table) adopt(d document, rows Rows) {
	seen := d.Seen
	t.mu.Lock()
	t.now = &version{d.TableVersion, rows}
	s := &t.status
	s.Version, s.Hash, s.Rows, s.Bytes, s.Memory, s.Seen = d.Number, d.Hash, int64(rows.Rows), d.Bytes, rows.Memory, &seen
	t.mu.Unlock()
	t.o.Log.Info("reference table read", "table", t.spec.Name, "version", d.Number, "rows", rows.Rows, "memory", rows.Memory, "from", t.spec.Source.String())
}

func (t *Table) seen() {
	now := t.o.Now().UTC()
	t.note(func(s *Status) { s.Seen = &now })
}

// tidy removes versions that neither a task nor a plan needs.
func (t *Table) tidy() {
	t.mu.Lock()
	needed := append(slices.Clone(t.o.Pinned), t.now.Number)
	for _, number := range t.users {
		needed = append(needed, number)
	}
	t.mu.Unlock()
	if err := t.shelf.tidy(needed); err != nil {
		t.o.Log.Warn("remove old versions of a reference table", "table", t.spec.Name, "error", err)
	}
}

// Status is a snapshot.
func (t *Table) Status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.status
	if s.Seen != nil {
		s.Age = max(t.o.Now().Sub(*s.Seen).Seconds(), 0)
	}
	return s
}

// Close lets go of connections.
func (t *Table) Close() {
	if c, ok := t.spec.Source.(interface{ Close() }); ok {
		c.Close()
	}
}
