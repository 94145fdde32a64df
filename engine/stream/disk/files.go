package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/millrace-io/millrace/engine/vfs"
)

const tmpSuffix = ".tmp"

// fileName turns a stream's name or a document's key into the name of a file: '/' becomes '+',
// which neither may hold, and a leading dot cannot mean a directory.
func fileName(key string) string {
	if strings.HasPrefix(key, ".") {
		key = "=" + key
	}
	return strings.ReplaceAll(key, "/", "+")
}

func keyOf(name string) string {
	return strings.ReplaceAll(strings.TrimPrefix(name, "="), "+", "/")
}

// writeFile replaces a file so that after a crash it is the old or the new one, whole.
func writeFile(fsys vfs.FS, name string, content []byte) error {
	f, err := fsys.Create(name + tmpSuffix)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		if vfs.IsFull(err) {
			// It would take the room that others need; the next attempt begins anew anyway.
			_ = fsys.Remove(name + tmpSuffix)
		}
		return err
	}
	if err := fsys.Rename(name+tmpSuffix, name); err != nil {
		return err
	}
	return fsys.SyncDir(path.Dir(name))
}

// readFile reads a whole file of at most limit bytes.
func readFile(fsys vfs.FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, fmt.Errorf("%s has %d bytes, more than %d", name, size, limit)
	}
	b := make([]byte, size)
	if err := readFull(f, b, 0); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

// removeAll removes what is in a directory, and itself if asked to.
func removeAll(fsys vfs.FS, dir string, itself bool) error {
	names, err := fsys.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, n := range names {
		name := path.Join(dir, n)
		if _, err := fsys.List(name); err == nil {
			err = removeAll(fsys, name, true)
			if err != nil {
				return err
			}
			continue
		}
		if err := fsys.Remove(name); err != nil {
			return err
		}
	}
	if !itself {
		return nil
	}
	return fsys.Remove(dir)
}
