// Package vfs holds the few file operations that the log needs, on the operating system and in
// memory. The one in memory loses unsynced data on a crash and fails on request, so that a test
// can put a store through thousands of power cuts in seconds.
//
// The invariant to remember: a file's bytes are durable after File.Sync, its name after
// FS.SyncDir of its directory; nothing else is.
package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"syscall"
)

// FS is a file system. Errors wrap fs.ErrNotExist and syscall.ENOSPC where they apply.
type FS interface {
	// Create opens a new, empty file for reading and writing; one that exists is emptied.
	Create(name string) (File, error)
	// Open opens a file for reading.
	Open(name string) (File, error)
	// OpenReadWrite opens an existing file.
	OpenReadWrite(name string) (File, error)
	// Rename replaces a file that has the new name already.
	Rename(oldName, newName string) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// List returns the names in a directory, sorted.
	List(dir string) ([]string, error)
	// MkdirAll creates a directory and its parents. It does not sync them.
	MkdirAll(dir string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
	// Size is the size of a file in bytes.
	Size(name string) (int64, error)
	// Lock takes the exclusive lock of a file, which it creates, and writes owner into it. The
	// lock ends with the process or Close. Error: *LockedError.
	Lock(name, owner string) (io.Closer, error)
	// FreeSpace returns how many bytes this process may still write below dir, and the size of
	// the file system.
	FreeSpace(dir string) (free, total int64, err error)
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes the bytes and the size durable. After an error the file's state is unknown,
	// and trying again may report a success that is none: the file must be given up.
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
	// Preallocate reserves space without changing the size. It is a hint: a file system that
	// cannot do it returns nil.
	Preallocate(offset, length int64) error
}

// VectorWriter is a File that writes several pieces with one call.
type VectorWriter interface {
	// WriteVectorAt writes the pieces, none of them empty, one behind the other; n counts their
	// bytes. It returns an error if n is less than all. It may change the list, not the bytes.
	WriteVectorAt(pieces [][]byte, offset int64) (n int, err error)
}

// WriteAllAt writes the pieces one behind the other, with one call if the file can. It may
// change the list. After an error some of them may be written.
func WriteAllAt(f File, pieces [][]byte, offset int64) error {
	if v, ok := f.(VectorWriter); ok && len(pieces) > 1 {
		_, err := v.WriteVectorAt(pieces, offset)
		return err
	}
	for _, p := range pieces {
		n, err := f.WriteAt(p, offset)
		if err != nil {
			return err
		}
		offset += int64(n)
	}
	return nil
}

// Mkdir creates a directory that survives a crash, with its parents.
func Mkdir(fsys FS, dir string) error {
	var missing []string
	for d := dir; ; d = path.Dir(d) {
		_, err := fsys.List(d)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || d == path.Dir(d) {
			return err
		}
		missing = append(missing, d)
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	for _, d := range missing {
		if err := fsys.SyncDir(path.Dir(d)); err != nil {
			return err
		}
	}
	return nil
}

// LockedError reports that another process holds a lock.
type LockedError struct {
	Path string
	// Owner is what the holder wrote when it took the lock.
	Owner string
}

func (e *LockedError) Error() string { return fmt.Sprintf("%s is locked by %s", e.Path, e.Owner) }

// NearlyFullError reports that what a disk has left is kept for what has to be written.
type NearlyFullError struct{ Dir string }

func (e *NearlyFullError) Error() string { return fmt.Sprintf("the disk of %s is nearly full", e.Dir) }

// IsFull reports whether err says that there is no space left, on the disk or of a quota: other
// errors do not go away by waiting.
func IsFull(err error) bool {
	var nearly *NearlyFullError
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.As(err, &nearly)
}
