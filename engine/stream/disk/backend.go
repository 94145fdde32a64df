// Package disk is the embedded backend: every shard is a list of segment files, every document a
// file. docs/formats has the byte tables.
//
// The invariants to remember: readers see synced bytes only; a segment that another one follows
// is never written again; a file whose write or sync failed is given up, and the log goes on in
// a new one.
package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/seal"
	"github.com/millrace-io/millrace/engine/vfs"
)

// Options of a data directory. The zero value has the defaults.
type Options struct {
	// Now is the clock for arrival times and retention; nil means time.Now.
	Now func() time.Time
	// Log gets what was repaired or found damaged; nil means nobody does.
	Log *slog.Logger
	// SegmentSize is after how many bytes a new segment begins, at most 1 GiB; zero means 64 MiB.
	SegmentSize int64
	// Reserve is how many bytes of the disk appends leave free; zero means 64 MiB or 1 % of the
	// disk, whichever is less.
	Reserve int64

	// Sync says when appends to streams that do not choose are acknowledged; empty means
	// stream.SyncAlways.
	Sync stream.SyncMode

	// Keys returns the keyring of a stream that is encrypted with the master key of that name; nil
	// means that there are no master keys. It is asked again when data keys are wrapped again.
	Keys func(stream, key string) (seal.Keyring, error)

	// faults leave out what tests must then see missing.
	faults faults
}

// faults are mistakes that the crash tests must find.
type faults struct{ ackBeforeSync, noChecksum, noProducerCheck, noInheritance, noParentTime, sealBeforeSync bool }

const (
	defaultSegmentSize = 64 << 20
	maxSegmentSize     = 1 << 30
	defaultReserve     = 64 << 20
)

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.SegmentSize <= 0 {
		o.SegmentSize = defaultSegmentSize
	}
	o.SegmentSize = min(o.SegmentSize, maxSegmentSize)
	if o.Sync == "" {
		o.Sync = stream.SyncAlways
	}
	return o
}

// LockedError reports that another process uses the data directory.
type LockedError struct {
	Dir string
	// PID is 0 when the holder's name could not be read.
	PID     int
	Command string
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("data directory %s is in use by another process", e.Dir)
	}
	return fmt.Sprintf("data directory %s is in use by process %d (%s)", e.Dir, e.PID, e.Command)
}

// Backend is an open data directory.
type Backend struct {
	fs      vfs.FS
	dir     string
	options Options
	lock    io.Closer
	meta    *meta
	// full is set while the disk has less than the reserve free.
	full atomic.Bool
	// spare is what was free beyond the reserve at the last look; underway is what groups are writing.
	spare, underway atomic.Int64
	// buffers are *[]byte of the committers, kept while a group is written.
	buffers  sync.Pool
	requests sync.Pool

	// changing is held to open shards, which may happen at once, and held alone to remove them.
	changing sync.RWMutex

	mu      sync.Mutex // guards what follows, and the maps of the streams
	closed  bool
	streams map[string]*streamDir
}

var _ stream.Backend = (*Backend)(nil)

// streamDir is what the open shards of one stream share.
type streamDir struct {
	logs map[record.ShardID]*Log
	// opening are closed when the shard was opened, or could not be.
	opening map[record.ShardID]chan struct{}
	names   names
	// held is how many bytes the shards hold for consumers.
	held atomic.Int64
	// keyrings are shared by the shards.
	keyrings keyrings
}

// Open opens a data directory and creates it if need be. Nobody else can until Close. Error:
// *LockedError.
func Open(fs vfs.FS, dir string, o Options) (*Backend, error) {
	b := &Backend{fs: fs, dir: dir, options: o.withDefaults(), streams: map[string]*streamDir{}}
	b.buffers.New = func() any { return new([]byte) }
	b.requests.New = newRequest
	if err := vfs.Mkdir(fs, dir); err != nil {
		return nil, fmt.Errorf("create data directory %s: %w", dir, err)
	}
	lock, err := fs.Lock(path.Join(dir, "LOCK"), owner())
	if err != nil {
		return nil, lockError(dir, err)
	}
	b.lock = lock
	if err := b.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("open data directory %s: %w", dir, err), lock.Close())
	}
	return b, nil
}

