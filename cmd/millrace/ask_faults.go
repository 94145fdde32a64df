//go:build faults

package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/millrace-io/millrace/engine/vfs"
	"github.com/millrace-io/millrace/pipelines"
)

// ask makes a run ask whoever listens on the socket MILLRACE_FAULTS before and after each file
// operation that the protocol of delivery consists of. Whoever is asked may answer late, may end or
// stop this process meanwhile, or may want the operation to fail. MILLRACE_LEASE shortens leases.
func ask(o *pipelines.Options) error {
	if text := os.Getenv("MILLRACE_LEASE"); text != "" {
		lease, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("MILLRACE_LEASE: %w", err)
		}
		o.Lease = lease
	}
	if socket := os.Getenv("MILLRACE_FAULTS"); socket != "" {
		o.FS = askingFS{vfs.OS{}, asker(socket)}
	}
	return nil
}

// asker is the path of the socket.
type asker string

// ask returns what the operation should fail with. Nobody listening is a no.
func (a asker) ask(when, what, name string) error {
	c, err := net.Dial("unix", string(a))
	if err != nil {
		return nil
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "%s %s %s\n", when, what, name); err != nil {
		return nil
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if answer = strings.TrimSpace(answer); err != nil || answer == "" {
		return nil
	}
	return fmt.Errorf("%s %s: %s: %w", what, name, answer, syscall.EIO)
}

func (a asker) around(what, name string, do func() error) error {
	if err := a.ask("before", what, name); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return a.ask("after", what, name)
}

// askingFS asks about changes of documents and about what is read from and written to shards.
type askingFS struct {
	vfs.FS
	asker asker
}

func (f askingFS) Rename(oldName, newName string) error {
	return f.asker.around("rename", newName, func() error { return f.FS.Rename(oldName, newName) })
}

func (f askingFS) Create(name string) (vfs.File, error) { return f.wrap(name, f.FS.Create) }

func (f askingFS) Open(name string) (vfs.File, error) { return f.wrap(name, f.FS.Open) }

func (f askingFS) OpenReadWrite(name string) (vfs.File, error) {
	return f.wrap(name, f.FS.OpenReadWrite)
}

func (f askingFS) wrap(name string, open func(string) (vfs.File, error)) (vfs.File, error) {
	file, err := open(name)
	if err != nil || !strings.Contains(name, "/streams/") {
		return file, err
	}
	return askingFile{file, name, f.asker}, nil
}

type askingFile struct {
	vfs.File
	name  string
	asker asker
}

func (f askingFile) ReadAt(p []byte, offset int64) (n int, err error) {
	if err := f.asker.ask("before", "read", f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, offset)
}

func (f askingFile) WriteAt(p []byte, offset int64) (n int, err error) {
	err = f.asker.around("write", f.name, func() error {
		n, err = f.File.WriteAt(p, offset)
		return err
	})
	return n, err
}

func (f askingFile) WriteVectorAt(pieces [][]byte, offset int64) (n int, err error) {
	for _, p := range pieces {
		n += len(p)
	}
	err = f.asker.around("write", f.name, func() error { return vfs.WriteAllAt(f.File, pieces, offset) })
	if err != nil {
		n = 0
	}
	return n, err
}
