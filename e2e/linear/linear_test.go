package linear

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// server stands in for one that keeps its promises, or does not.
type server struct {
	mu     sync.Mutex // guards all below
	random *rand.Rand
	harm   string
	number int
	shards map[string][]Stored
	// later are records that were acknowledged, or not answered, and are stored after the next request.
	later map[string][]Stored
}

var errNoAnswer = errors.New("no answer")

// often is whether harm is done this time.
func (s *server) often(harm string, percent int) bool {
	return s.harm == harm && s.random.IntN(100) < percent
}

// settle stores what was put off.
func (s *server) settle() {
	for shard, records := range s.later {
		s.shards[shard] = append(s.shards[shard], records...)
	}
	clear(s.later)
}

// enter lets others go first.
func (s *server) enter() (leave func()) {
	runtime.Gosched()
	s.mu.Lock()
	return func() {
		s.mu.Unlock()
		runtime.Gosched()
	}
}

// put stores a record and returns its number.
func (s *server) put(hash, value string, single bool) string {
	shard := "shard-" + hash
	s.number += 10
	log := s.shards[shard]
	r := Stored{fmt.Sprintf("%020d", s.number), value}
	switch {
	case s.often("forgets what it acknowledged", 5):
		return r.Number
	case len(s.later[shard]) > 0 || s.often("answers before it stores", 30):
		s.later[shard] = append(s.later[shard], r)
		return r.Number
	case s.often("stores twice", 5):
		log = append(log, Stored{fmt.Sprintf("%020d", s.number-1), value})
	case single && s.often("gives a place in front", 10) && len(log) > 0:
		last := len(log) - 1
		n, _ := strconv.Atoi(log[last].Number)
		if r.Number = fmt.Sprintf("%020d", n-1); last > 0 && !less(log[last-1].Number, r.Number) {
			break
		}
		s.shards[shard] = append(log[:last:last], r, log[last])
		return r.Number
	case s.often("alters", 5):
		r.Value += "!"
	}
	s.shards[shard] = append(log, r)
	return r.Number
}

// lost is an error when the answer is lost.
func (s *server) lost() error {
	if s.often("loses answers", 20) {
		return errNoAnswer
	}
	return nil
}

func (s *server) PutRecord(_ context.Context, in *kinesis.PutRecordInput, _ ...func(*kinesis.Options)) (*kinesis.PutRecordOutput, error) {
	defer s.enter()()
	s.settle()
	n := s.put(*in.ExplicitHashKey, string(in.Data), true)
	return &kinesis.PutRecordOutput{SequenceNumber: &n, ShardId: aws.String("shard-" + *in.ExplicitHashKey)}, s.lost()
}

func (s *server) PutRecords(_ context.Context, in *kinesis.PutRecordsInput, _ ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	defer s.enter()()
	s.settle()
	out := &kinesis.PutRecordsOutput{Records: make([]types.PutRecordsResultEntry, len(in.Records))}
	late := s.often("loses answers", 10)
	for i, r := range in.Records {
		if late {
			s.number += 10
			shard := "shard-" + *r.ExplicitHashKey
			s.later[shard] = append(s.later[shard], Stored{fmt.Sprintf("%020d", s.number), string(r.Data)})
			continue
		}
		n := s.put(*r.ExplicitHashKey, string(r.Data), false)
		out.Records[i] = types.PutRecordsResultEntry{SequenceNumber: &n, ShardId: aws.String("shard-" + *r.ExplicitHashKey)}
	}
	if late {
		return nil, errNoAnswer
	}
	return out, s.lost()
}

