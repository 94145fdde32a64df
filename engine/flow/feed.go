package flow

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
)

// Feed is an input of a task, and what becomes of its rows before they reach the processor. A sink has one, a
// query one for each of its inputs.
type Feed struct {
	// Name tells a task's feeds apart, also from one run to the next; it does not matter if there is only one.
	Name  string
	Input Input
	// Needs are the columns, or fields within them (column.Within), that the steps and the processor read.
	Needs []string
	// Steps are the transforms, a list for each lane (Config.Parallelism): a transform is used by one goroutine. Nil
	// if there are none.
	Steps [][]Step
	// Evolution is for an input whose schema changes.
	Evolution Evolution
	// Upstream is the frontier of the query that alone writes to the input; nil if it is another stream, or if the
	// frontier is not known.
	Upstream *Frontier
	// Start returns the positions that a new task begins at, and one that gets the feed later.
	Start func() (map[record.ShardID]record.Ordinal, error)
}

// Several inputs of a task have one space of shard numbers: the upper bits are the number of the feed, which stays
// the same from run to run (checkpoint.Document.Feeds). A single input has the numbers of its stream.

// feed is a Feed at work.
type feed struct {
	*Feed
	// index in Config.Feeds, and the number that is part of its shards' numbers.
	index, number int
	// again is set if a feed of a smaller number reads the same stream: by the number, so that it stays when terms
	// change places, because what the two reject is kept under different producers.
	again bool
	// event is the column of the event time, -1 for none.
	event int
	// places are those of its input and of its steps in the ledger.
	places   []int
	evolving evolving
	// asked is what the query behind it said before the last round of reading, and hold what that means after it.
	asked *promise
	hold  hold
}

// shard is the number in its stream of a shard that has a number of the task's.
func (f *feed) shard(id record.ShardID) record.ShardID {
	_, shard := checkpoint.SplitShard(id)
	return shard
}

// timed reports whether there are watermarks.
func (f *feed) timed() bool { return f.event >= 0 || f.Input.Arrival }

// steps are the transforms of a lane.
func (f *feed) steps(lane int) []Step {
	if f.Steps == nil {
		return nil
	}
	return f.Steps[lane]
}

// newFeeds makes the feeds and their steps in the ledger. Steps of one name, of a stream that is read twice, are one.
func (t *Task) newFeeds() {
	place := func(name string) int {
		i := slices.IndexFunc(t.ledger, func(s checkpoint.Step) bool { return s.Name == name })
		if i < 0 {
			i = len(t.ledger)
			t.ledger = append(t.ledger, checkpoint.Step{Name: name})
		}
		return i
	}
	for i := range t.Feeds {
		f := &feed{Feed: &t.Feeds[i], index: i, number: i, event: -1}
		f.places = append(f.places, place(f.Input.Name))
		for _, s := range f.steps(0) {
			f.places = append(f.places, place(s.Name))
		}
		t.feeds = append(t.feeds, f)
	}
	t.ledger = append(t.ledger, checkpoint.Step{Name: t.Identity.Name})
	t.tell()
}

// tell tells feeds of one stream apart, once they have their numbers.
func (t *Task) tell() {
	for _, f := range t.feeds {
		f.again = slices.ContainsFunc(t.feeds, func(o *feed) bool { return o.Input.Name == f.Input.Name && o.number < f.number })
	}
}

