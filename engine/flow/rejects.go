package flow

import (
	"sort"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/record/aggregate"
	"github.com/millrace-io/millrace/engine/stream"
)

// Rejected is a row that a step did not take, on its way to the objects of a RejectKeeper.
type Rejected struct {
	// Undecoded is set for a record that is no row of its stream's schema.
	Undecoded bool
	// Step that rejected the row: the stream, a transform or the sink.
	Step string
	// Code is one word for machines, Reason is for people.
	Code, Reason string
	// Stream, Shard, Ordinal and Sub are where the row came from.
	Stream  string
	Shard   record.ShardID
	Ordinal record.Ordinal
	Sub     int64
	// Arrival is when the record was stored, in milliseconds since the epoch.
	Arrival int64
	// Data is the raw record.
	Data []byte
}

// RejectKeeper is a Processor that may keep the rows that its task rejects among its own objects:
// they are planned, put and published with the chunk, so each is there once, like any row. The rows
// of a chunk that is redone come in the same order only within a shard.
type RejectKeeper interface {
	// KeepsRejects reports whether it does; the answer is always the same. Otherwise the task keeps
	// them in the dead-letter stream.
	KeepsRejects() bool
	// Reject takes a row into the open chunk. It must not keep r.Data. What it holds counts in Open.
	Reject(r Rejected) error
}

// keeper is the task's processor if it keeps rejected rows, else nil.
func keeper(p Processor) RejectKeeper {
	if k, ok := p.(RejectKeeper); ok && k.KeepsRejects() {
		return k
	}
	return nil
}

// reject is a row on its way to where rejected rows are kept. data aliases the frame it was read from.
type reject struct {
	step      string
	undecoded bool
	row
	code, reason string
	data         []byte
}

// rejectRows looks up the raw records of rejected rows.
func (l *lane) rejectRows(step string, b *column.Batch, rejects []Reject, frames []stream.Frame) {
	find := finder{frames: frames}
	for _, x := range rejects {
		at := row{ordinal: b.Origin.Ordinals[x.Row], arrival: b.Origin.Arrivals[x.Row]}
		data := find.record(at.ordinal)
		if b.Origin.Subs != nil {
			at.sub = b.Origin.Subs[x.Row]
			data = findUser(data, int(at.sub))
		}
		l.rejects = append(l.rejects, reject{step: step, row: at, code: x.Code, reason: x.Reason, data: data})
	}
}

// keep hands a rejected row to the processor, or adds it to the dead letters of the chunk.
func (t *Task) keep(r *reader, x reject) error {
	t.keeping.Lock()
	defer t.keeping.Unlock()
	if x.code == codeLate && t.Late != nil {
		t.chunk.late.addRaw(r.producer(t, "late", t.Identity.Name), r.feed.place(x.row), x)
		return nil
	}
	if t.keeper == nil {
		t.chunk.dead.add(t, r, x)
		return nil
	}
	err := t.keeper.Reject(Rejected{
		Undecoded: x.undecoded, Step: x.step, Code: x.code, Reason: x.reason, Stream: r.feed.Input.Name, Shard: r.feed.shard(r.id),
		Ordinal: x.ordinal, Sub: int64(x.sub), Arrival: x.arrival, Data: x.data,
	})
	if err != nil {
		return Permanent(named(err))
	}
	return nil
}

// finder finds the data of the records that the open batch was decoded from. It goes on where it was, for the rejects of
// a batch rise as a rule.
type finder struct {
	frames []stream.Frame
	// next is the end of the frame that body is of; body begins with the record at.
	at, next record.Ordinal
	body     []byte
}

// record is the data of a record, nil if there is none.
func (f *finder) record(ordinal record.Ordinal) []byte {
	if ordinal < f.at || ordinal >= f.next {
		i := sort.Search(len(f.frames), func(i int) bool { return f.frames[i].Next() > ordinal })
		if i == len(f.frames) || f.frames[i].First > ordinal {
			return nil
		}
		f.at, f.next, f.body = f.frames[i].First, f.frames[i].Next(), f.frames[i].Body
	}
	for {
		r, rest, err := record.Next(f.body)
		if err != nil {
			return nil
		}
		if f.at == ordinal {
			return r.Data
		}
		f.at, f.body = f.at+1, rest
	}
}

// findUser is the data of a user record in a record, or the record's if it is no aggregate.
func findUser(data []byte, sub int) []byte {
	var users aggregate.Reader
	if !users.Open(data) {
		return data
	}
	for u, more := users.Next(); more; u, more = users.Next() {
		if u.Sub == sub {
			return u.Data
		}
	}
	return nil
}
