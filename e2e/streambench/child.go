//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace-io/millrace/e2e/rig"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// childFlag is the first argument of a process of our own, so that its memory is its alone.
const childFlag = "child"

// report is what a child prints.
type report struct {
	// Open is how long opening the stream took, OpenRSS the resident memory behind it.
	Open    time.Duration
	OpenRSS int64 // bytes
	Records int64
	// One and Spread are p50 and p99 of an append of one record, and of a batch over all shards.
	One, Spread [2]time.Duration
	OneRate     float64 // appends of one record a second
	// PeakRSS is the parent's to fill in.
	PeakRSS int64 `json:"-"`
}

// child does one of the jobs in the directory.
func child(job string, args []string) error {
	dir := args[0]
	n, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	var r report
	switch job {
	case "fill":
		err = fillUntil(dir, n)
	case "open":
		r, err = open(dir, false)
	case "read":
		r, err = open(dir, true)
	case "shards":
		r, err = appendToMany(dir, int(n))
	default:
		err = fmt.Errorf("unknown job %s", job)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// start runs a child and returns what it reports.
func (b *bench) start(job, dir string, n int64) (r report, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	process, err := rig.Command{Path: self, Args: []string{childFlag, job, dir, strconv.FormatInt(n, 10)}}.Start()
	if err != nil {
		return r, err
	}
	exit, err := process.Wait(b.ctx)
	if err != nil {
		return r, err
	}
	if exit.Code != 0 {
		return r, fmt.Errorf("%s: exit code %d: %s", job, exit.Code, exit.Stderr)
	}
	r.PeakRSS = exit.PeakRSS
	if exit.Stdout == "" {
		return r, nil
	}
	return r, json.Unmarshal([]byte(exit.Stdout), &r)
}

// fillUntil writes a stream of so many bytes and ends as if the process had been killed.
func fillUntil(dir string, size int64) error {
	ctx := context.Background()
	s, err := openStore(ctx, dir, stream.Spec{Shards: 1, Settings: stream.Settings{Sync: stream.SyncNever}})
	if err != nil {
		return err
	}
	var batch record.Batch
	for i := 0; ; i += 500 {
		if _, bytes := s.stream.Bounds(); bytes >= size {
			break
		}
		fill(&batch, 500, i)
		if err := s.stream.Write(ctx, &batch); err != nil {
			return err
		}
	}
	os.Exit(0)
	return nil
}

// open opens the stream, reads the first and the last records or all, and closes it.
func open(dir string, all bool) (r report, err error) {
	ctx := context.Background()
	start := time.Now()
	s, err := openStore(ctx, dir, stream.Spec{})
	if err != nil {
		return r, err
	}
	r.Open, r.OpenRSS = time.Since(start), resident()
	r.Records, _ = s.stream.Bounds()
	if all {
		n, err := readAll(ctx, s.stream, &latencies{})
		if err == nil && int64(n) != r.Records {
			err = fmt.Errorf("read %d records of %d", n, r.Records)
		}
		return r, errors.Join(err, s.close())
	}
	log := s.stream.Log(0)
	for _, at := range []record.Ordinal{log.Bounds().Oldest, log.Bounds().Next - 1} {
		if _, err := log.Read(ctx, at, &stream.Buffer{}); err != nil {
			return r, err
		}
	}
	return r, s.close()
}

// opening prints how long a large stream takes to open.
func (b *bench) opening() error {
	fmt.Printf("\nOpening a stream, its files not in the page cache:\n\n")
	fmt.Println("| stream | records | after | open, ms | RSS then, MiB | what is read | peak RSS, MiB |")
	fmt.Println("| ---: | ---: | --- | ---: | ---: | --- | ---: |")
	after := []struct{ what, job, reads string }{
		{"a kill", "open", "first and last"},
		{"an orderly end", "read", "all"},
	}
	for _, size := range []int64{256 << 20, b.size} {
		dir, err := os.MkdirTemp(b.dir, "open-")
		if err != nil {
			return err
		}
		if _, err := b.start("fill", dir, size); err != nil {
			return err
		}
		for _, a := range after {
			if err := forget(dir); err != nil {
				return err
			}
			r, err := b.start(a.job, dir, 0)
			if err != nil {
				return err
			}
			fmt.Printf("| %.2f GiB | %d | %s | %.0f | %d | %s | %d |\n", float64(size)/(1<<30), r.Records, a.what,
				float64(r.Open.Microseconds())/1e3, r.OpenRSS>>20, a.reads, r.PeakRSS>>20)
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
}

// forget drops the files below dir from the page cache.
func forget(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := f.Sync(); err != nil {
			return err
		}
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
}

// manyShards prints what a stream of many shards costs.
func (b *bench) manyShards() error {
	fmt.Printf("\nMany shards in one stream, every append synced, keys at random:\n\n")
	fmt.Println("| shards | create, ms | RSS then, MiB | 64 writers × 1: records/s | p50 / p99, ms | 1 writer × 500: p50 / p99, ms | peak RSS, MiB |")
	fmt.Println("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, shards := range []int64{1, 16, 1000} {
		dir, err := os.MkdirTemp(b.dir, "shards-")
		if err != nil {
			return err
		}
		r, err := b.start("shards", dir, shards)
		if err != nil {
			return err
		}
		fmt.Printf("| %d | %.0f | %d | %.0f | %s / %s | %s / %s | %d |\n", shards, float64(r.Open.Microseconds())/1e3, r.OpenRSS>>20,
			r.OneRate, millis(r.One[0]), millis(r.One[1]), millis(r.Spread[0]), millis(r.Spread[1]), r.PeakRSS>>20)
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
}

// appendToMany appends to random shards: first many writers one record each, then one writer
// batches that touch hundreds of shards.
func appendToMany(dir string, shards int) (r report, err error) {
	ctx := context.Background()
	start := time.Now()
	s, err := openStore(ctx, dir, stream.Spec{Shards: shards})
	if err != nil {
		return r, err
	}
	r.Open, r.OpenRSS = time.Since(start), resident()
	const writers, limit = 64, 3 * time.Second
	ones := load{writers: writers, batches: 1 << 20, batch: 1}
	var lat latencies
	batches := make([]record.Batch, writers)
	start = time.Now()
	var done atomic.Int64
	err = together(ones, &lat, func(writer, i int) error {
		if time.Since(start) > limit {
			return errEnough
		}
		scatter(&batches[writer], 1)
		done.Add(1)
		return s.stream.Write(ctx, &batches[writer])
	})
	if err != nil {
		return r, err
	}
	r.OneRate = float64(done.Load()) / time.Since(start).Seconds()
	r.One = [2]time.Duration{lat.at(0.5), lat.at(0.99)}
	lat, start = latencies{}, time.Now()
	err = together(load{writers: 1, batches: 200, batch: 500}, &lat, func(int, int) error {
		if time.Since(start) > 2*limit {
			return errEnough
		}
		scatter(&batches[0], 500)
		return s.stream.Write(ctx, &batches[0])
	})
	if err != nil {
		return r, err
	}
	r.Spread = [2]time.Duration{lat.at(0.5), lat.at(0.99)}
	return r, s.close()
}

// scatter fills a batch with records of random keys.
func scatter(b *record.Batch, n int) {
	b.Reset()
	var key [16]byte
	for i := range n {
		b.Add(strconv.AppendUint(key[:0], rand.Uint64(), 36), payload(i), 0)
	}
}

// resident is the memory of this process that is in RAM, in bytes; 0 where there is no /proc.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
