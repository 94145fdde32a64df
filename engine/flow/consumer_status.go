package flow

import (
	"cmp"
	"slices"
	"time"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/vfs"
)

// history is what a consumer did that its present tasks do not know of.
type history struct {
	// before are the documents as they stood when the consumer began, docs as they stood last, for
	// the tasks that do not run here. Tasks that the consumer no longer has are among them.
	before, docs map[int]checkpoint.Document
	// past is what earlier runs of tasks did in this run of the consumer.
	past Status
}

func (h *history) begin(docs map[int]checkpoint.Document) {
	h.before, h.docs = docs, make(map[int]checkpoint.Document, len(docs))
	for task, doc := range docs {
		h.docs[task] = doc
	}
}

// fold keeps what a task's run did, apart from what its document says.
func (h *history) fold(s Status) { h.past.addRun(s) }

// addRun adds what the run of a task did: objects, chunks, rows that left steps.
func (s *Status) addRun(o Status) {
	s.Objects = append(s.Objects, o.Objects...)
	if n := len(s.Objects) - maxObjects; n > 0 {
		s.Objects = slices.Delete(s.Objects, 0, n)
	}
	if s.Cuts == nil {
		s.Cuts = map[string]int64{}
	}
	if s.DeliveredBy == nil {
		s.DeliveredBy = map[string]checkpoint.Delivered{}
	}
	for reason, d := range o.DeliveredBy {
		s.DeliveredBy[reason] = sum(s.DeliveredBy[reason], d)
	}
	s.Retries += o.Retries
	for reason, n := range o.Cuts {
		s.Cuts[reason] += n
	}
	s.Schema = max(s.Schema, o.Schema)
	s.Committed = latest(s.Committed, o.Committed)
	for i, e := range o.Edges {
		if i == len(s.Edges) {
			s.Edges = append(s.Edges, Edge{Step: e.Step})
		}
		s.Edges[i].Rows += e.Rows
		s.Edges[i].Samples = append(s.Edges[i].Samples, e.Samples...)
		if n := len(s.Edges[i].Samples) - maxSamples; n > 0 {
			s.Edges[i].Samples = s.Edges[i].Samples[n:]
		}
	}
	s.Guarantee, s.Hint = cmp.Or(s.Guarantee, o.Guarantee), cmp.Or(s.Hint, o.Hint)
}

// Status is a snapshot of all tasks together. Ledgers and what was delivered also count the tasks
// that do not run here, as of when this consumer last looked.
func (c *Consumer) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.blank()
	out.addRun(c.history.past)
	for _, doc := range c.history.before {
		addLedger(out.Before, doc.Ledger)
		out.DeliveredBefore = sum(out.DeliveredBefore, doc.Delivered)
	}
	started := map[int]bool{}
	for _, number := range sortedKeys(c.tasks) {
		open := c.tasks[number].status.isOpen()
		s := c.tasks[number].Status()
		out.addRun(s)
		out.addPlace(s)
		if !open {
			continue // its document still says it
		}
		started[number] = true
		addLedger(out.Steps, s.Steps)
		out.Delivered = sum(out.Delivered, s.Delivered)
	}
	for number, doc := range c.history.docs {
		if !started[number] {
			addLedger(out.Steps, doc.Ledger)
			out.Delivered = sum(out.Delivered, doc.Delivered)
		}
	}
	slices.SortFunc(out.Shards, func(a, b ShardStatus) int {
		return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Shard, b.Shard))
	})
	out.State = c.state(out.State)
	c.addTrouble(&out)
	if c.err != nil {
		out.State, out.Error = "failed", c.err.Error()
	}
	return out
}

// addTrouble adds what keeps the consumer from having tasks.
func (c *Consumer) addTrouble(out *Status) {
	err := c.full
	if err == nil && len(c.tasks) == 0 && c.worker != nil && !c.done {
		if err = c.worker.Trouble(); vfs.IsFull(err) {
			err = WaitingForRoom(err)
		}
	}
	if err != nil {
		out.State, out.Error, out.DiskFull = "retrying", err.Error(), vfs.IsFull(err)
	}
}

// blank is the status of a consumer that has done nothing yet, as far as tasks have it in common.
func (c *Consumer) blank() Status {
	s, _, _ := NewTask(c.common).status.snapshot()
	s.State, s.Parallelism = "", max(c.Tasks, s.Parallelism)
	return s
}

// state is that of the whole, when the worst of its tasks has the given one.
func (c *Consumer) state(worst string) string {
	switch {
	case c.done && len(c.tasks) == 0:
		return "done"
	case worst != "":
		return worst
	case c.history.docs == nil:
		return "starting"
	}
	return "waiting"
}

// severity orders the states of tasks, the worst last.
var severity = []string{"", "done", "running", "starting", "retrying", "failed"}

// addPlace adds where a task stands.
func (s *Status) addPlace(o Status) {
	if slices.Index(severity, o.State) > slices.Index(severity, s.State) {
		s.State, s.Error = o.State, o.Error
	}
	s.DiskFull = s.DiskFull || o.DiskFull
	s.Shards = append(s.Shards, o.Shards...)
	s.Figures = s.Figures.add(o.Figures)
	s.OldestUndelivered = max(s.OldestUndelivered, o.OldestUndelivered)
	if s.holds(o) {
		s.Watermark, s.HeldBy, s.Awaits = o.Watermark, o.HeldBy, o.Awaits
	}
}

// holds reports whether a task holds back the others. A shard without an event holds back whoever
// reads it, so no watermark at all is the earliest then.
func (s *Status) holds(o Status) bool {
	switch {
	case s.Watermark == nil && s.HeldBy != "":
		return false
	case o.Watermark == nil:
		return o.HeldBy != ""
	}
	return s.Watermark == nil || o.Watermark.Before(*s.Watermark)
}

func addLedger(to, from []checkpoint.Step) {
	for i := range to {
		to[i].Add(countsOf(from, to[i].Name))
	}
}

func sum(a, b checkpoint.Delivered) checkpoint.Delivered {
	a.Add(b)
	return a
}

func latest(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.After(*a) {
		return b
	}
	return a
}

func sortedKeys(tasks map[int]*Task) []int {
	keys := make([]int, 0, len(tasks))
	for k := range tasks {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
