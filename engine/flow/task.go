package flow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/vfs"
)

// Input is what a task reads.
type Input struct {
	// Name of the stream in the ledger and in what is said of it. Stream and Incarnation are what it is to the
	// backend.
	Name                string
	Stream, Incarnation string
	// Shards returns the shards of the stream as they are now. Once a shard is there it stays the
	// same but for its log; new ones come as shards are split and merged.
	Shards func() []Shard
	// Hold is told which records of a shard the task still needs, from an ordinal on; nil when
	// retention may take them all the same.
	Hold func(shard record.ShardID, from record.Ordinal)
	// Updated returns a channel that is closed when more can be read than at the call, or there
	// are new shards.
	Updated func() <-chan struct{}
	// Ended is closed once nothing more will be written in this run.
	Ended  <-chan struct{}
	Schema *column.Schema
	// Decode says how records become rows, for a schema that is declared for good.
	Decode column.Options
	// EventTime is the timestamp column that watermarks go by, empty for none. Delay is how far
	// the watermark stays behind the latest event of a shard.
	EventTime string
	Delay     time.Duration
	// Arrival makes watermarks go by when records arrived instead.
	Arrival bool
	// UserRecords makes a row of each user record of a record that a producer packed several into.
	UserRecords bool
}

// Shard is one shard of an input.
type Shard struct {
	ID record.ShardID
	// Parents are the shards it was split or merged from.
	Parents []record.ShardID
	// Keys are those whose records belong to the shard.
	Keys record.Range
	Log  stream.Log
}

// Step is a named transform.
type Step struct {
	Name      string
	Transform Transform
}

// Config makes a task.
type Config struct {
	Identity Identity
	// Kind is "sink" or "query", Type the sink's type.
	Kind, Type string
	// Feeds are the inputs, one at least.
	Feeds     []Feed
	Processor Processor
	// Parallelism is how many lanes read, decode and add rows at the same time; 0 means 1. More take a
	// Processor that is Parallel.
	Parallelism int
	// Buffers are those of all tasks of the process; nil for some of its own.
	Buffers *Buffers
	Trigger Trigger
	// Memory is what the processor and the dead letters of a chunk may hold; more cuts the chunk.
	Memory int64
	Meta   stream.Meta
	// Tasks is how many tasks share the shards of the input (checkpoint.Owner); 0 means 1.
	Tasks int
	// RedoOnly makes Run redo a pending plan, if there is one, and return: nothing else is read, and a
	// document that is not there is not made. It is for plans of another configuration or of another
	// number of tasks, which must be delivered as they were planned before anything else happens.
	RedoOnly bool
	// Frontier is where a query tells how early the rows are that it has yet to give; nil if nobody asks, or if that is
	// not known. The processor has to know it then.
	Frontier *Frontier
	// Generation is a hash of the consumer's configuration.
	Generation string
	// Recorded is asked when a plan of another generation is pending; nil when none is recorded.
	Recorded    Recorded
	DeadLetters *DeadLetters
	// Late appends late rows to a stream of their own, as the records they came in, and returns nil once
	// that is durable. Nil keeps them among the dead letters.
	Late func(ctx context.Context, b *record.Batch) error
	// SkipDamaged goes on behind damaged records, which are counted as expired, instead of
	// stopping.
	SkipDamaged bool
	// Stop asks the task to commit what it has and return. It tries for Grace to deliver its last
	// chunk; zero means 10 seconds.
	Stop  <-chan struct{}
	Grace time.Duration
	// HandOver, too, asks the task to commit what it has and return, because another process is to go
	// on with it. Whoever asks bounds the time by the context. Nil means never.
	HandOver <-chan struct{}
	Now      func() time.Time
	Log      *slog.Logger
}

// Limits of one task.
const (
	// maxBatchRows and maxBatchBytes bound the batch that is decoded; 8,192 rows of ten columns fit a
	// second-level cache.
	maxBatchRows  = 8192
	maxBatchBytes = 4 << 20
	// maxRead is how many bytes of frames are read from a shard at once.
	maxRead = 1 << 20
	// maxDictionaries is how many bytes the dictionaries of an input's columns take at most.
	maxDictionaries = 16 << 20
	// maxFuture is how far an event may lie ahead of its own arrival before it is a bad row. One
	// such row would otherwise close every window.
	maxFuture = 24 * time.Hour
	// idleAfter is when a shard that brings nothing stops holding the watermark back.
	idleAfter = 30 * time.Second
	// arrivalIdle is the same where watermarks go by arrival: what was appended can be read by then.
	arrivalIdle = time.Second
	// outputEvery is the shortest time between chunks that are cut because windows closed.
	outputEvery  = 100 * time.Millisecond
	defaultGrace = 10 * time.Second
)

