package pipelines

import (
	"cmp"
	"time"

	"github.com/millrace-io/millrace/engine/config"
	streams "github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/seal/master"
)

// fileSpec is a pipeline file.
type fileSpec struct {
	// Version of the file's format: 1.
	Version version `yaml:"version" required:"true"`
	// Name of the pipeline. It is part of object keys and of the positions kept on disk, so a renamed
	// pipeline starts over. Default: the file's name without its ending.
	Name string `yaml:"name"`
	// Memory is the budget of the process for buffers, windows and open partitions. It spills or
	// writes earlier instead of growing beyond it.
	Memory config.Size `yaml:"memory" min:"16MiB"`
	// Streams are durable, sharded logs. Sources write to them, everything else reads from them. Only a file of users
	// for millrace serve does without.
	Streams config.Map[streamSpec] `yaml:"streams"`
	// Sources bring records from the outside into streams.
	Sources config.Map[*config.Node] `yaml:"sources"`
	// Tables are reference data that queries join: files or objects that are read again on a schedule.
	Tables config.Map[*config.Node] `yaml:"tables"`
	// Transforms are steps between a stream and those that read from it.
	Transforms config.Map[*config.Node] `yaml:"transforms"`
	// Queries are SELECT statements that never end.
	Queries config.Map[querySpec] `yaml:"queries"`
	// Sinks deliver rows to the outside.
	Sinks config.Map[*config.Node] `yaml:"sinks"`
	// Users are those who may send requests to millrace serve, or to a kinesis source, and what each may do.
	Users config.Map[userSpec] `yaml:"users"`
	// Tests are rows that come in with the rows that must come out; millrace test runs them.
	Tests config.Map[testSpec] `yaml:"tests"`
}

func defaultFile() fileSpec { return fileSpec{Memory: 128 * config.MiB} }

// streamSpec is an entry of streams.
type streamSpec struct {
	// Shards of a new stream. A partition key always goes to the same shard, and order holds within
	// a shard. In mode on_demand the stream never has fewer.
	Shards int `yaml:"shards" min:"1" max:"10000"`
	// Mode says how many shards there are: provisioned means as many as were asked for, on_demand
	// splits hot ones and merges cold ones while the pipeline runs.
	Mode string `yaml:"mode" enum:"provisioned,on_demand"`
	// MaxShards is how many shards on_demand makes at most. Default: 4 per core.
	MaxShards int `yaml:"max_shards" min:"1" max:"10000"`
	// Limits say what a shard takes and gives: none, or kinesis for 1 MiB and 1,000 records in, 2 MiB
	// and 5 reads out per second. Sources wait, the http source answers 429; what the pipeline reads
	// itself is not limited.
	Limits string `yaml:"limits" enum:"none,kinesis"`
	// Retention is how long a record stays readable, counted from its arrival.
	Retention config.Duration `yaml:"retention" min:"1s" max:"8760h"`
	// Schema of the records: the fields that become columns, with their types. Fields that are not
	// named stay in the record and are ignored. Types are boolean, int, bigint, float, double,
	// decimal(p,s), string, binary, date, time, timestamp (microseconds, UTC), uuid, json, [type] for
	// lists and {field: type} for objects. A timestamp is RFC 3339 text or, as a JSON number,
	// milliseconds since the epoch.
	Schema schemaSpec `yaml:"schema"`
	// Infer finds the schema in the first records instead, keeps it in a file for you to read and
	// edit, and widens it as records come that do not fit. infer: {} is enough.
	Infer inferSpec `yaml:"infer"`
	// Unknown says what becomes of fields that the schema does not have: ignore drops them, rest keeps
	// them in a json column named _rest, add does so too and makes columns of them from the next chunk
	// on. Default: ignore with schema, rest with infer.
	Unknown string `yaml:"unknown" enum:"ignore,rest,add"`
	// UserRecords makes a row of each user record of a record that the Kinesis Producer Library packed several into,
	// wherever the pipeline reads the stream. Other records are rows as ever.
	UserRecords bool `yaml:"user_records"`
	// EventTime is the timestamp field that says when the event of a record happened.
	EventTime string `yaml:"event_time"`
	// Watermark is how much later than its neighbours an event may come.
	Watermark config.Duration `yaml:"watermark"`
	// MaxDisk is how much may be kept on disk. When it is reached the stream accepts no more until
	// consumers and retention have made room. Default: no limit.
	MaxDisk config.Size `yaml:"max_disk" min:"1MiB"`
	// OnLag says what retention does to records that a consumer has not read yet: hold keeps them,
	// expire removes and counts them.
	OnLag string `yaml:"on_lag" enum:"hold,expire"`
	// Sync says when a record counts as stored: always means when it is on the disk for good; interval
	// means when it is written, and a power cut takes what came since the last sync; never leaves
	// syncing to the operating system.
	Sync string `yaml:"sync" enum:"always,interval,never"`
	// SyncEvery is the time between syncs of sync: interval. Default: 100ms.
	SyncEvery config.Duration `yaml:"sync_every" min:"1ms" max:"1h"`
	// Compression of records on disk.
	Compression string `yaml:"compression" enum:"none,zstd,snappy"`
	// Encryption of records on disk. Without it a stream that is encrypted already stays so.
	Encryption encryptionSpec `yaml:"encryption"`
}

