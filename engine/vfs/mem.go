package vfs

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Mem is a file system in memory that knows what a power cut would leave of it. It is safe for
// concurrent use. The zero value is not usable; call NewMem.
type Mem struct {
	mu    sync.Mutex
	root  *memDir
	locks map[string]string
	fault func(Op) error
	// capacity bounds used, the bytes of all files; 0 means no limit.
	capacity, used int64
}

var _ FS = (*Mem)(nil)

// Op is an operation that is about to happen.
type Op struct {
	// Kind is create, open, write, read, sync, truncate, rename, remove, mkdir, list or syncdir.
	Kind string
	// Path is the file or directory; of a rename, the new name.
	Path string
}

// memDir is a directory; entries are *memDir or *memNode.
type memDir struct{ live, synced map[string]any }

// memNode is a file's content. Sync copies the bytes from lo up to hi.
type memNode struct {
	live, synced []byte
	lo, hi       int64
}

// NewMem returns an empty file system.
func NewMem() *Mem { return &Mem{root: newDir(), locks: map[string]string{}} }

func newDir() *memDir { return &memDir{live: map[string]any{}, synced: map[string]any{}} }

// SetFault calls f before every operation from now on; its error makes the operation fail
// without effect. A sync that fails so loses the bytes it should have made durable: another one
// will not bring them back. f may call Crash.
func (m *Mem) SetFault(f func(Op) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = f
}

// SetCapacity makes writes stop short with ENOSPC once the files hold so many bytes; 0 means
// that they may grow for ever.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// Flip changes one bit of a file, as a failing disk would.
func (m *Mem) Flip(name string, offset int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.file("flip", name)
	if err != nil {
		return err
	}
	for _, b := range [][]byte{n.live, n.synced} {
		if offset < int64(len(b)) {
			b[offset] ^= 1
		}
	}
	return nil
}

func (m *Mem) check(kind, name string) error {
	m.mu.Lock()
	f := m.fault
	m.mu.Unlock()
	if f == nil {
		return nil
	}
	if err := f(Op{Kind: kind, Path: path.Clean(name)}); err != nil {
		return &fs.PathError{Op: kind, Path: name, Err: err}
	}
	return nil
}

func split(name string) []string {
	name = strings.Trim(path.Clean("/"+name), "/")
	if name == "" {
		return nil
	}
	return strings.Split(name, "/")
}

// find returns the directory or file of a name.
func (m *Mem) find(op, name string) (any, error) {
	var at any = m.root
	for _, part := range split(name) {
		d, ok := at.(*memDir)
		if ok {
			at, ok = d.live[part]
		}
		if !ok {
			return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
	}
	return at, nil
}

func (m *Mem) dir(op, name string) (*memDir, error) {
	at, err := m.find(op, name)
	if err != nil {
		return nil, err
	}
	d, ok := at.(*memDir)
	if !ok {
		return nil, &fs.PathError{Op: op, Path: name, Err: syscall.ENOTDIR}
	}
	return d, nil
}

func (m *Mem) file(op, name string) (*memNode, error) {
	at, err := m.find(op, name)
	if err != nil {
		return nil, err
	}
	n, ok := at.(*memNode)
	if !ok {
		return nil, &fs.PathError{Op: op, Path: name, Err: syscall.EISDIR}
	}
	return n, nil
}

// Create implements FS.
func (m *Mem) Create(name string) (File, error) {
	if err := m.check("create", name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.dir("create", path.Dir(name))
	if err != nil {
		return nil, err
	}
	n, ok := d.live[path.Base(name)].(*memNode)
	if !ok {
		n = &memNode{}
		d.live[path.Base(name)] = n
	}
	m.used -= int64(len(n.live))
	n.live, n.lo, n.hi = nil, 0, 0
	return &memFile{fs: m, node: n, name: name, write: true}, nil
}

// Open implements FS.
func (m *Mem) Open(name string) (File, error) { return m.open(name, false) }

// OpenReadWrite implements FS.
func (m *Mem) OpenReadWrite(name string) (File, error) { return m.open(name, true) }

func (m *Mem) open(name string, write bool) (File, error) {
	if err := m.check("open", name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.file("open", name)
	if err != nil {
		return nil, err
	}
	return &memFile{fs: m, node: n, name: name, write: write}, nil
}

// Rename implements FS.
func (m *Mem) Rename(oldName, newName string) error {
	if err := m.check("rename", newName); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	at, err := m.find("rename", oldName)
	if err != nil {
		return err
	}
	from, err := m.dir("rename", path.Dir(oldName))
	if err != nil {
		return err
	}
	to, err := m.dir("rename", path.Dir(newName))
	if err != nil {
		return err
	}
	if over, ok := to.live[path.Base(newName)].(*memNode); ok && over != at {
		m.used -= int64(len(over.live))
	}
	delete(from.live, path.Base(oldName))
	to.live[path.Base(newName)] = at
	return nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	if err := m.check("remove", name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	at, err := m.find("remove", name)
	if err != nil {
		return err
	}
	switch at := at.(type) {
	case *memDir:
		if len(at.live) > 0 {
			return &fs.PathError{Op: "remove", Path: name, Err: syscall.ENOTEMPTY}
		}
	case *memNode:
		m.used -= int64(len(at.live))
	}
	d, err := m.dir("remove", path.Dir(name))
	if err != nil {
		return err
	}
	delete(d.live, path.Base(name))
	return nil
}

// List implements FS.
func (m *Mem) List(dir string) ([]string, error) {
	if err := m.check("list", dir); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.dir("list", dir)
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(d.live)), nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(dir string) error {
	if err := m.check("mkdir", dir); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.root
	for _, part := range split(dir) {
		switch next := d.live[part].(type) {
		case nil:
			made := newDir()
			d.live[part], d = made, made
		case *memDir:
			d = next
		default:
			return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
	}
	return nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(dir string) error {
	if err := m.check("syncdir", dir); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.dir("syncdir", dir)
	if err != nil {
		return err
	}
	d.synced = maps.Clone(d.live)
	return nil
}

// Size implements FS.
func (m *Mem) Size(name string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.file("size", name)
	if err != nil {
		return 0, err
	}
	return int64(len(n.live)), nil
}

// Lock implements FS.
func (m *Mem) Lock(name, owner string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if held, ok := m.locks[name]; ok {
		return nil, &LockedError{Path: name, Owner: held}
	}
	m.locks[name] = owner
	return memLock{fs: m, name: name}, nil
}

type memLock struct {
	fs   *Mem
	name string
}

func (l memLock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	delete(l.fs.locks, l.name)
	return nil
}

// FreeSpace implements FS.
func (m *Mem) FreeSpace(string) (free, total int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.capacity == 0 {
		return 1 << 40, 1 << 40, nil
	}
	return max(m.capacity-m.used, 0), m.capacity, nil
}

// String describes the files and their sizes, for messages of tests.
func (m *Mem) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	m.root.describe(&b, "")
	return b.String()
}

func (d *memDir) describe(b *strings.Builder, at string) {
	for _, name := range slices.Sorted(maps.Keys(d.live)) {
		switch e := d.live[name].(type) {
		case *memDir:
			e.describe(b, at+name+"/")
		case *memNode:
			fmt.Fprintf(b, "%s%s %d\n", at, name, len(e.live))
		}
	}
}
