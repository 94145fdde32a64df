package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks/objects"
)

// directory creates files for each chunk, one for each partition. A file gets its name when it is
// complete and on disk, so readers never see a part of one.
type directory struct {
	output
	// looked are the directories in which this process looked for files of chunks to come.
	looked looked
	// temporaries counts the files that have no name yet.
	temporaries atomic.Int64
}

func (d *directory) Guarantee() string {
	return "exactly once: each chunk is one file a partition, named after the chunk and its rows, created whole and never replaced"
}

func (d *directory) Start(context.Context, json.RawMessage) error {
	if err := d.chunk.Start(); err != nil {
		return d.fail(err)
	}
	if err := makeDir(d.config.Dir, 0o777); err != nil {
		return d.fail(err)
	}
	// What a crash left unfinished is written again.
	unfinished, err := names(d.config.Dir, "."+objects.TaskName(d.env.Identity)+"-")
	if err != nil {
		return d.fail(err)
	}
	for _, n := range unfinished {
		if err := os.Remove(filepath.Join(d.config.Dir, n)); err != nil {
			return d.fail(err)
		}
	}
	probe, err := d.temporary()
	if err != nil {
		return d.fail(err)
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return d.fail(err)
	}
	return nil
}

// KeepsRejects implements flow.RejectKeeper.
func (d *directory) KeepsRejects() bool { return d.chunk.KeepsRejects() }

// Reject implements flow.RejectKeeper.
func (d *directory) Reject(r flow.Rejected) error {
	if err := d.chunk.Reject(r); err != nil {
		return d.fail(err)
	}
	return nil
}

// Plan completes the files; their names follow from the task, the chunk's number and the rows.
func (d *directory) Plan(_ context.Context, cut flow.Cut) (flow.Plan, error) {
	plan, err := d.chunk.Plan(cut)
	if err != nil {
		return plan, d.fail(err)
	}
	return plan, nil
}

// Put creates the files. Those that are there already are left.
func (d *directory) Put(ctx context.Context, plan flow.Plan) error {
	own := make(map[string]bool, len(plan.Objects))
	for _, o := range plan.Objects {
		own[filepath.Clean(filepath.FromSlash(o.Key))] = true
	}
	err := d.chunk.Put(ctx, plan, func(_ context.Context, o objects.Object) error {
		return d.put(plan.Cut.Chunk, own, o)
	})
	if err != nil {
		return d.fail(err)
	}
	return nil
}

func (d *directory) put(chunk int64, own map[string]bool, o objects.Object) error {
	final := filepath.FromSlash(o.Key)
	dir := filepath.Dir(final)
	err := d.looked.at(dir, func() error {
		return errors.Join(d.makeBelow(dir), d.foreign(dir, chunk, own))
	})
	if err != nil {
		return err
	}
	if _, err := os.Lstat(final); err != nil {
		if err := d.create(final, o); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	// Also for a file that is there: the crash may have come before its name was durable.
	return syncDir(dir)
}

// makeBelow creates a directory below that of the sink, for good. Those between are made durable also if they are
// there: another goroutine or process may have made them and not come further.
func (d *directory) makeBelow(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for top := filepath.Clean(d.config.Dir); dir != top && dir != filepath.Dir(dir); {
		dir = filepath.Dir(dir)
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// foreign reports a file in a directory that this task could not have written if its checkpoint were
// the latest: of the same chunk with other rows, or of a chunk to come.
func (d *directory) foreign(dir string, chunk int64, own map[string]bool) error {
	all, err := names(dir, objects.TaskName(d.env.Identity)+"-")
	if err != nil {
		return err
	}
	for _, n := range all {
		if k, ok := objects.ChunkOf(n, d.env.Identity); ok && (k > chunk || k == chunk && !own[filepath.Join(dir, n)]) {
			return flow.Permanent(fmt.Errorf("%s: %s has this chunk (%d) or a later one with other rows, as if the data directory had been set back; it is left as it is: move it away", filepath.Clean(dir), n, chunk))
		}
	}
	return nil
}

func (d *directory) create(final string, o objects.Object) error {
	f, err := d.temporary()
	if err != nil {
		return err
	}
	if err = o.CopyTo(f); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	// A link, unlike a rename, never replaces a file. Not every file system has links.
	err = os.Link(f.Name(), final)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), final)
}

// temporary is a new file at the top of the directory, from where it can be linked to its place.
// Its mode follows from the umask, as that of any file.
func (d *directory) temporary() (*os.File, error) {
	name := fmt.Sprintf(".%s-%d.tmp", objects.TaskName(d.env.Identity), d.temporaries.Add(1))
	return os.OpenFile(filepath.Join(d.config.Dir, name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
}

// names are the files of a directory that begin with prefix.
func names(path, prefix string) ([]string, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	all, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(n string) bool { return !strings.HasPrefix(n, prefix) }), nil
}

func (d *directory) Published(flow.Plan) { d.drop() }

// looked remembers directories.
type looked struct {
	mu   sync.Mutex
	dirs map[string]struct{}
}

// mostLooked bounds the directories remembered; beyond it they are looked at again.
const mostLooked = 10_000

// at calls f for a directory that it did not succeed for before.
func (l *looked) at(dir string, f func() error) error {
	l.mu.Lock()
	_, ok := l.dirs[dir]
	l.mu.Unlock()
	if ok {
		return nil
	}
	if err := f(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dirs == nil || len(l.dirs) >= mostLooked {
		l.dirs = make(map[string]struct{})
	}
	l.dirs[dir] = struct{}{}
	return nil
}