// encryptionSpec is how a stream is encrypted at rest.
type encryptionSpec struct {
	// Key is the master key: file:PATH, env:NAME, aws-kms://… or hcvault://…. Several, with spaces
	// between, are for a change: the first one encrypts, all open what is there.
	Key string `yaml:"key" required:"true"`
}

// Validate implements config.Validator.
func (e *encryptionSpec) Validate() []config.Problem {
	if e.Key == "" {
		return nil
	}
	if err := master.CheckSpec(e.Key); err != nil {
		return []config.Problem{config.Problemf("key", "%s", err)}
	}
	return nil
}

// SetDefaults implements config.Defaulter.
func (s *streamSpec) SetDefaults() {
	*s = streamSpec{
		Shards: 1, Retention: config.Duration(24 * time.Hour), OnLag: "hold",
		Mode: "provisioned", Limits: "none", Sync: "always", Compression: "none", Infer: defaultInfer(),
	}
}

// Validate implements config.Validator.
func (s *streamSpec) Validate() []config.Problem {
	var found []config.Problem
	switch {
	case s.MaxShards == 0:
	case s.Mode == "provisioned":
		found = append(found, config.Problemf("max_shards", "a provisioned stream keeps its %d shards; add mode: on_demand, or remove the key", s.Shards))
	case s.MaxShards < s.Shards:
		found = append(found, config.Problemf("max_shards", "%d is less than shards: %d, which the stream begins with and never goes below", s.MaxShards, s.Shards))
	}
	if s.SyncEvery != 0 && s.Sync != "interval" {
		found = append(found, config.Problemf("sync_every", "only sync: interval has an interval, and sync is %s", s.Sync))
	}
	return found
}

// settings are those of the stream. All are named, so that a stream that was made with others, or that
// `millrace stream` changed, gets what the file says; encryption alone stays where the file has none.
func (s *streamSpec) settings() streams.Settings {
	settings := streams.Settings{
		Mode: streams.Mode(s.Mode), Limits: streams.Limits(s.Limits), Sync: streams.SyncMode(s.Sync),
		Compression: streams.Compression(s.Compression),
	}
	if settings.Mode == streams.OnDemand {
		settings.MaxShards = cmp.Or(s.MaxShards, streams.AutoShards)
	}
	if settings.Sync == streams.SyncInterval {
		settings.SyncEvery = cmp.Or(s.SyncEvery.Std(), streams.DefaultSyncEvery)
	}
	if s.Encryption.Key != "" {
		settings.KeyID, settings.Encryption = master.AbsoluteSpec(s.Encryption.Key), streams.AtRest
	}
	return settings
}

