package flow_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
	"github.com/millrace-io/millrace/sql"
)

// net is queries that read streams and each other, in virtual time.
type net struct {
	t       *testing.T
	backend *disk.Backend
	streams map[string]*stream.Stream
	dead    *stream.Stream
	queries map[string]*netQuery
	// began is when it was made.
	began time.Time

	running sync.WaitGroup
	stop    chan struct{}
	ended   chan struct{}
}

// netQuery is a query of a net.
type netQuery struct {
	compiled *sql.Query
	frontier *flow.Frontier
	task     *flow.Task
	// ended is closed once it has delivered all.
	ended chan struct{}
	// write fails with fault, if that is set.
	mu    sync.Mutex
	fault error
	err   error
}

func inNet(t *testing.T, f func(n *net)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := &net{t: t, streams: map[string]*stream.Stream{}, queries: map[string]*netQuery{}, began: time.Now(), stop: make(chan struct{}), ended: make(chan struct{})}
		var err error
		if n.backend, err = disk.Open(vfs.NewMem(), "data", disk.Options{}); err != nil {
			t.Fatal(err)
		}
		n.stream("s")
		n.stream("t")
		n.dead = n.stream("p.dead-letters")
		f(n)
		n.halt()
		for _, s := range n.streams {
			err = errors.Join(err, s.Close())
		}
		if err = errors.Join(err, n.backend.Close()); err != nil {
			t.Error(err)
		}
	})
}

func (n *net) stream(name string) *stream.Stream {
	n.t.Helper()
	s, err := stream.Open(n.t.Context(), n.backend, stream.Spec{Name: name, Shards: 1})
	if err != nil {
		n.t.Fatal(err)
	}
	n.streams[name] = s
	return s
}

// timedRows is the schema of s and t.
var timedRows = &column.Schema{Fields: []column.Field{
	{Name: "ts", Type: column.Type{Kind: column.Timestamp}}, {Name: "n", Type: column.Type{Kind: column.BigInt}},
}}

// add begins a query. Those that it reads are there.
func (n *net) add(name, text string) *netQuery {
	n.t.Helper()
	compiled, err := sql.CompileQuery(text, func(from string) (sql.Input, bool) {
		if q := n.queries[from]; q != nil {
			return sql.Input{Schema: q.compiled.Output(), EventTime: q.compiled.OutputEventTime()}, true
		}
		return sql.Input{Schema: timedRows, EventTime: "ts"}, n.streams[from] != nil
	})
	if err != nil {
		n.t.Fatal(err)
	}
	q := &netQuery{compiled: compiled, ended: make(chan struct{})}
	if compiled.Bounded() {
		q.frontier = flow.NewFrontier(name)
	}
	n.queries[name] = q
	n.stream("p." + name)
	n.begin(name)
	return q
}

// begin begins a run of a query.
func (n *net) begin(name string) {
	q := n.queries[name]
	id := flow.Identity{Pipeline: "p", Name: name, Incarnation: n.streams["s"].Incarnation()}
	out := n.streams["p."+name]
	c := flow.Config{
		Identity: id, Kind: "query", Trigger: flow.Trigger{Age: 5 * time.Second}, Meta: n.backend.Meta(), Frontier: q.frontier,
		DeadLetters: &flow.DeadLetters{Pipeline: "p", Write: n.dead.TryWrite}, Stop: n.stop, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Processor: &flow.Query{Identity: id, Target: "p." + name, New: q.compiled.New, Windowed: q.compiled.Windowed(), Memory: 64 << 20, Write: func(ctx context.Context, b *record.Batch) error {
			q.mu.Lock()
			defer q.mu.Unlock()
			if q.fault != nil {
				return q.fault
			}
			return out.TryWrite(ctx, b)
		}},
	}
	for i, from := range q.compiled.Inputs() {
		c.Feeds = append(c.Feeds, n.feed(from, q.compiled.Needs(i)))
	}
	q.task = flow.NewTask(c)
	n.running.Go(func() {
		if q.err = q.task.Run(context.WithoutCancel(n.t.Context())); q.task.Drained() {
			close(q.ended)
		}
	})
}

