package vfs

import (
	"errors"
	"io"
	"io/fs"
	"syscall"
)

// memFile is an open file of a Mem.
type memFile struct {
	fs    *Mem
	node  *memNode
	name  string
	write bool
	done  bool
}

var errReadOnly = errors.New("file is open for reading only")

// ReadAt implements File.
func (f *memFile) ReadAt(b []byte, offset int64) (int, error) {
	if err := f.fs.check("read", f.name); err != nil {
		return 0, err
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.done {
		return 0, fs.ErrClosed
	}
	if offset >= int64(len(f.node.live)) {
		return 0, io.EOF
	}
	n := copy(b, f.node.live[offset:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements File. Beyond the capacity it writes a part.
func (f *memFile) WriteAt(b []byte, offset int64) (int, error) {
	if err := f.fs.check("write", f.name); err != nil {
		return 0, err
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.writable(); err != nil {
		return 0, err
	}
	n := int64(len(b))
	if grown := offset + n - int64(len(f.node.live)); grown > 0 && f.fs.capacity > 0 {
		n -= min(max(f.fs.used+grown-f.fs.capacity, 0), n)
	}
	if n > 0 {
		f.resize(max(offset+n, int64(len(f.node.live))))
		copy(f.node.live[offset:], b[:n])
		f.node.touch(offset, offset+n)
	}
	if n < int64(len(b)) {
		return int(n), &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
	}
	return int(n), nil
}

func (f *memFile) writable() error {
	if f.done {
		return fs.ErrClosed
	}
	if !f.write {
		return &fs.PathError{Op: "write", Path: f.name, Err: errReadOnly}
	}
	return nil
}

func (f *memFile) resize(size int64) {
	have := int64(len(f.node.live))
	f.fs.used += size - have
	if size <= have {
		f.node.live = f.node.live[:size]
		return
	}
	f.node.live = append(f.node.live, make([]byte, size-have)...)
	f.node.touch(have, size)
}

func (n *memNode) touch(lo, hi int64) {
	if n.lo == n.hi {
		n.lo, n.hi = lo, hi
		return
	}
	n.lo, n.hi = min(n.lo, lo), max(n.hi, hi)
}

// Truncate implements File.
func (f *memFile) Truncate(size int64) error {
	if err := f.fs.check("truncate", f.name); err != nil {
		return err
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.writable(); err != nil {
		return err
	}
	f.resize(size)
	return nil
}

// Sync implements File.
func (f *memFile) Sync() error {
	err := f.fs.check("sync", f.name)
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	n := f.node
	if err == nil {
		size := len(n.live)
		if len(n.synced) > size {
			n.synced = n.synced[:size]
		}
		n.synced = append(n.synced, make([]byte, size-len(n.synced))...)
		lo, hi := min(n.lo, int64(size)), min(n.hi, int64(size))
		copy(n.synced[lo:hi], n.live[lo:hi])
	}
	// After a failed sync the kernel takes the pages for clean: the next sync does not write
	// them, and says that all is well.
	n.lo, n.hi = 0, 0
	return err
}

// Size implements File.
func (f *memFile) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return int64(len(f.node.live)), nil
}

// Preallocate implements File.
func (f *memFile) Preallocate(int64, int64) error { return nil }

// Close implements File.
func (f *memFile) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.done {
		return fs.ErrClosed
	}
	f.done = true
	return nil
}
