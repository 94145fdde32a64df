package file

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks/encode"
	"github.com/millrace-io/millrace/sinks/objects"
)

// appender appends the rows of each chunk to one file.
type appender struct {
	output
	writer *encode.Writer
	// frozen is the object of the planned chunk, nil if it has no rows.
	frozen *objects.Object
	// committed is the length of the file up to the last published chunk.
	committed int64
	// expected is the length that the file has unless somebody else changed it, -1 once an
	// attempt to write the chunk began. At the start it may be beyond committed: a crash
	// left a piece of the chunk that is now redone.
	expected int64
	// claimed is set until the first chunk is published: see claim.
	claimed bool
}

// state is what the checkpoint holds.
type state struct {
	Path string `json:"path"`
	// Length of the file up to the end of the chunk, in bytes.
	Length int64 `json:"length"`
}

// encoder begins the file or goes on with it: a header is written once.
func (a *appender) encoder(w io.Writer) encode.Encoder {
	if a.committed > 0 {
		return a.writer.Continue(w)
	}
	return a.writer.Open(w)
}

func (a *appender) Guarantee() string {
	return "exactly once: the checkpoint holds the committed length of the file, what a crash left behind it is cut off"
}

func (a *appender) Start(_ context.Context, raw json.RawMessage) error {
	if err := a.chunk.Start(); err != nil {
		return a.fail(err)
	}
	var s state
	if raw != nil {
		if err := json.Unmarshal(raw, &s); err != nil {
			return flow.Permanent(a.errorf("state in the checkpoint: %w", err))
		}
	}
	size, err := a.prepare()
	if err != nil {
		return err
	}
	// Another path in the pipeline file is another file, which starts like the first one did.
	if s.Path == a.config.Path {
		a.committed = s.Length
		a.release()
	} else if a.committed, err = a.claim(size); err != nil {
		return err
	}
	if size < a.committed {
		return a.shorter(size)
	}
	a.expected = size
	return nil
}

// prepare makes sure that the file is there and can be written, and returns its size.
func (a *appender) prepare() (int64, error) {
	path := a.config.Path
	if err := makeDir(filepath.Dir(path), 0o777); err != nil {
		return 0, a.fail(err)
	}
	// Opening a pipe would wait for its reader.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return 0, flow.Permanent(a.errorf("is not a regular file; name one, or use a stdout sink with format: ndjson"))
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return 0, a.fail(err)
	}
	defer f.Close()
	if err := syncDir(filepath.Dir(path)); err != nil {
		return 0, a.fail(err)
	}
	info, err := f.Stat()
	if err != nil {
		return 0, a.fail(err)
	}
	return info.Size(), nil
}

// Plan completes the stretch of the file that the chunk becomes.
func (a *appender) Plan(_ context.Context, cut flow.Cut) (flow.Plan, error) {
	plan := flow.Plan{Cut: cut}
	whole, object, err := a.chunk.Whole()
	if err != nil {
		return plan, a.fail(err)
	}
	if a.frozen = whole; whole != nil {
		object.Key = filepath.ToSlash(a.config.Path)
		plan.Objects = []flow.Object{object}
	}
	plan.State, err = json.Marshal(state{Path: a.config.Path, Length: a.end()})
	return plan, err
}

// end is the length of the file with the planned chunk.
func (a *appender) end() int64 {
	if a.frozen == nil {
		return a.committed
	}
	return a.committed + a.frozen.Size
}

func (a *appender) Put(ctx context.Context, plan flow.Plan) error {
	if len(plan.Objects) == 0 {
		return nil
	}
	var planned state
	if err := json.Unmarshal(plan.State, &planned); err != nil {
		return flow.Permanent(a.errorf("state in the plan: %w", err))
	}
	if length := a.end(); length != planned.Length {
		return flow.Permanent(a.errorf("the chunk was planned to end at byte %d and now ends at %d; run once with the program that planned it", planned.Length, length))
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := os.OpenFile(a.config.Path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return a.shorter(0)
	}
	if err != nil {
		return a.fail(err)
	}
	defer f.Close()
	if err := a.trim(f); err != nil {
		return err
	}
	a.expected = -1
	if err := a.frozen.CopyTo(io.NewOffsetWriter(f, a.committed)); err != nil {
		return a.fail(err)
	}
	if err := f.Sync(); err != nil {
		return a.fail(err)
	}
	return nil
}

// trim cuts f off at the committed length, if what lies behind it can only be a piece of this
// chunk.
func (a *appender) trim(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return a.fail(err)
	}
	size := info.Size()
	switch {
	case size < a.committed:
		return a.shorter(size)
	case size == a.committed:
		return nil
	case a.expected >= 0 && size != a.expected || size > a.end():
		return flow.Permanent(a.errorf("somebody else wrote to it: it has %d bytes of which %d are committed; cut it to %d bytes (truncate -s %d) or give the sink a file of its own", size, a.committed, a.committed, a.committed))
	}
	if a.expected >= 0 {
		a.env.Log.Info("cutting off what an earlier run wrote and did not commit", "sink", a.env.Identity.Name, "path", a.config.Path, "from", a.committed, "size", size)
	}
	if err := f.Truncate(a.committed); err != nil {
		return a.fail(err)
	}
	return nil
}

func (a *appender) Published(flow.Plan) {
	a.committed = a.end()
	a.expected = a.committed
	a.frozen = nil
	a.drop()
	if a.claimed {
		a.release()
	}
}

func (a *appender) shorter(size int64) error {
	return flow.Permanent(a.errorf("was truncated or deleted by somebody else: it has %d bytes, %d were committed; restore it, or name another path, which gets the rows from here on", size, a.committed))
}

// errorf says something about the file.
func (a *appender) errorf(format string, args ...any) error {
	return a.output.errorf(a.config.Path, format, args...)
}
