package vfs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/millrace-io/millrace/engine/vfs"
)

func TestPrivateFilesAreTheirOwnersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := vfs.Mkdir(vfs.Private{}, dir); err != nil {
		t.Fatal(err)
	}
	f, err := vfs.Private{}.Create(filepath.Join(dir, "f"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{filepath.Join(dir, "f"): 0, dir: 0, filepath.Dir(dir): 0} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm()&0o077 != want {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
}

func TestOnlyAFullDiskOrQuotaIsFull(t *testing.T) {
	for _, err := range []error{syscall.ENOSPC, syscall.EDQUOT, &vfs.NearlyFullError{Dir: "data"}} {
		if !vfs.IsFull(fmt.Errorf("write: %w", err)) {
			t.Errorf("%v is not taken for full", err)
		}
	}
	for _, err := range []error{nil, syscall.EIO, syscall.EROFS, os.ErrNotExist} {
		if vfs.IsFull(err) {
			t.Errorf("%v is taken for full", err)
		}
	}
}
