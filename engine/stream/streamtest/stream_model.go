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

// StreamModel is a test of what a stream promises while its shards are split and merged, by random
// histories with power cuts within every kind of operation.
type StreamModel struct {
	// Open opens the backend in a directory of the file system, also after a crash.
	Open func(fs vfs.FS, now func() time.Time) (stream.Backend, error)
	// Settings of the stream. With SyncInterval and SyncNever the model syncs by an optional method of
	// logs, Flush, now and then. With SyncNever it kills processes instead of cutting the power.
	Settings stream.Settings
	// Steps is the length of a history.
	Steps int
}

const (
	modelProducers = 3
	modelKeys      = 7
	maxModelShards = 6
)

// reshaping is one run of a StreamModel.
type reshaping struct {
	StreamModel
	r       *rand.Rand
	fs      *vfs.Mem
	clock   *atomic.Int64
	backend stream.Backend
	stream  *stream.Stream
	oracle  oracle
	result  Result
}

// oracle is what the stream must hold.
type oracle struct {
	// acked is up to where each producer's records were acknowledged, sent up to where they may
	// be stored. The producers keep their records, as a file does.
	acked, sent [modelProducers + 1]int64
	// free are records without a producer: true once acknowledged.
	free map[string]bool
}

func (o oracle) clone() oracle {
	free := make(map[string]bool, len(o.free))
	for k, v := range o.free {
		free[k] = v
	}
	o.free = free
	return o
}

// Run goes through the history of a seed. It returns the first promise that was broken.
func (m StreamModel) Run(seed uint64) (Result, error) {
	h := &reshaping{StreamModel: m, r: rand.New(rand.NewPCG(seed, 3)), fs: vfs.NewMem(), clock: new(atomic.Int64)}
	h.clock.Store(1_700_000_000_000)
	h.oracle.free = map[string]bool{}
	// The creation may be cut off, too.
	err := h.cut(h.open)
	for step := 0; err == nil && step < m.Steps; step++ {
		if err = h.step(); err != nil {
			err = fmt.Errorf("seed %d, step %d: %w", seed, step, err)
		}
	}
	return h.result, errors.Join(err, h.close())
}

func (h *reshaping) now() time.Time { return time.UnixMilli(h.clock.Load()) }

func (h *reshaping) open() error {
	b, err := h.Open(h.fs, h.now)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	h.backend = b
	h.stream, err = stream.Open(context.Background(), b, stream.Spec{Name: "s", Shards: 2, Settings: h.Settings, Now: h.now})
	if err != nil {
		return errors.Join(err, b.Close())
	}
	return nil
}

func (h *reshaping) close() error {
	if h.stream == nil {
		return nil
	}
	return errors.Join(h.stream.Close(), h.backend.Close())
}

func (h *reshaping) step() error {
	h.clock.Add(int64(h.r.IntN(2000)) - 200)
	switch n := h.r.IntN(100); {
	case n < 45:
		return h.cut(h.write)
	case n < 58:
		return h.cut(h.split)
	case n < 70:
		return h.cut(h.merge)
	case n < 73:
		return h.cut(func() error { return h.stream.Reshard(context.Background(), 1+h.r.IntN(maxModelShards)) })
	case n < 78:
		return h.cut(h.flush)
	case n < 84:
		return h.verify()
	case n < 88:
		return h.seek()
	case n < 92:
		return h.cut(func() error { return errors.Join(h.close(), h.open()) })
	default:
		return h.faulty()
	}
}

// write stores a batch of a producer, that may repeat what it sent before, or of none.
func (h *reshaping) write() error {
	id := h.r.IntN(modelProducers + 1)
	b := &record.Batch{}
	if id == 0 {
		for range 1 + h.r.IntN(4) {
			text := fmt.Sprintf("0/%d", len(h.oracle.free))
			h.oracle.free[text] = false
			b.Add([]byte(text), []byte(text), 0)
		}
	} else {
		b = h.next(id)
	}
	if err := h.stream.Write(context.Background(), b); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	h.wrote(id, b)
	return nil
}

