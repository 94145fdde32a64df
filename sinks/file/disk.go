package file

import (
	"os"
	"path/filepath"
)

// makeDir creates a directory and those above it that are missing, so that they stay after a power
// failure: what is fsynced in a directory whose own name is not on disk is lost with it.
func makeDir(dir string, mode os.FileMode) error {
	var parents []string
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		parent := filepath.Dir(at)
		if _, err := os.Stat(at); err == nil || parent == at {
			break
		}
		parents = append(parents, parent)
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return err
	}
	for _, parent := range parents {
		if err := syncDir(parent); err != nil {
			return err
		}
	}
	return nil
}

// writeDurably creates or replaces a file and its directory.
func writeDurably(path string, text []byte) error {
	dir := filepath.Dir(path)
	if err := makeDir(dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closed := d.Close(); err == nil {
		err = closed
	}
	return err
}
