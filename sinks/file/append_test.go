package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/flow"
)

func oneFile(t *testing.T) Config {
	return Config{Path: filepath.Join(t.TempDir(), "new", "out.ndjson")}
}

func TestRowsAreAppendedChunkByChunk(t *testing.T) {
	c := oneFile(t)
	k := newTask(t, c)
	wantLines(t, c.Path)
	k.deliver(ada, grace)
	k.deliver(alan)
	wantLines(t, c.Path, ada, grace, alan)
}

func TestRestartGoesOnWhereTheFileEnds(t *testing.T) {
	c := oneFile(t)
	k := newTask(t, c)
	k.deliver(ada)
	k.crash()
	k.deliver(grace)
	wantLines(t, c.Path, ada, grace)
}

// A crash may come at any step of any chunk, and in the middle of writing.
func TestRowsAreThereOnceWhereverACrashComes(t *testing.T) {
	steps := []struct {
		name string
		do   func(k *task)
	}{
		{"before the plan", func(k *task) { k.rows = nil }},
		{"after the plan", func(k *task) { k.plan() }},
		{"half written", func(k *task) {
			k.plan()
			appendTo(k.t, k.config.Path, grace+"\n"+alan[:5])
		}},
		{"all written", func(k *task) { k.plan(); k.put() }},
		{"written twice", func(k *task) { k.plan(); k.put(); k.put() }},
		{"published", func(k *task) { k.plan(); k.put(); k.publish() }},
	}
	for _, step := range steps {
		for _, before := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s of chunk %d", step.name, before+1), func(t *testing.T) {
				c := oneFile(t)
				k := newTask(t, c)
				want := []string{grace, alan}
				if before > 0 {
					k.deliver(ada)
					want = append(want, ada)
				}
				k.add(grace, alan)
				step.do(k)
				planned := k.pending != nil || k.chunk > int64(before)
				k.crash()
				if !planned {
					k.deliver(grace, alan)
				}
				wantLines(t, c.Path, want...)
				k.crash()
				k.deliver(edith)
				wantLines(t, c.Path, append(want, edith)...)
			})
		}
	}
}

func TestPutThatBrokeOffIsRepeated(t *testing.T) {
	c := oneFile(t)
	k := prepare(t, c)
	k.start()
	k.deliver(ada)
	// Rows that go to disk before the chunk ends.
	rows := slices.Repeat([]string{`{"id":9,"name":"` + strings.Repeat("x", 1<<20) + `"}`}, 3)
	k.add(rows...)
	k.plan()
	spool := k.spool()
	spilled, err := os.ReadFile(spool)
	if err != nil || len(spilled) < 3<<20 {
		t.Fatalf("%d bytes spilled, %v", len(spilled), err)
	}
	if err := os.Truncate(spool, 2<<20); err != nil {
		t.Fatal(err)
	}
	if err := k.tryPut(); err == nil || flow.IsPermanent(err) {
		t.Fatalf("put of a chunk that cannot be read: %v", err)
	}
	if info, err := os.Stat(c.Path); err != nil || info.Size() <= int64(len(ada)+1) {
		t.Fatalf("nothing was written before it broke off: %v", err)
	}
	if err := os.WriteFile(spool, spilled, 0o600); err != nil {
		t.Fatal(err)
	}
	k.put()
	k.publish()
	wantLines(t, c.Path, append(rows, ada)...)
}

func TestPutStopsWithItsContext(t *testing.T) {
	k := newTask(t, oneFile(t))
	k.add(ada)
	k.plan()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.sink.Put(ctx, *k.pending); !errors.Is(err, context.Canceled) {
		t.Fatalf("put: %v", err)
	}
	wantLines(t, k.config.Path)
}

func TestEmptyChunkLeavesTheFile(t *testing.T) {
	c := oneFile(t)
	k := newTask(t, c)
	k.deliver(ada)
	k.plan()
	if len(k.pending.Objects) != 0 {
		t.Errorf("an empty chunk plans %v", k.pending.Objects)
	}
	k.put()
	k.publish()
	k.crash()
	k.deliver(grace)
	wantLines(t, c.Path, ada, grace)
}

func TestTruncatedFileIsReported(t *testing.T) {
	for _, damage := range []struct {
		name string
		do   func(path string) error
	}{
		{"truncated", func(path string) error { return os.Truncate(path, 3) }},
		{"deleted", os.Remove},
	} {
		t.Run(damage.name, func(t *testing.T) {
			c := oneFile(t)
			k := newTask(t, c)
			k.deliver(ada)
			if err := damage.do(c.Path); err != nil {
				t.Fatal(err)
			}
			k.add(grace)
			k.plan()
			wantPermanent(t, k.tryPut(), c.Path, "truncated or deleted by somebody else", "22 were committed")
			k.pending = nil
			wantPermanent(t, k.tryStart(), c.Path, "truncated or deleted by somebody else")
		})
	}
}

