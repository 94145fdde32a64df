package pipelines

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
	streams "github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sinks/objects"
)

// FromDeadLetters is the RedriveOptions.From of a pipeline's dead-letter stream.
const FromDeadLetters = "dead-letters"

// RedriveOptions say which rows a sink gets again.
type RedriveOptions struct {
	// Run is as for Open; Drain has no effect.
	Run Options
	// Sink is the id of the sink.
	Sink string
	// From is a directory, s3://BUCKET/PREFIX in the sink's store, or FromDeadLetters. Empty is the
	// error prefix of the sink if it has one, else FromDeadLetters.
	From string
	// DryRun only counts.
	DryRun bool
}

// Redriven is what Redrive did.
type Redriven struct {
	Pipeline string `json:"pipeline"`
	Sink     string `json:"sink"`
	From     string `json:"from"`
	// Objects were read, with so many Records in them, of which Before were sent by earlier redrives.
	Objects int64 `json:"objects"`
	Records int64 `json:"records"`
	Before  int64 `json:"sent_before"`
	// Sent are new, by the code that they had been rejected with.
	Sent  int64            `json:"sent"`
	Codes map[string]int64 `json:"codes,omitempty"`
	// Delivered rows arrived, Filtered ones a transform took out, Failed ones were rejected again. An
	// earlier redrive that did not come to its end is part of it.
	Delivered int64 `json:"delivered"`
	Filtered  int64 `json:"filtered"`
	Failed    int64 `json:"failed_again"`
	DryRun    bool  `json:"dry_run,omitempty"`
	// Stopped is set when there was no time to deliver all; the next redrive does.
	Stopped bool `json:"stopped,omitempty"`
}

const (
	// redriveRetention is how long records wait for a redrive that was interrupted.
	redriveRetention = 30 * 24 * time.Hour
	// redriveBatch is the size in bytes at which records become a batch of their own.
	redriveBatch = 1 << 20
	// maxEnvelope bounds a line of an error object: a record in Base64, and what is said of it.
	maxEnvelope = 32 << 20
)

// Redrive sends rows that a sink had rejected through the pipeline's transforms to that sink once more.
// Each goes there once, however often Redrive is repeated: the raw records lie in a stream of the
// pipeline's own, whose producers are the error objects.
func Redrive(ctx context.Context, p *Pipeline, o RedriveOptions) (out Redriven, err error) {
	i := slices.IndexFunc(p.Sinks, func(s *Sink) bool { return s.Name == o.Sink })
	if i < 0 {
		return out, fmt.Errorf("the pipeline has no sink %q", o.Sink)
	}
	directory, err := OpenDirectory(ctx, o.Run)
	if err != nil {
		return out, err
	}
	r := newRun(directory, p, o.Run)
	d := &redrive{run: r, sink: p.Sinks[i], o: o}
	d.out = Redriven{Pipeline: p.Name, Sink: o.Sink, DryRun: o.DryRun, Codes: map[string]int64{}}
	err = d.work(ctx)
	return d.out, errors.Join(err, r.closeStreams(), directory.Close())
}

// redrive is a redrive at work.
type redrive struct {
	run   *Run
	sink  *Sink
	o     RedriveOptions
	name  string
	feed  *feed
	batch record.Batch
	out   Redriven
}

func (d *redrive) work(ctx context.Context) error {
	r := d.run
	if err := r.openStreams(ctx); err != nil {
		return err
	}
	d.name = internalName(r.pipeline.Name, objects.Redriven(d.sink.Name))
	spec := streams.Spec{Name: d.name, Shards: 1, Retention: redriveRetention}
	if s := r.pipeline.stream(d.sink.Chain.Root); s != nil {
		spec.Settings.KeyID, spec.Settings.Encryption = s.Settings.KeyID, s.Settings.Encryption
	}
	if err := r.openStream(ctx, d.name, spec); err != nil {
		return err
	}
	d.feed = r.feeds[d.name]
	d.feed.seal()
	task, sink, err := d.task(ctx)
	if err != nil {
		return err
	}
	if err := d.read(ctx, sink); err != nil || d.o.DryRun {
		return errors.Join(err, sink.Close())
	}
	t := flow.NewTask(task)
	err = t.Run(ctx)
	d.count(t.Status())
	d.out.Stopped = err == nil && !t.Drained()
	return err
}

// task is one of the sink's own kind, with a name of its own in documents and object keys.
func (d *redrive) task(ctx context.Context) (flow.Config, sinks.Sink, error) {
	r, s := d.run, d.sink
	of := consumerOf{
		pipeline: r.pipeline, name: objects.Redriven(s.Name), inputs: []inputOf{{name: d.name, feed: d.feed, label: d.name, chain: s.Chain}},
		generation: s.Generation, share: r.share(),
	}
	open, err := r.sinkTask(ctx, of, s)
	if err != nil {
		return flow.Config{}, nil, err
	}
	if !d.o.DryRun {
		if err := r.keepGeneration(ctx, of.name, s.Generation, s.recorded); err != nil {
			return flow.Config{}, nil, err
		}
	}
	c, sink, err := open(0)
	c.Recorded, c.Stop = r.recordedSink(of, &s.recorded, 0), d.o.Run.Stop
	return c, sink, err
}

