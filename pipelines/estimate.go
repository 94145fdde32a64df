package pipelines

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path"
	"slices"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/column/infer"
	"github.com/millrace-io/millrace/engine/column/versions"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sinks"
)

// Stored are records of a stream that has some already.
type Stored struct {
	Records [][]byte
	// PerSecond is how many arrived a second, 0 when that cannot be told.
	PerSecond float64
}

// EstimateOptions say what an estimate goes by.
type EstimateOptions struct {
	Load LoadOptions
	// Sample is how many records are encoded.
	Sample int
	// Rate is how many records a second each stream gets; 0 means as the stored records did or, without
	// such, AssumedRate.
	Rate float64
	// Stored returns what a stream holds; without records it is sampled from its sources.
	Stored func(ctx context.Context, stream string) (Stored, error)
}

// AssumedRate is the records a second of a stream of which nothing is known.
const AssumedRate = 1000

// Estimate is what a sink will write, as far as a sample tells.
type Estimate struct {
	Sink string `json:"sink"`
	Type string `json:"type"`
	// Records of the sample, and Rows of them that reach the sink.
	Records int64 `json:"records"`
	Rows    int64 `json:"rows"`
	// Rejected rows have no place in the schema or the partitions.
	Rejected int64 `json:"rejected"`
	// PerSecond is the records a second that the estimate goes by, and PerSecondFrom where the figure is
	// from: asked, stored or assumed.
	PerSecond     float64 `json:"records_per_second"`
	PerSecondFrom string  `json:"records_per_second_from"`
	// Tasks write objects of their own.
	Tasks int `json:"tasks"`
	// A chunk is cut every ChunkSeconds because of Cut: size, age or rows.
	Cut          string  `json:"cut"`
	ChunkSeconds float64 `json:"chunk_seconds"`
	ChunkRows    float64 `json:"chunk_rows"`
	// Partitions of a chunk, each an object.
	Partitions     float64 `json:"partitions"`
	ObjectsPerHour float64 `json:"objects_per_hour"`
	RowsPerObject  float64 `json:"rows_per_object"`
	BytesPerObject float64 `json:"bytes_per_object"`
	BytesPerRow    float64 `json:"bytes_per_row"`
	// Largest are the partitions of the sample with the most rows, and what their objects will be.
	Largest []PartitionEstimate `json:"largest"`
	// Warnings say what is wrong with the figures, and the cure.
	Warnings []string `json:"warnings"`
	// Note says why there are no figures.
	Note string `json:"note,omitempty"`
}

// PartitionEstimate is one partition.
type PartitionEstimate struct {
	// Path is the directory of the objects.
	Path           string  `json:"path"`
	RowsPerObject  float64 `json:"rows_per_object"`
	BytesPerObject float64 `json:"bytes_per_object"`
}

// maxLargest is how many partitions an estimate names.
const maxLargest = 5

// EstimatePipeline predicts what the sinks of a pipeline file that make objects will write. It encodes
// a sample as the sinks do, and delivers nothing.
func EstimatePipeline(ctx context.Context, file string, c Components, o EstimateOptions) ([]Estimate, error) {
	p, err := Load(file, c, o.Load)
	if err != nil {
		return nil, err
	}
	e := estimating{o: o, stored: map[string]Stored{}}
	for _, s := range p.Streams {
		if e.stored[s.Name], err = e.records(ctx, p, s); err != nil {
			return nil, fmt.Errorf("stream %q: %w", s.Name, err)
		}
	}
	if len(p.Unknown) > 0 {
		if p, err = e.infer(p, file, c); err != nil {
			return nil, err
		}
	}
	var all []Estimate
	for _, s := range p.Sinks {
		if s.Component.Type != "s3" && s.Component.Type != "file" {
			continue
		}
		x, err := e.sink(ctx, p, s)
		if err != nil {
			return nil, fmt.Errorf("sink %q: %w", s.Name, err)
		}
		all = append(all, x)
	}
	return all, nil
}

type estimating struct {
	o      EstimateOptions
	stored map[string]Stored
}

// records are those that a stream holds or, without such, what its sources would bring.
func (e *estimating) records(ctx context.Context, p *Pipeline, s *Stream) (Stored, error) {
	if e.o.Stored != nil {
		if have, err := e.o.Stored(ctx, s.Name); err != nil || len(have.Records) > 0 {
			return have, err
		}
	}
	var out Stored
	for _, source := range p.Sources {
		// The http source would listen, perhaps beside the pipeline that runs.
		if source.To != s.Name || source.Component.Type == "http" || len(out.Records) >= e.o.Sample {
			continue
		}
		records, _, err := Sample(ctx, source.Component, source.Config, e.o.Sample-len(out.Records))
		if err != nil {
			return out, fmt.Errorf("source %q: %w", source.Name, err)
		}
		out.Records = append(out.Records, records...)
	}
	return out, nil
}