func TestForeignRowsAreNotCutOff(t *testing.T) {
	t.Run("while running", func(t *testing.T) {
		c := oneFile(t)
		k := newTask(t, c)
		k.deliver(ada)
		appendTo(t, c.Path, "mine\n")
		k.add(grace, alan)
		k.plan()
		wantPermanent(t, k.tryPut(), "somebody else wrote to it")
		wantLines(t, c.Path, ada, "mine")
	})
	t.Run("while stopped", func(t *testing.T) {
		c := oneFile(t)
		k := newTask(t, c)
		k.deliver(ada)
		appendTo(t, c.Path, strings.Repeat("mine\n", 20))
		k.crash()
		k.add(grace)
		k.plan()
		wantPermanent(t, k.tryPut(), "somebody else wrote to it", "truncate -s 22")
	})
	t.Run("by a second sink", func(t *testing.T) {
		c := oneFile(t)
		first, second := newTask(t, c), newTask(t, c)
		first.deliver(ada)
		second.add(grace)
		second.plan()
		wantPermanent(t, second.tryPut(), "somebody else wrote to it")
		wantLines(t, c.Path, ada)
	})
}

func TestFileWithContentIsRefusedUnlessAppended(t *testing.T) {
	c := oneFile(t)
	newTask(t, c).deliver(ada)

	// Another data directory knows nothing of what is in the file.
	wantPermanent(t, prepare(t, c).tryStart(), c.Path, "already has 22 bytes", "append: true")
	wantLines(t, c.Path, ada)

	c.Append = true
	k := newTask(t, c)
	k.add(grace)
	k.plan()
	k.put()
	k.crash()
	wantLines(t, c.Path, ada, grace)
	k.crash()
	k.deliver(alan)
	wantLines(t, c.Path, ada, grace, alan)
}

func TestAppendingNeedsACompleteLastLine(t *testing.T) {
	c := oneFile(t)
	c.Append = true
	k := newTask(t, c)
	k.deliver(ada)
	if err := os.Truncate(c.Path, 10); err != nil {
		t.Fatal(err)
	}
	wantPermanent(t, prepare(t, c).tryStart(), "does not end with a line break")
}

func TestAnotherPathStartsAnotherFile(t *testing.T) {
	k := newTask(t, oneFile(t))
	first := k.config.Path
	k.deliver(ada)
	k.config.Path += ".2"
	k.crash()
	k.deliver(grace)
	k.crash()
	k.deliver(alan)
	wantLines(t, first, ada)
	wantLines(t, k.config.Path, grace, alan)
}

func TestClaimEndsWithTheFirstChunk(t *testing.T) {
	k := newTask(t, oneFile(t))
	path := k.sink.(*appender).claimPath()
	claim, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	gone := func(when string) {
		t.Helper()
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s there is still a claim: %v", when, err)
		}
	}
	k.deliver(ada)
	gone("after the chunk")
	// The crash came between the commit and the removal.
	if err := os.WriteFile(path, claim, 0o600); err != nil {
		t.Fatal(err)
	}
	k.crash()
	gone("after the next start")
}

func TestPathThatIsNoFileIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no device files")
	}
	wantPermanent(t, prepare(t, Config{Path: os.DevNull}).tryStart(), "not a regular file", "stdout")
	wantPermanent(t, prepare(t, Config{Path: t.TempDir()}).tryStart(), "not a regular file")
}

func TestLargeChunkGoesThroughTheSpool(t *testing.T) {
	c := oneFile(t)
	k := prepare(t, c)
	k.env.Memory = 64 << 10
	k.start()
	var want []string
	for i := range 4000 {
		want = append(want, fmt.Sprintf(`{"id":%d,"name":"%s"}`, i, strings.Repeat("x", 400)))
	}
	k.add(want...)
	if open := k.sink.Open(); open.Rows != 4000 || open.Memory > 1<<20 || open.Encoded < 4000*40 {
		t.Errorf("open chunk: %+v", open)
	}
	k.plan()
	spool := k.spool()
	if info, err := os.Stat(spool); err != nil || info.Size() < 100<<10 {
		t.Errorf("nothing was spilled: %v", err)
	}
	k.put()
	k.publish()
	wantLines(t, c.Path, want...)

	k.deliver(ada)
	wantLines(t, c.Path, append(want, ada)...)
	if err := k.sink.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(spool); !os.IsNotExist(err) {
		t.Errorf("the spool is still there: %v", err)
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// spool is the one file that objects are spooled in.
func (k *task) spool() string {
	k.t.Helper()
	found, err := filepath.Glob(filepath.Join(k.env.Dir, "*.spool"))
	if err != nil || len(found) != 1 {
		k.t.Fatalf("spools %v, %v", found, err)
	}
	return found[0]
}
