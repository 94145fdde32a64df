//go:build linux

// Command streambench measures the durable log against what the disk gives without it: the same
// bytes written by bare loops, in turns within the same minute. The ratios are what counts; the
// figures themselves belong to the machine. Embedded NATS JetStream stands beside them.
//
// The invariant to remember: both sides of a comparison move the same records, which are in memory
// before, and neither is measured while the other runs.
//
// It runs on Linux, whose fallocate, fdatasync and fadvise the bare loops are made of.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/millrace-io/millrace/e2e/rig"
)

func main() {
	err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "streambench:", err)
		os.Exit(1)
	}
}

// bench is what the cases share.
type bench struct {
	ctx    context.Context
	dir    string // scratch space on the disk of the repository, removed at the end
	rounds int
	size   int64 // of the large stream, in bytes
	// profiles is a directory for a CPU profile of our side of each case, or empty.
	profiles string
	// pick is what the name of a comparison must contain.
	pick string
}

// section is one table of the report.
type section struct {
	name  string // for -only
	title string
	run   func(*bench) ([]row, error)
}

var sections = []section{
	{"append", "Appends against bare loops over the same bytes", (*bench).appends},
	{"read", "Sequential read with checksums, from the page cache", (*bench).reads},
	{"nats", "Embedded NATS JetStream, file store, `SyncAlways`", (*bench).jetstream},
}

func run() error {
	if len(os.Args) > 2 && os.Args[1] == childFlag {
		return child(os.Args[2], os.Args[3:])
	}
	rounds := flag.Int("rounds", 5, "how often each side of a comparison runs; the median counts")
	size := flag.Int64("size", 2<<30, "bytes in the large stream")
	full := flag.Bool("full", false, "a large stream of 10 GiB")
	only := flag.String("only", "", "comma-separated parts to run: append, read, nats, open, shards; all if empty")
	pick := flag.String("case", "", "only the comparisons whose name contains this")
	profiles := flag.String("profiles", "", "directory for CPU profiles of our sides")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	b := &bench{ctx: ctx, rounds: *rounds, size: *size, profiles: *profiles, pick: *pick}
	if *full {
		b.size = 10 << 30
	}
	root, err := rig.Root()
	if err != nil {
		return err
	}
	data := filepath.Join(root, "bench-data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(data, "stream-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)

	wanted := func(part string) bool { return *only == "" || strings.Contains(","+*only+",", ","+part+",") }
	fmt.Printf("%s, %s, %d CPUs (%s); records of %d incompressible bytes; median of %d rounds in turns.\n",
		time.Now().UTC().Format(time.DateOnly), runtime.Version(), runtime.NumCPU(), rig.Processor(), recordSize, b.rounds)
	for _, s := range sections {
		if !wanted(s.name) {
			continue
		}
		rows, err := s.run(b)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if len(rows) == 0 {
			continue
		}
		printRows(s.title, rows)
		if s.name == "append" {
			encoding()
		}
	}
	if wanted("open") {
		if err := b.opening(); err != nil {
			return fmt.Errorf("open: %w", err)
		}
	}
	if wanted("shards") {
		if err := b.manyShards(); err != nil {
			return fmt.Errorf("shards: %w", err)
		}
	}
	return nil
}

// profile writes a CPU profile of what runs until stop is called, if that was asked for.
func (b *bench) profile(name string) (stop func(), err error) {
	if b.profiles == "" {
		return func() {}, nil
	}
	f, err := os.Create(filepath.Join(b.profiles, name+".prof"))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		f.Close()
		return nil, err
	}
	return func() { pprof.StopCPUProfile(); f.Close() }, nil
}