// Task reads shards, sends their rows through the steps into the processor and commits chunk by
// chunk. Run is called once, from one goroutine; Status may be called from any.
type Task struct {
	Config
	store   *checkpoint.Store
	feeds   []*feed
	lanes   []*lane
	readers []*reader
	// rest is the first reader whose turn it is still in a round that was left, 0 when none was.
	rest   int
	ledger []checkpoint.Step
	// keeper is where rejected rows go, nil for the dead letters. One lane at a time keeps some.
	keeper  RejectKeeper
	keeping sync.Mutex
	chunk   chunk
	// limits are the ranges that are being redone, nil otherwise.
	limits  map[record.ShardID]Range
	status  status
	drained atomic.Bool
	// passed is what time had passed to, at passedAt, when only queries behind inputs held the watermark back. Their rows
	// do not undo that, those of streams do.
	passed   int64
	passedAt time.Time
	// sure is how early the rows may be that the task has yet to give, whatever it has to read.
	sure int64
	// earlier redoes what another configuration planned, before the task begins.
	earlier atomic.Pointer[Task]
	kin     kin
}

// chunk is the state of the open chunk.
type chunk struct {
	// opened is when its first record was read; zero while there is none.
	opened time.Time
	// from is where each shard stood.
	from map[record.ShardID]record.Ordinal
	dead deadChunk
	// late are rows for Config.Late.
	late deadChunk
}

// errStopped ends a task that was asked to stop before it could commit its last chunk.
var errStopped = errors.New("stopped before the last chunk was delivered; the next run delivers it")

// NewTask makes a task that does nothing until Run.
func NewTask(c Config) *Task {
	// What a task does to its feeds is its own: others have the same configuration.
	c.Feeds = slices.Clone(c.Feeds)
	t := &Task{Config: c, keeper: keeper(c.Processor), passed: column.MinWatermark, sure: column.MinWatermark}
	rejects := new(record.Spare)
	rejects.Room(int(c.Memory / 2))
	t.chunk.dead.spare, t.chunk.late.spare = rejects, rejects
	if t.Grace == 0 {
		t.Grace = defaultGrace
	}
	if t.RedoOnly {
		t.Frontier = nil // it gives what was planned, and ends
	}
	t.newFeeds()
	t.newLanes()
	t.status.init(t)
	return t
}

// Run works until the input has ended and is delivered, or until Stop. It returns nil in both
// cases. Errors are those that trying again cannot cure, and that of a full disk (vfs.IsFull), after which another
// task can go on from the document; ctx ends it at once.
func (t *Task) Run(ctx context.Context) error {
	err := t.run(ctx)
	t.promiseEnd()
	if cerr := t.Processor.Close(); err == nil {
		err = cerr
	}
	if errors.Is(err, errStopped) {
		t.Log.Warn(err.Error(), "task", t.Identity.Name)
		err = nil
	}
	if p := (processorError{}); err != nil && !errors.As(err, &p) {
		err = fmt.Errorf("%s %q: %w", t.Kind, t.Identity.Name, err)
	}
	if vfs.IsFull(err) && ctx.Err() == nil {
		t.noRoom(err)
		return err
	}
	t.status.end(err)
	return err
}

func (t *Task) run(ctx context.Context) error {
	if err := t.redoRecorded(ctx); err != nil {
		return err
	}
	if t.RedoOnly {
		switch doc, err := checkpoint.Read(ctx, t.Meta, Key(t.Identity)); {
		case errors.Is(err, stream.ErrNotFound):
			return nil
		case err != nil:
			return err
		case doc.Pending == nil:
			return nil
		}
	}
	t.Frontier.tell(&promise{at: t.sure})
	if err := t.open(ctx); err != nil {
		return err
	}
	doc := t.store.Document()
	grace := t.Grace
	if doc.Pending == nil {
		grace = 0 // nothing is waiting to be delivered
	}
	if err := t.insist(ctx, grace, func(ctx context.Context) error { return t.Processor.Start(ctx, doc.State) }); err != nil {
		return named(err)
	}
	if g := t.status.describe(t.Processor); g != "" {
		t.Log.Info("delivering", "task", t.Identity.Name, "guarantee", g)
	}
	if t.store.Document().Pending != nil {
		t.status.started()
		if err := t.redo(ctx); err != nil {
			return err
		}
	}
	if t.RedoOnly {
		return nil
	}
	if err := t.awaitTables(ctx); err != nil {
		return err
	}
	t.status.started()
	for {
		done, err := t.turn(ctx)
		if done || err != nil {
			return err
		}
	}
}

// Drained reports, once Run returned nil, whether the input had ended and is delivered.
func (t *Task) Drained() bool { return t.drained.Load() }

// open takes the document over and prepares to read from its positions.
func (t *Task) open(ctx context.Context) error {
	key := Key(t.Identity)
	var store *checkpoint.Store
	err := t.record(ctx, func(ctx context.Context) (err error) {
		store, err = checkpoint.Open(ctx, t.Meta, key, t.start)
		return err
	})
	if err != nil {
		return err
	}
	t.store = store
	if err := t.record(ctx, t.number); err != nil {
		return err
	}
	t.tell()
	for _, f := range t.feeds {
		built := f.Evolution.Built
		if f.Evolution.Versions == nil {
			built.Schema = f.Input.Schema
		}
		t.decodeWith(f, built)
	}
	doc := store.Document()
	t.kin.init(t)
	t.join()
	t.restoreLedger(doc.Ledger)
	t.openChunk()
	t.status.baseline(doc, t.ledger)
	return nil
}