// startOf returns the positions of a new task, by its own shard numbers.
func startOf(feeds []Feed) func() (map[record.ShardID]record.Ordinal, error) {
	return func() (map[record.ShardID]record.Ordinal, error) {
		all := map[record.ShardID]record.Ordinal{}
		for i := range feeds {
			if err := begin(all, &feeds[i], i); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
}

// start is where the task begins if it is new. Of a consumer with several, Prepare has stored where it begins, and a
// task without a document has nothing yet.
func (t *Task) start() (checkpoint.Beginning, error) {
	b := checkpoint.Beginning{Positions: map[record.ShardID]record.Ordinal{}}
	if t.Tasks > 1 {
		return b, nil
	}
	for _, s := range t.ledger {
		b.Ledger = append(b.Ledger, checkpoint.Step{Name: s.Name})
	}
	if len(t.Feeds) > 1 {
		b.Feeds = make(map[string]checkpoint.Feed, len(t.Feeds))
		for i := range t.Feeds {
			b.Feeds[t.Feeds[i].Name] = t.Feeds[i].entry(i)
		}
	}
	var err error
	b.Positions, err = startOf(t.Feeds)()
	return b, err
}

// begin adds the positions that a feed begins at.
func begin(all map[record.ShardID]record.Ordinal, f *Feed, number int) error {
	positions, err := f.Start()
	if err != nil {
		return err
	}
	for shard, next := range positions {
		all[checkpoint.JoinShard(number, shard)] = next
	}
	return nil
}

// entry is what the document says of the feed.
func (f *Feed) entry(number int) checkpoint.Feed {
	return checkpoint.Feed{Number: number, Stream: f.Input.Stream, Incarnation: f.Input.Incarnation}
}

// streams are those that the task reads.
func (t *Task) streams() []checkpoint.StreamID {
	all := make([]checkpoint.StreamID, len(t.Feeds))
	for i := range t.Feeds {
		in := &t.Feeds[i].Input
		all[i] = checkpoint.StreamID{Stream: in.Stream, Incarnation: in.Incarnation}
	}
	return all
}

// StartOver makes a consumer that has one task begin anew. Error: checkpoint.ErrPending.
func StartOver(ctx context.Context, c Config) error {
	t := NewTask(c)
	return checkpoint.Reset(ctx, c.Meta, Key(c.Identity), t.streams(), t.start)
}

// number gives the feeds the numbers that the document has for them, and those that it does not know, or whose
// stream was made anew, new ones from where they begin. What it says of inputs that are read no more goes, unless a
// plan has still to be redone.
func (t *Task) number(ctx context.Context) error {
	doc := t.store.Document()
	if len(t.feeds) == 1 && doc.Feeds == nil {
		return nil
	}
	if lost := doc.Lost(t.streams()); lost != "" {
		return Permanent(fmt.Errorf("chunk %d was planned with records of stream %q, which was deleted since, and cannot be completed; run once with --reset %s to start the query over, or give it another name",
			doc.Pending.Plan.Cut.Chunk, lost, t.Identity.Name))
	}
	known := t.known(doc)
	feeds, positions := map[string]checkpoint.Feed{}, maps.Clone(doc.Positions)
	if doc.Pending != nil {
		feeds = maps.Clone(known)
	}
	next := 0
	for _, f := range known {
		next = max(next, f.Number+1)
	}
	renamed := t.renamed(known)
	for _, f := range t.feeds {
		had, ok := known[f.Name]
		if ok = ok && f.reads(had); !ok {
			had, ok = renamed[f.Name]
		}
		if !ok {
			if had = f.entry(next); next == checkpoint.MaxFeeds {
				return Permanent(fmt.Errorf("it has had %d inputs, which is as many as can be told apart; run once with --reset %s to start the query over, or give it another name", next, t.Identity.Name))
			}
			if err := begin(positions, f.Feed, next); err != nil {
				return err
			}
			next++
		}
		f.number, feeds[f.Name] = had.Number, had
	}
	if maps.Equal(feeds, doc.Feeds) {
		return nil
	}
	return t.store.Adjust(ctx, func(d checkpoint.Document) checkpoint.Document { return d.WithFeeds(feeds, positions) })
}

// reads reports whether the feed reads what an entry of the document says.
func (f *feed) reads(e checkpoint.Feed) bool {
	return e.Stream == f.Input.Stream && e.Incarnation == f.Input.Incarnation
}

// renamed are the entries of feeds that go by another name now: they read what an entry says that no feed has any more,
// as when a transform comes between the stream and the query.
func (t *Task) renamed(known map[string]checkpoint.Feed) map[string]checkpoint.Feed {
	left := maps.Clone(known)
	for _, f := range t.feeds {
		delete(left, f.Name)
	}
	out := map[string]checkpoint.Feed{}
	for _, name := range slices.SortedFunc(maps.Keys(left), func(a, b string) int { return cmp.Compare(left[a].Number, left[b].Number) }) {
		for _, f := range t.feeds {
			_, has := known[f.Name]
			if _, taken := out[f.Name]; !has && !taken && f.reads(left[name]) {
				out[f.Name] = left[name]
				break
			}
		}
	}
	return out
}

// known are the document's feeds by their names. One that had a single input does not name it: it is the one whose
// stream and transforms begin the ledger, or at least its stream.
func (t *Task) known(doc checkpoint.Document) map[string]checkpoint.Feed {
	if doc.Feeds != nil {
		return doc.Feeds
	}
	first, most := t.feeds[0], -1
	for _, f := range t.feeds {
		if n := f.alike(doc.Ledger); n > most {
			first, most = f, n
		}
	}
	return map[string]checkpoint.Feed{first.Name: first.entry(0)}
}

// alike is how well the feed is the single input that a ledger begins with.
func (f *feed) alike(ledger []checkpoint.Step) int {
	if len(ledger) == 0 || ledger[0].Name != f.Input.Name {
		return 0
	}
	steps := f.steps(0)
	if !slices.EqualFunc(steps, ledger[1:len(ledger)-min(1, len(ledger)-1)], func(s Step, l checkpoint.Step) bool { return s.Name == l.Name }) {
		return 1
	}
	return 2
}

// shards are those of all inputs, by the task's numbers.
func (t *Task) shards() []feedShard {
	var all []feedShard
	for _, f := range t.feeds {
		for _, s := range f.Input.Shards() {
			s.ID = checkpoint.JoinShard(f.number, s.ID)
			if f.number > 0 && len(s.Parents) > 0 {
				s.Parents = slices.Clone(s.Parents)
				for i, p := range s.Parents {
					s.Parents[i] = checkpoint.JoinShard(f.number, p)
				}
			}
			all = append(all, feedShard{s, f})
		}
	}
	return all
}

type feedShard struct {
	Shard
	feed *feed
}

// updated are channels of which one is closed when there is more to read than at the call.
func (t *Task) updated() []<-chan struct{} {
	all := make([]<-chan struct{}, len(t.feeds))
	for i, f := range t.feeds {
		all[i] = f.Input.Updated()
	}
	return all
}

// unended are the channels of inputs that have not ended.
func (t *Task) unended() []<-chan struct{} {
	var all []<-chan struct{}
	for _, f := range t.feeds {
		if !isClosed(f.Input.Ended) {
			all = append(all, f.Input.Ended)
		}
	}
	return all
}

// needs of the decoder.
func (f *feed) needs() []string {
	if f.event < 0 {
		return f.Needs
	}
	return append([]string{f.Input.EventTime}, f.Needs...)
}

// options of the decoder. Lanes share the observer.
func (f *feed) options() column.Options {
	if f.Evolution.Versions == nil {
		return f.Input.Decode
	}
	o := f.evolving.version.Options()
	o.Misfit = f.evolving.observe
	return o
}
