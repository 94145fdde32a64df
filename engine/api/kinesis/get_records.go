package kinesis

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/api/wire"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

const (
	// maxRecords and maxBytes bound one answer (Kinesis API, GetRecords).
	maxRecords = 10_000
	maxBytes   = 10 << 20
	// perRecord is what a record takes in an answer besides its data and key.
	perRecord = 160
	// smallAnswer is what an answer takes that needs no part of the memory.
	smallAnswer = 256 << 10
)

type getRecordsInput struct {
	iterator *string
	limit    *int64
	arn      *string
	id       *string
	dryRun   *bool
}

var iteratorRule = &wire.Rule{Required: true, Min: 1, Max: 512}

func (in *getRecordsInput) Fields(f *wire.Fields) {
	f.Text("ShardIterator", &in.iterator, iteratorRule)
	f.Int("Limit", &in.limit, upTo10000)
	f.Text("StreamARN", &in.arn, streamARN)
	f.Text("StreamId", &in.id, streamID)
	f.Bool("DryRun", &in.dryRun)
}

// childShard is ChildShard.
type childShard struct {
	id      string
	parents []string
	keys    *hashRange
}

func (c *childShard) Fields(f *wire.Fields) {
	f.String("ShardId", &c.id)
	f.Texts("ParentShards", &c.parents, nil, nil)
	wire.Struct(f, "HashKeyRange", &c.keys, nil)
}

// getRecordsTail is what of the answer follows the records.
type getRecordsTail struct {
	next     string
	behind   int64
	children []childShard
}

func (out *getRecordsTail) Fields(f *wire.Fields) {
	f.String("NextShardIterator", &out.next)
	f.Count("MillisBehindLatest", &out.behind)
	wire.List(f, "ChildShards", &out.children, nil)
}

// readBuffers are those that frames are read into.
var readBuffers = sync.Pool{New: func() any { return &stream.Buffer{} }}

// getRecords is GetRecords. Records are encoded as they are read, and a long answer is sent in parts: neither is in
// memory as a whole. An error that is returned is not answered yet.
func (s *Service) getRecords(w http.ResponseWriter, r *http.Request, c *call, format wire.Format, b *buffers) error {
	ctx, in := r.Context(), &getRecordsInput{}
	if err := c.decode(ctx, format, b.body, in); err != nil {
		return err
	}
	st, at, err := s.resume(ctx, *in.iterator)
	if err != nil {
		return err
	}
	if in.arn != nil && nameInARN(*in.arn) != at.stream {
		return invalid("ShardIterator is of stream %s, which StreamARN %s is not.", at.stream, *in.arn)
	}
	if value(in.dryRun) {
		return dryRun()
	}
	limit := maxRecords
	if in.limit != nil {
		limit = int(*in.limit)
	}
	from, err := s.cursor(st, at)
	if err != nil {
		return err
	}
	if err := st.AdmitRead(at.shard); err != nil {
		return err
	}
	release, err := s.reserve(ctx, from)
	if err != nil {
		return err
	}
	defer release()
	answer := &parts{w: w, r: r, call: c, format: format, asked: time.Now()}
	from.full = answer.send
	out := wire.NewWriter(format, b.answer[:0])
	out.BeginObject()
	out.Name("Records")
	out.BeginArray()
	buffer := readBuffers.Get().(*stream.Buffer)
	defer readBuffers.Put(buffer)
	err = from.read(ctx, buffer, limit, maxBytes, out)
	st.Delivered(at.shard, int64(from.bytes))
	if err != nil {
		if answer.began {
			return nil // the client is gone
		}
		return err
	}
	out.EndArray()
	out.Append(s.tail(from, at))
	out.EndObject()
	answer.end(out)
	b.answer = out.Bytes()
	return nil
}

