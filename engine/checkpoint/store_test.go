package checkpoint_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// meta keeps documents in memory and can be told to fail.
type meta struct {
	mu   sync.Mutex
	docs map[string][]byte
	revs map[string]uint64
	fail error
}

func newMeta() *meta { return &meta{docs: map[string][]byte{}, revs: map[string]uint64{}} }

func (m *meta) Get(_ context.Context, key string) ([]byte, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok := m.docs[key]; ok {
		return v, m.revs[key], nil
	}
	return nil, 0, stream.ErrNotFound
}

func (m *meta) CAS(_ context.Context, key string, value []byte, revision uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return 0, m.fail
	}
	if m.revs[key] != revision {
		return 0, stream.ErrConflict
	}
	m.docs[key] = slices.Clone(value)
	m.revs[key]++
	return m.revs[key], nil
}

func (m *meta) List(_ context.Context, prefix string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []string
	for k := range m.docs {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

func (m *meta) Delete(_ context.Context, key string, revision uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.revs[key] != revision {
		return stream.ErrConflict
	}
	delete(m.docs, key)
	delete(m.revs, key)
	return nil
}

func atStart() (checkpoint.Beginning, error) {
	return checkpoint.Beginning{Positions: map[record.ShardID]record.Ordinal{0: 0, 1: 5}}, nil
}

func open(t *testing.T, m *meta) *checkpoint.Store {
	t.Helper()
	s, err := checkpoint.Open(t.Context(), m, "tasks/p/lake/0", atStart)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func pending(chunk int64, to record.Ordinal, state string) checkpoint.Pending {
	return checkpoint.Pending{
		Generation: "g1",
		Watermarks: map[record.ShardID]int64{0: 42},
		Ledger:     []checkpoint.Step{{Name: "lake", Counts: checkpoint.Counts{In: int64(to), Passed: int64(to)}}},
		Plan: checkpoint.Plan{
			Cut:     checkpoint.Cut{Chunk: chunk, Reason: "size", Ranges: map[record.ShardID]checkpoint.Range{0: {From: 0, To: to}}},
			Objects: []checkpoint.Object{{Key: "a", Rows: int64(to), Hash: "h", Bytes: 10}},
			State:   json.RawMessage(state),
		},
	}
}

func TestPublishMovesPositionsLedgerAndStateAtOnce(t *testing.T) {
	m := newMeta()
	s := open(t, m)
	if err := s.Plan(t.Context(), pending(1, 7, `{"n":1}`)); err != nil {
		t.Fatal(err)
	}
	if got := s.Document().Positions[0]; got != 0 {
		t.Errorf("a plan alone moved the position to %d", got)
	}
	if err := s.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := checkpoint.Read(t.Context(), m, "tasks/p/lake/0")
	if err != nil {
		t.Fatal(err)
	}
	want := checkpoint.Document{
		Version: 1, Fence: 1, Generation: "g1", Chunk: 1,
		Positions:  map[record.ShardID]record.Ordinal{0: 7, 1: 5},
		Watermarks: map[record.ShardID]int64{0: 42},
		State:      json.RawMessage(`{"n":1}`),
		Ledger:     []checkpoint.Step{{Name: "lake", Counts: checkpoint.Counts{In: 7, Passed: 7}}},
		Delivered:  checkpoint.Delivered{Objects: 1, Rows: 7, Bytes: 10},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("published document (-want +got):\n%s", d)
	}
}

func TestPendingPlanSurvivesAndFreezesTheDocument(t *testing.T) {
	m := newMeta()
	if err := open(t, m).Plan(t.Context(), pending(1, 7, `{}`)); err != nil {
		t.Fatal(err)
	}
	s := open(t, m)
	if s.Document().Pending == nil || s.Document().Pending.Plan.Cut.Ranges[0].To != 7 {
		t.Fatalf("pending plan after reopening: %+v", s.Document().Pending)
	}
	if err := s.Plan(t.Context(), pending(2, 9, `{}`)); !errors.Is(err, checkpoint.ErrPending) {
		t.Errorf("a second plan: %v, want ErrPending", err)
	}
	if err := s.Advance(t.Context(), pending(2, 9, `{}`)); !errors.Is(err, checkpoint.ErrPending) {
		t.Errorf("advancing past the plan: %v, want ErrPending", err)
	}
}

func TestOlderHolderCannotCommit(t *testing.T) {
	m := newMeta()
	old := open(t, m)
	open(t, m)
	if err := old.Plan(t.Context(), pending(1, 7, `{}`)); !errors.Is(err, stream.ErrConflict) {
		t.Errorf("commit of the older holder: %v, want ErrConflict", err)
	}
}

func TestFailedCommitLeavesTheDocument(t *testing.T) {
	m := newMeta()
	s := open(t, m)
	m.fail = errors.New("disk full")
	if err := s.Advance(t.Context(), pending(1, 7, `{}`)); !errors.Is(err, m.fail) {
		t.Fatalf("commit: %v", err)
	}
	if s.Document().Chunk != 0 {
		t.Error("the failed commit changed the document in memory")
	}
	m.fail = nil
	if err := s.Advance(t.Context(), pending(1, 7, `{}`)); err != nil {
		t.Errorf("commit once there is space: %v", err)
	}
}

func TestLargeStatesAreKeptOnceEach(t *testing.T) {
	m := newMeta()
	s := open(t, m)
	big := func(c byte) string { return `"` + strings.Repeat(string(c), 100<<10) + `"` }
	for chunk := int64(1); chunk <= 5; chunk++ {
		p := pending(chunk, record.Ordinal(chunk), big(byte('a'+chunk)))
		p.Plan.Cut.Ranges = nil
		if err := s.Plan(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		reopened, err := checkpoint.Read(t.Context(), m, "tasks/p/lake/0")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(reopened.Pending.Plan.State, p.Plan.State) {
			t.Fatalf("chunk %d: the pending state came back different", chunk)
		}
		if err := s.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		keys, _ := m.List(t.Context(), "tasks/p/lake/0.state/")
		if len(keys) != 1 {
			t.Errorf("chunk %d: states kept: %v, want the last one only", chunk, keys)
		}
	}
	if got := open(t, m).Document().State; string(got) != big('f') {
		t.Error("the last state did not survive reopening")
	}
	if err := open(t, m).Advance(t.Context(), pending(6, 9, `{}`)); err != nil {
		t.Fatal(err)
	}
	if keys, _ := m.List(t.Context(), "tasks/p/lake/0.state/"); len(keys) != 0 {
		t.Errorf("states kept after a small one: %v", keys)
	}
	if n := len(m.docs["tasks/p/lake/0"]); n > 4096 {
		t.Errorf("the document has %d bytes; the state should be outside", n)
	}
}

func TestStateOfACrashedAttemptIsReplaced(t *testing.T) {
	m := newMeta()
	s := open(t, m)
	m.docs["tasks/p/lake/0.state/00000000000000000001"] = []byte(`"left by a crash before its document was written"`)
	m.revs["tasks/p/lake/0.state/00000000000000000001"] = 1
	want := `"` + strings.Repeat("x", 100<<10) + `"`
	if err := s.Advance(t.Context(), pending(1, 3, want)); err != nil {
		t.Fatal(err)
	}
	if got := open(t, m).Document().State; string(got) != want {
		t.Errorf("state after reopening is %.40s…", got)
	}
}

func TestDecodeRefusesDocumentsThatWouldMislead(t *testing.T) {
	for name, text := range map[string]string{
		"another version":       `{"version":2,"positions":{}}`,
		"no positions":          `{"version":1}`,
		"range behind position": `{"version":1,"positions":{"0":5},"pending":{"plan":{"cut":{"ranges":{"0":{"from":3,"to":9}}}}}}`,
		"range backwards":       `{"version":1,"positions":{"0":5},"pending":{"plan":{"cut":{"ranges":{"0":{"from":5,"to":4}}}}}}`,
		"not JSON":              `{`,
	} {
		if _, err := checkpoint.Decode([]byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	m := newMeta()
	s, err := checkpoint.Open(context.Background(), m, "k", atStart)
	if err != nil {
		f.Fatal(err)
	}
	if err := s.Plan(context.Background(), pending(1, 7, `{}`)); err != nil {
		f.Fatal(err)
	}
	f.Add(m.docs["k"])
	f.Fuzz(func(t *testing.T, value []byte) {
		doc, err := checkpoint.Decode(value)
		if err != nil {
			return
		}
		again, err := json.Marshal(doc)
		if err != nil {
			t.Fatalf("an accepted document does not encode: %v", err)
		}
		if _, err := checkpoint.Decode(again); err != nil {
			t.Fatalf("an accepted document does not come back: %v", err)
		}
	})
}
