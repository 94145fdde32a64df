//go:build linux

package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// trial is one side of a comparison, ready to run once.
type trial struct {
	// run moves the records; its time is measured. It notes how long each call took.
	run     func(l *latencies) error
	records int
	// close frees what the trial holds; it is not measured.
	close func() error
}

// side makes a trial in an empty directory.
type side func(dir string) (trial, error)

// comparison is one line of a report: a bare loop or another system, and ours.
type comparison struct {
	name       string
	base, ours side
	// target is the ratio of ours to base that is wanted; 0 means none.
	target float64
}

// figures are what a trial measured.
type figures struct {
	rate     float64 // records per second
	cpu      float64 // microseconds of CPU time per record, both sides of a connection together
	p50, p99 time.Duration
}

// row is a comparison with its results.
type row struct {
	comparison
	baseFigures, oursFigures figures
	// ratio is the median of the rounds' ratios.
	ratio, worst, best float64
}

// compare runs both sides in turns.
func (b *bench) compare(c comparison) (row, error) {
	var base, ours []figures
	for round := range b.rounds {
		sides := []side{c.base, c.ours}
		into := []*[]figures{&base, &ours}
		for i := range sides {
			if round%2 == 1 { // so that neither is always the first
				i = 1 - i
			}
			name := ""
			if i == 1 {
				name = profileName(c.name, round)
			}
			f, err := b.measure(sides[i], name)
			if err != nil {
				return row{}, fmt.Errorf("%s: %w", c.name, err)
			}
			*into[i] = append(*into[i], f)
		}
	}
	ratios := make([]float64, b.rounds)
	for i := range ratios {
		ratios[i] = ours[i].rate / base[i].rate
	}
	slices.Sort(ratios)
	r := row{comparison: c, ratio: ratios[len(ratios)/2], worst: ratios[0], best: ratios[len(ratios)-1]}
	r.baseFigures, r.oursFigures = median(base), median(ours)
	fmt.Fprintln(os.Stderr, r.cells())
	return r, nil
}

func profileName(name string, round int) string {
	word := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}
	return fmt.Sprintf("%s-%d", strings.Map(word, strings.ToLower(name)), round)
}

// measure makes and runs one trial.
func (b *bench) measure(s side, profile string) (f figures, err error) {
	if err := b.ctx.Err(); err != nil {
		return f, err
	}
	dir, err := os.MkdirTemp(b.dir, "trial-")
	if err != nil {
		return f, err
	}
	defer os.RemoveAll(dir)
	t, err := s(dir)
	if err != nil {
		return f, err
	}
	defer func() {
		if cerr := t.close(); err == nil {
			err = cerr
		}
	}()
	stop := func() {}
	if profile != "" {
		if stop, err = b.profile(profile); err != nil {
			return f, err
		}
	}
	runtime.GC()
	// What the trial before left in the page cache is written back before this one begins.
	syscall.Sync()
	var l latencies
	used, start := processTime(), time.Now()
	err = t.run(&l)
	elapsed := time.Since(start)
	used = processTime() - used
	stop()
	f.rate = float64(t.records) / elapsed.Seconds()
	f.cpu = float64(used.Nanoseconds()) / 1e3 / float64(t.records)
	f.p50, f.p99 = l.at(0.5), l.at(0.99)
	return f, err
}

// median is the trial with the middle rate, so that its figures belong together.
func median(all []figures) figures {
	slices.SortFunc(all, func(a, b figures) int { return int(a.rate - b.rate) })
	return all[len(all)/2]
}

// processTime is the CPU time of this process.
func processTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// latencies are how long calls took. Each goroutine brings its own at the end.
type latencies struct {
	mu  sync.Mutex
	all []time.Duration
}

func (l *latencies) add(some []time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, some...)
}

func (l *latencies) at(share float64) time.Duration {
	if len(l.all) == 0 {
		return 0
	}
	slices.Sort(l.all)
	return l.all[int(share*float64(len(l.all)-1))]
}

// printRows prints a Markdown table.
func printRows(title string, rows []row) {
	fmt.Printf("\n%s:\n\n", title)
	fmt.Println("| case | beside, records/s | ours, records/s | ratio (worst – best) | target | call p50 / p99, ms: beside | ours | CPU µs/record: beside | ours |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, r := range rows {
		fmt.Println(r.cells())
	}
}

func (r row) cells() string {
	target := ""
	if r.target > 0 {
		target = fmt.Sprintf("≥ %g", r.target)
	}
	return fmt.Sprintf("| %s | %.0f | %.0f | **%.2f** (%.2f – %.2f) | %s | %s | %s | %.2f | %.2f |", r.name, r.baseFigures.rate, r.oursFigures.rate,
		r.ratio, r.worst, r.best, target, r.baseFigures.calls(), r.oursFigures.calls(), r.baseFigures.cpu, r.oursFigures.cpu)
}

func (f figures) calls() string { return millis(f.p50) + " / " + millis(f.p99) }

func millis(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", float64(d.Microseconds())/1e3)
}
