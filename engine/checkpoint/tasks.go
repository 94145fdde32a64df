package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// TaskGroup is the tasks of one consumer of a stream, a sink or a query. What is leased is not the
// shards but the tasks, by number: a lease decides who runs a task, and the task's document decides
// where it stands. Each shard belongs to one task, see Owner.
type TaskGroup struct {
	// Stream and Incarnation name the stream that is read, or the first of several; the leases are there.
	Stream, Incarnation string
	// Others are the streams that are read beside it.
	Others []StreamID
	// Pipeline and Consumer name the sink or query.
	Pipeline, Consumer string
	// Tasks is how many there are, 1 at least.
	Tasks int
}

// StreamID names a stream.
type StreamID struct{ Stream, Incarnation string }

// groupTasks is the part of a group's document that only groups of tasks have.
type groupTasks struct {
	// Documents is what the keys of the tasks' documents begin with, without the last '/'.
	Documents string `json:"documents"`
	// Count is how many tasks there are.
	Count int `json:"count"`
}

// maxTasks bounds the tasks of a consumer.
const maxTasks = 10_000

var validDocuments = regexp.MustCompile(`^tasks(/[a-zA-Z0-9_.-]+)+$`)

func (t *groupTasks) check() error {
	switch {
	case t == nil:
		return nil
	case t.Count < 1 || t.Count > maxTasks:
		return fmt.Errorf("%d tasks", t.Count)
	case !validDocuments.MatchString(t.Documents) || path.Clean(t.Documents) != t.Documents:
		return fmt.Errorf("%.100q is no place of tasks' documents", t.Documents)
	}
	return nil
}

// MovedError reports a consumer that reads another stream than it did: its positions mean nothing
// there.
type MovedError struct{ From, To string }

func (e *MovedError) Error() string {
	return fmt.Sprintf("it stands in stream %q and would now read %q, where its positions mean nothing; give it another name to start over, or let it read %q again", e.From, e.To, e.From)
}

// Owner is the task that a shard belongs to. It depends on the number alone, so that whoever asks
// gets the same answer whatever is known of the lineage, and the children of a split shard go to
// different tasks.
func Owner(shard record.ShardID, tasks int) int { return int(uint32(shard) % uint32(max(tasks, 1))) }

