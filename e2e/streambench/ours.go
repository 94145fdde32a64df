//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
)

// recordSize is the size of a record's data.
const recordSize = 1024

// payloads are a few hundred records that no codec makes smaller; they are used over and over.
var payloads = func() [][]byte {
	var seed [32]byte
	random := rand.NewChaCha8(seed)
	all := make([][]byte, 997)
	for i := range all {
		all[i] = make([]byte, recordSize)
		_, _ = random.Read(all[i]) // it never fails
	}
	return all
}()

func payload(i int) []byte { return payloads[i%len(payloads)] }

// fill encodes records into a batch, as a source does for each of its batches.
func fill(b *record.Batch, n, from int) {
	b.Reset()
	for i := range n {
		b.Add(key, payload(from+i), 0)
	}
}

var key = []byte("key")

// store is an open stream in a directory.
type store struct {
	backend *disk.Backend
	stream  *stream.Stream
}

func openStore(ctx context.Context, dir string, spec stream.Spec) (*store, error) {
	backend, err := disk.Open(vfs.OS{}, filepath.Join(dir, "data"), disk.Options{})
	if err != nil {
		return nil, err
	}
	spec.Name = "bench"
	s, err := stream.Open(ctx, backend, spec)
	if err != nil {
		return nil, errors.Join(err, backend.Close())
	}
	return &store{backend: backend, stream: s}, nil
}

func (s *store) close() error { return errors.Join(s.stream.Close(), s.backend.Close()) }

// encoded are the writers' batches, encoded.
func (l load) encoded() [][]record.Batch {
	all := make([][]record.Batch, l.writers)
	for w := range all {
		all[w] = make([]record.Batch, variants)
		for turn := range all[w] {
			fill(&all[w][turn], l.batch, l.start(w, turn))
		}
	}
	return all
}

// ours appends a load through Stream.Write.
func (b *bench) ours(l load, sync stream.SyncMode) side {
	return func(dir string) (trial, error) {
		s, err := openStore(b.ctx, dir, stream.Spec{Shards: 1, Settings: stream.Settings{Sync: sync}})
		if err != nil {
			return trial{}, err
		}
		ready := l.encoded()
		run := func(lat *latencies) error {
			return together(l, lat, func(writer, turn int) error { return s.stream.Write(b.ctx, &ready[writer][turn%variants]) })
		}
		return trial{run: run, records: l.records(), close: s.close}, nil
	}
}

// appends compares with bare loops.
func (b *bench) appends() ([]row, error) {
	one := load{writers: 1, batches: 500, batch: 500}
	few := load{writers: 16, batches: 40, batch: 500}
	many := load{writers: 256, batches: 1200, batch: 1}
	cases := []comparison{
		{"1 writer × 500, each batch synced", bareLoop(one, true), b.ours(one, stream.SyncAlways), 0.8},
		{"16 writers × 500, natural group commit", bareGroup(few), b.ours(few, stream.SyncAlways), 0.8},
		{"256 writers × 1, natural group commit", bareGroup(many), b.ours(many, stream.SyncAlways), 0.7},
		{"1 writer × 500, `sync: never`", bareLoop(one, false), b.ours(one, stream.SyncNever), 0.5},
	}
	return b.compareAll(cases)
}

// encoding prints what comes on top when records are encoded into a batch.
func encoding() {
	const n = 500_000
	var batch record.Batch
	used := processTime()
	for i := 0; i < n; i += 500 {
		fill(&batch, 500, i)
	}
	used = processTime() - used
	fmt.Printf("\nThe batches are ready on both sides. Encoding records into them costs %.2f µs of CPU a record.\n", float64(used.Nanoseconds())/1e3/n)
}

func (b *bench) compareAll(cases []comparison) ([]row, error) {
	var rows []row
	for _, c := range cases {
		if !strings.Contains(c.name, b.pick) {
			continue
		}
		r, err := b.compare(c)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// reads compares with reading the same files and checking one CRC-32C per batch, which no reader
// can do without.
func (b *bench) reads() ([]row, error) {
	const records = 500_000
	return b.compareAll([]comparison{
		{"frames and records, 500 a frame", b.bareRead(records), b.read(records), 0},
	})
}

// filled is a directory with a stream of records in batches of 500.
func (b *bench) filled(dir string, records int) (*store, error) {
	s, err := openStore(b.ctx, dir, stream.Spec{Shards: 1, Settings: stream.Settings{Sync: stream.SyncNever}})
	if err != nil {
		return nil, err
	}
	var batch record.Batch
	for i := 0; i < records; i += 500 {
		fill(&batch, 500, i)
		if err := s.stream.Write(b.ctx, &batch); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	return s, nil
}

func (b *bench) read(records int) side {
	return func(dir string) (trial, error) {
		s, err := b.filled(dir, records)
		if err != nil {
			return trial{}, err
		}
		run := func(lat *latencies) error {
			n, err := readAll(b.ctx, s.stream, lat)
			if err == nil && n != records {
				err = fmt.Errorf("read %d records of %d", n, records)
			}
			return err
		}
		return trial{run: run, records: records, close: s.close}, nil
	}
}

// readAll reads every record of every shard and counts them.
func readAll(ctx context.Context, s *stream.Stream, lat *latencies) (n int, err error) {
	var took []time.Duration
	var buf stream.Buffer
	for _, shard := range s.Shards() {
		log := s.Log(shard.ID)
		for at := log.Bounds().Oldest; ; {
			start := time.Now()
			frames, err := log.Read(ctx, at, &buf)
			if err != nil {
				return n, err
			}
			if len(frames) == 0 {
				break
			}
			for _, f := range frames {
				for body := f.Body; len(body) > 0; n++ {
					if _, body, err = record.Next(body); err != nil {
						return n, err
					}
				}
				at = f.Next()
			}
			took = append(took, time.Since(start))
		}
	}
	lat.add(took)
	return n, nil
}

// bareRead reads a file in pieces of a batch and checks each.
func (b *bench) bareRead(records int) side {
	return func(dir string) (trial, error) {
		l := load{writers: 1, batches: records / 500, batch: 500}
		f, err := preallocated(dir, l)
		if err != nil {
			return trial{}, err
		}
		piece := l.ready()[0][0]
		for i := range l.batches {
			if _, err := f.WriteAt(piece, int64(i)*int64(len(piece))); err != nil {
				return trial{}, errors.Join(err, f.Close())
			}
		}
		return trial{run: func(lat *latencies) error { return check(f, piece, l.batches, lat) }, records: records, close: f.Close}, nil
	}
}

func check(f *os.File, piece []byte, pieces int, lat *latencies) error {
	table := crc32.MakeTable(crc32.Castagnoli)
	want := crc32.Checksum(piece, table)
	b := make([]byte, len(piece))
	took := make([]time.Duration, 0, pieces)
	for i := range pieces {
		start := time.Now()
		if _, err := f.ReadAt(b, int64(i)*int64(len(b))); err != nil {
			return err
		}
		if crc32.Checksum(b, table) != want {
			return errors.New("checksum does not match")
		}
		took = append(took, time.Since(start))
	}
	lat.add(took)
	return nil
}
