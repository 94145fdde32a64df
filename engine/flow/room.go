package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/vfs"
)

// A full disk ends no task: whoever filled it may be another program, and nothing is lost by waiting. Documents
// are written again in place (record). Where the work cannot be done twice from where it stopped, as in the middle of
// a query's snapshot, the task begins anew at its document, as after a crash (Consumer.handle).

// NewBackOff gives the pauses between attempts at what failed, which grow to 15 seconds and never end.
func NewBackOff() backoff.BackOff {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 200*time.Millisecond, 15*time.Second
	return wait
}

// WaitingForRoom says in the words of people what err, of a full disk, means and what helps.
func WaitingForRoom(err error) error {
	return fmt.Errorf("waiting for room on a disk, nothing is lost: %w; free space there or enlarge it, and it goes on by itself", err)
}

// noRoom notes that the task waits for room, and says so once.
func (t *Task) noRoom(err error) {
	err = WaitingForRoom(err)
	if t.status.full(err) {
		t.Log.Warn(err.Error(), "task", t.Identity.Name)
	}
}

// hasRoom ends noRoom.
func (t *Task) hasRoom() {
	if t.status.roomy() {
		t.Log.Info("there is room on the disk again", "task", t.Identity.Name)
	}
}

// resume takes over from an earlier run of the task that waits for room.
func (t *Task) resume(before *Task) {
	if before == nil {
		return
	}
	was := before.Status()
	t.status.mu.Lock()
	defer t.status.mu.Unlock()
	t.status.now.State, t.status.now.Error, t.status.now.DiskFull = was.State, was.Error, was.DiskFull
}

// full returns whether the disk was not full before.
func (s *status) full(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := !s.now.DiskFull
	s.now.State, s.now.Error, s.now.DiskFull = "retrying", err.Error(), true
	s.now.Retries++
	return news
}

// roomy returns whether the disk was full before.
func (s *status) roomy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.now.DiskFull
	if was {
		s.now.State, s.now.Error, s.now.DiskFull = "running", "", false
	}
	return was
}

// pause waits before the next attempt at what failed with err. It returns why there should be none. Whoever waits for
// room has nothing to deliver before that, and stops at once.
func (t *Task) pause(ctx context.Context, d time.Duration, err error) error {
	var stop, handOver <-chan struct{}
	if vfs.IsFull(err) {
		stop, handOver = t.Stop, t.HandOver
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-stop:
	case <-handOver:
	case <-ctx.Done():
		return gaveUp(ctx, err)
	}
	return fmt.Errorf("%w: %w", errStopped, err)
}

// prepare makes the tasks' documents fit the consumer. What a task had planned before the number of tasks changed is
// delivered first.
func (c *Consumer) prepare(ctx context.Context) (map[int]checkpoint.Document, error) {
	var last *Task
	redo := func(ctx context.Context, number int) error {
		config, err := c.Open(number)
		if err != nil {
			return err
		}
		config.RedoOnly = true
		task := NewTask(config)
		task.resume(last)
		last = task
		return task.Run(ctx)
	}
	for wait := NewBackOff(); ; {
		docs, err := c.group.Prepare(ctx, c.common.Meta, checkpoint.Setup{Start: startOf(c.common.Feeds), Redo: redo})
		c.note(err)
		if !vfs.IsFull(err) || !c.patient(ctx, nil, wait.NextBackOff()) {
			return docs, err
		}
	}
}

// note keeps that the consumer waits for room, and says so once; or with another error that it does not.
func (c *Consumer) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !vfs.IsFull(err) {
		c.full = nil
		return
	}
	news := c.full == nil
	if c.full = WaitingForRoom(c.named(err)); news {
		c.common.Log.Warn(c.full.Error(), "consumer", c.common.Identity.Name)
	}
}

// patient waits, and returns false when it was asked not to.
func (c *Consumer) patient(ctx context.Context, asked <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-asked:
	case <-c.common.Stop:
	case <-c.halted:
	case <-ctx.Done():
	}
	return false
}

// handle runs a task under its lease, anew from its document each time that a full disk ended it.
func (c *Consumer) handle(ctx context.Context, l *checkpoint.Lease) error {
	number := int(l.Shard())
	wait := NewBackOff()
	for before := (*Task)(nil); ; {
		task, err := c.attempt(ctx, l, number, before)
		if !vfs.IsFull(err) || ctx.Err() != nil {
			return c.conclude(ctx, l, number, task, err)
		}
		if task != nil && task.Status().Committed != nil {
			wait.Reset()
		}
		if !c.patient(ctx, l.Asked(), wait.NextBackOff()) {
			c.common.Log.Warn(fmt.Errorf("%w: %w", errStopped, err).Error(), "task", number, "consumer", c.common.Identity.Name)
			c.note(nil)
			if task != nil {
				task.status.end(ctx.Err())
			}
			return c.conclude(ctx, l, number, task, ctx.Err())
		}
		before = task
	}
}

// attempt is one run of a task; before is the one that it follows, if any. The task is nil if it could not be made.
func (c *Consumer) attempt(ctx context.Context, l *checkpoint.Lease, number int, before *Task) (*Task, error) {
	config, err := c.open(number)
	c.note(err)
	if err != nil {
		return nil, c.named(err)
	}
	config.Tasks, config.Stop, config.HandOver = c.Tasks, c.halted, l.Asked()
	task := NewTask(config)
	task.resume(before)
	c.begin(number, task)
	return task, task.Run(ctx)
}

// conclude says what the end of a task, nil if there was none, means for its lease and for the others.
func (c *Consumer) conclude(ctx context.Context, l *checkpoint.Lease, number int, task *Task, err error) error {
	switch {
	case ctx.Err() != nil:
		c.retire(ctx, number, task)
		return err
	case errors.Is(err, checkpoint.ErrTaken):
		c.common.Log.Warn("somebody else has taken a task over", "consumer", c.common.Identity.Name, "task", number, "error", err)
		c.retire(ctx, number, task)
		return nil
	case err != nil:
		c.fail(err)
		return nil
	case task == nil || !task.Drained():
		if !isClosed(c.halted) {
			c.retire(ctx, number, task)
		}
		return nil
	}
	c.settle(number)
	// Nobody else needs to look at a task that is done, so its lease is kept until all are.
	select {
	case <-l.Asked():
	case <-ctx.Done():
	}
	return nil
}
