//go:build linux

package main

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// load is how records come: so many writers, each with so many batches of so many records.
type load struct{ writers, batches, batch int }

func (l load) records() int { return l.writers * l.batches * l.batch }

// variants is how many batches a writer has ready and takes in turns, so that neither side works
// from the CPU's cache alone.
const variants = 4

// start is the first record of a batch of a writer.
func (l load) start(writer, turn int) int { return (writer*variants + turn%variants) * l.batch }

// ready are the writers' batches as one write each, without any framing or checksum.
func (l load) ready() [][][]byte {
	all := make([][][]byte, l.writers)
	for w := range all {
		all[w] = make([][]byte, variants)
		for turn := range all[w] {
			for i := range l.batch {
				all[w][turn] = append(all[w][turn], payload(l.start(w, turn)+i)...)
			}
		}
	}
	return all
}

// preallocated is a file with its space reserved.
func preallocated(dir string, l load) (*os.File, error) {
	f, err := os.Create(filepath.Join(dir, "bare"))
	if err != nil {
		return nil, err
	}
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(l.records())*recordSize); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	// The names and blocks are there before the first write, as in a log that runs.
	return f, f.Sync()
}

// bareLoop writes batch after batch, and syncs each if asked.
func bareLoop(l load, sync bool) side {
	return func(dir string) (trial, error) {
		f, err := preallocated(dir, l)
		if err != nil {
			return trial{}, err
		}
		ready := l.ready()[0]
		run := func(lat *latencies) error {
			took := make([]time.Duration, 0, l.batches)
			for i := range l.batches {
				start, b := time.Now(), ready[i%variants]
				if _, err := f.WriteAt(b, int64(i)*int64(len(b))); err != nil {
					return err
				}
				if sync {
					if err := unix.Fdatasync(int(f.Fd())); err != nil {
						return err
					}
				}
				took = append(took, time.Since(start))
			}
			lat.add(took)
			return nil
		}
		return trial{run: run, records: l.records(), close: f.Close}, nil
	}
}

// group is a bare natural group commit: while one group is synced the next gathers.
type group struct {
	mu     sync.Mutex
	queue  []*waiter
	closed bool
	wake   chan struct{}
}

type waiter struct {
	data []byte
	done chan error
}

func (g *group) append(w *waiter) error {
	g.mu.Lock()
	g.queue = append(g.queue, w)
	g.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default:
	}
	return <-w.done
}

func (g *group) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// commit writes what has gathered with one call and syncs it, until close.
func (g *group) commit(f *os.File) {
	var spare []*waiter
	var parts [][]byte
	offset := int64(0)
	for range g.wake {
		g.mu.Lock()
		some, closed := g.queue, g.closed
		g.queue = spare[:0]
		g.mu.Unlock()
		var err error
		for rest := some; len(rest) > 0 && err == nil; {
			n := min(len(rest), 1024) // as many as the kernel takes
			parts = parts[:0]
			for _, w := range rest[:n] {
				parts = append(parts, w.data)
			}
			var written int
			written, err = unix.Pwritev(int(f.Fd()), parts, offset)
			offset += int64(written)
			rest = rest[n:]
		}
		if err == nil && len(some) > 0 {
			err = unix.Fdatasync(int(f.Fd()))
		}
		for _, w := range some {
			w.done <- err
		}
		spare = some
		if closed {
			return
		}
	}
}

// bareGroup is the bare natural group commit under a load.
func bareGroup(l load) side {
	return func(dir string) (trial, error) {
		f, err := preallocated(dir, l)
		if err != nil {
			return trial{}, err
		}
		ready, waiters := l.ready(), make([]*waiter, l.writers)
		for i := range waiters {
			waiters[i] = &waiter{done: make(chan error, 1)}
		}
		run := func(lat *latencies) error {
			g := &group{wake: make(chan struct{}, 1)}
			var committer sync.WaitGroup
			committer.Go(func() { g.commit(f) })
			err := together(l, lat, func(writer, turn int) error {
				w := waiters[writer]
				w.data = ready[writer][turn%variants]
				return g.append(w)
			})
			g.close()
			committer.Wait()
			return err
		}
		return trial{run: run, records: l.records(), close: f.Close}, nil
	}
}

// together runs the writers of a load at once and times each call.
func together(l load, lat *latencies, call func(writer, batch int) error) error {
	errs := make([]error, l.writers)
	var wait sync.WaitGroup
	for w := range l.writers {
		wait.Go(func() {
			took := make([]time.Duration, 0, l.batches)
			for i := range l.batches {
				start := time.Now()
				if errs[w] = call(w, i); errs[w] != nil {
					break
				}
				took = append(took, time.Since(start))
			}
			lat.add(took)
			if errors.Is(errs[w], errEnough) {
				errs[w] = nil
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// errEnough is what a call of together returns to end its writer.
var errEnough = errors.New("enough")
