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

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks"
)

// directory creates one file a chunk. A file gets its name when it is complete and on disk, so
// readers never see a part of one.
type directory struct {
	chunk
	config Config
	env    sinks.Env
}

func (d *directory) Guarantee() string {
	return "exactly once: each chunk is one file, named after the chunk, created whole and never replaced"
}

func (d *directory) Trigger() flow.Trigger { return d.config.trigger() }

func (d *directory) Start(context.Context, json.RawMessage) error {
	if err := makeDir(d.config.Dir, 0o777); err != nil {
		return d.fail(err)
	}
	// What a crash left unfinished is written again.
	unfinished, err := d.names("." + name(d.env.Identity) + "-")
	if err != nil {
		return d.fail(err)
	}
	for _, n := range unfinished {
		if err := os.Remove(filepath.Join(d.config.Dir, n)); err != nil {
			return d.fail(err)
		}
	}
	probe, err := os.Create(d.temporary(0))
	if err != nil {
		return d.fail(err)
	}
	err = probe.Close()
	if removed := os.Remove(probe.Name()); err == nil {
		err = removed
	}
	if err != nil {
		return d.fail(err)
	}
	return nil
}

func (d *directory) Add(_ context.Context, b *column.Batch) (flow.Outcome, error) {
	outcome, err := d.add(b)
	if err != nil {
		return outcome, d.fail(err)
	}
	return outcome, nil
}

func (d *directory) Open() flow.Open { return d.open() }

func (d *directory) Plan(_ context.Context, cut flow.Cut) (flow.Plan, error) {
	if err := d.freeze(); err != nil {
		return flow.Plan{}, d.fail(err)
	}
	plan := flow.Plan{Cut: cut}
	if d.rows > 0 {
		plan.Objects = []flow.Object{d.object(d.final(cut.Chunk))}
	}
	return plan, nil
}

func (d *directory) Put(ctx context.Context, plan flow.Plan) error {
	if len(plan.Objects) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	there, err := d.exists(plan.Cut.Chunk)
	if err != nil {
		return err
	}
	if !there {
		if err := d.create(plan.Cut.Chunk); err != nil {
			return d.fail(err)
		}
	}
	// Also for a file that is there: the crash may have come before its name was durable.
	if err := syncDir(d.config.Dir); err != nil {
		return d.fail(err)
	}
	return nil
}

// exists reports whether an earlier attempt created the chunk's file. The name tells: it ends
// with the hash of the rows, and a file has its name only once it is complete.
func (d *directory) exists(chunk int64) (bool, error) {
	names, err := d.names(d.stem(chunk) + "-")
	if err != nil {
		return false, d.fail(err)
	}
	if len(names) == 0 {
		return false, nil
	}
	if n := names[0]; n != filepath.Base(d.final(chunk)) {
		return false, flow.Permanent(d.errorf("%s is this chunk with other rows, as if the data directory had been set back; it is left as it is: move it away", n))
	}
	return true, nil
}

func (d *directory) create(chunk int64) error {
	final, temporary := d.final(chunk), d.temporary(chunk)
	if err := d.write(temporary); err != nil {
		return err
	}
	// A link, unlike a rename, never replaces a file. Not every file system has links.
	err := os.Link(temporary, final)
	switch {
	case err == nil:
		return os.Remove(temporary)
	case errors.Is(err, fs.ErrExist):
		return err
	}
	return os.Rename(temporary, final)
}

// write makes the chunk's bytes a durable file.
func (d *directory) write(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	if err = d.spool.copyTo(f); err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// names are the files of the directory that begin with prefix.
func (d *directory) names(prefix string) ([]string, error) {
	dir, err := os.Open(d.config.Dir)
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

func (d *directory) Published(flow.Plan) { d.reset() }

func (d *directory) Close() error { return d.spool.close() }

func (d *directory) final(chunk int64) string {
	return filepath.Join(d.config.Dir, d.stem(chunk)+"-"+d.hash.String()[:8]+d.config.options().Extension())
}

func (d *directory) temporary(chunk int64) string {
	return filepath.Join(d.config.Dir, "."+d.stem(chunk)+".tmp")
}

// stem counts chunks in eight digits, so that names sort in their order.
func (d *directory) stem(chunk int64) string {
	return fmt.Sprintf("%s-%08d", name(d.env.Identity), chunk)
}

// errorf says something about the directory.
func (d *directory) errorf(format string, args ...any) error {
	return d.fail(fmt.Errorf("%s: %w", d.config.Dir, fmt.Errorf(format, args...)))
}
