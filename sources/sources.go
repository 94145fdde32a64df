// Package sources is the contract of a producer. Each child package is one source; the list of
// them is cmd/millrace/components.go.
package sources

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// Source reads from the outside and writes to one stream.
type Source interface {
	// Run reads until the input ends, and returns nil then, or until ctx is done, and returns
	// nil too. It confirms upstream only what Write returned nil for. Errors that may pass are
	// retried inside and reported with Env.Status; a returned error ends the pipeline.
	Run(ctx context.Context, w Writer) error
	// Bounded reports whether the input has an end.
	Bounded() bool
}

// Writer is the stream as a source sees it. It may be called from several goroutines.
type Writer interface {
	// Write stores the batch and returns nil once it is durable. It waits while the stream is
	// full or its limits are reached, until ctx is done. The batch may be changed once it returned.
	Write(ctx context.Context, b *record.Batch) error
	// TryWrite is Write for callers with an impatient client: it returns stream.ErrFull, or a
	// *capacity.ThrottledError and has stored nothing, instead of waiting.
	TryWrite(ctx context.Context, b *record.Batch) error
	// Position is the smallest position that the stream's open shards hold of a producer: where
	// to resume. ok is false when some shard has none, so reading starts at the beginning.
	Position(producer uint64) (position int64, ok bool)
	// Flush makes every open shard hold a position of the producer, also those that got none of
	// its records: at the end of an input, so that Position finds it there.
	Flush(ctx context.Context, p record.Producer, position int64) error
}

// Env is what a source gets besides its configuration.
type Env struct {
	// Pipeline and Name identify the source; producer ids are derived from them.
	Pipeline, Name string
	Log            *slog.Logger
	Now            func() time.Time
	// Memory is what the records on their way may take, in bytes; 0 means as much as they like.
	Memory int64
	// Status reports the source's health: nil when all is well. Readiness and `status` show it.
	Status func(error)
	// Progress reports how much of a known total is read, both in bytes; total 0 means unknown.
	Progress func(done, total int64)
	// Streams are all of the data directory, for a source that lets its clients choose (Component.AnyStream); nil
	// for others, and while a file is checked.
	Streams stream.Directory
	// Stored counts records that such a source stored.
	Stored func(records int)
	// Reject keeps input that cannot become a record, once, with its reason. It returns nil when
	// that is durable; nil instead of a function means the source only logs. It is called before
	// the Write that moves the producer's position past it, so a crash repeats it at worst.
	Reject func(ctx context.Context, r Rejected) error
}

// Rejected is a piece of input that cannot become a record.
type Rejected struct {
	// Producer and Position tell a repetition: they are those the record would have had.
	Producer record.Producer
	Position int64
	// Origin is where the piece came from: a file's path.
	Origin string
	// Data is the piece or, if it is long, its beginning; Size is its whole length in bytes. Data
	// may be changed once Reject returned.
	Data []byte
	Size int64
	// Code is one word for machines ("too-large", "incomplete"); Reason is for people.
	Code, Reason string
}

// Component is one kind of source.
type Component struct {
	// Type is the value of `type:` in a pipeline file.
	Type string
	// Config returns a pointer to a configuration with its defaults.
	Config func() any
	// AnyStream says that clients of the source name the streams they write to: it has no `to:`.
	AnyStream bool
	// Open makes the source without touching the outside.
	Open func(cfg any, env Env) (Source, error)
}

// Define makes a Component of a typed configuration. If *C has a method
// Validate() []config.Problem, the loader calls it.
func Define[C any](kind string, defaults func() C, open func(C, Env) (Source, error)) Component {
	return Component{
		Type:   kind,
		Config: config.Defaults(defaults),
		Open:   func(cfg any, env Env) (Source, error) { return open(*cfg.(*C), env) },
	}
}

// Exposed is implemented by the configuration of a source that lets in the users of a pipeline file.
type Exposed interface {
	// Exposed reports whether other machines reach the source, so that there must be users.
	Exposed() bool
}

// Claimer is implemented by the configuration of a source that takes something which only one source or sink can have,
// such as an address.
type Claimer interface{ Claims() []Claim }

// Claim is one such thing.
type Claim struct {
	// Path of the key that names it.
	Path string
	// What it is, as messages have it and the same for all that cannot be together.
	What string
}

// Address is the claim of a listener, if the address says which port.
func Address(path, listen string) []Claim {
	if _, port, err := net.SplitHostPort(listen); err != nil || port == "" || port == "0" {
		return nil
	}
	return []Claim{{Path: path, What: "address " + listen}}
}
