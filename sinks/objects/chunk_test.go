package objects

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sinks/encode"
)

// people is a schema of two texts and a number.
var people = &column.Schema{Fields: []column.Field{
	{Name: "id", Type: column.Type{Kind: column.BigInt}},
	{Name: "a", Type: column.Type{Kind: column.String}},
	{Name: "b", Type: column.Type{Kind: column.String}},
}}

// person is a row of people; nil is null.
type person struct {
	a, b *string
	// shard and arrived are the row's origin, arrived in seconds.
	shard   record.ShardID
	arrived int64
}

func of(a, b string) person { return person{a: &a, b: &b} }

// batches has one batch a row; ids count from first.
func batches(first int, rows ...person) []*column.Batch {
	var all []*column.Batch
	for i, r := range rows {
		text := column.NewBuilder(people.Fields[1].Type)
		var columns []*column.Column
		columns = append(columns, column.Int64s(people.Fields[0].Type, []int64{int64(first + i)}, nil))
		for _, v := range []*string{r.a, r.b} {
			if v == nil {
				text.AppendNull()
			} else {
				text.AppendText([]byte(*v))
			}
			columns = append(columns, text.Finish())
		}
		b, err := column.NewBatch(people, columns)
		if err != nil {
			panic(err) // a bug of the test
		}
		b.Origin = column.Origin{Shard: r.shard, Arrivals: []int64{r.arrived * 1000}}
		all = append(all, b)
	}
	return all
}

// newChunk writes NDJSON, which is easy to read.
func newChunk(t *testing.T, change func(s *Settings)) *Chunk {
	t.Helper()
	writer, err := encode.NewWriter(people, encode.Options{Format: encode.NDJSON, Compression: encode.None})
	if err != nil {
		t.Fatal(err)
	}
	s := Settings{
		Writer: writer, Schema: people, Dir: t.TempDir(), Memory: 8 << 20,
		Identity: flow.Identity{Pipeline: "p", Name: "s", Incarnation: "aa"},
	}
	change(&s)
	c, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Drop() })
	return c
}

func addAll(t *testing.T, c *Chunk, all []*column.Batch) (codes []string) {
	t.Helper()
	for _, b := range all {
		o, err := c.Add(b)
		if err != nil {
			t.Fatal(err)
		}
		if n := int64(len(o.Rejects)); o.Counts.Bad != n || o.Counts.In != o.Counts.Passed+n {
			t.Fatalf("%+v", o)
		}
		for _, r := range o.Rejects {
			codes = append(codes, r.Code)
		}
	}
	return codes
}

func TestCrowdedChunksAreWarnedOfOnce(t *testing.T) {
	var logs bytes.Buffer
	once := new(sync.Once)
	// Three tasks of a run; the first has the most that is not warned of.
	for task, n := range []int{crowded, crowded + 7, crowded + 8} {
		c := newChunk(t, func(s *Settings) {
			s.Layout.PartitionBy, s.Memory = []string{"id"}, 64<<20
			s.Log, s.Crowded = slog.New(slog.NewTextHandler(&logs, nil)), once
		})
		ids := make([]int64, n)
		for i := range ids {
			ids[i] = int64(i)
		}
		text := column.NewBuilder(people.Fields[1].Type)
		for range n {
			text.AppendNull()
		}
		empty := text.Finish()
		b, err := column.NewBatch(people, []*column.Column{column.Int64s(people.Fields[0].Type, ids, nil), empty, empty})
		if err != nil {
			t.Fatal(err)
		}
		b.Origin.Arrivals = make([]int64, n)
		addAll(t, c, []*column.Batch{b})
		if _, err := c.Plan(cut1); err != nil {
			t.Fatal(err)
		}
		if got := logs.Len() > 0; got != (task > 0) {
			t.Fatalf("task %d with %d partitions: %s", task, n, &logs)
		}
	}
	if text := logs.String(); strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "partitions=5007") ||
		!strings.Contains(text, "max_partitions") || !strings.Contains(text, "fewer") {
		t.Error(text)
	}
}

var cut1 = flow.Cut{Chunk: 1, Reason: "size", Now: time.Unix(1_760_000_000, 0)}

