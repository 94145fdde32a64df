package e2e

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/e2e/rig"
)

// lease is how long the leases of programs under test last, and pause how long they hang: past it.
const (
	lease = time.Second
	pause = 3 * lease
)

// arrow is a step of the protocol: plan, put, publish (docs/architecture.md).
type arrow struct {
	name string
	is   func(p *proof, op rig.Op) bool
	// nth is the time it is struck at.
	nth int
}

// document is a rename of the document of a task of lake.
func document(op rig.Op) bool {
	return op.What == "rename" && strings.Contains(op.Name, "tasks+proving+lake+")
}

// pending reports whether the document in a file holds a plan.
func pending(file string) bool {
	text, err := os.ReadFile(file)
	return err == nil && bytes.Contains(text, []byte(`"pending":`))
}

func putBelow(part string) func(p *proof, op rig.Op) bool {
	return func(p *proof, op rig.Op) bool {
		return op.What == "PUT" && strings.HasPrefix(op.Name, p.prefix+"/"+part+"/") && !strings.Contains(op.Name, ".millrace-probe")
	}
}

// arrows are all that a task does between its cursor and the next. Documents are told apart by what
// they replace: a plan replaces none, and a publication replaces it with none.
var arrows = []arrow{
	{"read", func(_ *proof, op rig.Op) bool {
		return op.What == "read" && strings.Contains(op.Name, "/streams/clicks/")
	}, 3},
	{"plan", func(_ *proof, op rig.Op) bool { return document(op) && pending(op.Name+".tmp") && !pending(op.Name) }, 2},
	{"put", putBelow("lake"), 5},
	{"put of lines", putBelow("lines"), 2},
	{"put of an error object", putBelow("errors"), 1},
	{"dead letters", func(_ *proof, op rig.Op) bool {
		return op.What == "write" && strings.Contains(op.Name, "/streams/proving.dead-letters/")
	}, 1},
	{"publish", func(_ *proof, op rig.Op) bool { return document(op) && !pending(op.Name+".tmp") && pending(op.Name) }, 2},
}

// director strikes once at an arrow. Judges of documents and of requests are asked from many
// goroutines.
type director struct {
	p      *proof
	arrow  arrow
	after  bool
	strike func() error

	mu   sync.Mutex
	seen int
	hit  bool
	// expected are operations that came to pass before and that are the arrow once they are done.
	expected map[string]bool
}

func (d *director) judge(op rig.Op) error {
	d.mu.Lock()
	// Whether it is the arrow shows only before it is done.
	was := d.expected[op.What+op.Name]
	if !op.After {
		was = d.arrow.is(d.p, op)
		d.expected[op.What+op.Name] = was
	}
	if !was || op.After != d.after {
		d.mu.Unlock()
		return nil
	}
	d.seen++
	now := d.seen == d.arrow.nth
	d.hit = d.hit || now
	d.mu.Unlock()
	if now {
		return d.strike()
	}
	return nil
}

func (d *director) struck() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hit
}

// errStruck is what an operation fails with.
var errStruck = errors.New("struck by the test")

// ways are what may happen at an arrow. They return what the operation fails with.
var ways = []struct {
	name string
	do   func(t *testing.T, process *rig.Process) error
}{
	{"exit", func(_ *testing.T, process *rig.Process) error { process.Kill(); return errStruck }},
	// The machine stands still until the leases are over; other processes' clocks go on.
	{"hang", func(t *testing.T, process *rig.Process) error {
		process.Stop()
		<-within(t, pause).Done()
		process.Continue()
		return nil
	}},
	{"error", func(*testing.T, *rig.Process) error { return errStruck }},
}

// Each arrow of the protocol is struck in each way, before and after it has its effect. Afterwards
// the program is started again if it ended, until the input is delivered.
func TestFailureAtEveryArrowLosesAndDuplicatesNothing(t *testing.T) {
	needStore(t)
	faulty := faultyBinary(t)
	var mu sync.Mutex // guards sum and points
	var sum tally
	points := 0
	t.Run("arrows", func(t *testing.T) {
		for _, a := range arrows {
			for _, after := range []bool{false, true} {
				if a.name == "read" && after {
					continue // nothing is changed by it
				}
				for _, way := range ways {
					when := map[bool]string{false: "before", true: "after"}[after]
					t.Run(strings.Join([]string{way.name, when, a.name}, " "), func(t *testing.T) {
						t.Parallel()
						c := strikeAt(t, faulty, a, after, way.do)
						mu.Lock()
						defer mu.Unlock()
						sum = sum.plus(c)
						points++
					})
				}
			}
		}
	})
	fmt.Printf("%d failpoints: %v\n", points, sum)
}

func strikeAt(t *testing.T, faulty string, a arrow, after bool, do func(*testing.T, *rig.Process) error) tally {
	t.Helper()
	d := &director{arrow: a, after: after, expected: map[string]bool{}}
	var process *rig.Process
	started := make(chan struct{})
	d.strike = func() error {
		<-started
		return do(t, process)
	}
	proxy, err := rig.StartProxy(store.Endpoint, d.judge)
	must(t, err)
	defer proxy.Close()
	faults, err := rig.ListenForFaults(d.judge)
	must(t, err)
	defer faults.Close()
	p := prove(t, 4_000, form{store: proxy.Endpoint, size: "64KiB"})
	d.p, p.binary = p, faulty
	p.env = append(p.env, faults.Env(), "MILLRACE_LEASE="+lease.String())

	process = p.start()
	close(started)
	exit, err := process.Wait(within(t, patience))
	must(t, err)
	if !d.struck() {
		t.Fatalf("the arrow was never reached\n%s", exit.Stderr)
	}
	if exit.Code == 0 {
		summary, err := exit.Summary()
		must(t, err)
		balanced(t, summary)
		if summary.Result != "delivered" {
			t.Errorf("result %q", summary.Result)
		}
		return p.verify(summary)
	}
	if !exit.Killed && !strings.Contains(exit.Stderr, errStruck.Error()) {
		t.Errorf("exit code %d without naming the cause\n%s", exit.Code, exit.Stderr)
	}
	summary, _ := p.run()
	return p.verify(summary)
}

// faultyBinary is the program that asks about what it does.
func faultyBinary(t *testing.T) string {
	t.Helper()
	faultyOnce.Do(func() { faultyPath, faultyErr = rig.Build(t.Context(), inputs, "faults") })
	must(t, faultyErr)
	return faultyPath
}

var (
	faultyOnce sync.Once
	faultyPath string
	faultyErr  error
)

// severalAtOnce lets tests that mostly wait overlap, whatever the number of processors.
func severalAtOnce() error { return flag.Set("test.parallel", "8") }