// Key is where a task's document is kept.
func Key(id Identity) string {
	return checkpoint.TaskGroup{Pipeline: id.Pipeline, Consumer: id.Name}.Key(id.Task)
}

// restoreLedger continues the counts of steps that the pipeline still has.
func (t *Task) restoreLedger(saved []checkpoint.Step) {
	for i := range t.ledger {
		t.ledger[i].Counts = countsOf(saved, t.ledger[i].Name)
	}
}

// countsOf is the counts of a step in a ledger, zero when it has none.
func countsOf(ledger []checkpoint.Step, name string) Counts {
	for _, s := range ledger {
		if s.Name == name {
			return s.Counts
		}
	}
	return Counts{}
}

func (t *Task) openChunk() {
	t.chunk = chunk{from: make(map[record.ShardID]record.Ordinal, len(t.readers)), dead: t.chunk.dead, late: t.chunk.late}
	for _, r := range t.readers {
		t.chunk.from[r.id] = r.next
		r.oldest = 0
	}
	t.chunk.dead.reset()
	t.chunk.late.reset()
}

// turn reads each shard once, commits if something is due, and otherwise waits.
func (t *Task) turn(ctx context.Context) (done bool, err error) {
	t.evolve(ctx)
	if err := t.refresh(ctx); err != nil {
		return false, err
	}
	// These are looked at before reading: what comes later wakes the wait below.
	t.ask()
	updated := t.updated()
	ended, stopped, wanted := len(t.unended()) == 0, isClosed(t.Stop), isClosed(t.HandOver)
	read := false
	if !stopped && !wanted {
		if read, err = t.readAll(ctx); err != nil {
			return false, err
		}
		t.weigh()
	}
	t.status.progress(t.Identity.Task, t.ledger, t.readers, t.level())
	switch {
	case stopped:
		return true, t.finish(ctx, "shutdown")
	case wanted:
		return true, t.finish(ctx, "handover")
	case !read && ended && !t.pending():
		err := t.finish(ctx, "end")
		t.drained.Store(err == nil)
		return true, err
	}
	if reason := t.due(); reason != "" {
		if err := t.commit(ctx, t.cut(reason)); err != nil {
			return false, err
		}
		t.promise()
		return false, nil
	}
	t.promise()
	if read {
		return false, ctx.Err()
	}
	if !t.moved() {
		t.hasRoom() // there is nothing to be written
	}
	return false, t.wait(ctx, updated)
}

// finish commits what is left.
func (t *Task) finish(ctx context.Context, reason string) error {
	cut := t.cut(reason)
	if reason == "end" {
		cut.Watermark = column.MaxWatermark
	}
	if !t.moved() && !t.emits(cut.Watermark) {
		return nil
	}
	err := t.commit(ctx, cut)
	for err == nil && reason == "end" && t.emits(cut.Watermark) {
		// The rows were too many for one chunk.
		if cut = t.cut(reason); isClosed(t.Stop) {
			return errStopped
		}
		cut.Watermark = column.MaxWatermark
		err = t.commit(ctx, cut)
	}
	if err == nil {
		t.report(ctx)
	}
	return err
}

// due says why the open chunk should be cut now, or "".
func (t *Task) due() string {
	open := t.Processor.Open()
	age := time.Duration(0)
	if !t.chunk.opened.IsZero() {
		age = t.Now().Sub(t.chunk.opened)
	}
	trigger := t.Trigger
	switch {
	case trigger.Size > 0 && open.Encoded >= trigger.Size:
		return "size"
	case trigger.Rows > 0 && open.Rows >= trigger.Rows:
		return "rows"
	case t.crowded():
		return "memory"
	case trigger.Age > 0 && age >= trigger.Age:
		return "age"
	case t.awaited():
		return "reshard"
	case (age >= outputEvery || !t.moved()) && t.emits(t.watermark()):
		return "output"
	}
	return ""
}

// wait sleeps until something may have become due.
func (t *Task) wait(ctx context.Context, updated []<-chan struct{}) error {
	timer := time.NewTimer(t.patience())
	defer timer.Stop()
	news := append(updated, t.unended()...)
	news = append(news, t.Stop, t.HandOver, ctx.Done())
	cases := []reflect.SelectCase{{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(timer.C)}}
	for _, c := range news {
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c)})
	}
	reflect.Select(cases)
	return ctx.Err()
}

// patience is how long nothing becomes due without new records.
func (t *Task) patience() time.Duration {
	longest := time.Second
	if t.kin.waiting {
		longest = kinEvery
	}
	if t.chunk.opened.IsZero() || t.Trigger.Age == 0 {
		return longest
	}
	return max(min(longest, t.Trigger.Age-t.Now().Sub(t.chunk.opened)), time.Millisecond)
}

// moved reports whether the open chunk has records.
func (t *Task) moved() bool { return !t.chunk.opened.IsZero() }

// emitter is a processor whose windows give rows as the watermark moves.
type emitter interface{ Ready(watermark int64) bool }

func (t *Task) emits(watermark int64) bool {
	e, ok := t.Processor.(emitter)
	return ok && e.Ready(watermark)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
