package checkpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/vfs"
)

// inlineState is the largest state kept inside the document, in bytes. A larger one becomes a
// document of its own, written before the one that refers to it.
const inlineState = 64 << 10

// ErrPending reports an attempt to plan a chunk while another one is pending.
var ErrPending = errors.New("a plan is pending")

// ErrTaken reports that somebody else took the task over: what was not published is not counted.
var ErrTaken = errors.New("another worker took the task over")

// Store holds one task's document. It is used by one goroutine. After an error of Plan or Publish
// the document is as it was; ErrTaken means that it is not this holder's any more.
type Store struct {
	meta     stream.Meta
	key      string
	doc      Document
	revision uint64
	// tried is what a change that failed may have stored all the same.
	tried []byte
	// outside is set while there may be states kept outside the document.
	outside bool
}

// reference stands in a document for a state kept elsewhere.
type reference struct {
	StateAt string `json:"millrace_state_at"`
}

// Beginning is where a new task begins.
type Beginning struct {
	Positions map[record.ShardID]record.Ordinal
	// Feeds are its inputs, nil for one.
	Feeds map[string]Feed
	// Ledger names the steps: a single input is known by the first ones once there are several.
	Ledger []Step
}

// Open reads the task's document, or starts a new one as start says, and takes it over:
// the fence rises, so that an earlier holder can commit no more. Error: ErrTaken, when others
// change the document all the time.
func Open(ctx context.Context, meta stream.Meta, key string, start func() (Beginning, error)) (*Store, error) {
	for attempt := 1; ; attempt++ {
		s, err := open(ctx, meta, key, start)
		if !errors.Is(err, ErrTaken) || attempt == maxAttempts {
			return s, err
		}
	}
}

func open(ctx context.Context, meta stream.Meta, key string, start func() (Beginning, error)) (*Store, error) {
	s := &Store{meta: meta, key: key, outside: true}
	doc, revision, err := read(ctx, meta, key)
	switch {
	case errors.Is(err, stream.ErrNotFound):
		b, err := start()
		if err != nil {
			return nil, err
		}
		doc = Document{Version: Version, Positions: b.Positions, Feeds: b.Feeds, Ledger: b.Ledger}
	case err != nil:
		return nil, err
	}
	doc.Fence++
	s.revision = revision
	if err := s.save(ctx, doc); err != nil {
		return nil, err
	}
	return s, nil
}

// Read returns a task's document without taking it over. Error: stream.ErrNotFound.
func Read(ctx context.Context, meta stream.Meta, key string) (Document, error) {
	doc, _, err := read(ctx, meta, key)
	return doc, err
}

// Document is the last committed document. Its maps and slices must not be changed.
func (s *Store) Document() Document { return s.doc }

// Plan records what the task is about to create.
func (s *Store) Plan(ctx context.Context, p Pending) error {
	if s.doc.Pending != nil {
		return fmt.Errorf("checkpoint %s: chunk %d: %w", s.key, p.Plan.Cut.Chunk, ErrPending)
	}
	doc := s.doc
	doc.Pending = &p
	return s.save(ctx, doc)
}

// Publish moves the document past the pending plan: the exactly-once point.
func (s *Store) Publish(ctx context.Context) error {
	if s.doc.Pending == nil {
		return fmt.Errorf("checkpoint %s: publish without a plan", s.key)
	}
	return s.save(ctx, s.doc.publish())
}

// Advance plans and publishes in one step, for a chunk that creates nothing outside.
func (s *Store) Advance(ctx context.Context, p Pending) error {
	if s.doc.Pending != nil {
		return fmt.Errorf("checkpoint %s: chunk %d: %w", s.key, p.Plan.Cut.Chunk, ErrPending)
	}
	doc := s.doc
	doc.Pending = &p
	return s.save(ctx, doc.publish())
}

// save stores doc if nobody changed the stored one, large states first.
func (s *Store) save(ctx context.Context, doc Document) error {
	stored := doc
	var err error
	if stored.State, err = s.outline(ctx, doc.State, doc.Chunk); err != nil {
		return err
	}
	if doc.Pending != nil {
		pending := *doc.Pending
		if pending.Plan.State, err = s.outline(ctx, pending.Plan.State, pending.Plan.Cut.Chunk); err != nil {
			return err
		}
		stored.Pending = &pending
	}
	value, err := json.Marshal(stored)
	if err != nil {
		return fmt.Errorf("checkpoint %s: %w", s.key, err)
	}
	revision, err := s.meta.CAS(ctx, s.key, value, s.revision)
	if errors.Is(err, stream.ErrConflict) && s.tried != nil && bytes.Equal(value, s.tried) {
		revision, err = s.own(ctx, value, err)
	}
	if errors.Is(err, stream.ErrConflict) {
		return fmt.Errorf("checkpoint %s: %w: %w", s.key, ErrTaken, err)
	}
	if err != nil {
		s.tried = value
		return fmt.Errorf("checkpoint %s: %w", s.key, err)
	}
	s.doc, s.revision, s.tried = doc, revision, nil
	if err := s.tidy(ctx); err != nil && !vfs.IsFull(err) {
		return err
	}
	// The document is stored. What a full disk did not let go of is removed after the next change.
	return nil
}

