package streamtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/vfs"
)

// Model is a test of a backend's promises by random histories with power cuts.
type Model struct {
	// Open opens the backend in a directory of the file system, also after a crash.
	Open func(fs vfs.FS, now func() time.Time) (stream.Backend, error)
	// Steps is the length of a history.
	Steps int
}

// Result counts what a history put the backend through.
type Result struct{ Crashes, Faults, Records int }

const (
	modelStream = "s"
	modelShards = 2
	producers   = 3
)

// history is one run of a Model: the backend, and an oracle that knows what it promised.
type history struct {
	Model
	r       *rand.Rand
	fs      *vfs.Mem
	backend stream.Backend
	shards  [modelShards]*shardModel
	doc     docModel
	clock   *atomic.Int64
	result  Result
}

// shardModel is what a shard must hold.
type shardModel struct {
	log stream.Log
	// records by ordinal. What was trimmed stays here.
	records   []rec
	positions map[uint64]stream.Position
	// maybe are the batches of appends whose outcome is unknown, as the lists of records that
	// they may have left at the end of the log.
	maybe [][]rec
	// claims are the batches of those appends, to find positions that claim too much.
	claims []claim
	// trimmed is the highest ordinal that may be gone.
	trimmed record.Ordinal
	hold    record.Ordinal
	counter int
}

// rec is a record and what it was stored with.
type rec struct {
	data     string
	producer uint64
	pos      int64
}

type claim struct {
	producer uint64
	recs     []rec
	end      int64
}

type docModel struct {
	value    string
	revision uint64
	// maybe are values whose CAS failed or was cut off.
	maybe []string
}

// Run goes through the history of a seed. It returns the first promise that was broken.
func (m Model) Run(seed uint64) (Result, error) {
	h := &history{Model: m, r: rand.New(rand.NewPCG(seed, 1)), fs: vfs.NewMem(), clock: new(atomic.Int64)}
	h.clock.Store(1_700_000_000_000)
	for i := range h.shards {
		h.shards[i] = &shardModel{positions: map[uint64]stream.Position{}, hold: stream.NoHold}
	}
	if err := h.open(); err != nil {
		return h.result, err
	}
	for step := range m.Steps {
		if err := h.step(); err != nil {
			return h.result, errors.Join(fmt.Errorf("seed %d, step %d: %w", seed, step, err), h.backend.Close())
		}
	}
	return h.result, h.backend.Close()
}

func (h *history) now() time.Time { return time.UnixMilli(h.clock.Load()) }

// open opens the backend and checks that it holds what the oracle says.
func (h *history) open() error {
	b, err := h.Open(h.fs, h.now)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	h.backend = b
	for i, s := range h.shards {
		s.log, err = b.Shard(context.Background(), modelStream, record.ShardID(i), stream.ShardOptions{Incarnation: 7})
		if err == nil {
			err = s.recovered()
		}
		if err != nil {
			return errors.Join(fmt.Errorf("after open: shard %d: %w", i, err), b.Close())
		}
		s.hold = stream.NoHold
	}
	if err := h.doc.recovered(b.Meta()); err != nil {
		return errors.Join(err, b.Close())
	}
	return nil
}

func (h *history) step() error {
	// The clock is set back now and then.
	h.clock.Add(int64(h.r.IntN(2000)) - 200)
	s := h.shards[h.r.IntN(modelShards)]
	switch n := h.r.IntN(100); {
	case n < 60:
		return h.cut(s, func() error { return h.append(s) })
	case n < 68:
		return h.cut(s, func() error { return h.cas() })
	case n < 76:
		return s.verify()
	case n < 82:
		return h.seek(s)
	case n < 88:
		return h.cut(s, func() error { return h.trim(s) })
	case n < 94:
		// An orderly restart.
		return h.cut(s, func() error { return errors.Join(h.backend.Close(), h.open()) })
	default:
		return h.faulty(s)
	}
}

// cut runs an operation and cuts the power somewhere within it: what the disk held then is
// opened apart and checked. Sometimes the history goes on from there.
func (h *history) cut(s *shardModel, op func() error) error {
	before := h.snapshot()
	var after *vfs.Mem
	var seen [modelShards]record.Ordinal
	at := int64(h.r.IntN(8))
	lots := rand.New(rand.NewPCG(h.r.Uint64(), 2))
	var count atomic.Int64
	logs := h.logs()
	h.fs.SetFault(func(o vfs.Op) error {
		// Reading and listing leave nothing behind that a crash could change.
		if o.Kind == "read" || o.Kind == "list" || o.Kind == "open" || count.Add(1) != at+1 {
			return nil
		}
		for i, log := range logs {
			seen[i] = log.Bounds().Next
		}
		after = h.fs.Crash(lots)
		return nil
	})
	err := op()
	h.fs.SetFault(nil)
	if err != nil {
		return err
	}
	if after == nil {
		after = h.fs.Crash(lots)
		before = h.snapshot()
		for i, log := range h.logs() {
			seen[i] = log.Bounds().Next
		}
	}
	return h.check(before, after, seen, s)
}

