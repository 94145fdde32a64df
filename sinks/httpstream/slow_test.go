package httpstream

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/config"
)

// Answers to clients that do not read hold rows that the table has let go of.
func TestSlowClientsHoldAFewTimesMaxSizeTogether(t *testing.T) {
	c := keyed()
	c.MaxSize = 64 * config.KiB
	b := start(t, c, nil)
	var held []*view
	for i := range 20 {
		b.rows(row(strings.Repeat(string(rune('a'+i)), 25_000), i))
		if v, ok := b.pin(); ok {
			held = append(held, v)
		}
		// One that is held already takes nothing more.
		if v, ok := b.pin(); ok {
			b.unpin(v)
		}
	}
	if n := len(held); n != 5 {
		t.Errorf("%d answers hold a row of 50 KB each, with a max_size of 64 KiB, want 5", n)
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("status %d %v", w.Code, w.Header())
	}
	for _, v := range held {
		b.unpin(v)
	}
	if b.pinned != 0 {
		t.Errorf("%d bytes are held by nobody", b.pinned)
	}
	if _, ok := b.pin(); !ok {
		t.Error("refused when nobody holds anything")
	}
}

// copies counts what is written and how much of it was gathered before.
type copies struct {
	http.ResponseWriter
	written int
}

func (c *copies) Write(p []byte) (int, error) { c.written += len(p); return len(p), nil }

func TestLargeRowsAreSentWithoutACopyForEachClient(t *testing.T) {
	to := &copies{ResponseWriter: httptest.NewRecorder()}
	out := &writer{w: to}
	if err := out.row([]byte("a")); err != nil || to.written != 0 {
		t.Errorf("a small row: %v, %d bytes sent", err, to.written)
	}
	if err := out.row(make([]byte, 1<<20)); err != nil || to.written != 1<<20+1 || cap(out.buf) > piece {
		t.Errorf("a large row: %v, %d bytes sent, %d gathered", err, to.written, cap(out.buf))
	}
}
