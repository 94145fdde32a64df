package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"time"

	"github.com/millrace-io/millrace/engine/record"
)

// documentFormat is the version of the stream document, docs/formats/meta.md.
const documentFormat = 1

// maxShards bounds what a specification may ask for, as Kinesis does.
const maxShards = 10_000

// ShardState says whether a shard takes records.
type ShardState string

// States of a shard (Kinesis API, ShardFilter).
const (
	ShardOpen   ShardState = "open"
	ShardClosed ShardState = "closed"
)

// Shard is a shard as the stream's document describes it.
type Shard struct {
	ID record.ShardID `json:"id"`
	// Range is the part of the hash keys that the shard takes.
	Range record.Range `json:"range"`
	// Parents are the shards it was split or merged from.
	Parents []record.ShardID `json:"parents,omitempty"`
	State   ShardState       `json:"state"`
	// Created is later than the parents' by a second at least.
	Created time.Time `json:"created"`
}

type document struct {
	Format int `json:"format"`
	// Incarnation is 16 hexadecimal digits.
	Incarnation string    `json:"incarnation"`
	Created     time.Time `json:"created"`
	// State is "active", or "deleting" while the shards are being removed.
	State  string  `json:"state"`
	Shards []Shard `json:"shards"`
}

const (
	stateActive   = "active"
	stateDeleting = "deleting"
)

// ShardCountError reports that a stream exists with another number of shards than asked for.
type ShardCountError struct {
	Stream    string
	Have, Ask int
}

func (e *ShardCountError) Error() string {
	return fmt.Sprintf("stream %q has %d shards and its specification asks for %d: write `shards: %d`, or give the stream another name",
		e.Stream, e.Have, e.Ask, e.Have)
}

func key(name string) string { return "streams/" + name }

func newDocument(shards int, now time.Time) document {
	now = now.UTC().Truncate(time.Second)
	d := document{
		Format:      documentFormat,
		Incarnation: fmt.Sprintf("%016x", rand.Uint64()),
		Created:     now,
		State:       stateActive,
	}
	for i, r := range record.EvenRanges(shards) {
		d.Shards = append(d.Shards, Shard{ID: record.ShardID(i), Range: r, State: ShardOpen, Created: now})
	}
	return d
}

func (d document) open() []Shard {
	var open []Shard
	for _, s := range d.Shards {
		if s.State == ShardOpen {
			open = append(open, s)
		}
	}
	return open
}

// decodeDocument reads a stream document and checks what routing relies on: the open shards'
// ranges cover all hash keys, each once.
func decodeDocument(value []byte) (document, error) {
	var d document
	if err := json.Unmarshal(value, &d); err != nil {
		return d, err
	}
	if d.Format != documentFormat {
		return d, fmt.Errorf("format %d is not known to this version, which writes %d", d.Format, documentFormat)
	}
	if _, err := strconv.ParseUint(d.Incarnation, 16, 64); err != nil {
		return d, fmt.Errorf("incarnation %q: %w", d.Incarnation, err)
	}
	if len(d.Shards) > 100*maxShards {
		return d, fmt.Errorf("%d shards are more than %d", len(d.Shards), 100*maxShards)
	}
	return d, checkCover(d.open())
}

func checkCover(open []Shard) error {
	sortByStart(open)
	var next record.HashKey
	for i, s := range open {
		if s.Range.Start != next || s.Range.End.Less(s.Range.Start) {
			return fmt.Errorf("%s: range %s to %s does not begin at %s", s.ID, s.Range.Start, s.Range.End, next)
		}
		last := s.Range.End == record.MaxHashKey
		if last != (i == len(open)-1) {
			return fmt.Errorf("%s: range ends at %s", s.ID, s.Range.End)
		}
		next = s.Range.End
		if next.Lo++; next.Lo == 0 {
			next.Hi++
		}
	}
	if len(open) == 0 {
		return errors.New("no shard is open")
	}
	return nil
}

var validName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)

func checkName(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("stream name %q: want 1 to 128 of a-z, A-Z, 0-9, '_', '-' and '.'", name)
	}
	return nil
}

// load reads the stream's document, or creates it.
func load(ctx context.Context, b Backend, spec Spec) (document, error) {
	for {
		value, rev, err := b.Meta().Get(ctx, key(spec.Name))
		switch {
		case errors.Is(err, ErrNotFound):
			d := newDocument(max(spec.Shards, 1), spec.now())
			value, err := json.Marshal(d)
			if err != nil {
				return d, err
			}
			_, err = b.Meta().CAS(ctx, key(spec.Name), value, 0)
			if errors.Is(err, ErrConflict) {
				continue
			}
			return d, err
		case err != nil:
			return document{}, err
		}
		d, err := decodeDocument(value)
		if err != nil {
			return d, fmt.Errorf("document %s: %w", key(spec.Name), err)
		}
		if d.State != stateDeleting {
			return d, nil
		}
		if err := remove(ctx, b, spec.Name, rev); err != nil {
			return d, fmt.Errorf("finish the deletion: %w", err)
		}
	}
}

// Delete removes a stream with all its records. A deletion that a crash interrupts is finished
// by the next Open or Delete of the same name. Error: ErrNotFound.
func Delete(ctx context.Context, b Backend, name string) error {
	value, rev, err := b.Meta().Get(ctx, key(name))
	if err == nil {
		err = markDeleting(ctx, b, name, value, &rev)
	}
	if err == nil {
		err = remove(ctx, b, name, rev)
	}
	if err != nil {
		return fmt.Errorf("delete stream %q: %w", name, err)
	}
	return nil
}

// markDeleting comes first, so that no crash leaves a document that promises records which are gone.
func markDeleting(ctx context.Context, b Backend, name string, value []byte, rev *uint64) error {
	d, err := decodeDocument(value)
	if err != nil {
		return err
	}
	d.State = stateDeleting
	value, err = json.Marshal(d)
	if err != nil {
		return err
	}
	*rev, err = b.Meta().CAS(ctx, key(name), value, *rev)
	return err
}

func remove(ctx context.Context, b Backend, name string, rev uint64) error {
	if err := b.DeleteStream(ctx, name); err != nil {
		return err
	}
	return b.Meta().Delete(ctx, key(name), rev)
}
