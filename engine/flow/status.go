package flow

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// Status is a snapshot of a task for people and programs: metrics, `status`, the end of a run.
type Status struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	Type string `json:"type,omitempty"`
	// From is what the task reads, streams apart by ", ".
	From string `json:"from"`
	// State is starting, running, retrying, waiting (for tasks that other workers have), done or failed;
	// Error says why it retries or failed.
	State string `json:"state"`
	Error string `json:"error,omitempty"`
	// DiskFull is set while it waits for room on a disk.
	DiskFull bool `json:"disk_full,omitempty"`
	// Parallelism is how many tasks share the shards of a sink, or lanes those of a query.
	Parallelism int `json:"parallelism"`
	// Guarantee of a sink, once it started.
	Guarantee string `json:"guarantee,omitempty"`
	// Hint is what to try with what a sink delivered.
	Hint string `json:"hint,omitempty"`
	// Steps are the ledgers since the task was first run, the last one the processor's. Before
	// are the same ledgers as they stood when this run began.
	Steps  []checkpoint.Step `json:"steps"`
	Before []checkpoint.Step `json:"before"`
	// Delivered since the task was first run, and as it stood when this run began.
	Delivered       checkpoint.Delivered `json:"delivered"`
	DeliveredBefore checkpoint.Delivered `json:"delivered_before"`
	// Objects of this run, the latest maxObjects.
	Objects []Object `json:"objects"`
	// Schema is the version of the stream's schema that rows are decoded with; 0 when it is declared
	// for good.
	Schema int64 `json:"schema,omitempty"`
	// Watermark of the input; nil while no event was seen.
	Watermark *time.Time `json:"watermark,omitempty"`
	// HeldBy is the shard whose watermark that is, behind its stream if there are several, empty while none holds
	// it back: then time passes with the clock. It is "query" and the name of one whose rows are waited for, which
	// Awaits is, too.
	HeldBy string        `json:"held_by,omitempty"`
	Awaits string        `json:"awaits,omitempty"`
	Shards []ShardStatus `json:"shards"`
	// OldestUndelivered is the age of the oldest record that is not yet delivered, in seconds; 0 when
	// there is none.
	OldestUndelivered float64 `json:"oldest_undelivered_seconds"`
	Edges             []Edge  `json:"edges"`
	// Committed is when the last chunk was published.
	Committed *time.Time `json:"committed,omitempty"`
	// Cuts counts this run's chunks by the reason they were cut.
	Cuts map[string]int64 `json:"cuts,omitempty"`
	// DeliveredBy is what this run delivered, by the reason chunks were cut.
	DeliveredBy map[string]checkpoint.Delivered `json:"delivered_by,omitempty"`
	// Retries counts this run's attempts that failed and were made again.
	Retries int64 `json:"retries"`
	// Figures of a processor that has them.
	Figures *Figures `json:"figures,omitempty"`
}

// ShardStatus is a task's place in a shard.
type ShardStatus struct {
	// Stream is set if the task reads several.
	Stream string         `json:"stream,omitempty"`
	Shard  string         `json:"shard"`
	Next   record.Ordinal `json:"next"`
	// Task that reads the shard.
	Task int `json:"task"`
	// Lag is the records that the shard holds and the task has not read, Behind the age of the first of
	// them in seconds.
	Lag       int64      `json:"lag"`
	Behind    float64    `json:"lag_seconds"`
	Watermark *time.Time `json:"watermark,omitempty"`
}

// Edge is what leaves a step: how many rows so far, and some of the latest, cut short.
type Edge struct {
	Step    string   `json:"step"`
	Rows    int64    `json:"rows"`
	Samples []string `json:"samples"`
}

const (
	maxObjects  = 1000
	maxSamples  = 8
	sampleEvery = 250 * time.Millisecond
	sampleBytes = 256
	// sampleText is more than a sample shows of one text, and so many bytes are whole letters of base64.
	sampleText = 3 * sampleBytes
)