func (h *reshaping) wrote(id int, b *record.Batch) {
	h.result.Records += b.Len()
	if id != 0 {
		h.oracle.acked[id] = max(h.oracle.acked[id], b.End)
		return
	}
	for i := range b.Len() {
		h.oracle.free[string(b.Record(i).Data)] = true
	}
}

// next is a batch that begins at most behind what the producer's shards all have.
func (h *reshaping) next(id int) *record.Batch {
	from := h.oracle.acked[id]
	if pos, ok := h.stream.Position(uint64(id)); h.r.IntN(4) == 0 {
		if !ok {
			pos = 0
		}
		from = min(from, pos)
	}
	to := max(from, h.oracle.acked[id]-int64(h.r.IntN(5))) + int64(h.r.IntN(12))
	h.oracle.sent[id] = max(h.oracle.sent[id], to)
	return positions(id, from, to)
}

// positions are a producer's records behind from up to to: the same each time.
func positions(id int, from, to int64) *record.Batch {
	b := &record.Batch{Producer: record.Producer{ID: uint64(id)}, End: to}
	for pos := from + 1; pos <= to; pos++ {
		b.Add(fmt.Appendf(nil, "%d-%d", id, pos%modelKeys), fmt.Appendf(nil, "%d/%d/%s", id, pos, strings.Repeat("x", int(pos*31%200))), pos)
	}
	return b
}

// split divides a random shard at a random key, unless there are many.
func (h *reshaping) split() error {
	open := h.openShards()
	sh := open[h.r.IntN(len(open))]
	if len(open) >= maxModelShards {
		return nil
	}
	at := record.HashKey{Hi: h.r.Uint64(), Lo: h.r.Uint64()}
	if !sh.Range.Contains(at) {
		at = sh.Range.Middle()
	}
	err := h.stream.Split(context.Background(), sh.ID, at)
	if errors.Is(err, stream.ErrInvalid) {
		return nil
	}
	return err
}

func (h *reshaping) merge() error {
	open := h.openShards()
	if len(open) < 2 {
		return nil
	}
	i, j := h.r.IntN(len(open)), h.r.IntN(len(open))
	for i == j || !open[i].Range.Precedes(open[j].Range) && !open[j].Range.Precedes(open[i].Range) {
		i, j = h.r.IntN(len(open)), h.r.IntN(len(open))
	}
	return h.stream.Merge(context.Background(), open[i].ID, open[j].ID)
}

func (h *reshaping) openShards() []stream.Shard {
	var open []stream.Shard
	for _, sh := range h.stream.Shards() {
		if sh.State == stream.ShardOpen {
			open = append(open, sh)
		}
	}
	return open
}

// flush has the logs sync, if they can be asked to.
func (h *reshaping) flush() error {
	for _, sh := range h.stream.Shards() {
		if f, ok := h.stream.Log(sh.ID).(interface{ Flush(context.Context) error }); ok {
			if err := f.Flush(context.Background()); err != nil {
				return err
			}
		}
	}
	return nil
}

// faulty lets one of the next file operations fail, while it writes, splits and merges. Afterwards
// everything works again.
func (h *reshaping) faulty() error {
	h.result.Faults++
	var count atomic.Int64
	at, kinds := int64(h.r.IntN(6)), []string{"write", "sync", "create", "rename", "syncdir", "mkdir"}
	kind := kinds[h.r.IntN(len(kinds))]
	h.fs.SetFault(func(o vfs.Op) error {
		if o.Kind == kind && count.Add(1) == at+1 {
			return syscall.EIO
		}
		return nil
	})
	// What fails is either done or not.
	_ = h.write()
	_ = h.split()
	_ = h.merge()
	h.fs.SetFault(nil)
	h.forget()
	for range 2 {
		if err := h.resume(); err != nil {
			return fmt.Errorf("after a fault: %w", err)
		}
	}
	if err := h.stream.Tidy(context.Background()); err != nil {
		return fmt.Errorf("after a fault: %w", err)
	}
	return h.verify()
}

