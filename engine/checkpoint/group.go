package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// ShardLease is one lease as it stands in the table.
type ShardLease struct {
	Shard    record.ShardID `json:"shard"`
	Owner    string         `json:"owner,omitempty"`
	AskedBy  string         `json:"asked_by,omitempty"`
	Fence    uint64         `json:"fence"`
	Position record.Ordinal `json:"position"`
	Ended    bool           `json:"ended,omitempty"`
}

// ReadLeases returns the leases of a group by shard, without taking part. Shards that nobody has
// begun with, and those that are done with, are not among them. Errors: stream.ErrNotFound when
// there is no such group, *LeaseTableError.
func ReadLeases(ctx context.Context, meta stream.Meta, name, incarnation, group string) ([]ShardLease, error) {
	prefix, err := leasePrefix(name, incarnation, group)
	if err != nil {
		return nil, err
	}
	stored, err := readLeases(ctx, meta, prefix)
	if err != nil {
		return nil, err
	}
	if _, _, err := readGroup(ctx, meta, prefix); err != nil {
		return nil, err
	}
	var leases []ShardLease
	for id, l := range stored {
		if !l.gone {
			leases = append(leases, shardLease(id, l.doc))
		}
	}
	sortShards(leases)
	return leases, nil
}

func shardLease(id record.ShardID, d leaseDocument) ShardLease {
	return ShardLease{Shard: id, Owner: d.Owner, AskedBy: d.AskedBy, Fence: d.Fence, Position: d.Position, Ended: d.Ended}
}

func sortShards(leases []ShardLease) {
	slices.SortFunc(leases, func(a, b ShardLease) int { return int(a.Shard) - int(b.Shard) })
}

// Groups returns the names of the groups on a stream, sorted.
func Groups(ctx context.Context, meta stream.Meta, name, incarnation string) ([]string, error) {
	prefix := leaseRoot + name + "/" + incarnation + "/"
	keys, err := meta.List(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("list consumer groups of stream %q: %w", name, err)
	}
	var groups []string
	for _, key := range keys {
		if group, ok := strings.CutSuffix(key[len(prefix):], "/"+groupKey); ok {
			groups = append(groups, group)
		}
	}
	return groups, nil
}