func (b *Backend) prepare() error {
	for _, d := range []string{"streams", "meta", "trash"} {
		if err := vfs.Mkdir(b.fs, path.Join(b.dir, d)); err != nil {
			return err
		}
	}
	// The process before may have been killed between creating a directory and syncing its name.
	if err := b.fs.SyncDir(b.dir); err != nil {
		return err
	}
	if err := b.checkFormat(); err != nil {
		return err
	}
	m, err := openMeta(b.fs, path.Join(b.dir, "meta"))
	if err != nil {
		return err
	}
	b.meta = m
	if err := removeAll(b.fs, path.Join(b.dir, "trash"), false); err != nil {
		return err
	}
	return b.refreshFull()
}

const formatText = "millrace data directory, format 1\n"

// checkFormat refuses a directory that a later version laid out in another way.
func (b *Backend) checkFormat() error {
	name := path.Join(b.dir, "FORMAT")
	text, err := readFile(b.fs, name, 4096)
	if errors.Is(err, fs.ErrNotExist) {
		return writeFile(b.fs, name, []byte(formatText))
	}
	if err == nil && string(text) != formatText {
		err = fmt.Errorf("%s says %q, this version of millrace knows %q", name, text, formatText)
	}
	return err
}

func owner() string {
	args := append([]string{filepath.Base(os.Args[0])}, os.Args[1:]...)
	return fmt.Sprintf("%d\n%s\n", os.Getpid(), strings.Join(args[:min(len(args), 3)], " "))
}

func lockError(dir string, err error) error {
	var held *vfs.LockedError
	if !errors.As(err, &held) {
		return fmt.Errorf("lock data directory %s: %w", dir, err)
	}
	pid, command, _ := strings.Cut(strings.TrimSpace(held.Owner), "\n")
	e := &LockedError{Dir: dir, Command: command}
	if n, err := strconv.Atoi(pid); err == nil {
		e.PID = n
	}
	return e
}

// Shard implements stream.Backend. The options of the first call count. Different shards are opened at
// once.
func (b *Backend) Shard(_ context.Context, name string, id record.ShardID, o stream.ShardOptions) (stream.Log, error) {
	b.changing.RLock()
	defer b.changing.RUnlock()
	for {
		s, l, opening, err := b.claim(name, id)
		switch {
		case err != nil:
			return nil, err
		case l != nil:
			return l, nil
		case opening != nil:
			<-opening
			continue
		}
		l, err = openLog(b, s, name, id, o)
		b.mu.Lock()
		close(s.opening[id])
		delete(s.opening, id)
		if err == nil {
			s.logs[id] = l
		}
		b.mu.Unlock()
		if err != nil {
			return nil, fmt.Errorf("open %s of stream %q: %w", id, name, err)
		}
		return l, nil
	}
}

// claim returns the log of a shard, or a channel to wait for if another call opens it. With neither the
// caller has to open it.
func (b *Backend) claim(name string, id record.ShardID) (*streamDir, *Log, chan struct{}, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, nil, nil, stream.ErrClosed
	}
	s := b.streams[name]
	if s == nil {
		s = &streamDir{logs: map[record.ShardID]*Log{}, opening: map[record.ShardID]chan struct{}{}}
		b.streams[name] = s
	}
	if l, opening := s.logs[id], s.opening[id]; l != nil || opening != nil {
		return s, l, opening, nil
	}
	s.opening[id] = make(chan struct{})
	return s, nil, nil, nil
}

func (b *Backend) streamPath(name string) string { return path.Join(b.dir, "streams", fileName(name)) }

// DeleteStream implements stream.Backend. The records are out of sight at once, also after a crash.
func (b *Backend) DeleteStream(_ context.Context, name string) error {
	b.changing.Lock()
	defer b.changing.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return stream.ErrClosed
	}
	if s := b.streams[name]; s != nil {
		for _, l := range s.logs {
			if err := l.close(); err != nil {
				return err
			}
		}
		delete(b.streams, name)
	}
	return b.discard(b.streamPath(name), fileName(name))
}

