package httpstream

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sinks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var schema = &column.Schema{Fields: []column.Field{
	{Name: "k", Type: column.Type{Kind: column.String}},
	{Name: "n", Type: column.Type{Kind: column.BigInt}},
}}

// board is a sink under test.
type board struct {
	*sink
	t     *testing.T
	chunk int64
}

func keyed() Config {
	c := defaults()
	c.Listen, c.Key = "127.0.0.1:0", []string{"k"}
	return c
}

func start(t *testing.T, c Config, state json.RawMessage) *board {
	t.Helper()
	if found := c.Validate(); len(found) > 0 {
		t.Fatal(found)
	}
	s, err := open(c, sinks.Env{
		Identity: flow.Identity{Name: "live", Incarnation: "abc"}, Schema: schema, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	b := &board{sink: s.(*sink), t: t}
	if err := b.Start(t.Context(), state); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// row is one of the schema.
func row(k string, n int) string { return fmt.Sprintf(`{"k":%q,"n":%d}`, k, n) }

func (b *board) add(lines ...string) {
	b.t.Helper()
	d := column.NewDecoder(schema, nil, column.Options{})
	for i, line := range lines {
		if err := d.Add([]byte(line), record.Ordinal(i), 0); err != nil {
			b.t.Fatal(err)
		}
	}
	if _, err := b.Add(b.t.Context(), d.Take(column.Origin{})); err != nil {
		b.t.Fatal(err)
	}
}

func (b *board) commit() json.RawMessage {
	b.t.Helper()
	b.chunk++
	p, err := b.Plan(b.t.Context(), flow.Cut{Chunk: b.chunk})
	if err == nil {
		err = b.Put(b.t.Context(), p)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.Published(p)
	return p.State
}

// rows adds and commits.
func (b *board) rows(lines ...string) { b.add(lines...); b.commit() }

func (b *board) request(ctx context.Context, headers ...string) *http.Response {
	b.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.server.Addr()+"/", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func (b *board) get(headers ...string) string {
	b.t.Helper()
	text, err := io.ReadAll(b.request(b.t.Context(), headers...).Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

// reader reads server-sent events.
type reader struct {
	t      *testing.T
	lines  *bufio.Scanner
	cancel func()
	// id is that of the last event.
	id string
}

func (b *board) follow(headers ...string) *reader {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 2*time.Minute)
	b.t.Cleanup(cancel)
	resp := b.request(ctx, append(headers, "Accept", "text/event-stream")...)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		b.t.Fatalf("%s, %s", resp.Status, resp.Header)
	}
	return &reader{t: b.t, lines: bufio.NewScanner(resp.Body), cancel: cancel}
}

// next is the data of the next n events, with the name of those that have one.
func (r *reader) next(n int) []string {
	r.t.Helper()
	var out []string
	name := ""
	for len(out) < n {
		if !r.lines.Scan() {
			r.t.Fatalf("the stream ended after %q: %v", out, r.lines.Err())
		}
		key, value, _ := strings.Cut(r.lines.Text(), ": ")
		switch key {
		case "id":
			r.id = value
		case "event":
			name = value + " "
		case "data":
			out = append(out, name+value)
			name = ""
		}
	}
	return out
}

func want(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestGetGivesTheLatestRowOfEachKey(t *testing.T) {
	b := start(t, keyed(), nil)
	want(t, b.get(), `{"position":"abc-0","rows":[]}`+"\n")
	b.rows(row("a", 1), row("b", 2), row("a", 3))
	b.add(row("c", 4)) // not committed
	want(t, b.get(), `{"position":"abc-3","rows":[`+row("b", 2)+`,`+row("a", 3)+"]}\n")
	want(t, b.get("Accept", "application/x-ndjson"), row("b", 2)+"\n"+row("a", 3)+"\n")
}

func TestWithoutAKeyTheLastRowsAreTheLatest(t *testing.T) {
	c := keyed()
	c.Key, c.MaxRows = nil, 2
	b := start(t, c, nil)
	b.rows(row("a", 1), row("a", 2), row("a", 3))
	want(t, b.get("Accept", "application/x-ndjson"), row("a", 2)+"\n"+row("a", 3)+"\n")
}

func TestTheLongestUntouchedKeyLeavesFirst(t *testing.T) {
	c := keyed()
	c.MaxRows = 2
	b := start(t, c, nil)
	b.rows(row("a", 1), row("b", 2), row("a", 3), row("c", 4))
	want(t, b.get("Accept", "application/x-ndjson"), row("a", 3)+"\n"+row("c", 4)+"\n")
	want(t, b.current().evicted, int64(1))
}

func TestMemoryIsBoundedInBytes(t *testing.T) {
	c := keyed()
	c.MaxSize = 64 * config.KiB
	b := start(t, c, nil)
	for i := range 100 {
		b.rows(row(fmt.Sprint(i, strings.Repeat("x", 4000)), i))
	}
	if size := b.table.size(); size > 3*64<<10 {
		t.Errorf("%d bytes are held", size)
	}
	b.rows(row(strings.Repeat("x", 70_000), 1), row("a", 1))
	want(t, b.get("Accept", "application/x-ndjson"), row("a", 1)+"\n")
}

func TestChangesFollowTheLatestRows(t *testing.T) {
	b := start(t, keyed(), nil)
	b.rows(row("a", 1), row("b", 2), row("a", 3))
	r := b.follow()
	want(t, r.next(2), []string{row("b", 2), row("a", 3)})
	b.rows(row("b", 4))
	want(t, r.next(1), []string{row("b", 4)})
	want(t, r.id, "abc-4")
}

func TestAClientResumesWhereItWas(t *testing.T) {
	b := start(t, keyed(), nil)
	b.rows(row("a", 1))
	r := b.follow()
	r.next(1)
	r.cancel()
	b.rows(row("a", 2), row("a", 3))
	want(t, b.follow("Last-Event-ID", r.id).next(2), []string{row("a", 2), row("a", 3)})
}

func TestAClientWhosePlaceIsGoneBeginsAgain(t *testing.T) {
	c := keyed()
	c.MaxRows = 2
	b := start(t, c, nil)
	b.rows(row("a", 1), row("a", 2), row("a", 3), row("b", 4))
	for _, id := range []string{"abc-1", "abc-99", "other-4", "nonsense"} {
		want(t, b.follow("Last-Event-ID", id).next(3), []string{"reset {}", row("a", 3), row("b", 4)})
	}
	want(t, b.follow("Last-Event-ID", "abc-2").next(2), []string{row("a", 3), row("b", 4)})
}

// However fast a client reads, it cannot see changes that are not held once they are committed.
func TestAClientThatMissesChangesOfOneCommitBeginsAgain(t *testing.T) {
	c := keyed()
	c.MaxRows = 2
	b := start(t, c, nil)
	b.rows(row("a", 1))
	r := b.follow()
	want(t, r.next(1), []string{row("a", 1)})
	b.rows(row("a", 2), row("b", 3), row("a", 4), row("b", 5))
	want(t, r.next(3), []string{"reset {}", row("a", 4), row("b", 5)})
	b.rows(row("a", 6))
	want(t, r.next(1), []string{row("a", 6)})
	want(t, b.cut.Load(), int64(0))
}

func TestRowsAndPositionsSurviveARestart(t *testing.T) {
	b := start(t, keyed(), nil)
	b.add(row("a", 1), row("b", 2), row("a", 3))
	state := b.commit()
	b = start(t, keyed(), state)
	want(t, b.get(), `{"position":"abc-3","rows":[`+row("b", 2)+`,`+row("a", 3)+"]}\n")
	r := b.follow("Last-Event-ID", "abc-3")
	old := b.follow("Last-Event-ID", "abc-2")
	want(t, old.next(3), []string{"reset {}", row("b", 2), row("a", 3)})
	b.rows(row("b", 4))
	want(t, r.next(1), []string{row("b", 4)})
	want(t, r.id, "abc-4")
}

func TestAQuietClientGetsHeartbeats(t *testing.T) {
	c := keyed()
	c.Heartbeat = config.Duration(100 * time.Millisecond)
	r := start(t, c, nil).follow()
	beats := 0
	for beats < 3 && r.lines.Scan() {
		if strings.HasPrefix(r.lines.Text(), ":") {
			beats++
		}
	}
	want(t, beats, 3)
}

func TestClientsOverTheLimitAreTurnedAway(t *testing.T) {
	c := keyed()
	c.MaxClients = 1
	b := start(t, c, nil)
	b.rows(row("a", 1))
	b.follow().next(1)
	if code := b.request(t.Context()).StatusCode; code != http.StatusServiceUnavailable {
		t.Errorf("got %d", code)
	}
}

func TestSlowClientsAreCutOff(t *testing.T) {
	c := keyed()
	c.Timeout = config.Duration(100 * time.Millisecond)
	c.MaxSize = 16 * config.MiB
	b := start(t, c, nil)
	for i := range 50 {
		b.add(row(fmt.Sprint(i, strings.Repeat("x", 300_000)), i))
	}
	b.commit()
	conn, err := net.Dial("tcp", b.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
	tick, late := time.NewTicker(10*time.Millisecond), time.After(2*time.Minute)
	defer tick.Stop()
	for b.cut.Load() == 0 {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("a client that reads nothing is still there")
		}
	}
}

func TestWebPagesCannotReadUnderAnotherName(t *testing.T) {
	b := start(t, keyed(), nil)
	if code := b.request(t.Context(), "Host", "evil.example").StatusCode; code != http.StatusForbidden {
		t.Errorf("got %d", code)
	}
}

func TestKeysOfDifferentValuesDiffer(t *testing.T) {
	c := keyed()
	c.Key = []string{"k", "n"}
	b := start(t, c, nil)
	b.rows(`{"k":"a1","n":1}`, `{"k":"a","n":11}`, `{"k":null,"n":1}`, `{"k":"","n":1}`)
	want(t, len(b.current().latest), 4)
}

func TestAddressesOfOthersNeedATokenOrConsent(t *testing.T) {
	c := keyed()
	c.Listen = "0.0.0.0:8090"
	if len(c.Validate()) == 0 {
		t.Error("0.0.0.0 without a token is accepted")
	}
	c.Token = config.NewSecret("x")
	if found := c.Validate(); len(found) > 0 {
		t.Error(found)
	}
	c.Token, c.Insecure = config.Secret{}, true
	if found := c.Validate(); len(found) > 0 {
		t.Error(found)
	}
}