// Documents returns where the documents of all consumers lie that have a group on some stream.
func Documents(ctx context.Context, meta stream.Meta) ([]string, error) {
	keys, err := meta.List(ctx, leaseRoot)
	if err != nil {
		return nil, fmt.Errorf("list consumer groups: %w", err)
	}
	var documents []string
	for _, key := range keys {
		prefix, ok := strings.CutSuffix(key, groupKey)
		if !ok || !strings.HasSuffix(prefix, "/") {
			continue
		}
		doc, _, err := readGroup(ctx, meta, prefix)
		if errors.Is(err, stream.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if doc.Tasks != nil {
			documents = append(documents, doc.Tasks.Documents)
		}
	}
	return documents, nil
}

// Holds returns the first record of each shard that some group on the stream has still to work on,
// for stream.Log.SetHold. A shard that every group is done with has none.
func Holds(ctx context.Context, meta stream.Meta, name, incarnation string, shards []ShardInfo) (map[record.ShardID]record.Ordinal, error) {
	groups, err := Groups(ctx, meta, name, incarnation)
	if err != nil {
		return nil, err
	}
	holds := map[record.ShardID]record.Ordinal{}
	for _, g := range groups {
		prefix, err := leasePrefix(name, incarnation, g)
		if err != nil {
			return nil, err
		}
		var s snapshot
		if s.leases, err = readLeases(ctx, meta, prefix); err != nil {
			return nil, err
		}
		s.group, _, err = readGroup(ctx, meta, prefix)
		if errors.Is(err, stream.ErrNotFound) {
			// It was removed just now.
			continue
		}
		if err != nil {
			return nil, err
		}
		if s.group.Tasks != nil {
			if err := holdTasks(ctx, meta, s.group.Tasks.Documents, name, shards, holds); err != nil {
				return nil, err
			}
			continue
		}
		for _, shard := range shards {
			if s.done(shard.ID) {
				continue
			}
			hold(holds, shard.ID, s.position(shard.ID))
		}
	}
	return holds, nil
}

// holdTasks adds what the tasks of a consumer need.
func holdTasks(ctx context.Context, meta stream.Meta, documents, name string, shards []ShardInfo, holds map[record.ShardID]record.Ordinal) error {
	docs, err := ReadTasks(ctx, meta, documents)
	if err != nil {
		return err
	}
	places := Places(docs, name)
	for _, shard := range shards {
		hold(holds, shard.ID, places[shard.ID].Next)
	}
	return nil
}

func hold(holds map[record.ShardID]record.Ordinal, shard record.ShardID, position record.Ordinal) {
	if have, ok := holds[shard]; !ok || position < have {
		holds[shard] = position
	}
}

// Place is where a consumer stands in a shard.
type Place struct {
	// Next is the next record to read.
	Next record.Ordinal
	// Watermark is in microseconds since the epoch; Marked is false when there is none.
	Watermark int64
	Marked    bool
}

// Places is where a consumer stands in a stream, all its tasks together. Shards that it has not read from are
// left out.
func Places(docs map[int]Document, stream string) map[record.ShardID]Place {
	places := map[record.ShardID]Place{}
	for _, doc := range docs {
		for shard, p := range doc.places(stream) {
			if places[shard].Next <= p.Next {
				places[shard] = p
			}
		}
	}
	return places
}

// Vacate makes all leases free at once, of all groups on all streams, each under a higher fence.
// Whoever holds the lock of the data directory may call it, before any worker runs: nobody else
// can be alive. It returns how many leases had an owner.
func Vacate(ctx context.Context, meta stream.Meta) (int, error) {
	keys, err := meta.List(ctx, leaseRoot)
	if err != nil {
		return 0, fmt.Errorf("free leases: %w", err)
	}
	n := 0
	for _, key := range keys {
		if strings.HasSuffix(key, "/"+groupKey) {
			continue
		}
		freed, err := vacate(ctx, meta, key)
		if err != nil {
			return n, fmt.Errorf("free lease %s: %w", key, err)
		}
		if freed {
			n++
		}
	}
	return n, nil
}

func vacate(ctx context.Context, meta stream.Meta, key string) (bool, error) {
	value, revision, err := meta.Get(ctx, key)
	if err != nil {
		return false, err
	}
	doc, err := decodeLease(value)
	if err != nil {
		return false, &LeaseTableError{Key: key, Err: err}
	}
	if doc.Owner == "" {
		return false, nil
	}
	doc.Owner, doc.AskedBy = "", ""
	doc.Fence++
	if value, err = json.Marshal(doc); err != nil {
		return false, err
	}
	_, err = meta.CAS(ctx, key, value, revision)
	return err == nil, err
}

// RemoveGroup forgets a group and where it stood, the documents of its tasks included unless they also say
// where it stands in other streams. No worker of it may run. Leases that cannot be read go too. Removing one that does not exist is no error.
func RemoveGroup(ctx context.Context, meta stream.Meta, name, incarnation, group string) error {
	prefix, err := leasePrefix(name, incarnation, group)
	if err != nil {
		return err
	}
	keys, err := meta.List(ctx, prefix)
	if err != nil {
		return fmt.Errorf("remove consumer group %s: %w", group, err)
	}
	if doc, _, err := readGroup(ctx, meta, prefix); err == nil && doc.Tasks != nil && !readsOthers(ctx, meta, doc.Tasks.Documents, name) {
		documents, err := meta.List(ctx, doc.Tasks.Documents+"/")
		if err != nil {
			return fmt.Errorf("remove consumer group %s: %w", group, err)
		}
		keys = append(keys, documents...)
	}
	// The group's document goes last: a group without one must not look new while leases remain.
	slices.SortFunc(keys, func(a, b string) int {
		if last := strings.HasSuffix(a, "/"+groupKey); last != strings.HasSuffix(b, "/"+groupKey) {
			if last {
				return 1
			}
			return -1
		}
		return strings.Compare(a, b)
	})
	for _, key := range keys {
		if err := remove(ctx, meta, key); err != nil {
			return fmt.Errorf("remove consumer group %s: %w", group, err)
		}
	}
	return nil
}

// readsOthers reports whether a consumer reads other streams than one.
func readsOthers(ctx context.Context, meta stream.Meta, documents, name string) bool {
	docs, err := ReadTasks(ctx, meta, documents)
	if err != nil {
		return false // they are of no use
	}
	for _, doc := range docs {
		for _, f := range doc.Feeds {
			if f.Stream != name {
				return true
			}
		}
	}
	return false
}

// RemoveGroups forgets all groups on a stream that is gone, whatever its incarnation was.
func RemoveGroups(ctx context.Context, meta stream.Meta, name string) error {
	prefix := leaseRoot + name + "/"
	keys, err := meta.List(ctx, prefix)
	if err != nil {
		return fmt.Errorf("list consumer groups of stream %q: %w", name, err)
	}
	for _, key := range keys {
		parts := strings.Split(key[len(prefix):], "/")
		if len(parts) != 3 || parts[2] != groupKey {
			continue
		}
		if err := RemoveGroup(ctx, meta, name, parts[0], parts[1]); err != nil {
			return err
		}
	}
	return nil
}
