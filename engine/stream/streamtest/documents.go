package streamtest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/stream"
)

func documentsChangeByCompareAndSwap(t *testing.T, b *Backend) {
	ctx := context.Background()
	m := b.Meta()
	_, _, err := m.Get(ctx, "a/b")
	wantError(t, "get what is not there", err, stream.ErrNotFound)
	_, err = m.CAS(ctx, "a/b", []byte("x"), 1)
	wantError(t, "change what is not there", err, stream.ErrConflict)
	one, err := m.CAS(ctx, "a/b", []byte("one"), 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.CAS(ctx, "a/b", []byte("x"), 0)
	wantError(t, "create what is there", err, stream.ErrConflict)
	two, err := m.CAS(ctx, "a/b", []byte(strings.Repeat("two", 100_000)), one)
	if err != nil || two <= one {
		t.Fatalf("revision %d after %d: %v", two, one, err)
	}
	_, err = m.CAS(ctx, "a/b", []byte("x"), one)
	wantError(t, "change an old revision", err, stream.ErrConflict)
	b.reopen()
	value, rev, err := b.Meta().Get(ctx, "a/b")
	if err != nil || rev != two || len(value) != 300_000 {
		t.Errorf("%d bytes at revision %d, %v", len(value), rev, err)
	}
}

func deletedDocumentsRevision(t *testing.T, b *Backend) {
	ctx := context.Background()
	rev, err := b.Meta().CAS(ctx, "k", nil, 0)
	for range 5 {
		if err == nil {
			rev, err = b.Meta().CAS(ctx, "k", nil, rev)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, "delete another revision", b.Meta().Delete(ctx, "k", rev-1), stream.ErrConflict)
	if err := b.Meta().Delete(ctx, "k", rev); err != nil {
		t.Fatal(err)
	}
	_, _, err = b.Meta().Get(ctx, "k")
	wantError(t, "get what was deleted", err, stream.ErrNotFound)
	b.reopen()
	if again, err := b.Meta().CAS(ctx, "k", nil, 0); err != nil || again <= rev {
		t.Errorf("created again at revision %d, was deleted at %d: %v", again, rev, err)
	}
}

func documentKeysAreListedByPrefix(t *testing.T, b *Backend) {
	ctx := context.Background()
	keys := []string{"..", ".hidden", "tasks/a.b", "tasks/a/0", "tasks/a/1", "tasks/b", "tasks2"}
	for _, k := range keys {
		if _, err := b.Meta().CAS(ctx, k, []byte(k), 0); err != nil {
			t.Fatal(err)
		}
	}
	for prefix, want := range map[string][]string{"": keys, "tasks/": keys[2:6], "tasks/a/": keys[3:5], "x": nil} {
		got, err := b.Meta().List(ctx, prefix)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("list %q: %v, %v; want %v", prefix, got, err, want)
		}
	}
	for _, k := range keys {
		if value, _, err := b.Meta().Get(ctx, k); err != nil || string(value) != k {
			t.Errorf("get %q: %q, %v", k, value, err)
		}
	}
	for _, k := range []string{"", "a b", "a\x00", "../ü", strings.Repeat("k", 300)} {
		if _, err := b.Meta().CAS(ctx, k, nil, 0); err == nil {
			t.Errorf("key %q was taken", k)
		}
	}
}
