package stream

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/millrace-io/millrace/engine/record"
)

// documentFormat is the version of the stream document, docs/formats/meta.md. Version 1 had no
// settings and no changes under way.
const documentFormat = 2

// maxShards bounds the open shards of a stream, as Kinesis does.
const maxShards = 10_000

// ShardState says whether a shard takes records.
type ShardState string

// States of a shard (Kinesis API, ShardFilter). A shard that has expired is in no list any more.
const (
	ShardOpen    ShardState = "open"
	ShardClosed  ShardState = "closed"
	ShardExpired ShardState = "expired"

	// A shard is closing from the decision to split or merge it until its log is sealed and its
	// children are there. To others it is open.
	shardClosing ShardState = "closing"
	// A child is being created for so long. Others do not see it yet.
	shardCreating ShardState = "creating"
)

// Status says what may be done to a stream (Kinesis API, StreamStatus).
type Status string

// The states of a stream.
const (
	Creating Status = "creating"
	Active   Status = "active"
	Updating Status = "updating"
	Deleting Status = "deleting"
)

// Shard is a shard as the stream's document describes it.
type Shard struct {
	ID record.ShardID `json:"id"`
	// Range is the part of the hash keys that the shard takes.
	Range record.Range `json:"range"`
	// Parents are the shards it was split or merged from; of a merge, the one that was asked to be
	// merged first. They may have expired.
	Parents []record.ShardID `json:"parents,omitempty"`
	State   ShardState       `json:"state"`
	// Created is later than the parents' by a second at least.
	Created time.Time `json:"created"`
	// Closed is when the shard took its last record at the latest; zero while it is open.
	Closed time.Time `json:"closed,omitzero"`
}

type document struct {
	Format int `json:"format"`
	// Incarnation is 16 hexadecimal digits.
	Incarnation string    `json:"incarnation"`
	Created     time.Time `json:"created"`
	State       Status    `json:"state"`
	// Initial is how many shards the stream was created with.
	Initial int     `json:"initial_shards,omitempty"`
	Shards  []Shard `json:"shards"`
	// NextShard is the number of the next new shard.
	NextShard record.ShardID `json:"next_shard,omitempty"`
	Settings  Settings       `json:"settings"`
	// Hidden is an arrival time in milliseconds: records before it were past their retention once.
	Hidden int64             `json:"hidden,omitempty"`
	Tags   map[string]string `json:"tags,omitempty"`
}

func key(name string) string { return "streams/" + name }

// newDocument is that of a stream whose logs do not exist yet.
func newDocument(ranges []record.Range, settings Settings, now time.Time) document {
	now = now.UTC().Truncate(time.Second)
	d := document{
		Format:      documentFormat,
		Incarnation: fmt.Sprintf("%016x", rand.Uint64()),
		Created:     now,
		State:       Creating,
		Initial:     len(ranges),
		NextShard:   record.ShardID(len(ranges)),
		Settings:    settings.withDefaults(),
	}
	for i, r := range ranges {
		d.Shards = append(d.Shards, Shard{ID: record.ShardID(i), Range: r, State: ShardOpen, Created: now})
	}
	return d
}

// clone is a copy whose shards and tags may be changed.
func (d document) clone() document {
	d.Shards = slices.Clone(d.Shards)
	return d
}

// shard returns the shard of an id, or nil.
func (d *document) shard(id record.ShardID) *Shard {
	i, ok := slices.BinarySearchFunc(d.Shards, id, func(s Shard, id record.ShardID) int { return cmp.Compare(s.ID, id) })
	if !ok {
		return nil
	}
	return &d.Shards[i]
}

// open are the shards that take records, by their ranges.
func (d document) open() []Shard {
	var open []Shard
	for _, s := range d.Shards {
		if s.State == ShardOpen || s.State == shardClosing {
			open = append(open, s)
		}
	}
	slices.SortFunc(open, func(a, b Shard) int { return a.Range.Start.Compare(b.Range.Start) })
	return open
}

// listed are the shards that others see, by id.
func (d document) listed() []Shard {
	var listed []Shard
	for _, s := range d.Shards {
		switch s.State {
		case shardClosing:
			s.State = ShardOpen
		case shardCreating, ShardExpired:
			continue
		}
		listed = append(listed, s)
	}
	return listed
}

// atRest reports whether nothing is under way.
func (d document) atRest() bool {
	return d.State == Active && !slices.ContainsFunc(d.Shards, func(s Shard) bool { return s.State == ShardExpired })
}

// decodeDocument reads a stream document and checks what routing relies on: the open shards'
// ranges cover all hash keys, each once.
func decodeDocument(value []byte) (document, error) {
	var d document
	if err := json.Unmarshal(value, &d); err != nil {
		return d, err
	}
	if d.Format != 1 && d.Format != documentFormat {
		return d, fmt.Errorf("format %d is not known to this version, which writes %d", d.Format, documentFormat)
	}
	if _, err := strconv.ParseUint(d.Incarnation, 16, 64); err != nil {
		return d, fmt.Errorf("incarnation %q: %w", d.Incarnation, err)
	}
	if len(d.Shards) > 100*maxShards {
		return d, fmt.Errorf("%d shards are more than %d", len(d.Shards), 100*maxShards)
	}
	if err := d.checkShards(); err != nil {
		return d, err
	}
	d.Settings = d.Settings.withDefaults()
	return d, d.Settings.check()
}

func (d *document) checkShards() error {
	slices.SortFunc(d.Shards, func(a, b Shard) int { return cmp.Compare(a.ID, b.ID) })
	for i, s := range d.Shards {
		if i > 0 && d.Shards[i-1].ID == s.ID {
			return fmt.Errorf("%s is listed twice", s.ID)
		}
		d.NextShard = max(d.NextShard, s.ID+1)
		switch s.State {
		case ShardOpen, ShardClosed, ShardExpired, shardClosing, shardCreating:
		default:
			return fmt.Errorf("%s: unknown state %q", s.ID, s.State)
		}
	}
	ranges := []record.Range{}
	for _, s := range d.open() {
		ranges = append(ranges, s.Range)
	}
	return checkCover(ranges)
}

// checkCover demands that ranges, which rise, cover all hash keys once.
func checkCover(ranges []record.Range) error {
	if len(ranges) == 0 {
		return errors.New("no shard is open")
	}
	var next record.HashKey
	for i, r := range ranges {
		if r.Start != next || r.End.Less(r.Start) {
			return fmt.Errorf("range %s does not begin at %s", r, next)
		}
		last := r.End == record.MaxHashKey
		if last != (i == len(ranges)-1) {
			return fmt.Errorf("range %s is not where the hash keys end", r)
		}
		next = r.End.Next()
	}
	return nil
}

var validName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)

func checkName(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("%w: stream name %q: want 1 to 128 of a-z, A-Z, 0-9, '_', '-' and '.'", ErrInvalid, name)
	}
	return nil
}