// infer loads the file with the schemas that a run would infer.
func (e *estimating) infer(p *Pipeline, file string, c Components) (*Pipeline, error) {
	load := e.o.Load
	load.Schemas = map[string]versions.Version{}
	for _, s := range p.Unknown {
		records := e.stored[s.Name].Records
		sample := infer.New(infer.Limits{})
		for _, r := range records[:min(len(records), s.Infer.Sample)] {
			if err := sample.Add(r); errors.Is(err, infer.ErrTooManyFields) {
				return nil, fmt.Errorf("stream %q: %w", s.Name, err)
			}
		}
		v := versions.Version{Schema: sample.Schema(infer.MixedText)}
		if len(v.Schema.Fields) == 0 {
			return nil, fmt.Errorf("stream %q: there are no records to infer its schema from", s.Name)
		}
		asTimestamp(v.Schema, s.EventTime)
		if s.Rest {
			v.Schema = withRest(v.Schema)
		}
		load.Schemas[s.Name] = v
	}
	return Load(file, c, load)
}

// sink predicts one sink.
func (e *estimating) sink(ctx context.Context, p *Pipeline, s *Sink) (Estimate, error) {
	out := Estimate{Sink: s.Name, Type: s.Component.Type, Largest: []PartitionEstimate{}, Warnings: []string{}, Tasks: 1}
	i := slices.IndexFunc(p.Streams, func(x *Stream) bool { return x.Name == s.Chain.Root })
	if i < 0 {
		out.Note = "it delivers the rows of a query, of which a sample of the input tells nothing"
		return out, nil
	}
	root := p.Streams[i]
	stored := e.stored[root.Name]
	if len(stored.Records) == 0 {
		out.Note = "there are no records to sample: the stream has none, and its sources cannot be sampled"
		return out, nil
	}
	out.Tasks = max(1, min(s.Parallelism, root.Shards))
	half, err := encodeSample(ctx, p, s, root, stored.Records[:(len(stored.Records)+1)/2], 1)
	if err != nil {
		return out, err
	}
	whole, err := encodeSample(ctx, p, s, root, stored.Records, 2)
	if err != nil {
		return out, err
	}
	out.Records, out.Rows, out.Rejected = int64(len(stored.Records)), whole.rows, whole.rejected
	switch {
	case whole.rows == 0:
		out.Note = "none of the sampled records reaches it"
		return out, nil
	case len(half.objects) > 0 && half.objects[0].Key == whole.objects[0].Key:
		out.Note = "it writes one file, which grows"
		return out, nil
	}
	switch {
	case e.o.Rate > 0:
		out.PerSecond, out.PerSecondFrom = e.o.Rate, "asked"
	case stored.PerSecond > 0:
		out.PerSecond, out.PerSecondFrom = stored.PerSecond, "stored"
	default:
		out.PerSecond, out.PerSecondFrom = AssumedRate, "assumed"
	}
	out.predict(half, whole)
	out.warn(whole.trigger)
	return out, nil
}

// encoded is what a sink made of a part of the sample.
type encoded struct {
	rows, rejected int64
	bytes          int64
	objects        []flow.Object
	trigger        flow.Trigger
}

// encodeSample lets a sink of its own encode records as one chunk, and throws it away.
func encodeSample(ctx context.Context, p *Pipeline, s *Sink, root *Stream, records [][]byte, chunk int64) (out encoded, err error) {
	dir, err := os.MkdirTemp("", "millrace-estimate-")
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	sink, err := s.Component.Open(s.Config, sinks.Env{
		Identity: flow.Identity{Pipeline: p.Name, Name: s.Name, Incarnation: "0000000000000000"}, Schema: s.Schema, Dir: dir, Data: dir,
		Memory: int64(p.Memory) / 2, Log: silent(), Now: time.Now,
	})
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, sink.Close()) }()
	steps, err := s.Chain.Open()
	if err != nil {
		return out, err
	}
	options := column.Options{}
	switch {
	case root.Evolves():
		options = versions.Version{Schema: s.Chain.Schema}.Options()
	case root.Rest:
		options = versions.Version{Schema: s.Chain.Schema, Declared: withoutRest(s.Chain.Schema).Names()}.Options()
	}
	d := column.NewDecoder(s.Chain.Schema, s.Chain.Needs(s.Schema.Names()), options)
	arrival := time.Now().UnixMilli()
	flush := func() error {
		b := d.Take(column.Origin{Stream: root.Name})
		defer d.Release(b)
		n, rejected, err := through(ctx, b, steps, sink)
		out.rows, out.rejected = out.rows+n, out.rejected+rejected
		return err
	}
	const batch = 8192
	for i, r := range records {
		if d.Add(r, record.Ordinal(i), arrival) != nil {
			out.rejected++
		}
		if d.Len() == batch {
			if err := flush(); err != nil {
				return out, err
			}
		}
	}
	if err := flush(); err != nil {
		return out, err
	}
	plan, err := sink.Plan(ctx, flow.Cut{Chunk: chunk, Reason: "size", Now: time.Now().UTC()})
	for _, o := range plan.Objects {
		out.bytes += o.Bytes
	}
	out.objects, out.trigger = plan.Objects, sink.Trigger()
	return out, err
}