// resume opens what an iterator points to.
func (s *Service) resume(ctx context.Context, iterator string) (*stream.Stream, position, error) {
	payload, made, err := s.tokens.open(iteratorToken, iterator)
	var at position
	if err == nil {
		at, err = decodePosition(payload)
	}
	if err != nil {
		return nil, at, invalid("Invalid ShardIterator.")
	}
	if s.tokens.expired(made) {
		const layout = "Mon Jan 02 15:04:05 MST 2006"
		return nil, at, &wire.Fault{Type: "ExpiredIteratorException", Message: fmt.Sprintf(
			"Iterator expired. The iterator was created at time %s while right now it is %s which is further in the future than the tolerated delay of %d milliseconds.",
			made.UTC().Format(layout), s.o.Now().UTC().Format(layout), tokenLife.Milliseconds())}
	}
	st, err := s.stream(ctx, &target{name: &at.stream})
	var gone *wire.Fault
	if errors.As(err, &gone) || err == nil && st.Incarnation() != at.incarnation {
		return nil, at, notFound("Shard %s in stream %s under account %s does not exist", at.shard, at.stream, s.o.Account)
	}
	return st, at, err
}

// cursor reads a shard.
type cursor struct {
	s      *Service
	stream *stream.Stream
	log    stream.Log
	shard  stream.Shard
	next   record.Ordinal
	// arrival of the last record that was read, in milliseconds; 0 when none was.
	arrival int64
	// records and bytes that were read, and sealed whether they are encrypted at rest.
	records, bytes int
	sealed         bool
	// full, if there is one, is called when there is more than a part to send.
	full func(*wire.Writer) error
}

func (s *Service) cursor(st *stream.Stream, at position) (*cursor, error) {
	sh, ok := st.Shard(at.shard)
	log := st.Log(at.shard)
	if !ok || log == nil {
		return nil, notFound("Shard %s in stream %s under account %s does not exist", at.shard, at.stream, s.o.Account)
	}
	settings := st.Settings()
	sealed := settings.KeyID != "" && settings.Encryption != stream.NoEncryption
	return &cursor{s: s, stream: st, log: log, shard: sh, next: at.next, sealed: sealed}, nil
}

// reserve asks for the memory that an answer may take.
func (s *Service) reserve(ctx context.Context, c *cursor) (release func(), err error) {
	b := c.log.Bounds()
	if b.Bytes < smallAnswer || c.next >= b.Next {
		return func() {}, nil
	}
	size := min(2*b.Bytes, int64(2*partSize+2*recordLimit(c.stream.Settings())), maxAnswer)
	if err := s.memory.Acquire(ctx, size); err != nil {
		return nil, err
	}
	return func() { s.memory.Release(size) }, nil
}

// read writes the next records, until there are as many records or bytes of data as wanted, or no more.
func (c *cursor) read(ctx context.Context, buffer *stream.Buffer, records, bytes int, w *wire.Writer) error {
	for c.records < records && c.bytes < bytes {
		before := c.next
		frames, err := c.frames(ctx, buffer)
		if err != nil {
			// What was read is answered; the next call meets the error again.
			if c.records > 0 {
				return nil
			}
			return err
		}
		for _, f := range frames {
			full, err := c.frame(f, records, bytes, w)
			if err != nil {
				if c.records > 0 && !errors.Is(err, errGone) {
					return nil
				}
				return err
			}
			if full {
				return nil
			}
		}
		if c.next == before {
			return nil
		}
	}
	return nil
}

// frames reads on, behind what retention took or damage spoiled.
func (c *cursor) frames(ctx context.Context, buffer *stream.Buffer) ([]stream.Frame, error) {
	for {
		if c.next >= c.log.Bounds().Next {
			return nil, nil
		}
		frames, err := c.more(ctx, buffer)
		var damage *stream.CorruptError
		switch oldest := c.log.Bounds().Oldest; {
		case errors.Is(err, stream.ErrTrimmed) && oldest > c.next:
			c.next = oldest
		case errors.As(err, &damage) && damage.Next > c.next:
			c.s.o.Log.Error("records are lost; reading goes on behind them", "stream", c.stream.Name(), "shard", c.shard.ID,
				"records", damage.Next-max(damage.From, c.next), "error", damage)
			c.next = damage.Next
		default:
			return frames, err
		}
	}
}