// DeleteShard implements stream.Backend.
func (b *Backend) DeleteShard(_ context.Context, name string, id record.ShardID) error {
	b.changing.Lock()
	defer b.changing.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return stream.ErrClosed
	}
	if s := b.streams[name]; s != nil && s.logs[id] != nil {
		if err := s.logs[id].close(); err != nil {
			return err
		}
		delete(s.logs, id)
	}
	return b.discard(shardPath(b.streamPath(name), id), fileName(name)+"+"+shardName(id))
}

// discard removes a directory, out of sight at once, also after a crash.
func (b *Backend) discard(dir, name string) error {
	trash := path.Join(b.dir, "trash", name)
	if err := removeAll(b.fs, trash, true); err != nil {
		return err
	}
	err := b.fs.Rename(dir, trash)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = b.fs.SyncDir(path.Dir(dir))
	}
	if err == nil {
		err = removeAll(b.fs, trash, true)
	}
	return err
}

// Meta implements stream.Backend.
func (b *Backend) Meta() stream.Meta { return b.meta }

// Sync implements stream.Backend.
func (b *Backend) Sync() string { return string(b.options.Sync) }

// Tidy implements stream.Backend.
func (b *Backend) Tidy(ctx context.Context, now time.Time) error {
	var errs []error
	for _, l := range b.logs() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		errs = append(errs, l.tidy(ctx, now))
	}
	return errors.Join(append(errs, b.refreshFull())...)
}

func (b *Backend) logs() []*Log {
	b.mu.Lock()
	defer b.mu.Unlock()
	var logs []*Log
	for _, s := range b.streams {
		for _, l := range s.logs {
			logs = append(logs, l)
		}
	}
	slices.SortFunc(logs, func(x, y *Log) int { return strings.Compare(x.dir, y.dir) })
	return logs
}

// Close implements stream.Backend.
func (b *Backend) Close() error {
	b.changing.Lock()
	defer b.changing.Unlock()
	logs := b.logs()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	var errs []error
	for _, l := range logs {
		errs = append(errs, l.close())
	}
	return errors.Join(append(errs, b.lock.Close())...)
}

// refreshFull looks whether the disk has the reserve free.
func (b *Backend) refreshFull() error {
	free, total, err := b.fs.FreeSpace(b.dir)
	if err != nil {
		return err
	}
	reserve := b.options.Reserve
	if reserve == 0 {
		reserve = min(defaultReserve, total/100)
	}
	b.full.Store(free < reserve)
	b.spare.Store(free - reserve)
	return nil
}

// claimSpace returns ErrFull if a group of so many bytes would not leave the reserve free. Documents
// are written into the reserve, so it must hold at every moment, not only between groups. After nil,
// freeClaim must follow the write.
func (b *Backend) claimSpace(bytes int64) error {
	if bytes == 0 || b.underway.Add(bytes) <= b.spare.Load() {
		return nil
	}
	err := b.refreshFull()
	if err == nil && b.underway.Load() > b.spare.Load() {
		err = fmt.Errorf("%w: %w", stream.ErrFull, &vfs.NearlyFullError{Dir: b.dir})
	}
	if err != nil {
		b.underway.Add(-bytes)
	}
	return err
}

// freeClaim ends a claim. What was written must have been looked at before.
func (b *Backend) freeClaim(bytes int64) { b.underway.Add(-bytes) }

// checkFull returns ErrFull while the disk is nearly full. It costs a system call only then.
func (b *Backend) checkFull() error {
	if !b.full.Load() {
		return nil
	}
	if err := b.refreshFull(); err != nil {
		return err
	}
	if b.full.Load() {
		return fmt.Errorf("%w: %w", stream.ErrFull, &vfs.NearlyFullError{Dir: b.dir})
	}
	return nil
}
