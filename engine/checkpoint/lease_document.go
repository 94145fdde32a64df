package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/engine/record"
)

// LeaseVersion of the lease table's documents, see docs/formats/leases.md.
const LeaseVersion = 1

const (
	leaseRoot = "leases/"
	groupKey  = "group"
	leaseKey  = "shardId-"
	// maxGroup keeps the longest key, of a stream's name with 128 characters, below what backends
	// allow.
	maxGroup = 64
	// maxWorker is the length of a worker's name with its random part.
	maxWorker = 128
	// maxLease bounds a lease's document in bytes, maxGroupDocument a group's.
	maxLease         = 4 << 10
	maxGroupDocument = 16 << 20
)

// LeaseTableError reports a document of a lease table that this program cannot read. It is never
// overwritten: the group stands still until somebody has looked at it.
type LeaseTableError struct {
	Key string
	Err error
}

func (e *LeaseTableError) Error() string {
	return fmt.Sprintf("lease table: document %s: %s", e.Key, e.Err)
}

func (e *LeaseTableError) Unwrap() error { return e.Err }

// leaseDocument says who works on a shard and how far the group has come in it.
type leaseDocument struct {
	Version int `json:"version"`
	// Owner is the worker that holds the lease; empty when nobody does.
	Owner string `json:"owner,omitempty"`
	// Counter moves at each write of the owner. One that stands still is how others notice that
	// the owner is gone.
	Counter uint64 `json:"counter"`
	// Fence rises at each change of owner.
	Fence uint64 `json:"fence"`
	// Position is the next record to work on: all before it are dealt with.
	Position record.Ordinal `json:"position"`
	// Ended is set once a closed shard was worked on to its end.
	Ended bool `json:"ended,omitempty"`
	// AskedBy is the worker that would like to have the lease.
	AskedBy string `json:"asked_by,omitempty"`
}

// groupDocument is what a group decides once and must not decide again.
type groupDocument struct {
	Version int `json:"version"`
	// Start is where the shards begin that were there when the group was created; a later one
	// begins at its first record.
	Start map[record.ShardID]record.Ordinal `json:"start,omitempty"`
	// Done are shards that need no lease any more, in order: worked on to the end, gone with
	// retention, or older than where the group began. They stay for ever, for workers that know
	// an old lineage only; shards have rising numbers, so few spans hold them all.
	Done []span `json:"done,omitempty"`
	// Tasks is there when the leases are not for shards but for the tasks of a consumer.
	Tasks *groupTasks `json:"tasks,omitempty"`
}

// span is the shards From up to and including To.
type span struct {
	From record.ShardID `json:"from"`
	To   record.ShardID `json:"to"`
}

func (d leaseDocument) check() error {
	switch {
	case d.Version != LeaseVersion:
		return versionError(d.Version)
	case d.Counter >= math.MaxInt64 || d.Fence >= math.MaxInt64:
		return errors.New("counter or fence is beyond any that was ever written")
	case d.Position < 0:
		return fmt.Errorf("position %d is negative", d.Position)
	case !validWorker(d.Owner) || !validWorker(d.AskedBy):
		return fmt.Errorf("%.100q and %.100q are no names of workers", d.Owner, d.AskedBy)
	case d.Owner != "" && d.Fence == 0:
		return fmt.Errorf("owner %q holds it under no fence", d.Owner)
	case d.Ended && d.Owner != "":
		return fmt.Errorf("ended, and held by %q", d.Owner)
	case d.AskedBy != "" && d.Owner == "":
		return fmt.Errorf("%q asks for a lease that nobody holds", d.AskedBy)
	}
	return nil
}

func (d groupDocument) check() error {
	if d.Version != LeaseVersion {
		return versionError(d.Version)
	}
	for id, position := range d.Start {
		if position < 0 {
			return fmt.Errorf("%s starts at %d", id, position)
		}
	}
	for i, s := range d.Done {
		if s.To < s.From || i > 0 && s.From <= d.Done[i-1].To {
			return fmt.Errorf("shards that are done: %s to %s is out of order", s.From, s.To)
		}
	}
	if err := d.Tasks.check(); err != nil {
		return fmt.Errorf("tasks: %w", err)
	}
	return nil
}

