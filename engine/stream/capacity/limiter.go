package capacity

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/record"
)

// Limits of one shard, per second. A zero limit is none.
type Limits struct {
	BytesIn   int64
	RecordsIn int64
	BytesOut  int64
	ReadsOut  int64
}

// Kinesis are the limits of a provisioned shard (Kinesis Data Streams quotas).
func Kinesis() Limits {
	return Limits{BytesIn: 1 << 20, RecordsIn: 1000, BytesOut: 2 << 20, ReadsOut: 5}
}

// Limit names the limit that was exceeded.
type Limit string

// The limits.
const (
	BytesIn   Limit = "bytes written"
	RecordsIn Limit = "records written"
	BytesOut  Limit = "bytes read"
	ReadsOut  Limit = "reads"
)

// ThrottledError reports that a shard has taken or given as much as its limit allows. Nothing was
// done, and the caller may try again after RetryAfter.
type ThrottledError struct {
	Stream     string
	Shard      record.ShardID
	Limit      Limit
	PerSecond  int64
	RetryAfter time.Duration
}

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("%s of stream %q is at its limit of %d %s per second: try again in %v, or spread the load over more shards or partition keys",
		e.Shard, e.Stream, e.PerSecond, e.Limit, e.RetryAfter.Round(time.Millisecond))
}

// Limiter enforces the limits of a stream's shards. All methods may be called from any goroutine.
type Limiter struct {
	stream string
	limits Limits

	mu     sync.Mutex // guards shards
	shards map[record.ShardID]*shardBuckets
}

type shardBuckets struct {
	mu                                     sync.Mutex // guards the buckets
	bytesIn, recordsIn, bytesOut, readsOut bucket
}

// NewLimiter returns a limiter whose buckets are full.
func NewLimiter(stream string, l Limits) *Limiter {
	return &Limiter{stream: stream, limits: l, shards: map[record.ShardID]*shardBuckets{}}
}

func (l *Limiter) shard(id record.ShardID) *shardBuckets {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.shards[id]
	if s == nil {
		s = &shardBuckets{
			bytesIn: newBucket(l.limits.BytesIn), recordsIn: newBucket(l.limits.RecordsIn),
			bytesOut: newBucket(l.limits.BytesOut), readsOut: newBucket(l.limits.ReadsOut),
		}
		l.shards[id] = s
	}
	return s
}

// Forget drops the buckets of a shard that is no more.
func (l *Limiter) Forget(id record.ShardID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.shards, id)
}

// Write takes the place of some records in a shard: all, or none and a *ThrottledError. What is
// larger than a second's worth passes when the buckets are full, and those after it wait longer.
func (l *Limiter) Write(now time.Time, id record.ShardID, records int, bytes int64) error {
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait := s.bytesIn.wait(now, bytes); wait > 0 {
		return l.throttled(id, BytesIn, l.limits.BytesIn, wait)
	}
	if wait := s.recordsIn.wait(now, int64(records)); wait > 0 {
		return l.throttled(id, RecordsIn, l.limits.RecordsIn, wait)
	}
	s.bytesIn.take(bytes)
	s.recordsIn.take(int64(records))
	return nil
}

// Part is what of a batch goes to one shard.
type Part struct {
	Shard   record.ShardID
	Records int
	Bytes   int64
}

// WriteAll is Write for several shards: each takes its part, or none does and the error is that of
// the shard to wait for longest.
func (l *Limiter) WriteAll(now time.Time, parts []Part) error {
	var longest *ThrottledError
	taken := 0
	for _, p := range parts {
		err := l.Write(now, p.Shard, p.Records, p.Bytes)
		var throttled *ThrottledError
		if errors.As(err, &throttled) && (longest == nil || throttled.RetryAfter > longest.RetryAfter) {
			longest = throttled
		}
		// What follows is given back; it is asked for how long to wait.
		if longest != nil && err == nil {
			l.giveBack(p)
		}
		if longest == nil {
			taken++
		}
	}
	if longest == nil {
		return nil
	}
	for _, p := range parts[:taken] {
		l.giveBack(p)
	}
	return longest
}

func (l *Limiter) giveBack(p Part) {
	s := l.shard(p.Shard)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytesIn.take(-p.Bytes)
	s.recordsIn.take(int64(-p.Records))
}

// Read counts a read of a shard before it is done. How much it brings is not known then: Charge
// says so afterwards, and the reads after a large one are throttled for as long as it takes
// (Kinesis API, GetRecords).
func (l *Limiter) Read(now time.Time, id record.ShardID) error {
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait := s.bytesOut.wait(now, 1); wait > 0 {
		return l.throttled(id, BytesOut, l.limits.BytesOut, wait)
	}
	if wait := s.readsOut.wait(now, 1); wait > 0 {
		return l.throttled(id, ReadsOut, l.limits.ReadsOut, wait)
	}
	s.readsOut.take(1)
	return nil
}

// Charge counts the bytes that a read brought.
func (l *Limiter) Charge(id record.ShardID, bytes int64) {
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytesOut.take(bytes)
}

func (l *Limiter) throttled(id record.ShardID, limit Limit, perSecond int64, wait time.Duration) error {
	return &ThrottledError{Stream: l.stream, Shard: id, Limit: limit, PerSecond: perSecond, RetryAfter: wait}
}

// Put is one record of a request: the shard it goes to and its size, key included.
type Put struct {
	Shard record.ShardID
	Bytes int64
}

// Admit decides which records of a request pass; refused[i] is nil for those that do, otherwise a
// *ThrottledError. refused has the length of puts. Behind a record that is refused no other of
// its shard passes, so that repeating the refused ones keeps the order (Kinesis API, PutRecords).
// It returns how many pass.
func (l *Limiter) Admit(now time.Time, puts []Put, refused []error) (passed int) {
	var shut map[record.ShardID]error
	for i, p := range puts {
		refused[i] = shut[p.Shard]
		if refused[i] == nil {
			refused[i] = l.Write(now, p.Shard, 1, p.Bytes)
		}
		if refused[i] == nil {
			passed++
			continue
		}
		if shut == nil {
			shut = map[record.ShardID]error{}
		}
		shut[p.Shard] = refused[i]
	}
	return passed
}
