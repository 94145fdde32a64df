package table_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/table"
	"github.com/millrace-io/millrace/engine/vfs"
)

// filling is a source of which the first copies do not fit the disk.
type filling struct{ refused int }

func (f *filling) String() string { return "filling" }
func (f *filling) Fetch(_ context.Context, _ string, w io.Writer) (string, error) {
	if f.refused > 0 {
		f.refused--
		_, err := io.WriteString(w, "{\"id\":1,")
		return "", errors.Join(err, &fs.PathError{Op: "write", Path: "fetch.tmp", Err: syscall.ENOSPC})
	}
	_, err := io.WriteString(w, "{\"id\":1,\"name\":\"Ada\"}\n")
	return "one", err
}

func TestATableThatHasNoRoomOnTheDiskSaysSoAndIsReadOnceThereIs(t *testing.T) {
	b := newBench(t)
	x := table.New(table.Spec{Name: "people", Source: &filling{refused: 2}, Format: table.NDJSON, Schema: people, Memory: 1 << 20},
		table.Options{Dir: b.dir, Key: "tables/p/people", Meta: b.meta, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	for range 2 {
		if _, _, err := x.Latest(t.Context()); !vfs.IsFull(err) {
			t.Fatalf("the first look on a full disk: %v", err)
		}
		if left, err := filepath.Glob(filepath.Join(b.dir, "*")); err != nil || len(left) > 0 {
			t.Errorf("what did not fit still takes room: %v %v", left, err)
		}
	}
	if v, got := b.latest(x); v.Number != 1 || got != "Ada" {
		t.Errorf("with room: version %d with %s", v.Number, got)
	}
	if _, err := os.Stat(filepath.Join(b.dir, "fetch.tmp")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
