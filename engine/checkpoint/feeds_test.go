package checkpoint_test

import (
	"errors"
	"testing"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// stand stores where the task stands in two streams, the second one read twice.
func (x *tasks) stand() {
	x.t.Helper()
	s, err := checkpoint.Open(x.t.Context(), x.meta, x.Key(0), func() (checkpoint.Beginning, error) {
		return checkpoint.Beginning{Positions: map[record.ShardID]record.Ordinal{}}, nil
	})
	if err != nil {
		x.t.Fatal(err)
	}
	err = s.Adjust(x.t.Context(), func(d checkpoint.Document) checkpoint.Document {
		d.Feeds = map[string]checkpoint.Feed{
			"clicks": {Number: 0, Stream: "clicks", Incarnation: "a1"},
			"orders": {Number: 2, Stream: "orders", Incarnation: "b1"},
			"large":  {Number: 5, Stream: "orders", Incarnation: "b1"},
		}
		d.Positions = map[record.ShardID]record.Ordinal{
			checkpoint.JoinShard(0, 0): 10, checkpoint.JoinShard(0, 1): 11,
			checkpoint.JoinShard(2, 0): 20, checkpoint.JoinShard(2, 1): 21, checkpoint.JoinShard(2, 3): 23,
			checkpoint.JoinShard(5, 0): 25, checkpoint.JoinShard(5, 1): 15,
		}
		return d
	})
	if err != nil {
		x.t.Fatal(err)
	}
}

func TestEachStreamHoldsWhatItsOwnInputsNeed(t *testing.T) {
	x := newTasks(t, 1)
	x.Stream, x.Incarnation, x.Others = "clicks", "a1", []checkpoint.StreamID{{Stream: "orders", Incarnation: "b1"}}
	if err := x.prepare(); err != nil {
		t.Fatal(err)
	}
	x.stand()
	shards := []checkpoint.ShardInfo{{ID: 0}, {ID: 1}, {ID: 3}}
	for _, c := range []struct {
		stream, incarnation string
		want                map[record.ShardID]record.Ordinal
	}{
		{"clicks", "a1", map[record.ShardID]record.Ordinal{0: 10, 1: 11, 3: 0}},
		// The input that is further behind counts, and one that has not begun with a shard.
		{"orders", "b1", map[record.ShardID]record.Ordinal{0: 20, 1: 15, 3: 0}},
	} {
		holds, err := checkpoint.Holds(t.Context(), x.meta, c.stream, c.incarnation, shards)
		if err != nil {
			t.Fatal(err)
		}
		for id, want := range c.want {
			if holds[id] != want {
				t.Errorf("%s: shard %d is held from %d, want %d", c.stream, id, holds[id], want)
			}
		}
	}
}

func TestStreamThatGoesLeavesWhereItsReadersStandInOthers(t *testing.T) {
	x := newTasks(t, 1)
	x.Stream, x.Incarnation, x.Others = "clicks", "a1", []checkpoint.StreamID{{Stream: "orders", Incarnation: "b1"}}
	if err := x.prepare(); err != nil {
		t.Fatal(err)
	}
	x.stand()
	if err := checkpoint.RemoveGroups(t.Context(), x.meta, "orders"); err != nil {
		t.Fatal(err)
	}
	if doc := x.docs()[0]; len(doc.Positions) != 7 {
		t.Errorf("positions %+v", doc.Positions)
	}
	if groups, err := checkpoint.Groups(t.Context(), x.meta, "orders", "b1"); err != nil || len(groups) != 0 {
		t.Errorf("groups %v, %v", groups, err)
	}
	// It is there again under another incarnation.
	x.Others[0].Incarnation = "b2"
	if err := x.prepare(); err != nil {
		t.Fatal(err)
	}
	if doc := x.docs()[0]; len(doc.Positions) != 7 {
		t.Errorf("positions %+v", doc.Positions)
	}
}

func TestInputsChangeAsLongAsOneStays(t *testing.T) {
	x := newTasks(t, 1)
	x.Stream, x.Incarnation = "clicks", "a1"
	read := func(first, incarnation string, others ...checkpoint.StreamID) error {
		x.Stream, x.Incarnation, x.Others = first, incarnation, others
		return x.prepare()
	}
	clicks, orders := checkpoint.StreamID{Stream: "clicks", Incarnation: "a1"}, checkpoint.StreamID{Stream: "orders", Incarnation: "b1"}
	for _, step := range []func() error{
		func() error { return read("clicks", "a1") },
		func() error { return read("clicks", "a1", orders) },
		func() error { return read("orders", "b1", clicks) },
		func() error { return read("orders", "b1") },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := checkpoint.ReadLeases(t.Context(), x.meta, "clicks", "a1", x.Name()); !errors.Is(err, stream.ErrNotFound) {
		t.Errorf("the stream that is read no more has the group still: %v", err)
	}
	var moved *checkpoint.MovedError
	if err := read("clicks", "a1"); !errors.As(err, &moved) || moved.From != "orders" {
		t.Errorf("error %v", err)
	}
}