// status is the part of a task that other goroutines look at.
type status struct {
	mu      sync.Mutex
	now     Status
	sampled []time.Time
	// logs are those of now.Shards, and oldest when the first record of the open chunk arrived in each.
	logs   []stream.Log
	oldest []int64
	text   []byte
	// several is set if there are several inputs.
	several bool

	// opened is set once the task's document was read: only then do the ledgers count.
	opened bool

	ages ages
}

func (s *status) isOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

func (s *status) init(t *Task) {
	var from []string
	for _, f := range t.feeds {
		if !f.again {
			from = append(from, f.Input.Name)
		}
	}
	s.several = len(t.feeds) > 1
	s.now = Status{Name: t.Identity.Name, Kind: t.Kind, Type: t.Type, From: strings.Join(from, ", "), State: "starting", Parallelism: max(t.Tasks, len(t.lanes)),
		Cuts: map[string]int64{}, DeliveredBy: map[string]checkpoint.Delivered{}}
	for _, step := range t.ledger {
		s.now.Edges = append(s.now.Edges, Edge{Step: step.Name})
		s.now.Steps = append(s.now.Steps, step)
	}
	s.now.Before = slices.Clone(s.now.Steps)
	s.sampled = make([]time.Time, len(t.ledger))
}

// Read is how many records were ever read from all inputs.
func (s *Status) Read() int64 {
	n := int64(0)
	for _, step := range s.Steps {
		if slices.Contains(strings.Split(s.From, ", "), step.Name) {
			n += step.In
		}
	}
	return n
}

// Status returns a snapshot.
func (t *Task) Status() Status {
	if earlier := t.earlier.Load(); earlier != nil {
		return earlier.Status()
	}
	out, logs, oldest := t.status.snapshot()
	t.status.ages.fill(&out, logs, oldest, t.Now)
	out.Figures = figures(t.Processor)
	return out
}

// snapshot also returns what ages are found out from.
func (s *status) snapshot() (out Status, logs []stream.Log, oldest []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out = s.now
	out.Steps, out.Before = slices.Clone(s.now.Steps), slices.Clone(s.now.Before)
	out.Objects, out.Shards = slices.Clone(s.now.Objects), slices.Clone(s.now.Shards)
	out.Edges = slices.Clone(s.now.Edges)
	for i := range out.Edges {
		out.Edges[i].Samples = slices.Clone(out.Edges[i].Samples)
	}
	out.Cuts, out.DeliveredBy = maps.Clone(s.now.Cuts), maps.Clone(s.now.DeliveredBy)
	for i := range out.Shards {
		out.Shards[i].Lag = max(int64(s.logs[i].Bounds().Next-out.Shards[i].Next), 0)
	}
	return out, slices.Clone(s.logs), slices.Clone(s.oldest)
}

// baseline records where this run begins.
func (s *status) baseline(doc checkpoint.Document, ledger []checkpoint.Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Before, s.now.Steps = slices.Clone(ledger), slices.Clone(ledger)
	s.opened = true
	s.now.DeliveredBefore, s.now.Delivered = doc.Delivered, doc.Delivered
}

func (s *status) started() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.now.DiskFull { // else what the last run had no room for is yet to be done
		s.now.State = "running"
	}
}

// describe takes what a sink says of itself and returns its guarantee.
func (s *status) describe(p Processor) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g, ok := p.(interface{ Guarantee() string }); ok {
		s.now.Guarantee = g.Guarantee()
	}
	if h, ok := p.(interface{ Hint() string }); ok {
		s.now.Hint = h.Hint()
	}
	return s.now.Guarantee
}

func (s *status) schema(version int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Schema = version
}

func (s *status) fault(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		if !s.now.DiskFull {
			s.now.State, s.now.Error = "running", ""
		}
		return
	}
	s.now.State, s.now.Error = "retrying", err.Error()
	s.now.Retries++
}

func (s *status) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.State, s.now.Error, s.now.DiskFull = "done", "", false
	if err != nil {
		s.now.State, s.now.Error = "failed", err.Error()
	}
}