func (s *server) GetShardIterator(_ context.Context, in *kinesis.GetShardIteratorInput, _ ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error) {
	defer s.enter()()
	log := s.shards[*in.ShardId]
	place := 0
	switch in.ShardIteratorType {
	case types.ShardIteratorTypeLatest:
		place = len(log)
		if s.often("begins in front of the tip", 100) {
			place = max(place-1, 0)
		}
	case types.ShardIteratorTypeAtSequenceNumber, types.ShardIteratorTypeAfterSequenceNumber:
		for place < len(log) && less(log[place].Number, *in.StartingSequenceNumber) {
			place++
		}
		if in.ShardIteratorType == types.ShardIteratorTypeAfterSequenceNumber && !s.often("reads a record again", 30) {
			place++
		}
	}
	return &kinesis.GetShardIteratorOutput{ShardIterator: aws.String(fmt.Sprintf("%d %s", place, *in.ShardId))}, nil
}

func (s *server) GetRecords(_ context.Context, in *kinesis.GetRecordsInput, _ ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	defer s.enter()()
	var place int
	var shard string
	if _, err := fmt.Sscan(*in.ShardIterator, &place, &shard); err != nil {
		return nil, err
	}
	log := s.shards[shard]
	if s.often("reads an old state", 30) {
		log = log[:max(len(log)-1, min(place, len(log)))]
	}
	if s.often("skips", 5) && place < len(log) {
		place++
	}
	place = min(place, len(log))
	end := len(log)
	if in.Limit != nil {
		end = min(end, place+int(*in.Limit))
	}
	out := &kinesis.GetRecordsOutput{MillisBehindLatest: aws.Int64(int64(len(log) - end)), NextShardIterator: aws.String(fmt.Sprintf("%d %s", end, shard))}
	for _, r := range log[place:end] {
		out.Records = append(out.Records, types.Record{SequenceNumber: aws.String(r.Number), Data: []byte(r.Value)})
	}
	return out, nil
}

// work lets clients work with a server that does harm, and returns what is found.
func work(t *testing.T, harm string, seed uint64) (Verdict, error) {
	t.Helper()
	s := &server{random: rand.New(rand.NewPCG(seed, 0)), harm: harm, shards: map[string][]Stored{}, later: map[string][]Stored{}}
	h := NewHistory()
	shards := []Shard{{"shard-0", "0"}, {"shard-1", "1"}}
	var wait sync.WaitGroup
	for i := range 4 {
		c := &Client{
			API: s, History: h, Random: rand.New(rand.NewPCG(seed, uint64(i)+1)), ID: i, Stream: "s", Shards: shards,
			Patience: time.Minute, Failed: func(context.Context) {},
		}
		wait.Go(func() { c.Run(t.Context(), 200) })
	}
	wait.Wait()
	s.settle()
	s.harm = ""
	if err := (&Client{API: s, History: h, Stream: "s", Shards: shards}).Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h.Check(time.Minute)
}

func TestServersThatKeepTheirPromisesPass(t *testing.T) {
	for _, harm := range []string{"", "loses answers"} {
		seed := rand.Uint64()
		v, err := work(t, harm, seed)
		if err != nil || v.Puts < 100 || v.Reads < 50 || v.Latest < 5 || (v.Unknown > 0) != (harm != "") {
			t.Errorf("%s, seed %d: %v, %v", harm, seed, v, err)
		}
	}
}

// The check must see each kind of harm, or it proves nothing.
func TestEveryKindOfHarmIsSeen(t *testing.T) {
	const order = "no order of its"
	for harm, want := range map[string]string{
		"forgets what it acknowledged": "is not stored there",
		"stores twice":                 "sent once and is stored as",
		"alters":                       "is not stored there",
		"answers before it stores":     order + "|were read from place",
		"gives a place in front":       order + "|were read from place",
		"reads an old state":           order,
		"begins in front of the tip":   order,
		"reads a record again":         "were read from place",
		"skips":                        "were read from place",
	} {
		// Now and then chance has it that no harm is done, or none that a client could have seen.
		var err error
		for range 10 {
			if _, err = work(t, harm, rand.Uint64()); err != nil {
				break
			}
		}
		if err == nil || !regexp.MustCompile(want).MatchString(err.Error()) {
			t.Errorf("%s: %v, want %q", harm, err, want)
		}
	}
}
