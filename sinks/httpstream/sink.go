package httpstream

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sinks/serve"
)

// sink keeps the rows.
type sink struct {
	cfg Config
	env sinks.Env
	// key is the places of the key's columns.
	key []int

	// table has the open chunk in it.
	table *table
	open  int64
	hash  column.RowHash
	// name is scratch.
	name []byte

	clients, cut atomic.Int64

	mu sync.Mutex // guards what follows
	// shown is the table as of the last commit.
	shown *view
	// pinned is the bytes of rows that answers hold, whether they are still in the table or not.
	pinned int64
	server *serve.Server
	closed bool
}

// state is what the checkpoint holds.
type state struct {
	// Key and Columns are what the rows are made of.
	Key     []string `json:"key"`
	Columns []string `json:"columns"`
	// Last is the position of the last row.
	Last    int64      `json:"last"`
	Evicted int64      `json:"evicted"`
	Rows    []savedRow `json:"rows"`
}

// savedRow is one of the latest rows.
type savedRow struct {
	Position int64 `json:"position"`
	// Key is bytes that tell the row apart.
	Key []byte          `json:"key,omitempty"`
	Row json.RawMessage `json:"row"`
}

func newSink(c Config, env sinks.Env) *sink {
	s := &sink{cfg: c, env: env}
	s.reset()
	s.shown = s.table.view()
	return s
}

func (s *sink) reset() {
	s.table = newTable(s.cfg.MaxRows, int64(s.cfg.MaxSize), len(s.cfg.Key) > 0)
	s.open, s.hash = 0, column.RowHash{}
}

func (s *sink) Guarantee() string {
	return fmt.Sprintf("last value, at http://%s%s: serves up to %d of the latest rows and keeps them for the next run", s.cfg.Listen, s.cfg.Path, s.cfg.MaxRows)
}

// Trigger keeps rows back only as long as nobody notices.
func (s *sink) Trigger() flow.Trigger { return flow.Trigger{Age: 250 * time.Millisecond} }

// Start takes over the rows of earlier runs and listens.
func (s *sink) Start(ctx context.Context, raw json.RawMessage) error {
	if err := s.restore(raw); err != nil {
		return flow.Permanent(s.errorf(fmt.Errorf("state in the checkpoint: %w", err)))
	}
	s.show()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil || s.closed {
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+s.cfg.Path, s)
	server, err := serve.Open(ctx, s.cfg.Config, mux, s.env.Log)
	if err != nil {
		return s.errorf(err)
	}
	s.server = server
	s.env.Log.Info("serving rows", "url", "http://"+server.Addr()+s.cfg.Path)
	return nil
}

func (s *sink) errorf(err error) error {
	return fmt.Errorf("http_stream sink %q: %w", s.env.Identity.Name, err)
}

// restore takes over what the checkpoint holds. Changes of an earlier run are not there, so clients
// that have not seen its last row begin again.
func (s *sink) restore(raw json.RawMessage) error {
	s.reset()
	if raw == nil {
		return nil
	}
	var saved state
	if err := json.Unmarshal(raw, &saved); err != nil {
		return err
	}
	t := s.table
	t.last, t.held, t.evicted = saved.Last, saved.Last, saved.Evicted
	if !slices.Equal(saved.Key, s.cfg.Key) || !slices.Equal(saved.Columns, s.env.Schema.Names()) {
		return nil
	}
	for _, row := range saved.Rows {
		t.keep(&event{position: row.Position, key: string(row.Key), text: row.Row})
	}
	return nil
}

// Add takes rows into the table.
func (s *sink) Add(_ context.Context, b *column.Batch) (flow.Outcome, error) {
	n := b.Selected()
	for i := range n {
		row := i
		if b.Selection != nil {
			row = int(b.Selection[i])
		}
		s.name = s.name[:0]
		for _, at := range s.key {
			s.name = appendKey(s.name, b.Columns[at], row)
		}
		s.table.add(s.name, column.AppendJSON(nil, b, row))
	}
	s.open += int64(n)
	s.hash.Add(column.HashRows(b))
	return flow.Outcome{Counts: flow.Counts{In: int64(n), Passed: int64(n)}}, nil
}