// progress publishes the ledger and the places of the readers.
func (s *status) progress(task int, ledger []checkpoint.Step, readers []*reader, l level) {
	s.mu.Lock()
	defer s.mu.Unlock()
	copy(s.now.Steps, ledger)
	if len(s.now.Shards) != len(readers) {
		s.now.Shards, s.logs, s.oldest = make([]ShardStatus, len(readers)), make([]stream.Log, len(readers)), make([]int64, len(readers))
	}
	for i, r := range readers {
		s.logs[i], s.oldest[i] = r.log, r.oldest
		s.now.Shards[i] = ShardStatus{Shard: r.feed.shard(r.id).String(), Task: task, Next: r.next, Watermark: instant(r.watermark)}
		if s.several {
			s.now.Shards[i].Stream = r.feed.Input.Name
		}
	}
	s.now.Watermark, s.now.HeldBy, s.now.Awaits = instant(l.mark), "", ""
	switch {
	case l.query != nil:
		s.now.Awaits = l.query.query
		s.now.HeldBy = "query " + s.now.Awaits
	case l.by != nil:
		if s.now.HeldBy = l.by.feed.shard(l.by.id).String(); s.several {
			s.now.HeldBy = l.by.feed.Input.Name + " " + s.now.HeldBy
		}
	}
}

func (s *status) committed(doc checkpoint.Document, plan Plan, ledger []checkpoint.Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	copy(s.now.Steps, ledger)
	s.now.Delivered = doc.Delivered
	clear(s.oldest)
	s.now.Objects = append(s.now.Objects, plan.Objects...)
	if n := len(s.now.Objects) - maxObjects; n > 0 {
		s.now.Objects = slices.Delete(s.now.Objects, 0, n)
	}
	at := plan.Cut.Now
	s.now.Committed = &at
	s.now.Cuts[plan.Cut.Reason]++
	s.now.DeliveredBy[plan.Cut.Reason] = sum(s.now.DeliveredBy[plan.Cut.Reason], delivered(plan))
}

// sample keeps a row of what leaves a step, now and then.
func (s *status) sample(step int, now time.Time, b *column.Batch) {
	n := b.Selected()
	if n == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &s.now.Edges[step]
	e.Rows += int64(n)
	if now.Sub(s.sampled[step]) < sampleEvery {
		return
	}
	s.sampled[step] = now
	row := 0
	if b.Selection != nil {
		row = int(b.Selection[0])
	}
	s.text = column.AppendJSON(s.text[:0], brief(mask(b), row), row)
	text := s.text
	if len(text) > sampleBytes {
		text = append(bytes.ToValidUTF8(text[:sampleBytes], nil), "…"...)
	}
	if len(e.Samples) == maxSamples {
		e.Samples = slices.Delete(e.Samples, 0, 1)
	}
	e.Samples = append(e.Samples, string(text))
}

// brief cuts the texts of a row to what a sample shows of them, for they may be very large.
func brief(b *column.Batch, row int) *column.Batch {
	out := b
	for i, c := range b.Columns {
		if c == nil || len(c.Offsets) == 0 || c.Type.Kind == column.List || c.Offsets[row+1]-c.Offsets[row] <= sampleText {
			continue
		}
		if out == b {
			copied := *b
			copied.Columns = slices.Clone(b.Columns)
			out = &copied
		}
		short := *c
		short.Offsets = slices.Clone(c.Offsets[:row+2])
		short.Offsets[row+1] = c.Offsets[row] + sampleText
		out.Columns[i] = &short
	}
	return out
}

// secretNames mark columns whose values never appear in samples.
var secretNames = []string{"password", "passwd", "secret", "token", "authorization", "api_key", "apikey", "credential", "private_key", "access_key"}

// mask takes the columns out that look like secrets.
func mask(b *column.Batch) *column.Batch {
	out := b
	for i, f := range b.Schema.Fields {
		name := strings.ToLower(f.Name)
		if !slices.ContainsFunc(secretNames, func(s string) bool { return strings.Contains(name, s) }) {
			continue
		}
		if out == b {
			c := *b
			c.Columns = slices.Clone(b.Columns)
			out = &c
		}
		out.Columns[i] = nil
	}
	return out
}

// instant is nil for the watermarks that are no time.
func instant(micros int64) *time.Time {
	if micros == column.MinWatermark || micros == column.MaxWatermark {
		return nil
	}
	at := time.UnixMicro(micros).UTC()
	return &at
}
