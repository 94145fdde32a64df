package file

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks/objects"
)

// claim returns the length at which the sink took its file over, from before its first chunk is
// published. It is kept in the data directory, because a crash in the first chunk leaves a file
// with content and no state, just like a file that belongs to somebody else.
func (a *appender) claim(size int64) (int64, error) {
	a.claimed = true
	path := a.claimPath()
	text, err := os.ReadFile(path)
	if err == nil {
		var s state
		if err := json.Unmarshal(text, &s); err == nil && s.Path == a.config.Path {
			return s.Length, nil
		}
		// A claim on another path, or one that a crash left torn, before anything was written.
	} else if !errors.Is(err, fs.ErrNotExist) {
		return 0, a.fail(err)
	}
	if err := a.mayTakeOver(size); err != nil {
		return 0, err
	}
	if text, err = json.Marshal(state{Path: a.config.Path, Length: size}); err != nil {
		return 0, err
	}
	if err := writeDurably(path, text); err != nil {
		return 0, a.fail(err)
	}
	return size, nil
}

// release removes the claim once the checkpoint holds the length. A claim that stays does no harm:
// nothing looks at it while there is a state, and the next claim replaces it.
func (a *appender) release() {
	_ = os.Remove(a.claimPath())
	a.claimed = false
}

func (a *appender) claimPath() string {
	return filepath.Join(a.env.Data, "sinks", "file", objects.TaskName(a.env.Identity)+".json")
}

// mayTakeOver reports why a file of that size cannot become the sink's.
func (a *appender) mayTakeOver(size int64) error {
	if size == 0 {
		return nil
	}
	if !a.config.Append {
		return flow.Permanent(a.errorf("already has %d bytes that this pipeline did not write; delete it, name another path, or set append: true to write behind them", size))
	}
	terminator := a.writer.Options().Terminator()
	f, err := os.Open(a.config.Path)
	if err != nil {
		return a.fail(err)
	}
	defer f.Close()
	last := make([]byte, len(terminator))
	if _, err := f.ReadAt(last, max(size-int64(len(last)), 0)); err != nil && !errors.Is(err, io.EOF) {
		return a.fail(err)
	}
	switch {
	case string(last) == terminator:
	case terminator == "\n":
		return flow.Permanent(a.errorf("does not end with a line break; append one, or name another path"))
	default:
		return flow.Permanent(a.errorf("does not end with the delimiter %q; append it, or name another path", terminator))
	}
	return nil
}