func (n *net) feed(from string, needs []string) flow.Feed {
	f := flow.Feed{Name: from, Needs: needs, Input: flow.Input{Name: from, Ended: n.ended, Schema: timedRows, EventTime: "ts"}}
	s := n.streams[from]
	if q := n.queries[from]; q != nil {
		s = n.streams["p."+from]
		f.Upstream, f.Input.Ended, f.Input.Schema, f.Input.EventTime = q.frontier, q.ended, q.compiled.Output(), q.compiled.OutputEventTime()
	}
	f.Input.Stream, f.Input.Incarnation, f.Input.Updated = s.Name(), s.Incarnation(), s.Updated
	f.Input.Shards = func() []flow.Shard { return []flow.Shard{{ID: 0, Log: s.Log(0)}} }
	f.Start = func() (map[record.ShardID]record.Ordinal, error) { return map[record.ShardID]record.Ordinal{0: 0}, nil }
	return f
}

// halt stops all queries.
func (n *net) halt() {
	n.t.Helper()
	close(n.stop)
	n.running.Wait()
	for name, q := range n.queries {
		if q.err != nil && !errors.Is(q.err, errCrash) {
			n.t.Errorf("query %s: %v", name, q.err)
		}
	}
}

// again halts and begins all queries after a while.
func (n *net) again(pause time.Duration, meanwhile func()) {
	n.t.Helper()
	n.halt()
	n.stop = make(chan struct{})
	meanwhile()
	n.wait(pause)
	for name, q := range n.queries {
		if q.frontier != nil {
			q.frontier = flow.NewFrontier(name)
		}
	}
	for name := range n.queries {
		n.begin(name)
	}
}

// breaks makes what a query writes fail from now on, or not any more.
func (q *netQuery) breaks(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fault = err
}

func (n *net) wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// write stores a row for each of some times.
func (n *net) write(to string, at ...time.Time) {
	n.t.Helper()
	var b record.Batch
	for _, at := range at {
		b.Add([]byte("k"), fmt.Appendf(nil, `{"ts":%q,"n":1}`, at.UTC().Format(time.RFC3339Nano)), 0)
	}
	if err := n.streams[to].Write(n.t.Context(), &b); err != nil {
		n.t.Fatal(err)
	}
}

// flow writes a row every five seconds, of the time it is, until some time since the beginning.
func (n *net) flow(to string, until time.Duration) {
	n.t.Helper()
	for time.Since(n.began) < until {
		n.write(to, time.Now())
		n.wait(5 * time.Second)
	}
}

// rows are those that a query gave, as minutes since the beginning and the rest.
func (n *net) rows(query string) (out []string) {
	n.t.Helper()
	beginning := n.began.UTC().Format("2006-01-02T15:")
	short := strings.NewReplacer(`{"window_start":"`+beginning, "", `:00Z","n":`, " ", "}", "")
	for _, text := range n.texts(n.streams["p."+query].Log(0)) {
		out = append(out, short.Replace(text))
	}
	return out
}

// want compares what a query gave, and that nothing was late.
func (n *net) want(query string, want ...string) {
	n.t.Helper()
	if got := n.rows(query); !slices.Equal(got, want) {
		n.t.Errorf("after %s: %s gave %q, want %q", time.Since(n.began), query, got, want)
	}
	if late := n.dead.Log(0).Bounds().Next; late > 0 {
		n.t.Errorf("after %s: %d rows were late", time.Since(n.began), late)
	}
}

const (
	perMinute = "SELECT window_start, COUNT(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)"
	// both counts rows of s and of q, those of q as a hundred each.
	both = "SELECT window_start, SUM(n) AS n FROM (SELECT ts, n FROM s UNION ALL SELECT window_start, 100 * n FROM q) AS u GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)"
)

func TestAQueryWithOpenWindowsHoldsWhoReadsItAndItsInput(t *testing.T) {
	inNet(t, func(n *net) {
		n.add("q", perMinute)
		r := n.add("r", both)
		n.flow("s", 104*time.Second)
		if s := r.task.Status(); s.HeldBy != "query q" || s.Awaits != "q" || !s.Watermark.Equal(n.began.Add(time.Minute)) {
			t.Errorf("held by %q at %v", s.HeldBy, s.Watermark)
		}
		n.flow("s", 284*time.Second)
		n.want("q", "00 12", "01 12", "02 12", "03 12")
		n.want("r", "00 1212", "01 1212", "02 1212", "03 1212")
	})
}