// more is the next frames. They are read from the log: limits count calls, and what is answered.
func (c *cursor) more(ctx context.Context, buffer *stream.Buffer) ([]stream.Frame, error) {
	log := c.stream.Log(c.shard.ID)
	if log == nil {
		return nil, fmt.Errorf("read %s of stream %q: %w", c.shard.ID, c.stream.Name(), stream.ErrNotFound)
	}
	return log.Read(ctx, c.next, buffer)
}

// frame writes the records of a frame from the cursor on.
func (c *cursor) frame(f stream.Frame, records, bytes int, w *wire.Writer) (full bool, err error) {
	body := f.Body
	for i := range f.Count {
		r, rest, err := record.Next(body)
		ordinal := f.First + record.Ordinal(i)
		if err != nil {
			return true, fmt.Errorf("record %d of %s of stream %q: %w", ordinal, c.shard.ID, c.stream.Name(), err)
		}
		body = rest
		if ordinal < c.next {
			continue
		}
		size := len(r.Data) + len(r.Key) + perRecord
		if c.records >= records || c.records > 0 && c.bytes+size > bytes {
			return true, nil
		}
		c.write(w, r, ordinal, f.Arrival)
		c.next, c.arrival = ordinal+1, f.Arrival
		c.records++
		c.bytes += size
		if c.full != nil && len(w.Bytes()) >= partSize {
			if err := c.full(w); err != nil {
				return true, errGone
			}
		}
	}
	return false, nil
}

// write is Record.
func (c *cursor) write(w *wire.Writer, r record.Record, ordinal record.Ordinal, arrival int64) {
	var room [64]byte
	w.BeginObject()
	w.Name("SequenceNumber")
	w.Plain(c.shard.Sequence(ordinal, arrival).Append(room[:0]))
	w.Name("ApproximateArrivalTimestamp")
	w.Time(time.UnixMilli(arrival))
	w.Name("Data")
	w.Blob(r.Data)
	w.Name("PartitionKey")
	w.Text(r.Key)
	if c.sealed {
		w.Name("EncryptionType")
		w.String("KMS")
	}
	w.EndObject()
}

// ended reports whether the shard was closed and is read to its end. Its log is sealed a moment before the shards that
// follow are listed, and who is told of the end is told of them.
func (c *cursor) ended() bool {
	sh, ok := c.stream.Shard(c.shard.ID)
	return (!ok || sh.State == stream.ShardClosed) && c.next >= c.log.Bounds().Next
}

// behind is how far the cursor is from the end, in milliseconds: 0 when there is nothing more.
func (c *cursor) behind() int64 {
	if c.next >= c.log.Bounds().Next {
		return 0
	}
	if c.arrival == 0 {
		return 1 // all that was there went meanwhile
	}
	return max(c.s.o.Now().UnixMilli()-c.arrival, 1)
}

// children are the shards that follow one that was closed.
func (c *cursor) children() []childShard {
	list := []childShard{}
	for _, sh := range c.stream.Shards() {
		child := childShard{id: sh.ID.String(), keys: keysOf(sh.Range)}
		mine := false
		for _, p := range sh.Parents {
			child.parents = append(child.parents, p.String())
			mine = mine || p == c.shard.ID
		}
		if mine {
			list = append(list, child)
		}
	}
	return list
}

func (s *Service) tail(c *cursor, at position) *getRecordsTail {
	out := &getRecordsTail{behind: c.behind()}
	if c.ended() {
		out.children = c.children()
		return out
	}
	at.next = c.next
	out.next = s.iterator(at)
	return out
}