// finish says that a shard is done.
func (d *groupDocument) finish(id record.ShardID) {
	i, found := d.find(id)
	if found {
		return
	}
	d.Done = slices.Insert(slices.Clone(d.Done), i, span{From: id, To: id})
	if i+1 < len(d.Done) && d.Done[i+1].From == id+1 {
		d.Done[i].To = d.Done[i+1].To
		d.Done = slices.Delete(d.Done, i+1, i+2)
	}
	if i > 0 && d.Done[i-1].To+1 == id {
		d.Done[i-1].To = d.Done[i].To
		d.Done = slices.Delete(d.Done, i, i+1)
	}
	d.Start = maps.Clone(d.Start)
	delete(d.Start, id)
}

func (d groupDocument) done(id record.ShardID) bool {
	_, found := d.find(id)
	return found
}

// find returns the span that holds a shard, or where it would be.
func (d groupDocument) find(id record.ShardID) (int, bool) {
	return slices.BinarySearchFunc(d.Done, id, func(s span, id record.ShardID) int {
		switch {
		case s.To < id:
			return -1
		case s.From > id:
			return 1
		}
		return 0
	})
}

func versionError(have int) error {
	return fmt.Errorf("version %d; this program reads version %d", have, LeaseVersion)
}

// decodeLease reads a lease and checks what workers rely on.
func decodeLease(value []byte) (leaseDocument, error) {
	var d leaseDocument
	if err := decodeStrictly(value, maxLease, &d); err != nil {
		return leaseDocument{}, err
	}
	return d, d.check()
}

func decodeGroup(value []byte) (groupDocument, error) {
	var d groupDocument
	if err := decodeStrictly(value, maxGroupDocument, &d); err != nil {
		return groupDocument{}, err
	}
	return d, d.check()
}

// decodeStrictly refuses fields it does not know: they would be lost at the next write. Another
// version may have other fields, and is named instead.
func decodeStrictly(value []byte, limit int, into any) error {
	if len(value) > limit {
		return fmt.Errorf("%d bytes are more than %d", len(value), limit)
	}
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		var v struct{ Version int }
		if json.Unmarshal(value, &v) == nil && v.Version != LeaseVersion {
			return versionError(v.Version)
		}
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

// validWorker also takes the absence of one.
func validWorker(id string) bool {
	return id == "" || len(id) <= maxWorker && validName.MatchString(id)
}

var validName = regexp.MustCompile(`^[a-zA-Z0-9_.-]+$`)

// leasePrefix is where the documents of a group lie. The incarnation keeps a stream that was
// deleted and created again apart from its past.
func leasePrefix(stream, incarnation, group string) (string, error) {
	for _, part := range []struct{ what, name string }{{"stream", stream}, {"incarnation", incarnation}, {"group", group}} {
		if !validName.MatchString(part.name) {
			return "", fmt.Errorf("%s %q: want a-z, A-Z, 0-9, '_', '-' and '.'", part.what, part.name)
		}
	}
	if len(group) > maxGroup {
		return "", fmt.Errorf("group %q has %d characters, more than %d", group, len(group), maxGroup)
	}
	return leaseRoot + stream + "/" + incarnation + "/" + group + "/", nil
}

// shardOfKey is the shard whose lease has the key.
func shardOfKey(key string) (record.ShardID, error) {
	name := key[strings.LastIndexByte(key, '/')+1:]
	digits, ok := strings.CutPrefix(name, leaseKey)
	id, err := strconv.ParseUint(digits, 10, 32)
	if !ok || err != nil || record.ShardID(id).String() != name {
		return 0, fmt.Errorf("%q is no shard", name)
	}
	return record.ShardID(id), nil
}