func (d *redrive) count(s flow.Status) {
	d.out.Delivered = s.Delivered.Rows - s.DeliveredBefore.Rows
	for i, step := range s.Steps {
		c := step.Counts.Sub(s.Before[i].Counts)
		d.out.Failed += c.Bad + c.Late
		d.out.Filtered += c.Filtered + c.Dropped
	}
}

// read writes the rejected records to the stream of the redrive.
func (d *redrive) read(ctx context.Context, sink sinks.Sink) error {
	reader, ok := sink.(sinks.ErrorReader)
	from := d.o.From
	if from == FromDeadLetters || from == "" && !ok {
		return d.readLetters(ctx)
	}
	var names []string
	var err error
	open := func(name string) (io.ReadCloser, error) { return sinks.OpenErrorFile(name) }
	switch {
	case from == "" || strings.HasPrefix(from, "s3://"):
		if !ok || from != "" && d.sink.Component.Type != "s3" {
			return fmt.Errorf("sink %q of type %s cannot read %s; name a directory", d.sink.Name, d.sink.Component.Type, from)
		}
		open = func(name string) (io.ReadCloser, error) { return reader.OpenErrors(ctx, name) }
		names, err = reader.ErrorObjects(ctx, from)
		if errors.Is(err, sinks.ErrNoErrorPrefix) {
			return d.readLetters(ctx)
		}
	default:
		names, err = sinks.ErrorFiles(from)
	}
	if err != nil {
		return err
	}
	if d.out.From = from; from == "" {
		d.out.From = "error prefix"
	}
	for _, name := range names {
		if err := d.readObject(ctx, name, open); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (d *redrive) readObject(ctx context.Context, name string, open func(string) (io.ReadCloser, error)) error {
	in, err := open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	d.out.Objects++
	id := filepath.ToSlash(name)
	if objects.ErrorName(id) == id && !strings.HasPrefix(id, "s3://") {
		// A file of another program is known by its place.
		if id, err = filepath.Abs(name); err != nil {
			return err
		}
	}
	d.begin(objects.ErrorName(id))
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), maxEnvelope)
	for n := int64(1); lines.Scan(); n++ {
		var e objects.Envelope
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("line %d is no rejected row: %w", n, err)
		}
		if e.Code == "" || e.Data == nil {
			return fmt.Errorf("line %d is no rejected row: it has no errorCode or no rawData", n)
		}
		if err := d.send(ctx, n, e.Code, e.Data); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return d.flush(ctx)
}

// readLetters takes the dead letters of the sink, and those that every consumer of its stream rejects.
func (d *redrive) readLetters(ctx context.Context) error {
	d.out.From = FromDeadLetters
	dead := d.run.feeds[internalName(d.run.pipeline.Name, deadLetters)].stream
	tasks := []string{"", d.sink.Name, objects.Redriven(d.sink.Name)}
	from := []string{d.sink.Chain.Root, d.name}
	for _, shard := range dead.Shards() {
		d.begin("dead letters", dead.Incarnation(), shard.ID.String())
		log := dead.Log(shard.ID)
		end := log.Bounds().Next
		err := visitRecords(ctx, log, func(ordinal record.Ordinal, data []byte) error {
			var l flow.DeadLetter
			if err := json.Unmarshal(data, &l); err != nil {
				return fmt.Errorf("dead letter %d: %w", ordinal, err)
			}
			if ordinal >= end || !slices.Contains(tasks, l.Task) || !slices.Contains(from, l.Stream) {
				return nil
			}
			raw := l.Base64
			if raw == nil {
				raw = []byte(l.Data)
			}
			return d.send(ctx, int64(ordinal)+1, l.Code, raw)
		})
		if err == nil {
			err = d.flush(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// begin is called before the records of an object.
func (d *redrive) begin(object ...string) {
	parts := append([]string{"redrive", d.run.pipeline.Name, d.sink.Name}, object...)
	d.batch.Reset()
	d.batch.Producer = record.Producer{ID: streams.ProducerID(parts...), Epoch: 1}
}

func (d *redrive) send(ctx context.Context, position int64, code string, data []byte) error {
	d.out.Records++
	if known, ok := d.feed.stream.Position(d.batch.Producer.ID); ok && position <= known {
		d.out.Before++
		return nil
	}
	d.out.Sent++
	d.out.Codes[code]++
	if d.o.DryRun {
		return nil
	}
	d.batch.Add(nil, data, position)
	d.batch.End = position
	if d.batch.Size() < redriveBatch {
		return nil
	}
	return d.flush(ctx)
}

func (d *redrive) flush(ctx context.Context) error {
	if d.batch.Len() == 0 {
		return nil
	}
	if err := d.feed.stream.TryWrite(ctx, &d.batch); err != nil {
		return err
	}
	producer := d.batch.Producer
	d.batch.Reset()
	d.batch.Producer = producer
	return nil
}
