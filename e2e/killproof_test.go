package e2e

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/e2e/rig"
)

// witness sees what a program puts into the store.
type witness struct {
	mu sync.Mutex
	// puts counts the objects that this life of the program has put.
	puts int
	// first is closed by the first of them.
	first chan struct{}
}

func (w *witness) judge(op rig.Op) error {
	if op.What != "PUT" || !op.After || strings.Contains(op.Name, ".millrace-probe") {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.puts++; w.puts == 1 {
		close(w.first)
	}
	return nil
}

// begin starts to count anew and returns what the first object closes.
func (w *witness) begin() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.puts, w.first = 0, make(chan struct{})
	return w.first
}

// Only kills count that hit a process which had put an object in this life and was not through.
// Underneath, shards are split and merged now and then, while the process runs and while it does not.
func TestKillsWhileDeliveringLoseAndDuplicateNothing(t *testing.T) {
	needStore(t)
	want, n := 100, 100_000
	if long() {
		want, n = 1000, 400_000
	}
	random := seeded(t)
	kills, lives := 0, 0
	var sum tally
	for kills < want && !t.Failed() {
		lives++
		t.Run(fmt.Sprintf("life%d", lives), func(t *testing.T) {
			hits, c := killedInForm(t, random, n, want-kills, form{size: "1MiB"})
			kills += hits
			sum = sum.plus(c)
		})
	}
	fmt.Printf("%d kills of a delivering process in %d lives: %v\n", kills, lives, sum)
}

// seeded is the chance that -seed names.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test -run %s -args -seed %d", t.Name(), *seed)
	return rand.New(rand.NewPCG(*seed, 0))
}

// killedInForm delivers n events and kills the process so many times at most.
func killedInForm(t *testing.T, random *rand.Rand, n, most int, f form) (hits int, c tally) {
	t.Helper()
	w := &witness{first: make(chan struct{})}
	proxy, err := rig.StartProxy(store.Endpoint, w.judge)
	must(t, err)
	defer proxy.Close()
	f.store = proxy.Endpoint
	p := prove(t, n, f)
	for hits < most {
		if hits%8 == 3 {
			p.reshard(1+random.IntN(4), nil)
		}
		first := w.begin()
		process := p.start()
		select {
		case <-first:
			// From 1 ms to 400 ms, as many below 20 ms as above.
			wait(t.Context(), time.Duration(math.Pow(400, random.Float64())*float64(time.Millisecond)), process.Done())
			if hits%8 == 7 && process.Running() {
				p.reshard(1+random.IntN(4), process)
			}
		case <-process.Done():
		}
		if exit := process.Kill(); !exit.Killed {
			summary, _ := p.finish(process)
			return hits, p.verify(summary)
		}
		hits++
	}
	summary, _ := p.run()
	return hits, p.verify(summary)
}

// reshard splits and merges until so many shards are open, in a process that may end meanwhile; nil
// means that none is running.
func (p *proof) reshard(shards int, process *rig.Process) {
	p.t.Helper()
	exit := p.other("stream", "reshard", "clicks", fmt.Sprint(shards), "--data", p.data)
	if exit.Code == 0 {
		return
	}
	if process != nil {
		// One that is through stops answering a moment before it has ended.
		wait(p.t.Context(), patience, process.Done())
	}
	if process == nil || process.Running() {
		p.t.Errorf("reshard to %d shards: exit code %d\n%s%s", shards, exit.Code, exit.Stdout, exit.Stderr)
	}
}

// wait lasts for d, or until done.
func wait(ctx context.Context, d time.Duration, done <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-done:
	case <-ctx.Done():
	}
}