func TestAQueryThatNeverGivesARowHoldsNobody(t *testing.T) {
	inNet(t, func(n *net) {
		n.add("q", perMinute+" HAVING COUNT(*) > 100")
		n.add("r", both)
		n.flow("s", 182*time.Second)
		n.want("r", "00 12", "01 12", "02 12")
	})
}

func TestAQueryHoldsAcrossARestart(t *testing.T) {
	inNet(t, func(n *net) {
		n.add("q", perMinute)
		n.add("r", both)
		n.flow("s", 90*time.Second)
		// Two minutes of rows come while nothing runs.
		n.again(time.Second, func() { n.flow("s", 200*time.Second) })
		n.flow("s", 290*time.Second)
		n.want("q", "00 12", "01 12", "02 12", "03 12")
		n.want("r", "00 1212", "01 1212", "02 1212", "03 1212")
	})
}

func TestAQueryThatCannotWriteHoldsForTheIdleTimeout(t *testing.T) {
	inNet(t, func(n *net) {
		q := n.add("q", perMinute)
		n.add("r", both)
		n.flow("s", 110*time.Second)
		q.breaks(errors.New("no"))
		n.flow("s", 130*time.Second)
		n.want("r", "00 1212")
		q.breaks(nil)
		n.flow("s", 170*time.Second)
		n.want("q", "00 12", "01 12")
		n.flow("s", 230*time.Second)
		n.want("r", "00 1212", "01 1212", "02 1212")

		q.breaks(errors.New("no"))
		n.flow("s", 265*time.Second)
		n.want("r", "00 1212", "01 1212", "02 1212")
		n.flow("s", 305*time.Second)
		n.want("q", "00 12", "01 12", "02 12")
		n.want("r", "00 1212", "01 1212", "02 1212", "03 12", "04 12")
		q.breaks(nil)
	})
}

func TestAQueryThatEndedHoldsForTheIdleTimeout(t *testing.T) {
	inNet(t, func(n *net) {
		q := n.add("q", perMinute)
		r := n.add("r", both)
		n.flow("s", 110*time.Second)
		q.breaks(flow.Permanent(errCrash))
		n.flow("s", 145*time.Second)
		if s := r.task.Status(); s.HeldBy != "query q" || q.task.Status().State != "failed" {
			t.Errorf("held by %q", s.HeldBy)
		}
		n.want("r", "00 1212")
		n.flow("s", 185*time.Second)
		n.want("r", "00 1212", "01 12", "02 12")
	})
}

func TestAChainOfQueriesHolds(t *testing.T) {
	const (
		pairs = "SELECT window_start, SUM(n) AS n FROM q GROUP BY TUMBLE(window_start, INTERVAL '2' MINUTE)"
		all   = "SELECT window_start, SUM(n) AS n FROM (SELECT ts, n FROM s UNION ALL SELECT window_start, 100 * n FROM p) AS u GROUP BY TUMBLE(ts, INTERVAL '2' MINUTE)"
	)
	inNet(t, func(n *net) {
		n.add("q", perMinute)
		n.add("p", pairs)
		n.add("r", all)
		n.flow("s", 500*time.Second)
		n.want("p", "00 24", "02 24", "04 24")
		n.want("r", "00 2424", "02 2424", "04 2424")
	})
	inNet(t, func(n *net) {
		n.add("q", perMinute+" HAVING COUNT(*) > 100")
		n.add("p", pairs)
		n.add("r", all)
		n.flow("s", 260*time.Second)
		n.want("p")
		n.want("r", "00 24", "02 24")
	})
}

func TestQueriesOverOneStreamThatMeetAgainHold(t *testing.T) {
	inNet(t, func(n *net) {
		n.add("q", perMinute)
		n.add("some", "SELECT ts, n FROM s WHERE EXTRACT(SECOND FROM ts) = 35")
		n.add("r", `SELECT window_start, SUM(n) AS n FROM (SELECT window_start, n FROM q UNION ALL SELECT ts, 100 * n FROM some UNION ALL SELECT ts, 10000 * n FROM s) AS u
			GROUP BY TUMBLE(window_start, INTERVAL '1' MINUTE)`)
		n.flow("s", 284*time.Second)
		n.want("r", "00 120112", "01 120112", "02 120112", "03 120112")
	})
}

