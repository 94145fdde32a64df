package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// writeFile replaces a file as a whole.
func writeFile(name string, text []byte) error {
	if err := makeDir(filepath.Dir(name)); err != nil {
		return err
	}
	tmp := fmt.Sprintf("%s.%d", name, time.Now().UnixNano())
	if err := os.WriteFile(tmp, text, 0o644); err != nil {
		return err
	}
	return moveFile(tmp, name)
}

// moveFile renames, and returns once that is on disk.
func moveFile(from, to string) error {
	if err := makeDir(filepath.Dir(to)); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

// makeDir creates a directory with its parents, and returns once they are on disk.
func makeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if err := makeDir(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
