package vfs

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// both runs a test on either file system.
func both(t *testing.T, run func(t *testing.T, fs FS, dir string)) {
	t.Run("os", func(t *testing.T) { run(t, OS{}, t.TempDir()) })
	t.Run("mem", func(t *testing.T) {
		m := NewMem()
		if err := m.MkdirAll("tmp"); err != nil {
			t.Fatal(err)
		}
		run(t, m, "tmp")
	})
}

func put(t *testing.T, fsys FS, name, text string) File {
	t.Helper()
	f, err := fsys.Create(name)
	if err == nil {
		_, err = f.WriteAt([]byte(text), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func get(t *testing.T, fsys FS, name string) string {
	t.Helper()
	f, err := fsys.Open(name)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	size, err := f.Size()
	b := make([]byte, size)
	if err == nil && size > 0 {
		_, err = f.ReadAt(b, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFilesHoldWhatWasWritten(t *testing.T) {
	both(t, func(t *testing.T, fsys FS, dir string) {
		a, b, sub := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "x/y")
		f := put(t, fsys, a, "hello")
		if _, err := f.WriteAt([]byte("p!"), 3); err != nil {
			t.Fatal(err)
		}
		_, err := f.WriteAt([]byte("far"), 8)
		if err = errors.Join(err, f.Preallocate(0, 1<<20), f.Truncate(10), f.Sync(), f.Close()); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(fsys.Rename(a, b), fsys.MkdirAll(sub), fsys.SyncDir(dir)); err != nil {
			t.Fatal(err)
		}
		if got := get(t, fsys, b); got != "help!\x00\x00\x00fa" {
			t.Errorf("read %q", got)
		}
		if size, err := fsys.Size(b); err != nil || size != 10 {
			t.Errorf("size %d, %v", size, err)
		}
		if names, err := fsys.List(dir); err != nil || !slices.Equal(names, []string{"b", "x"}) {
			t.Errorf("list %v, %v", names, err)
		}
		for what, err := range map[string]error{
			"rename": fsys.Rename(a, b), "remove": fsys.Remove(a), "size": second(fsys.Size(a)),
			"open": second(fsys.Open(a)), "open to write": second(fsys.OpenReadWrite(a)), "list": second(fsys.List(a)),
		} {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s what is not there: %v", what, err)
			}
		}
		if err := fsys.Remove(filepath.Join(dir, "x")); err == nil {
			t.Error("removed a directory that is not empty")
		}
		if err := errors.Join(fsys.Remove(sub), fsys.Remove(b)); err != nil {
			t.Error(err)
		}
		if free, total, err := fsys.FreeSpace(dir); err != nil || free <= 0 || free > total {
			t.Errorf("free %d of %d, %v", free, total, err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestLockNamesItsOwner(t *testing.T) {
	both(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "LOCK")
		lock, err := fsys.Lock(name, "first")
		if err != nil {
			t.Fatal(err)
		}
		_, err = fsys.Lock(name, "second")
		var locked *LockedError
		if !errors.As(err, &locked) || locked.Owner != "first" {
			t.Errorf("second lock: %v", err)
		}
		if err := lock.Close(); err != nil {
			t.Fatal(err)
		}
		lock, err = fsys.Lock(name, "third")
		if err != nil {
			t.Fatal(err)
		}
		if err := lock.Close(); err != nil {
			t.Error(err)
		}
	})
}

// crashes returns what a file holds after many power cuts, each outcome once.
func crashes(t *testing.T, m *Mem, name string) []string {
	t.Helper()
	var seen []string
	for seed := range uint64(300) {
		got := get(t, m.Crash(rand.New(rand.NewPCG(seed, 0))), name)
		if strings.Contains(got, fs.ErrNotExist.Error()) {
			got = "gone"
		}
		if !slices.Contains(seen, got) {
			seen = append(seen, got)
		}
	}
	slices.Sort(seen)
	return seen
}

func TestCrashKeepsWhatWasSynced(t *testing.T) {
	m := NewMem()
	f := put(t, m, "a", "one")
	if got := crashes(t, m, "a"); !slices.Contains(got, "gone") || !slices.Contains(got, "one") {
		t.Errorf("nothing synced: %q", got)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if got := crashes(t, m, "a"); !slices.Equal(got, []string{"gone", "one"}) {
		t.Errorf("file synced: %q", got)
	}
	if err := m.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	if got := crashes(t, m, "a"); !slices.Equal(got, []string{"one"}) {
		t.Errorf("both synced: %q", got)
	}
	if _, err := f.WriteAt([]byte("two"), 0); err != nil {
		t.Fatal(err)
	}
	if got := crashes(t, m, "a"); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("overwritten: %q", got)
	}
}

func TestRenameIsDurableOnlyWithItsDirectory(t *testing.T) {
	m := NewMem()
	old, fresh := put(t, m, "a", "old"), put(t, m, "a.tmp", "new")
	if err := errors.Join(old.Sync(), fresh.Sync(), m.SyncDir("/"), m.Rename("a.tmp", "a")); err != nil {
		t.Fatal(err)
	}
	if got := crashes(t, m, "a"); !slices.Equal(got, []string{"new", "old"}) {
		t.Errorf("renamed: %q", got)
	}
	if err := m.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	if got := crashes(t, m, "a"); !slices.Equal(got, []string{"new"}) {
		t.Errorf("renamed and synced: %q", got)
	}
}

func TestSyncAfterAFailedOneIsALie(t *testing.T) {
	m := NewMem()
	f := put(t, m, "a", "one")
	if err := errors.Join(f.Sync(), m.SyncDir("/")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("two"), 0); err != nil {
		t.Fatal(err)
	}
	m.SetFault(func(o Op) error {
		if o.Kind == "sync" {
			return syscall.EIO
		}
		return nil
	})
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	m.SetFault(nil)
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if got := get(t, m, "a"); got != "two" {
		t.Errorf("the file holds %q", got)
	}
	if got := crashes(t, m, "a"); !slices.Contains(got, "one") {
		t.Errorf("after a crash: %q", got)
	}
}

func TestWritesStopAtTheCapacity(t *testing.T) {
	m := NewMem()
	f := put(t, m, "a", "12345")
	m.SetCapacity(8)
	n, err := f.WriteAt([]byte("67890"), 5)
	if n != 3 || !IsFull(err) {
		t.Errorf("wrote %d bytes, %v", n, err)
	}
	if free, _, _ := m.FreeSpace("/"); free != 0 {
		t.Errorf("%d bytes free", free)
	}
	if err := m.Remove("a"); err != nil {
		t.Fatal(err)
	}
	if free, _, _ := m.FreeSpace("/"); free != 8 {
		t.Errorf("%d bytes free after the file was removed", free)
	}
}