// through sends a batch through the steps into the sink.
func through(ctx context.Context, b *column.Batch, steps []flow.Step, sink sinks.Sink) (rows, rejected int64, err error) {
	for _, step := range steps {
		next, outcome, err := step.Transform.Apply(b)
		if err != nil {
			return 0, rejected, err
		}
		rejected += int64(len(outcome.Rejects))
		b = next
	}
	if b.Selected() == 0 {
		return 0, rejected, nil
	}
	outcome, err := sink.Add(ctx, b)
	n := int64(len(outcome.Rejects))
	return int64(b.Selected()) - n, rejected + n, err
}

// predict finds the size of objects from two chunks of different sizes: each object costs something,
// and each row.
func (x *Estimate) predict(half, whole encoded) {
	o1, r1, b1 := float64(len(half.objects)), float64(half.rows), float64(half.bytes)
	o2, r2, b2 := float64(len(whole.objects)), float64(whole.rows), float64(whole.bytes)
	perObject, perRow := 0.0, b2/r2
	if det := o1*r2 - o2*r1; det > 0 && r1 > 0 {
		row, object := (o1*b2-o2*b1)/det, (b1*r2-b2*r1)/det
		if row > 0 && object >= 0 {
			perObject, perRow = object, row
		}
	}
	x.BytesPerRow = perRow
	// Partitions grow with the rows by a power that the two chunks show.
	power := 0.0
	if r1 > 0 && r2 > r1 && o2 > o1 {
		power = min(math.Log(o2/o1)/math.Log(r2/r1), 1)
	}
	rate := x.PerSecond * r2 / float64(x.Records) / float64(x.Tasks)
	t := whole.trigger
	x.ChunkRows = math.Inf(1)
	for _, by := range []struct {
		cut  string
		rows float64
	}{{"size", float64(t.Size) / perRow}, {"age", rate * t.Age.Seconds()}, {"rows", float64(t.Rows)}} {
		if by.rows > 0 && by.rows < x.ChunkRows {
			x.Cut, x.ChunkRows = by.cut, max(by.rows, 1)
		}
	}
	if math.IsInf(x.ChunkRows, 1) {
		x.Cut, x.ChunkRows = "end", r2
	}
	x.ChunkSeconds = x.ChunkRows / rate
	x.Partitions = min(max(o2*math.Pow(x.ChunkRows/r2, power), 1), x.ChunkRows)
	x.ObjectsPerHour = x.Partitions * float64(x.Tasks) * 3600 / x.ChunkSeconds
	x.RowsPerObject = x.ChunkRows / x.Partitions
	x.BytesPerObject = perObject + perRow*x.RowsPerObject
	byRows := slices.SortedFunc(slices.Values(whole.objects), func(a, b flow.Object) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Key, b.Key))
	})
	for _, o := range byRows[:min(maxLargest, len(byRows))] {
		rows := x.ChunkRows * float64(o.Rows) / r2
		x.Largest = append(x.Largest, PartitionEstimate{Path: path.Dir(o.Key), RowsPerObject: rows, BytesPerObject: perObject + perRow*rows})
	}
}

// An object below smallObject costs its readers more to open than to read; a few of them do no harm.
const (
	smallObject = 16 << 20
	fewObjects  = 12
)

// sizeText is a number of bytes below one of MiB in KiB.
func sizeText(bytes float64) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%.1f KiB", bytes/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", bytes/(1<<20))
}

// warn names small objects and what makes them larger.
func (x *Estimate) warn(t flow.Trigger) {
	if x.BytesPerObject >= smallObject || x.ObjectsPerHour <= fewObjects {
		return
	}
	factor := smallObject / x.BytesPerObject
	text := fmt.Sprintf("small objects: %.0f an hour of %s", x.ObjectsPerHour, sizeText(x.BytesPerObject))
	if x.Partitions >= 2 {
		text += fmt.Sprintf("; partition_by makes %.0f of each chunk: use fewer or coarser partitions", x.Partitions)
	}
	switch x.Cut {
	case "age":
		text += fmt.Sprintf("; age cuts first: buffer: {age: %s} would make them %.0f MiB", roundUp(time.Duration(float64(t.Age)*factor)), float64(smallObject)/(1<<20))
	case "size":
		text += fmt.Sprintf("; size cuts first: raise buffer.size to %.0f MiB", math.Ceil(float64(t.Size)*factor/(1<<20)))
	case "rows":
		text += fmt.Sprintf("; rows cut first: raise buffer.rows to %.0f or remove it", math.Ceil(float64(t.Rows)*factor))
	}
	if x.Tasks > 1 {
		text += fmt.Sprintf("; parallelism %d makes as many times more objects", x.Tasks)
	}
	x.Warnings = append(x.Warnings, text)
}

// roundUp is a time that people would write.
func roundUp(d time.Duration) time.Duration {
	for _, unit := range []time.Duration{time.Hour, time.Minute, time.Second} {
		if d > unit {
			return (d + unit - 1) / unit * unit
		}
	}
	return d
}