func TestAQueryThatRestsHoldsNobodyUntilItHasMoreToRead(t *testing.T) {
	inNet(t, func(n *net) {
		n.add("q", "SELECT window_start, COUNT(*) AS n FROM t GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)")
		r := n.add("r", both)
		n.write("t", n.began)
		n.flow("s", 180*time.Second)
		// What came to t alone is complete once a minute has passed with the clock.
		n.want("r", "00 112", "01 12")
		if s := r.task.Status(); s.HeldBy != "s shardId-000000000000" {
			t.Errorf("held by %q", s.HeldBy)
		}
	})
	inNet(t, func(n *net) {
		q := n.add("q", "SELECT ts AS window_start, n FROM s")
		n.add("p", "SELECT window_start, n FROM q WHERE n > 0")
		n.add("r", strings.Replace(both, "FROM q", "FROM p", 1))
		n.flow("s", 60*time.Second)
		n.wait(10 * time.Minute)
		n.want("r", "00 1212")
		// A burst of two minutes, which the query over the first one does not see at once.
		q.breaks(errors.New("no"))
		var at []time.Time
		for i := range 24 {
			at = append(at, time.Now().Add(time.Duration(5*i-120)*time.Second))
		}
		n.write("s", at...)
		n.wait(4 * time.Second)
		q.breaks(nil)
		n.flow("s", 750*time.Second)
		n.want("r", "00 1212", "09 1212", "10 1212", "11 1212")
	})
}

func TestWindowsThatCloseByTheClockAreCompleteAtOnce(t *testing.T) {
	inNet(t, func(n *net) {
		n.add("q", "SELECT window_start, COUNT(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '30' MINUTE)")
		n.add("r", strings.Replace(both, "'1' MINUTE", "'30' MINUTE", 1))
		n.flow("s", 60*time.Second)
		n.wait(29*time.Minute - 5*time.Second)
		n.wait(40 * time.Second)
		n.want("q", "00 12")
		n.want("r", "00 1212")
	})
}

func TestAQueryThatHasDeliveredAllHoldsNobody(t *testing.T) {
	inNet(t, func(n *net) {
		n.add("q", perMinute)
		n.add("r", both)
		n.flow("s", 80*time.Second)
		close(n.ended)
		n.wait(time.Second)
		n.want("q", "00 12", "01 4")
		n.want("r", "00 1212", "01 404")
	})
}

// TestNothingIsLateHoweverQueriesAndTheirInputsGo has rows in order, pauses, restarts and writes that fail for a while:
// whoever reads a query and streams beside it gets all that comes, in time.
func TestNothingIsLateHoweverQueriesAndTheirInputsGo(t *testing.T) {
	seeds := uint64(24)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 1))
		inNet(t, func(n *net) {
			inputs, text := n.random(r)
			for range 60 {
				n.step(r, inputs)
			}
			for _, q := range n.queries {
				q.breaks(nil)
			}
			n.pause(r)
			// As long as a stream goes on, so do they.
			n.flow("s", time.Since(n.began)+12*time.Minute)
			if s := n.queries["r"].task.Status(); s.Watermark == nil || time.Since(*s.Watermark) > 8*time.Minute {
				t.Errorf("seed %d: it stands at %v after %s, held by %s in\n%s", seed, s.Watermark, time.Since(n.began), s.HeldBy, text)
			}
			close(n.ended)
			n.wait(time.Minute)
			if late := n.dead.Log(0).Bounds().Next; late > 0 {
				t.Errorf("seed %d: %d rows were late in\n%s\n%s", seed, late, text, n.letters())
			}
			if got, want := n.sum("r"), n.sum("q")+n.sum("p")+1000*int64(n.streams["s"].Log(0).Bounds().Next); got != want {
				t.Errorf("seed %d: %d came, want %d in\n%s", seed, got, want, text)
			}
		})
	}
}

