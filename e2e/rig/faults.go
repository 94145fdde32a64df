package rig

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Op is something that the program under test is about to do, or has just done.
type Op struct {
	// After says that it was done and that the program does not know yet.
	After bool
	// What is rename, read or write of a file; or the method of a request for an object, where those
	// of multipart uploads are called begin, part, complete and abort.
	What string
	// Name is the file's path or the object's key.
	Name string
}

func (o Op) String() string {
	when := "before"
	if o.After {
		when = "after"
	}
	return fmt.Sprintf("%s %s %s", when, o.What, o.Name)
}

// Judge is asked about each operation, from many goroutines, and the program waits for the answer.
// What fails before is not done; what fails after was done, and the program is told otherwise.
type Judge func(Op) error

// Faults answers a program that was built with the tag faults (cmd/millrace/ask_faults.go).
type Faults struct {
	dir      string
	listener net.Listener
	judge    Judge
	asked    sync.WaitGroup
}

// ListenForFaults begins to answer. The caller closes it.
func ListenForFaults(judge Judge) (*Faults, error) {
	// The path of a socket may have about a hundred bytes, fewer than that of a test's directory.
	dir, err := os.MkdirTemp("", "faults-")
	if err != nil {
		return nil, err
	}
	f := &Faults{dir: dir, judge: judge}
	f.listener, err = net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	f.asked.Go(f.accept)
	return f, nil
}

// Env makes the program ask.
func (f *Faults) Env() string { return "MILLRACE_FAULTS=" + f.listener.Addr().String() }

// Close waits for the questions that are being answered.
func (f *Faults) Close() error {
	err := f.listener.Close()
	f.asked.Wait()
	return errors.Join(err, os.RemoveAll(f.dir))
}

func (f *Faults) accept() {
	for {
		c, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.asked.Go(func() {
			defer c.Close()
			f.answer(c)
		})
	}
}

func (f *Faults) answer(c net.Conn) {
	question, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return
	}
	when, rest, _ := strings.Cut(strings.TrimSpace(question), " ")
	what, name, _ := strings.Cut(rest, " ")
	answer := ""
	if err := f.judge(Op{After: when == "after", What: what, Name: name}); err != nil {
		answer = err.Error()
	}
	// The program may be gone by now, which is what the judge wanted.
	_, _ = fmt.Fprintln(c, answer)
}