// own returns the revision of the document if it is what the store wrote itself with a change that reported an
// error, else the conflict. Nobody else writes under the same fence.
func (s *Store) own(ctx context.Context, value []byte, conflict error) (uint64, error) {
	stored, revision, err := s.meta.Get(ctx, s.key)
	if err == nil && !bytes.Equal(stored, value) {
		err = conflict
	}
	return revision, err
}

// outline moves a large state of a chunk into a document of its own and returns what stands for
// it. The same chunk gives the same state, so one that is there already is the right one.
func (s *Store) outline(ctx context.Context, state json.RawMessage, chunk int64) (json.RawMessage, error) {
	if len(state) <= inlineState {
		return state, nil
	}
	s.outside = true
	key := fmt.Sprintf("%s.state/%020d", s.key, chunk)
	_, revision, err := s.meta.Get(ctx, key)
	if err == nil && s.doc.holds(chunk) {
		return json.Marshal(reference{StateAt: key})
	}
	if err != nil && !errors.Is(err, stream.ErrNotFound) {
		return nil, fmt.Errorf("checkpoint %s: %w", key, err)
	}
	if _, err := s.meta.CAS(ctx, key, state, revision); err != nil {
		return nil, fmt.Errorf("checkpoint %s: %w", key, err)
	}
	return json.Marshal(reference{StateAt: key})
}

// holds reports whether the document refers to the state of a chunk.
func (d Document) holds(chunk int64) bool {
	return d.Chunk == chunk || d.Pending != nil && d.Pending.Plan.Cut.Chunk == chunk
}

// tidy removes states that the document no longer refers to.
func (s *Store) tidy(ctx context.Context) error {
	if !s.outside {
		return nil
	}
	keys, err := s.meta.List(ctx, s.key+".state/")
	if err != nil {
		return fmt.Errorf("checkpoint %s: %w", s.key, err)
	}
	kept := false
	for _, key := range keys {
		var chunk int64
		if _, err := fmt.Sscanf(strings.TrimPrefix(key, s.key+".state/"), "%d", &chunk); err != nil || s.doc.holds(chunk) {
			kept = true
			continue
		}
		_, revision, err := s.meta.Get(ctx, key)
		if err == nil {
			err = s.meta.Delete(ctx, key, revision)
		}
		if err != nil && !errors.Is(err, stream.ErrNotFound) {
			return fmt.Errorf("checkpoint %s: %w", key, err)
		}
	}
	s.outside = kept
	return nil
}

func read(ctx context.Context, meta stream.Meta, key string) (Document, uint64, error) {
	value, revision, err := meta.Get(ctx, key)
	if err != nil {
		return Document{}, 0, fmt.Errorf("checkpoint %s: %w", key, err)
	}
	doc, err := Decode(value)
	if err != nil {
		return Document{}, 0, fmt.Errorf("checkpoint %s: %w", key, err)
	}
	if doc.State, err = inline(ctx, meta, doc.State); err != nil {
		return Document{}, 0, fmt.Errorf("checkpoint %s: %w", key, err)
	}
	if doc.Pending != nil {
		if doc.Pending.Plan.State, err = inline(ctx, meta, doc.Pending.Plan.State); err != nil {
			return Document{}, 0, fmt.Errorf("checkpoint %s: %w", key, err)
		}
	}
	return doc, revision, nil
}

func inline(ctx context.Context, meta stream.Meta, state json.RawMessage) (json.RawMessage, error) {
	var r reference
	if json.Unmarshal(state, &r) != nil || r.StateAt == "" {
		return state, nil
	}
	value, _, err := meta.Get(ctx, r.StateAt)
	if err != nil {
		return nil, fmt.Errorf("state %s: %w", r.StateAt, err)
	}
	return value, nil
}

// Decode reads a document and checks what a task relies on.
func Decode(value []byte) (Document, error) {
	var doc Document
	if err := json.Unmarshal(value, &doc); err != nil {
		return Document{}, err
	}
	if doc.Version != Version {
		return Document{}, fmt.Errorf("document version %d; this program reads version %d", doc.Version, Version)
	}
	if doc.Positions == nil {
		return Document{}, errors.New("document has no positions")
	}
	for shard, r := range doc.ranges() {
		if r.From < 0 || r.To < r.From || doc.Positions[shard] != r.From {
			return Document{}, fmt.Errorf("pending plan: %s: range %d to %d does not follow position %d", shard, r.From, r.To, doc.Positions[shard])
		}
	}
	return doc, nil
}

func (d Document) ranges() map[record.ShardID]Range {
	if d.Pending == nil {
		return nil
	}
	return d.Pending.Plan.Cut.Ranges
}
