package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/vfs"
)

// ConsumerConfig makes a consumer.
type ConsumerConfig struct {
	// Tasks is how many share its shards, 1 at least. Each gets an equal part of what the consumer has.
	Tasks int
	// Open makes the configuration of a task for one run of it, with a processor and steps of its own.
	// The configurations differ in these and in Identity.Task only; what is said there about leases
	// (Tasks, Stop, HandOver) is the consumer's. It is also asked for tasks that the consumer had
	// earlier, with RedoOnly to be set. One goroutine for each task calls it.
	Open func(task int) (Config, error)
	// Worker, Expiry and HandOver are as in checkpoint.LeaseConfig.
	Worker           string
	Expiry, HandOver time.Duration
}

// settledEvery is how often a consumer whose input has ended looks whether the tasks that other
// workers have are done too.
const settledEvery = 200 * time.Millisecond

// Consumer is a sink or a query: the tasks that share the shards of its stream. Several workers, in
// this process or in others, may run the same consumer: a lease decides who runs a task, the task's
// document decides where it stands, and its fence refuses the commits of whoever lost the lease and
// does not know it yet. Run is called once; Status and Drained may be called from any goroutine.
type Consumer struct {
	ConsumerConfig
	// common is the configuration of the first task, for what they share.
	common Config
	group  checkpoint.TaskGroup
	// halted asks all tasks to commit and return.
	halted  chan struct{}
	halting sync.Once
	// settled says that a task has delivered all of its input.
	settled chan struct{}

	mu sync.Mutex // guards what follows
	// ready are configurations that no run has used yet.
	ready map[int]Config
	// tasks are those that run here or ended here, by number.
	tasks   map[int]*Task
	drained map[int]bool
	done    bool
	err     error
	// full is set while the consumer waits for room on the disk before it has a task.
	full    error
	worker  *checkpoint.Worker
	history history
}

// NewConsumer opens the configurations of all tasks and starts nothing.
func NewConsumer(c ConsumerConfig) (*Consumer, error) {
	c.Tasks = max(c.Tasks, 1)
	o := &Consumer{
		ConsumerConfig: c, halted: make(chan struct{}), settled: make(chan struct{}, 1),
		ready: map[int]Config{}, tasks: map[int]*Task{}, drained: map[int]bool{},
	}
	for task := range c.Tasks {
		config, err := c.Open(task)
		if err != nil {
			return nil, errors.Join(err, o.close())
		}
		o.ready[task] = config
	}
	o.common = o.ready[0]
	first := o.common.Feeds[0].Input
	o.group = checkpoint.TaskGroup{
		Stream: first.Stream, Incarnation: first.Incarnation, Tasks: c.Tasks,
		Pipeline: o.common.Identity.Pipeline, Consumer: o.common.Identity.Name,
	}
	for _, f := range o.common.Feeds[1:] {
		if id := (checkpoint.StreamID{Stream: f.Input.Stream, Incarnation: f.Input.Incarnation}); id.Stream != first.Stream && !slices.Contains(o.group.Others, id) {
			o.group.Others = append(o.group.Others, id)
		}
	}
	return o, nil
}

// Run works on the tasks whose leases it gets, until the input has ended and all tasks have
// delivered it, or until Stop. It returns nil in both cases. Errors are those that trying again
// cannot cure: a task's stops the others in order. ctx ends it at once.
func (c *Consumer) Run(ctx context.Context) error {
	err := c.run(ctx)
	if cerr := c.close(); err == nil {
		err = cerr
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done, c.err = true, err
	return err
}

// Drained reports, once Run returned nil, whether the input had ended and is delivered.
func (c *Consumer) Drained() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done && c.err == nil && len(c.drained) == c.Tasks
}

func (c *Consumer) run(ctx context.Context) error {
	before, err := c.prepare(ctx)
	if (errors.Is(err, checkpoint.ErrPending) || vfs.IsFull(err)) && isClosed(c.common.Stop) {
		c.common.Log.Warn(errStopped.Error(), "consumer", c.common.Identity.Name, "error", err)
		return nil
	}
	if err != nil {
		return c.named(err)
	}
	c.mu.Lock()
	c.history.begin(before)
	c.mu.Unlock()
	worker, err := checkpoint.NewWorker(checkpoint.LeaseConfig{
		Meta: c.common.Meta, Stream: c.group.Stream, Incarnation: c.group.Incarnation, Group: c.group.Name(), Worker: c.Worker,
		Lineage: c.group.Lineage, Expiry: c.Expiry, HandOver: c.HandOver, Log: c.common.Log,
	})
	if err != nil {
		return c.named(err)
	}
	c.mu.Lock()
	c.worker = worker
	c.mu.Unlock()
	finished, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		c.watch(ctx, worker, finished)
	}()
	err = worker.Run(ctx, c.handle)
	close(finished)
	<-watched
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err // a task's, which names it
	}
	return c.named(err)
}