// forget drops what may be lost though it was acknowledged, after a crash or a failed sync when
// the stream is synced at intervals. The producers still have their records.
func (h *reshaping) forget() {
	if h.Settings.Sync != stream.SyncInterval {
		return
	}
	h.oracle.acked = [modelProducers + 1]int64{}
	for text := range h.oracle.free {
		h.oracle.free[text] = false
	}
}

// resume has every producer go on from the position that the stream has, to the end of what it sent.
func (h *reshaping) resume() error {
	for id := 1; id <= modelProducers; id++ {
		pos, ok := h.stream.Position(uint64(id))
		if !ok {
			pos = 0
		}
		b := positions(id, min(pos, h.oracle.sent[id]), h.oracle.sent[id])
		if err := h.stream.Write(context.Background(), b); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		h.wrote(id, b)
	}
	return nil
}

// cut runs an operation and cuts the power somewhere within it: what the disk held then is opened
// apart and checked. Sometimes the history goes on from there.
func (h *reshaping) cut(op func() error) error {
	before := h.oracle.clone()
	var after *vfs.Mem
	var seen map[record.ShardID]record.Ordinal
	at := int64(h.r.IntN(8))
	if h.r.IntN(2) == 0 {
		at = int64(h.r.IntN(60))
	}
	lots := rand.New(rand.NewPCG(h.r.Uint64(), 2))
	var count atomic.Int64
	h.fs.SetFault(func(o vfs.Op) error {
		if o.Kind == "read" || o.Kind == "list" || o.Kind == "open" || count.Add(1) != at+1 {
			return nil
		}
		seen = h.seen()
		after = h.crash(lots)
		return nil
	})
	err := op()
	h.fs.SetFault(nil)
	if err != nil {
		return err
	}
	if after == nil {
		before = h.oracle.clone()
		seen = h.seen()
		after = h.crash(lots)
	}
	return h.check(before, after, seen)
}

func (h *reshaping) crash(lots *rand.Rand) *vfs.Mem {
	if h.Settings.Sync == stream.SyncNever {
		return h.fs.Restart()
	}
	return h.fs.Crash(lots)
}

// seen is how far readers could see.
func (h *reshaping) seen() map[record.ShardID]record.Ordinal {
	seen := map[record.ShardID]record.Ordinal{}
	if h.stream == nil {
		return seen
	}
	for _, sh := range h.stream.Shards() {
		if log := h.stream.Log(sh.ID); log != nil {
			seen[sh.ID] = log.Bounds().Next
		}
	}
	return seen
}

// check opens what a crash left. Nothing that was acknowledged or seen is missing; and once the
// producers went on, each of their records is there once.
func (h *reshaping) check(before oracle, after *vfs.Mem, seen map[record.ShardID]record.Ordinal) error {
	h.result.Crashes++
	c := &reshaping{StreamModel: h.StreamModel, r: h.r, fs: after, clock: h.clock, oracle: h.oracle.clone()}
	c.oracle.acked = before.acked
	for text := range c.oracle.free {
		c.oracle.free[text] = before.free[text]
	}
	if err := c.open(); err != nil {
		return fmt.Errorf("after a crash: %w", err)
	}
	err := c.survived(seen)
	if err == nil {
		err = c.resume()
	}
	if err == nil {
		err = c.verify()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("after a crash: %w", err), c.close())
	}
	if h.r.IntN(4) > 0 {
		return c.close()
	}
	err = h.close()
	h.fs, h.backend, h.stream, h.oracle = c.fs, c.backend, c.stream, c.oracle
	return err
}

// survived compares what is there after a crash with what was promised.
func (h *reshaping) survived(seen map[record.ShardID]record.Ordinal) error {
	for id, next := range seen {
		log := h.stream.Log(id)
		if log == nil {
			return fmt.Errorf("%s is gone", id)
		}
		if now := log.Bounds().Next; now < next {
			return fmt.Errorf("%s ends at %d, readers had seen %d", id, now, next)
		}
	}
	h.forget()
	return h.audit(false)
}
