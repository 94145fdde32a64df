package kinesis

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/stream"
)

// scope is what calls of an operation are counted by.
type scope int

const (
	perAccount scope = iota
	perStream
	// perShard and perSubscriber are counted once the shard is known: by the action.
	perShard
	perSubscriber
)

// rate is how often an operation may be called.
type rate struct {
	perSecond float64
	scope     scope
}

// rates of operations, with limits. Reads and what shards take are held to the limits of the stream instead: 5 calls
// of GetRecords a second for each shard. Source: Kinesis Data Streams, quotas and limits of the control plane and data
// plane APIs. An operation that is not here has none. It does not change.
var rates = map[string]rate{
	"AddTagsToStream":               {5, perAccount},
	"CreateStream":                  {5, perAccount},
	"DecreaseStreamRetentionPeriod": {5, perAccount},
	"DeleteResourcePolicy":          {5, perAccount},
	"DeleteStream":                  {5, perAccount},
	"DeregisterStreamConsumer":      {5, perStream},
	"DescribeAccountSettings":       {5, perAccount},
	"DescribeLimits":                {1, perAccount},
	"DescribeStream":                {10, perAccount},
	"DescribeStreamConsumer":        {20, perStream},
	"DescribeStreamSummary":         {20, perAccount},
	"DisableEnhancedMonitoring":     {5, perAccount},
	"EnableEnhancedMonitoring":      {5, perAccount},
	"GetResourcePolicy":             {5, perAccount},
	"GetShardIterator":              {5, perShard},
	"IncreaseStreamRetentionPeriod": {5, perAccount},
	"ListShards":                    {1000, perStream},
	"ListStreamConsumers":           {5, perStream},
	"ListStreams":                   {5, perAccount},
	"ListTagsForResource":           {5, perAccount},
	"ListTagsForStream":             {5, perAccount},
	"MergeShards":                   {5, perAccount},
	"PutResourcePolicy":             {5, perAccount},
	"RegisterStreamConsumer":        {5, perStream},
	"RemoveTagsFromStream":          {5, perAccount},
	"SplitShard":                    {5, perAccount},
	"StartStreamEncryption":         {5, perAccount},
	"StopStreamEncryption":          {5, perAccount},
	"SubscribeToShard":              {1, perSubscriber},
	"TagResource":                   {5, perAccount},
	"UntagResource":                 {5, perAccount},
	"UpdateAccountSettings":         {5, perAccount},
	"UpdateShardCount":              {10, perAccount},
	"UpdateStreamMode":              {5, perAccount},
	"UpdateStreamWarmThroughput":    {5, perAccount},
}

// maxMeters bounds what is kept of callers; more streams and shards than that are not counted apart.
const maxMeters = 10_000

// meters count calls. Their methods may be called from any goroutine.
type meters struct {
	now func() time.Time

	mu   sync.Mutex // guards list
	list map[meterKey]*meter
}

// meterKey is what is counted: an operation, for a stream and maybe a part of it.
type meterKey struct{ operation, stream, part string }

// meter is a bucket of a second's calls, and knows when it will be full again.
type meter struct {
	tokens float64
	at     time.Time
}

// take counts a call; false says that it is one too many.
func (m *meters) take(k meterKey, perSecond float64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	b := m.list[k]
	if b == nil {
		if len(m.list) >= maxMeters {
			m.sweep(now)
		}
		b = &meter{perSecond, now}
		if len(m.list) < maxMeters {
			m.list[k] = b
		}
	}
	if passed := now.Sub(b.at); passed > 0 {
		b.tokens = min(perSecond, b.tokens+passed.Seconds()*perSecond)
	}
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// sweep forgets those that are full: nobody called for a second.
func (m *meters) sweep(now time.Time) {
	for k, b := range m.list {
		if now.Sub(b.at) >= time.Second {
			delete(m.list, k)
		}
	}
}

// pace refuses a call of an operation that comes too often.
func (c *call) pace(ctx context.Context, in aimed) error {
	s := c.s
	r, ok := rates[c.operation]
	if !ok || s.o.Limits != stream.KinesisLimits || r.scope > perStream {
		return nil
	}
	a, err := in.aim(ctx, s)
	if err != nil {
		return err
	}
	name := a.stream
	k := meterKey{operation: c.operation}
	if r.scope == perStream {
		k.stream = name
	}
	if s.meters.take(k, r.perSecond) {
		return nil
	}
	if name == "" {
		return limitExceeded("Rate exceeded for account %s.", s.o.Account)
	}
	return limitExceeded("Rate exceeded for stream %s under account %s.", name, s.o.Account)
}

// paceIn is pace for an operation that is counted by shard, or by a consumer of it.
func (s *Service) paceIn(operation, name string, sh stream.Shard, consumer string) error {
	if s.o.Limits != stream.KinesisLimits || s.meters.take(meterKey{operation, name, sh.ID.String() + consumer}, rates[operation].perSecond) {
		return nil
	}
	if rates[operation].scope == perSubscriber {
		return limitExceeded("Rate exceeded for consumer %s and shard %s under account %s.", consumer, sh.ID, s.o.Account)
	}
	return s.tooFast(sh.ID.String(), name)
}

// daily are the changes of which a stream takes only so many in 24 hours, with limits. Source as for rates.
var daily = map[string]int{"StartStreamEncryption": 25, "UpdateShardCount": 10, "UpdateStreamMode": 2}

const day = 24 * time.Hour

// days remember when changes were made. A restart forgets it.
type days struct {
	mu   sync.Mutex // guards list
	list map[meterKey][]time.Time
}

// sparingly makes a change, unless a stream had too many of its kind within a day. What fails does not count.
func (s *Service) sparingly(operation string, st *stream.Stream, change func() error) error {
	if s.o.Limits != stream.KinesisLimits {
		return change()
	}
	// Another change of the stream waits for this one, so that the count holds until it is made.
	k := meterKey{operation, st.Name(), st.Incarnation()}
	if n := daily[operation]; s.days.recent(k, s.o.Now()) >= n {
		return limitExceeded("Rate exceeded for stream %s under account %s: %s can be done %d times in 24 hours.", st.Name(), s.o.Account, operation, n)
	}
	err := change()
	if err == nil {
		s.days.note(k, s.o.Now())
	}
	return err
}

// recent is how many changes there were within a day.
func (d *days) recent(k meterKey, now time.Time) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	left := slices.DeleteFunc(d.list[k], func(at time.Time) bool { return now.Sub(at) >= day })
	if len(left) == 0 {
		delete(d.list, k)
		return 0
	}
	d.list[k] = left
	return len(left)
}

func (d *days) note(k meterKey, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.list) >= maxMeters {
		d.sweep(now)
	}
	d.list[k] = append(d.list[k], now)
}

// sweep forgets what is over and, if that is not enough, the stream that was changed longest ago.
func (d *days) sweep(now time.Time) {
	var oldest meterKey
	var at time.Time
	for k, list := range d.list {
		last := list[len(list)-1]
		if now.Sub(last) >= day {
			delete(d.list, k)
			continue
		}
		if at.IsZero() || last.Before(at) {
			oldest, at = k, last
		}
	}
	if len(d.list) >= maxMeters {
		delete(d.list, oldest)
	}
}