// Name of the group in lease tables: pipeline.consumer, cut short and made unique if it is long.
func (g TaskGroup) Name() string {
	name := g.Pipeline + "." + g.Consumer
	if len(name) <= maxGroup {
		return name
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	return fmt.Sprintf("%s.%016x", name[:maxGroup-17], h.Sum64())
}

// Documents is what the keys of the tasks' documents begin with.
func (g TaskGroup) Documents() string { return "tasks/" + g.Pipeline + "/" + g.Consumer }

// Key of a task's document.
func (g TaskGroup) Key(task int) string { return g.Documents() + "/" + strconv.Itoa(task) }

// Lineage is for LeaseConfig.Lineage: the tasks as if they were shards without parents.
func (g TaskGroup) Lineage() []ShardInfo {
	tasks := make([]ShardInfo, g.Tasks)
	for i := range tasks {
		tasks[i].ID = record.ShardID(i)
	}
	return tasks
}

// Setup is what Prepare asks for.
type Setup struct {
	// Start returns where a new consumer begins.
	Start func() (map[record.ShardID]record.Ordinal, error)
	// Redo redoes the pending plan of a task's document, whose number may be one that the consumer
	// no longer has.
	Redo func(ctx context.Context, task int) error
}

// Prepare makes the documents fit the number of tasks, before any task runs: a consumer with
// another number of tasks than before redoes its pending plans, and then positions move between
// the documents. It may be repeated wherever it was interrupted; when there is nothing to do it
// only reads. It returns the documents of all tasks that ever were, as they stood at first. Errors:
// *MovedError, *LeaseTableError.
func (g TaskGroup) Prepare(ctx context.Context, meta stream.Meta, s Setup) (map[int]Document, error) {
	if err := g.enrol(ctx, meta); err != nil {
		return nil, err
	}
	before, err := ReadTasks(ctx, meta, g.Documents())
	if err != nil {
		return nil, err
	}
	if _, known := before[0]; !known {
		return before, g.create(ctx, meta, before, s.Start)
	}
	if !g.misplaced(before) {
		return before, nil
	}
	docs := before
	for _, task := range sortedTasks(before) {
		if before[task].Pending != nil {
			if err := s.Redo(ctx, task); err != nil {
				return nil, fmt.Errorf("redo what task %d had begun before the number of tasks changed: %w", task, err)
			}
			doc, err := Read(ctx, meta, g.Key(task))
			if err == nil && doc.Pending != nil {
				err = fmt.Errorf("task %d of %s: %w", task, g.Documents(), ErrPending)
			}
			if err != nil {
				return nil, err
			}
			docs = maps.Clone(docs)
			docs[task] = doc
		}
	}
	return before, g.spread(ctx, meta, docs)
}

// enrol stores the group's documents, which lead from the streams to the tasks' documents. What the
// consumer left in a stream of the same name that was deleted goes first.
func (g TaskGroup) enrol(ctx context.Context, meta stream.Meta) error {
	prefixes := make([]string, 0, 1+len(g.Others))
	for _, s := range append([]StreamID{{g.Stream, g.Incarnation}}, g.Others...) {
		prefix, err := leasePrefix(s.Stream, s.Incarnation, g.Name())
		if err != nil {
			return fmt.Errorf("consumer group: %w", err)
		}
		prefixes = append(prefixes, prefix)
	}
	if err := g.leavePast(ctx, meta, prefixes); err != nil {
		return err
	}
	for _, prefix := range prefixes {
		if err := g.enrolIn(ctx, meta, prefix); err != nil {
			return err
		}
	}
	return nil
}

// enrolIn stores the document of one stream.
func (g TaskGroup) enrolIn(ctx context.Context, meta stream.Meta, prefix string) error {
	doc, revision, err := readGroup(ctx, meta, prefix)
	if errors.Is(err, stream.ErrNotFound) {
		doc, err = groupDocument{Version: LeaseVersion}, nil
	}
	if err != nil {
		return err
	}
	want := groupTasks{Documents: g.Documents(), Count: g.Tasks}
	if doc.Tasks != nil && *doc.Tasks == want {
		return nil
	}
	doc.Tasks = &want
	value, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	if _, err := meta.CAS(ctx, prefix+groupKey, value, revision); err != nil {
		return fmt.Errorf("store consumer group %s: %w", g.Name(), err)
	}
	return g.dropLeases(ctx, meta, prefix)
}

// leavePast looks for the same consumer on other streams. One that still reads a stream that it read leaves the
// others; one that does not has moved.
func (g TaskGroup) leavePast(ctx context.Context, meta stream.Meta, own []string) error {
	keys, err := meta.List(ctx, leaseRoot)
	if err != nil {
		return fmt.Errorf("list consumer groups: %w", err)
	}
	stays := slices.ContainsFunc(own, func(prefix string) bool { return slices.Contains(keys, prefix+groupKey) })
	for _, key := range keys {
		rest, found := strings.CutSuffix(strings.TrimPrefix(key, leaseRoot), "/"+g.Name()+"/"+groupKey)
		name, incarnation, ok := strings.Cut(rest, "/")
		prefix := strings.TrimSuffix(key, groupKey)
		switch {
		case !found || !ok || slices.Contains(own, prefix):
			continue
		case stays || len(g.Others) > 0 && g.reads(name):
			// What it knows of this stream goes with the next change of its document.
			err = removePrefix(ctx, meta, prefix)
		case !g.reads(name):
			return &MovedError{From: name, To: g.Stream}
		default:
			err = RemoveGroup(ctx, meta, name, incarnation, g.Name())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// reads reports whether a stream of this name is among those that are read.
func (g TaskGroup) reads(name string) bool {
	return name == g.Stream || slices.ContainsFunc(g.Others, func(s StreamID) bool { return s.Stream == name })
}

// removePrefix removes a group's leases in a stream, and its document there last.
func removePrefix(ctx context.Context, meta stream.Meta, prefix string) error {
	keys, err := meta.List(ctx, prefix)
	if err != nil {
		return fmt.Errorf("remove leases %s: %w", prefix, err)
	}
	for _, key := range append(slices.DeleteFunc(keys, func(k string) bool { return k == prefix+groupKey }), prefix+groupKey) {
		if err := remove(ctx, meta, key); err != nil {
			return fmt.Errorf("remove leases %s: %w", prefix, err)
		}
	}
	return nil
}

// dropLeases removes those of tasks that are no more.
func (g TaskGroup) dropLeases(ctx context.Context, meta stream.Meta, prefix string) error {
	keys, err := meta.List(ctx, prefix+leaseKey)
	if err != nil {
		return fmt.Errorf("list leases %s: %w", prefix, err)
	}
	for _, key := range keys {
		if task, err := shardOfKey(key); err == nil && int(task) < g.Tasks {
			continue
		}
		if err := remove(ctx, meta, key); err != nil {
			return fmt.Errorf("remove lease %s: %w", key, err)
		}
	}
	return nil
}

// create makes the documents of a new consumer. A single task makes its own. The first document
// comes last: without it the consumer is still new, and nobody has read anything.
func (g TaskGroup) create(ctx context.Context, meta stream.Meta, old map[int]Document, start func() (map[record.ShardID]record.Ordinal, error)) error {
	last := g.Tasks - 1
	for task, doc := range old {
		if doc.Chunk > 0 || doc.Pending != nil {
			return fmt.Errorf("checkpoint %s is missing, and there is one of task %d", g.Key(0), task)
		}
		last = max(last, task)
	}
	if g.Tasks == 1 && len(old) == 0 {
		return nil
	}
	positions, err := start()
	if err != nil {
		return err
	}
	for task := last; task >= 0; task-- {
		doc := Document{Version: Version, Positions: map[record.ShardID]record.Ordinal{}}
		for shard, next := range positions {
			if Owner(shard, g.Tasks) == task {
				doc.Positions[shard] = next
			}
		}
		if err := g.store(ctx, meta, task, func(d Document) Document {
			doc.Fence = d.Fence
			return doc
		}); err != nil {
			return err
		}
	}
	return nil
}

// misplaced reports whether a document has a shard of another task.
func (g TaskGroup) misplaced(docs map[int]Document) bool {
	for task, doc := range docs {
		for shard := range doc.Positions {
			if Owner(shard, g.Tasks) != task {
				return true
			}
		}
		for shard := range doc.ranges() {
			if Owner(shard, g.Tasks) != task {
				return true
			}
		}
	}
	return false
}

// spread moves positions to the documents of the tasks that the shards belong to now. They are
// stored there before they go here, and nobody reads until both is done, so an interruption leaves
// a shard twice at the same position.
func (g TaskGroup) spread(ctx context.Context, meta stream.Meta, docs map[int]Document) error {
	incoming := map[int]Document{}
	for task, doc := range docs {
		for shard, next := range doc.Positions {
			home := Owner(shard, g.Tasks)
			if home == task {
				continue
			}
			in, ok := incoming[home]
			if !ok {
				in = Document{Positions: map[record.ShardID]record.Ordinal{}, Watermarks: map[record.ShardID]int64{}}
				incoming[home] = in
			}
			in.Positions[shard] = max(in.Positions[shard], next)
			if mark, ok := doc.Watermarks[shard]; ok {
				in.Watermarks[shard] = mark
			}
		}
	}
	for _, task := range sortedTasks(incoming) {
		if err := g.store(ctx, meta, task, func(d Document) Document { return d.joined(incoming[task]) }); err != nil {
			return err
		}
	}
	for _, task := range sortedTasks(docs) {
		if !g.misplaced(map[int]Document{task: docs[task]}) {
			continue
		}
		if err := g.store(ctx, meta, task, func(d Document) Document {
			return d.without(func(shard record.ShardID) bool { return Owner(shard, g.Tasks) != task })
		}); err != nil {
			return err
		}
	}
	return nil
}

// store changes a document under a higher fence.
func (g TaskGroup) store(ctx context.Context, meta stream.Meta, task int, edit func(Document) Document) error {
	key := g.Key(task)
	doc, revision, err := read(ctx, meta, key)
	if errors.Is(err, stream.ErrNotFound) {
		doc, err = Document{Version: Version, Positions: map[record.ShardID]record.Ordinal{}}, nil
	}
	if err != nil {
		return err
	}
	doc = edit(doc)
	doc.Fence++
	return (&Store{meta: meta, key: key, revision: revision, doc: doc, outside: true}).save(ctx, doc)
}

// ReadTasks returns the documents of a consumer by task, also of tasks that it no longer has,
// without taking them over. States that are kept outside a document are not read.
func ReadTasks(ctx context.Context, meta stream.Meta, documents string) (map[int]Document, error) {
	keys, err := meta.List(ctx, documents+"/")
	if err != nil {
		return nil, fmt.Errorf("list checkpoints %s: %w", documents, err)
	}
	docs := map[int]Document{}
	for _, key := range keys {
		task, err := strconv.Atoi(key[len(documents)+1:])
		if err != nil || task < 0 {
			continue // a state outside its document
		}
		value, _, err := meta.Get(ctx, key)
		if errors.Is(err, stream.ErrNotFound) {
			continue
		}
		if err == nil {
			docs[task], err = Decode(value)
		}
		if err != nil {
			return nil, fmt.Errorf("checkpoint %s: %w", key, err)
		}
	}
	return docs, nil
}

func sortedTasks(docs map[int]Document) []int {
	tasks := make([]int, 0, len(docs))
	for task := range docs {
		tasks = append(tasks, task)
	}
	slices.Sort(tasks)
	return tasks
}

// remove deletes a document if it is there.
func remove(ctx context.Context, meta stream.Meta, key string) error {
	_, revision, err := meta.Get(ctx, key)
	if err == nil {
		err = meta.Delete(ctx, key, revision)
	}
	if errors.Is(err, stream.ErrNotFound) {
		return nil
	}
	return err
}