// sourceHead is what all sources have; the rest is the component's.
type sourceHead struct {
	// Type of the source.
	Type string `yaml:"type" required:"true"`
	// To is the stream that the source writes to.
	To string `yaml:"to" required:"true"`
}

// anyStreamHead is what sources have whose clients name the stream.
type anyStreamHead struct {
	// Type of the source.
	Type string `yaml:"type" required:"true"`
}

// transformHead is what all transforms have; the rest is the component's.
type transformHead struct {
	// Type of the transform.
	Type string `yaml:"type" required:"true"`
	// From is the stream, transform or query that rows come from.
	From string `yaml:"from" required:"true"`
}

// sinkHead is what all sinks have; the rest is the component's.
type sinkHead struct {
	// Type of the sink.
	Type string `yaml:"type" required:"true"`
	// From is the stream, transform or query that rows come from.
	From string `yaml:"from" required:"true"`
	// Start is where a new sink begins: earliest, latest or a time of arrival such as
	// 2026-01-31T00:00:00Z.
	Start startSpec `yaml:"start"`
	// Parallelism is how many tasks deliver at the same time. They share the shards of the stream and
	// the sink's memory, and each writes objects of its own. More than the stream has shards brings
	// nothing.
	Parallelism int `yaml:"parallelism" min:"1" max:"256"`
}

func defaultSink() sinkHead { return sinkHead{Parallelism: 1} }

// querySpec is an entry of queries.
type querySpec struct {
	// SQL is one SELECT statement. It names its input in FROM: a stream, transform or other query.
	SQL string `yaml:"sql" required:"true"`
	// Start is where a new query begins: earliest, latest or a time of arrival such as
	// 2026-01-31T00:00:00Z.
	Start startSpec `yaml:"start"`
	// Parallelism is how many shards are read, decoded and aggregated at the same time, each on a core. It
	// changes nothing in the rows that come out and may be changed at any time. More than the input has shards
	// brings nothing.
	Parallelism int `yaml:"parallelism" min:"1" max:"64"`
	// Shards of the query's output.
	Shards int `yaml:"shards" min:"1" max:"10000"`
	// Watermark is how much later than its neighbours a row of the output may come, for queries that
	// read this one.
	Watermark config.Duration `yaml:"watermark"`
}

// SetDefaults implements config.Defaulter.
func (q *querySpec) SetDefaults() { q.Shards, q.Parallelism = 1, 1 }

// version is the file format's version.
type version int

// DecodeNode implements config.NodeDecoder.
func (v *version) DecodeNode(n *config.Node, d *config.Decoder) {
	i := 0
	if d.Decode(n, &i); i != 0 && i != 1 {
		d.Errorf(n, "version %d is not known to this program, which reads version 1", i)
	}
	*v = version(i)
}

// JSONSchema implements config.SchemaProvider.
func (v *version) JSONSchema(*config.Schemas) *config.Schema { return &config.Schema{Const: 1} }

// startSpec is earliest, latest or a time.
type startSpec Start

// DecodeNode implements config.NodeDecoder.
func (s *startSpec) DecodeNode(n *config.Node, d *config.Decoder) {
	text := ""
	d.Decode(n, &text)
	if n.Kind != config.Scalar || text == "earliest" {
		return
	}
	if text == "latest" {
		s.Latest = true
		return
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		d.Errorf(n, "expected earliest, latest or a time such as 2026-01-31T00:00:00Z, got %q", text)
		return
	}
	s.Time = t
}

// JSONSchema implements config.SchemaProvider.
func (s *startSpec) JSONSchema(*config.Schemas) *config.Schema {
	return &config.Schema{AnyOf: []*config.Schema{
		{Enum: []string{"earliest", "latest"}},
		{Type: config.Types{"string"}, Pattern: `^[0-9]{4}-[0-9]{2}-[0-9]{2}T`},
		{Ref: "#/$defs/reference"},
	}}
}