func (h *history) logs() [modelShards]stream.Log {
	var logs [modelShards]stream.Log
	for i, s := range h.shards {
		logs[i] = s.log
	}
	return logs
}

// snapshot copies the oracle.
func (h *history) snapshot() *history {
	c := &history{Model: h.Model, r: h.r, clock: h.clock, doc: h.doc}
	c.doc.maybe = append([]string(nil), h.doc.maybe...)
	for i, s := range h.shards {
		c.shards[i] = s.clone()
	}
	return c
}

// check opens what a crash left and compares it with what the oracle knew before the operation,
// plus what the operation may have done.
func (h *history) check(before *history, after *vfs.Mem, seen [modelShards]record.Ordinal, s *shardModel) error {
	h.result.Crashes++
	before.fs = after
	for i, b := range before.shards {
		now := h.shards[i]
		b.maybe = append(b.maybe, now.tails(len(b.records))...)
		b.claims = append(b.claims, now.claims...)
		b.trimmed = max(b.trimmed, now.trimmed)
		b.counter = now.counter
	}
	before.doc.maybe = append(append(before.doc.maybe, h.doc.maybe...), h.doc.value)
	if err := before.open(); err != nil {
		return fmt.Errorf("after a crash: %w", err)
	}
	for i, b := range before.shards {
		if next := b.log.Bounds().Next; next < seen[i] {
			return errors.Join(fmt.Errorf("after a crash: shard %d ends at %d, but readers had seen %d", i, next, seen[i]), before.backend.Close())
		}
	}
	if h.r.IntN(4) > 0 {
		return before.backend.Close()
	}
	old := h.backend
	h.fs, h.backend, h.shards, h.doc = after, before.backend, before.shards, before.doc
	return old.Close()
}

// faulty lets one of the next file operations fail, while it appends.
func (h *history) faulty(s *shardModel) error {
	h.result.Faults++
	var count atomic.Int64
	at, kinds := int64(h.r.IntN(6)), []string{"write", "sync", "create", "rename", "syncdir"}
	kind := kinds[h.r.IntN(len(kinds))]
	h.fs.SetFault(func(o vfs.Op) error {
		if o.Kind == kind && count.Add(1) == at/2+1 {
			return syscall.EIO
		}
		return nil
	})
	defer h.fs.SetFault(nil)
	for range 3 {
		if err := h.append(s); err != nil {
			return err
		}
	}
	return nil
}

func (h *history) trim(s *shardModel) error {
	next := record.Ordinal(len(s.records))
	if h.r.IntN(2) == 0 {
		s.hold = record.Ordinal(h.r.Int64N(int64(next) + 1))
		s.log.SetHold(s.hold)
	}
	before := record.Ordinal(h.r.Int64N(int64(next) + 1))
	s.trimmed = max(s.trimmed, min(before, s.hold))
	if err := s.log.Trim(context.Background(), before); err != nil {
		return fmt.Errorf("trim: %w", err)
	}
	if oldest := s.log.Bounds().Oldest; oldest > s.trimmed {
		return fmt.Errorf("trim to %d with hold %d: the oldest is %d", before, s.hold, oldest)
	}
	return nil
}

// cas changes a document with the right revision, or tries to with a wrong one.
func (h *history) cas() error {
	d, meta := &h.doc, h.backend.Meta()
	if _, err := meta.CAS(context.Background(), "a/doc", []byte("wrong"), d.revision+1); !errors.Is(err, stream.ErrConflict) {
		return fmt.Errorf("CAS with a wrong revision: %w", err)
	}
	value := strings.Repeat("v", h.r.IntN(1500)) + fmt.Sprint(h.r.Uint64())
	d.maybe = append(d.maybe, value)
	rev, err := meta.CAS(context.Background(), "a/doc", []byte(value), d.revision)
	if err != nil {
		return fmt.Errorf("CAS: %w", err)
	}
	d.value, d.revision, d.maybe = value, rev, nil
	return nil
}

// recovered reads the document after an open, and takes what it finds if it may be there.
func (d *docModel) recovered(meta stream.Meta) error {
	value, rev, err := meta.Get(context.Background(), "a/doc")
	if err != nil && !errors.Is(err, stream.ErrNotFound) {
		return err
	}
	ok := string(value) == d.value
	for _, m := range d.maybe {
		ok = ok || string(value) == m
	}
	if !ok || rev < d.revision {
		return fmt.Errorf("document is %.20q at revision %d, was %.20q at %d", value, rev, d.value, d.revision)
	}
	d.value, d.revision, d.maybe = string(value), rev, nil
	return nil
}
