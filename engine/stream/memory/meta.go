package memory

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/stream"
)

type document struct {
	value    []byte
	revision uint64
}

// meta keeps the documents of a store.
type meta struct{ store *Store }

var validKey = regexp.MustCompile(`^[a-zA-Z0-9_./-]{1,240}$`)

// Get implements stream.Meta.
func (m meta) Get(_ context.Context, key string) ([]byte, uint64, error) {
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	d, ok := m.store.documents[key]
	if !ok {
		return nil, 0, fmt.Errorf("document %s: %w", key, stream.ErrNotFound)
	}
	return bytes.Clone(d.value), d.revision, nil
}

// CAS implements stream.Meta.
func (m meta) CAS(_ context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if !validKey.MatchString(key) {
		return 0, fmt.Errorf("document key %q: want 1 to 240 of a-z, A-Z, 0-9, '_', '-', '.' and '/'", key)
	}
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	if err := m.expect(key, revision); err != nil {
		return 0, err
	}
	next := revision + 1
	if revision == 0 {
		next = m.store.floor + 1
	}
	m.store.documents[key] = document{value: bytes.Clone(value), revision: next}
	return next, nil
}

// List implements stream.Meta.
func (m meta) List(_ context.Context, prefix string) ([]string, error) {
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	keys := slices.Sorted(maps.Keys(m.store.documents))
	return slices.DeleteFunc(keys, func(k string) bool { return !strings.HasPrefix(k, prefix) }), nil
}

// Delete implements stream.Meta.
func (m meta) Delete(_ context.Context, key string, revision uint64) error {
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	if err := m.expect(key, revision); err != nil {
		return err
	}
	delete(m.store.documents, key)
	m.store.floor = max(m.store.floor, revision)
	return nil
}

// expect returns ErrConflict unless the document has the revision. Store.mu must be held.
func (m meta) expect(key string, revision uint64) error {
	if have := m.store.documents[key].revision; have != revision {
		return fmt.Errorf("document %s has revision %d, not %d: %w", key, have, revision, stream.ErrConflict)
	}
	return nil
}