// random adds queries p and q, and r that reads both and s. It returns the streams that they read.
func (n *net) random(r *rand.Rand) (inputs []string, text string) {
	kinds := []string{
		"SELECT window_start AS ts, COUNT(*) AS n FROM IN GROUP BY TUMBLE(TS, INTERVAL '1' MINUTE)",
		"SELECT window_start AS ts, COUNT(*) AS n FROM IN GROUP BY TUMBLE(TS, INTERVAL '1' MINUTE) HAVING COUNT(*) > 4",
		"SELECT window_start AS ts, COUNT(*) AS n FROM IN GROUP BY TUMBLE(TS, INTERVAL '2' MINUTE) ALLOWED LATENESS INTERVAL '20' SECOND",
		"SELECT TS AS ts, n FROM IN WHERE EXTRACT(SECOND FROM TS) < 4",
		"SELECT window_start AS ts, MAX(n) AS n FROM IN GROUP BY HOP(TS, INTERVAL '30' SECOND, INTERVAL '2' MINUTE)",
		"SELECT window_start AS ts, COUNT(*) AS n FROM IN GROUP BY CUMULATE(TS, INTERVAL '20' SECOND, INTERVAL '2' MINUTE)",
		"SELECT window_start AS ts, SUM(n) AS n FROM (SELECT window_start, COUNT(*) AS n FROM IN GROUP BY TUMBLE(TS, INTERVAL '30' SECOND)) AS i GROUP BY TUMBLE(window_start, INTERVAL '2' MINUTE)",
	}
	inputs = []string{"s"}
	q, p := kinds[r.IntN(len(kinds))], kinds[r.IntN(len(kinds))]
	from := "s"
	switch r.IntN(3) {
	case 0: // a chain
		from = "q"
	case 1: // another stream, of which a row that comes after a pause is in no window that is over
		from, q, p, inputs = "t", kinds[r.IntN(2)], kinds[r.IntN(2)], []string{"s", "t"}
	}
	text = fmt.Sprintf("%s\n%s\n", strings.NewReplacer("IN ", "s ", "TS", "ts").Replace(q), strings.NewReplacer("IN ", from+" ", "TS", "ts").Replace(p))
	lines := strings.Split(text, "\n")
	n.add("q", lines[0])
	n.add("p", lines[1])
	last := fmt.Sprintf(`SELECT window_start, SUM(n) AS n FROM (SELECT ts, n FROM q UNION ALL SELECT ts, 1000 * n FROM s UNION ALL SELECT ts, n FROM p) AS u
		GROUP BY TUMBLE(ts, INTERVAL '%d' MINUTE)`, 1+r.IntN(3))
	n.add("r", last)
	return inputs, text + last
}

// pause is longer than a shard takes to be idle. It ends when no window of before has rows any more, nor one that
// begins before its end.
func (n *net) pause(r *rand.Rand) {
	const all = 6 * time.Minute
	until := time.Since(n.began) + all + time.Duration(r.IntN(300))*time.Second
	n.wait(until.Truncate(all) + all - time.Since(n.began))
}

// step is something that happens.
func (n *net) step(r *rand.Rand, inputs []string) {
	some := func() {
		for range 1 + r.IntN(3) {
			n.write(inputs[r.IntN(len(inputs))], time.Now())
		}
	}
	switch x := r.IntN(40); {
	case x == 0:
		n.again(time.Duration(r.IntN(20_000))*time.Millisecond, some)
	case x == 1:
		n.pause(r)
	case x < 6:
		for _, name := range []string{"p", "q"} {
			q := n.queries[name]
			q.breaks(nil)
			if r.IntN(2) == 0 {
				q.breaks(errors.New("no"))
			}
		}
		n.wait(time.Duration(r.IntN(8000)) * time.Millisecond)
		n.queries["p"].breaks(nil)
		n.queries["q"].breaks(nil)
	}
	some()
	n.wait(time.Duration(r.IntN(20_000)) * time.Millisecond)
}

// letters are the dead letters.
func (n *net) letters() string { return strings.Join(n.texts(n.dead.Log(0)), "\n") }

// texts are the records of a log.
func (n *net) texts(log stream.Log) (out []string) {
	n.t.Helper()
	for at := record.Ordinal(0); at < log.Bounds().Next; {
		frames, err := log.Read(n.t.Context(), at, new(stream.Buffer))
		if err != nil {
			n.t.Fatal(err)
		}
		for _, f := range frames {
			body := f.Body
			for i := range f.Count {
				rec, rest, err := record.Next(body)
				if err != nil {
					n.t.Fatal(err)
				}
				body, at = rest, f.First+record.Ordinal(i)+1
				out = append(out, string(rec.Data))
			}
		}
	}
	return out
}

// sum adds up what a query gave.
func (n *net) sum(query string) (sum int64) {
	n.t.Helper()
	for _, row := range n.rows(query) {
		v, err := strconv.ParseInt(row[strings.LastIndexAny(row, ` :`)+1:], 10, 64)
		if err != nil {
			n.t.Fatalf("row %s: %v", row, err)
		}
		sum += v
	}
	return sum
}