// appendKey appends a value so that no two lists of values look the same.
func appendKey(dst []byte, c *column.Column, row int) []byte {
	if c.IsNull(row) {
		return append(dst, '-')
	}
	begin := len(dst)
	dst = column.AppendText(append(dst, 0, 0, 0, 0, '+'), c, row)
	n := len(dst) - begin
	dst[begin], dst[begin+1], dst[begin+2], dst[begin+3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	return dst
}

// Open describes the open chunk. The table outlives it, so its memory is not the chunk's.
func (s *sink) Open() flow.Open { return flow.Open{Rows: s.open} }

// Plan saves the table.
func (s *sink) Plan(_ context.Context, cut flow.Cut) (flow.Plan, error) {
	t := s.table
	saved := state{Key: s.cfg.Key, Columns: s.env.Schema.Names(), Last: t.last, Evicted: t.evicted, Rows: make([]savedRow, 0, t.latest.Len())}
	for at := t.latest.Front(); at != nil; at = at.Next() {
		e := at.Value.(*event)
		saved.Rows = append(saved.Rows, savedRow{e.position, []byte(e.key), e.text})
	}
	raw, err := json.Marshal(saved)
	plan := flow.Plan{Cut: cut, State: raw}
	if s.open > 0 {
		// It creates nothing, but makes the rows count as delivered.
		plan.Objects = []flow.Object{{Key: "http", Rows: s.open, Hash: s.hash.String()}}
	}
	return plan, err
}

// Put has nothing to do: the state is in the checkpoint.
func (s *sink) Put(context.Context, flow.Plan) error { return nil }

// Published lets clients see the chunk.
func (s *sink) Published(flow.Plan) {
	fresh := s.open > 0
	s.open, s.hash = 0, column.RowHash{}
	if fresh {
		s.show()
	}
}

// show replaces the view and wakes the clients.
func (s *sink) show() {
	v := s.table.view()
	s.mu.Lock()
	old := s.shown
	s.shown = v
	s.mu.Unlock()
	close(old.replaced)
}

func (s *sink) current() *view {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown
}

// mostPinned is how many times Config.MaxSize the rows of answers under way may take.
const mostPinned = 4

// pin returns the view for an answer that holds its rows until unpin; ok is false if slow clients hold too many.
func (s *sink) pin() (v *view, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.pinned
	for _, e := range s.shown.latest {
		if e.pins++; e.pins == 1 {
			s.pinned += e.size()
		}
	}
	if before > 0 && s.pinned > mostPinned*int64(s.cfg.MaxSize) {
		s.release(s.shown)
		return nil, false
	}
	return s.shown, true
}

func (s *sink) unpin(v *view) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release(v)
}

// release lets go of a view. mu must be held.
func (s *sink) release(v *view) {
	for _, e := range v.latest {
		if e.pins--; e.pins == 0 {
			s.pinned -= e.size()
		}
	}
}

// Close ends the server.
func (s *sink) Close() error {
	s.mu.Lock()
	server := s.server
	s.closed = true
	s.mu.Unlock()
	if server == nil {
		return nil
	}
	return server.Close()
}

var (
	descClients = prometheus.NewDesc("millrace_http_stream_clients", "Clients that an http_stream sink is answering.", []string{"sink"}, nil)
	descRows    = prometheus.NewDesc("millrace_http_stream_rows", "Rows that an http_stream sink serves.", []string{"sink"}, nil)
	descCut     = prometheus.NewDesc("millrace_http_stream_cut_off_total", "Clients of this run that were too slow and were cut off.", []string{"sink"}, nil)
	descEvicted = prometheus.NewDesc("millrace_http_stream_evicted_rows_total", "Latest rows of a key that left an http_stream sink for want of room.", []string{"sink"}, nil)
)

// Expose implements sinks.Exposer.
func (s *sink) Expose(ch chan<- prometheus.Metric) {
	v, name := s.current(), s.env.Identity.Name
	ch <- prometheus.MustNewConstMetric(descClients, prometheus.GaugeValue, float64(s.clients.Load()), name)
	ch <- prometheus.MustNewConstMetric(descRows, prometheus.GaugeValue, float64(len(v.latest)), name)
	ch <- prometheus.MustNewConstMetric(descCut, prometheus.CounterValue, float64(s.cut.Load()), name)
	ch <- prometheus.MustNewConstMetric(descEvicted, prometheus.CounterValue, float64(v.evicted), name)
}