// contents puts the chunk and returns its objects by key.
func contents(t *testing.T, c *Chunk) map[string]string {
	t.Helper()
	plan, err := c.Plan(cut1)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	got := map[string]string{}
	err = c.Put(t.Context(), plan, func(_ context.Context, o Object) error {
		var text strings.Builder
		if err := o.CopyTo(&text); err != nil {
			return err
		}
		if crc := crc32.Checksum([]byte(text.String()), Castagnoli); crc != o.CRC {
			t.Errorf("%s has the checksum %08x, planned is %08x", o.Key, crc, o.CRC)
		}
		mu.Lock()
		defer mu.Unlock()
		if _, twice := got[o.Key]; twice {
			t.Errorf("%s is put twice", o.Key)
		}
		got[o.Key] = text.String()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, o := range plan.Objects {
		keys = append(keys, o.Key)
	}
	if !slices.IsSorted(keys) || len(keys) != len(got) {
		t.Errorf("%d objects, planned %v", len(got), keys)
	}
	return got
}

// dirs are the keys without their last part.
func dirs(objects map[string]string) []string {
	var all []string
	for k := range objects {
		all = append(all, k[:strings.LastIndexByte(k, '/')+1])
	}
	slices.Sort(all)
	return all
}

func TestPrefixNamesThePartitions(t *testing.T) {
	c := newChunk(t, func(s *Settings) {
		s.Layout = Layout{
			PartitionBy: []string{"a", "b"}, Prefix: "x/!{partitionKeyFromQuery:b}/!{timestamp:yyyy-MM-dd'T'HH}", Timezone: "Asia/Tokyo",
		}
	})
	early, late := of("A", ".."), of("A", "..")
	early.arrived, late.arrived = 3600*24-1, 3600*48
	addAll(t, c, batches(0, late, early, of("B", ""), person{a: late.a}))
	want := []string{
		"x/%2E%2E/1970-01-02T08/a=A/",
		"x/" + nullPartition + "/1970-01-01T09/a=A/",
		"x/" + nullPartition + "/1970-01-01T09/a=B/",
	}
	if d := cmp.Diff(want, dirs(contents(t, c))); d != "" {
		t.Error(d)
	}
}

// Partitions that are spelled alike are one object, or have two keys; no row is lost.
func TestPartitionsThatAreSpelledAlikeLoseNoRow(t *testing.T) {
	null := nullPartition
	for name, c := range map[string]struct {
		layout  Layout
		rows    []person
		objects int
	}{
		"null and its name": {Layout{PartitionBy: []string{"a"}}, []person{{}, {a: &null}}, 1},
		"side by side":      {Layout{PartitionBy: []string{"a", "b"}, Prefix: "!{partitionKeyFromQuery:a}!{partitionKeyFromQuery:b}"}, []person{of("x", "yz"), of("xy", "z")}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var first []string
			for _, swap := range []bool{false, true} {
				k := newChunk(t, func(s *Settings) { s.Layout = c.layout })
				all := batches(0, c.rows...)
				if swap {
					slices.Reverse(all)
				}
				addAll(t, k, all)
				got := contents(t, k)
				lines := strings.Count(strings.Join(slices.Collect(maps.Values(got)), ""), "\n")
				if len(got) != c.objects || lines != 2 {
					t.Errorf("%d rows in %v", lines, got)
				}
				keys := slices.Sorted(maps.Keys(got))
				if swap && c.objects == 2 && (!slices.Equal(keys, first)) {
					t.Errorf("keys %v in another order of rows, %v before", keys, first)
				}
				first = keys
			}
		})
	}
}

// Rows of several shards come in another order when a chunk is redone; what is rejected must not
// change with it.
func TestPartitionsBeyondTheLimitAreRejectedAlikeInAnyOrder(t *testing.T) {
	var one, two []person
	for i := range 6 {
		p := of(fmt.Sprint("v", i), "")
		one = append(one, p)
		q := of(fmt.Sprint("v", 5-i), "")
		q.shard = 1
		two = append(two, q)
	}
	a, b := batches(0, slices.Concat(one, one)...), batches(100, slices.Concat(two, two)...)
	var first map[string]string
	for i, order := range [][]*column.Batch{slices.Concat(a, b), slices.Concat(b, a)} {
		c := newChunk(t, func(s *Settings) { s.Layout = Layout{PartitionBy: []string{"a"}, MaxPartitions: 2} })
		codes := addAll(t, c, order)
		if len(codes) != 16 || codes[0] != "partition-overflow" {
			t.Errorf("rejects %v", codes)
		}
		got := contents(t, c)
		for k, v := range got {
			lines := strings.SplitAfter(v, "\n")
			slices.Sort(lines)
			got[k] = strings.Join(lines, "")
		}
		if i > 0 {
			if d := cmp.Diff(first, got); d != "" {
				t.Error(d)
			}
		}
		if first = got; len(got) != 4 {
			t.Errorf("%d objects", len(got))
		}
	}
}

func TestPutGoesOnWhereItFailed(t *testing.T) {
	c := newChunk(t, func(s *Settings) { s.Layout = Layout{PartitionBy: []string{"a"}} })
	var rows []person
	for i := range 40 {
		rows = append(rows, of(fmt.Sprint(i), ""))
	}
	addAll(t, c, batches(0, rows...))
	plan, err := c.Plan(cut1)
	if err != nil {
		t.Fatal(err)
	}
	var puts, running, most atomic.Int64
	broken := errors.New("broken")
	put := func(fail string) error {
		return c.Put(t.Context(), plan, func(_ context.Context, o Object) error {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			if fail != "" && strings.Contains(o.Key, fail) {
				return broken
			}
			puts.Add(1)
			return nil
		})
	}
	if err := put("a=25/"); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if err := put(""); err != nil || puts.Load() != 40 {
		t.Errorf("%d puts in all, %v", puts.Load(), err)
	}
	if n := most.Load(); n > uploads {
		t.Errorf("%d at once", n)
	}
}

// A lease that is lost between plan and put ends the context; what nobody put must not be published.
func TestPutWithoutTimeLeftSaysSo(t *testing.T) {
	c := newChunk(t, func(*Settings) {})
	addAll(t, c, batches(0, of("x", "y")))
	plan, err := c.Plan(cut1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	puts := 0
	put := func(ctx context.Context) error {
		return c.Put(ctx, plan, func(context.Context, Object) error { puts++; return nil })
	}
	if err := put(ctx); !errors.Is(err, context.Canceled) || puts != 0 {
		t.Errorf("%v after %d puts", err, puts)
	}
	if err := put(t.Context()); err != nil || puts != 1 {
		t.Errorf("%v after %d puts", err, puts)
	}
}

func TestPlanOfAnotherChunkIsRefused(t *testing.T) {
	c := newChunk(t, func(*Settings) {})
	addAll(t, c, batches(0, of("x", "y")))
	if _, err := c.Plan(cut1); err != nil {
		t.Fatal(err)
	}
	err := c.Put(t.Context(), flow.Plan{Objects: []flow.Object{{Key: "other"}}}, nil)
	if !flow.IsPermanent(err) || !strings.Contains(err.Error(), "other") {
		t.Error(err)
	}
}

func TestNamesTooLongForAFileSystemAreBadRows(t *testing.T) {
	c := newChunk(t, func(s *Settings) { s.Layout, s.Segment = Layout{PartitionBy: []string{"a", "b"}}, 255 })
	long := strings.Repeat("x", 254)
	if codes := addAll(t, c, batches(0, of(long, ""), of(long[:200], ""))); !slices.Equal(codes, []string{"partition-value"}) {
		t.Error(codes)
	}
}

// A chunk that cannot be spooled is smaller, and the disk is tried again with the next one.
func TestFullSpoolDiskMakesChunksSmaller(t *testing.T) {
	var log strings.Builder
	dir := filepath.Join(t.TempDir(), "full")
	c := newChunk(t, func(s *Settings) {
		s.Layout, s.Memory, s.Dir = Layout{PartitionBy: []string{"a"}}, 1<<20, dir
		s.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	next := 0
	fill := func() (rows int) {
		for ; c.Open().Memory <= 1<<20 && rows < 20_000; rows++ {
			addAll(t, c, batches(next, of(fmt.Sprint(rows%100), strings.Repeat("x", 100))))
			next++
		}
		lines := 0
		for _, text := range contents(t, c) {
			lines += strings.Count(text, "\n")
		}
		if lines != rows {
			t.Errorf("%d rows in, %d out", rows, lines)
		}
		if err := c.Drop(); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	if rows := fill(); rows == 0 || rows > 4000 {
		t.Errorf("%d rows without a disk", rows)
	}
	if text := log.String(); strings.Count(text, "cannot spool") != 1 || !strings.Contains(text, dir) {
		t.Errorf("logged: %s", text)
	}
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if rows := fill(); rows != 20_000 {
		t.Errorf("%d rows with a disk", rows)
	}
	if f := c.Figures(); f.Spilled < 1<<20 || f.Partitions != 0 || f.Memory["staged_rows"] != 0 {
		t.Errorf("after the chunks: %+v", f)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestThousandsOfPartitionsStayWithinTheMemory(t *testing.T) {
	const memory = 16 << 20
	for _, partitions := range []int{1000, 10_000} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			w := newWide(10, partitions)
			c := w.chunk(t, memory)
			b := w.batch(10_000)
			before := liveHeap()
			for i := range 40 {
				if _, err := c.Add(b); err != nil {
					t.Fatal(err)
				}
				if i%10 != 9 {
					continue
				}
				if held := liveHeap() - before; held > 2*memory || c.held() > memory {
					t.Errorf("batch %d: %d bytes held, %d reported, of %d", i, held, c.held(), memory)
				}
			}
			plan, err := c.Plan(cut1)
			if err != nil {
				t.Fatal(err)
			}
			rows, bytes := int64(0), int64(0)
			for _, o := range plan.Objects {
				rows += o.Rows
				bytes += o.Bytes
			}
			if rows != 400_000 || len(plan.Objects) != partitions {
				t.Errorf("%d rows in %d objects", rows, len(plan.Objects))
			}
			if held := liveHeap() - before; held > 2*memory {
				t.Errorf("%d bytes held by finished objects", held)
			}
			err = c.Put(t.Context(), plan, func(_ context.Context, o Object) error {
				return o.CopyTo(io.Discard)
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d bytes a file", bytes/int64(partitions))
			runtime.KeepAlive(b)
		})
	}
}