func (c *Consumer) named(err error) error {
	if p := (processorError{}); err == nil || errors.As(err, &p) {
		return err
	}
	return fmt.Errorf("%s %q: %w", c.common.Kind, c.common.Identity.Name, err)
}

// watch ends the worker when it was asked to stop, when a task failed, and when all is delivered.
func (c *Consumer) watch(ctx context.Context, worker *checkpoint.Worker, finished <-chan struct{}) {
	stop, halted := c.common.Stop, (<-chan struct{})(c.halted)
	ended, forget := c.ended()
	defer forget()
	// Other workers may end after this one's last task has, and do not tell.
	tick := time.NewTicker(settledEvery)
	tick.Stop()
	defer tick.Stop()
	for {
		select {
		case <-finished:
			return
		case <-stop:
			stop = nil
			c.halt()
		case <-halted:
			halted = nil
			worker.Stop()
		case <-c.settled:
			if c.complete() {
				worker.Stop()
			}
		case <-ended:
			ended = nil
			tick.Reset(settledEvery)
		case <-tick.C:
			if c.lookAround(ctx, worker) && c.complete() {
				worker.Stop()
			}
		}
	}
}

// ended returns a channel that is closed once all inputs have ended. forget must be called.
func (c *Consumer) ended() (_ <-chan struct{}, forget func()) {
	all, over := make(chan struct{}), make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for _, f := range c.common.Feeds {
			select {
			case <-f.Input.Ended:
			case <-over:
				return
			}
		}
		close(all)
	})
	return all, func() {
		close(over)
		watching.Wait()
	}
}

func (c *Consumer) halt() { c.halting.Do(func() { close(c.halted) }) }

func (c *Consumer) complete() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.drained) == c.Tasks
}

// idle reports whether no task is at work here, nor could be: a worker that could not take a lease, or whose
// task is about to begin, is not idle.
func (c *Consumer) idle(worker *checkpoint.Worker) bool {
	if !worker.Looked() {
		return false
	}
	held := worker.Stats().Shards
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range held {
		if !c.drained[int(l.Shard)] {
			return false
		}
	}
	for task := range c.tasks {
		if !c.drained[task] {
			return false
		}
	}
	return true
}

// lookAround asks the documents whether the tasks of other workers have delivered everything.
func (c *Consumer) lookAround(ctx context.Context, worker *checkpoint.Worker) bool {
	if !c.idle(worker) {
		return false
	}
	docs, err := checkpoint.ReadTasks(ctx, c.common.Meta, c.group.Documents())
	if vfs.IsFull(err) {
		return false // the worker's trouble, too
	}
	if err != nil {
		c.common.Log.Warn("see whether all tasks are done", "consumer", c.common.Identity.Name, "error", err)
		return false
	}
	for task := range c.Tasks {
		if docs[task].Pending != nil {
			return false
		}
	}
	for _, f := range c.common.Feeds {
		places := checkpoint.Places(docs, f.Input.Stream)
		for _, shard := range f.Input.Shards() {
			if places[shard.ID].Next < shard.Log.Bounds().Next {
				return false
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for task := range c.Tasks {
		c.drained[task] = true
	}
	return true
}

// open makes a task for one run.
func (c *Consumer) open(task int) (Config, error) {
	c.mu.Lock()
	config, ok := c.ready[task]
	delete(c.ready, task)
	c.mu.Unlock()
	if ok {
		return config, nil
	}
	return c.Open(task)
}

func (c *Consumer) begin(number int, task *Task) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.tasks[number]; old != nil {
		c.history.fold(old.Status())
		if old.store != nil {
			c.history.docs[number] = old.store.Document() // until the new one has read it
		}
	}
	c.tasks[number] = task
}

// retire forgets a task, nil if it could not be made, that goes on elsewhere, but for what it did here.
func (c *Consumer) retire(ctx context.Context, number int, task *Task) {
	doc, err := checkpoint.Read(context.WithoutCancel(ctx), c.common.Meta, c.group.Key(number))
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.history.docs[number] = doc
	}
	if task != nil {
		c.history.fold(task.Status())
	}
	delete(c.tasks, number)
}

func (c *Consumer) settle(number int) {
	c.mu.Lock()
	c.drained[number] = true
	c.mu.Unlock()
	select {
	case c.settled <- struct{}{}:
	default:
	}
}

// fail stops the other tasks in order.
func (c *Consumer) fail(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
	c.halt()
}

// close lets go of the processors that no task has used.
func (c *Consumer) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for task, config := range c.ready {
		errs = append(errs, config.Processor.Close())
		delete(c.ready, task)
	}
	return errors.Join(errs...)
}
