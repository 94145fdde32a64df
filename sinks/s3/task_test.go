package s3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/parquet-go/parquet-go"
	"go.uber.org/goleak"

	"github.com/millrace-io/millrace/engine/bucket"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sinks/s3/embedded"
	"github.com/millrace-io/millrace/sinks/s3/s3test"
)

// shared is a MinIO for the tests that do not stop it, each with a bucket of its own.
var shared struct {
	sync.Mutex
	server  *s3test.Server
	buckets int
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "millrace-s3-")
	if err != nil {
		panic(err)
	}
	shared.server, err = s3test.New(dir)
	if err == nil {
		err = shared.server.Start()
	}
	if err != nil && !errors.Is(err, s3test.ErrMissing) {
		panic(err)
	}
	code := m.Run()
	if shared.server != nil {
		shared.server.Close()
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// people is the schema of the tests: a number, a country that may be null, and a date.
var people = &column.Schema{Fields: []column.Field{
	{Name: "id", Type: column.Type{Kind: column.BigInt}},
	{Name: "country", Type: column.Type{Kind: column.String}},
	{Name: "born", Type: column.Type{Kind: column.Date}},
}}

// batch has n rows from id first on; every seventh has no country.
func batch(first, n int) *column.Batch {
	id := &column.Column{Type: people.Fields[0].Type, Len: n}
	country := &column.Column{Type: people.Fields[1].Type, Len: n, Offsets: []int32{0}, Valid: make(column.Bitmap, n/8+1)}
	born := &column.Column{Type: people.Fields[2].Type, Len: n}
	for i := range n {
		v := first + i
		id.Int64s = append(id.Int64s, int64(v))
		born.Int32s = append(born.Int32s, int32(v%3))
		if v%7 == 0 {
			country.Nulls++
		} else {
			country.Valid[i>>3] |= 1 << (i & 7)
			country.Bytes = append(country.Bytes, []string{"DE", "FR", "a/b"}[v%3]...)
		}
		country.Offsets = append(country.Offsets, int32(len(country.Bytes)))
	}
	return &column.Batch{Schema: people, Columns: []*column.Column{id, country, born}, Rows: n}
}

// place is a store and what a sink keeps on disk, which both survive the sink.
type place struct {
	t      *testing.T
	config Config
	dir    string
	pool   *embedded.Pool
	minio  *s3test.Server
	logs   *bytes.Buffer
	memory int64
}

// onMinIO is a new bucket in a real MinIO.
func onMinIO(t *testing.T) *place {
	if shared.server == nil {
		s3test.Need(t, s3test.ErrMissing)
	}
	shared.Lock()
	defer shared.Unlock()
	shared.buckets++
	return on(t, shared.server, fmt.Sprint("lake-", shared.buckets))
}

func on(t *testing.T, m *s3test.Server, bucket string) *place {
	m.Bucket(t, bucket)
	p := onEmbedded(t)
	p.minio = m
	p.config.Bucket = bucket
	p.config.Endpoint = m.Endpoint
	p.config.AccessKey, p.config.SecretKey = config.NewSecret(m.AccessKey), config.NewSecret(m.SecretKey)
	return p
}

func onEmbedded(t *testing.T) *place {
	p := &place{t: t, config: defaults(), dir: t.TempDir(), pool: new(embedded.Pool), logs: new(bytes.Buffer), memory: 32 << 20}
	p.config.Endpoint, p.config.Bucket, p.config.Prefix = bucket.Embedded, "lake", "people"
	return p
}

// everywhere runs a test against both stores.
func everywhere(t *testing.T, test func(p *place)) {
	t.Run("minio", func(t *testing.T) { test(onMinIO(t)) })
	t.Run("embedded", func(t *testing.T) { test(onEmbedded(t)) })
}

// open makes a sink as a new process would.
func (p *place) open() *sink {
	p.t.Helper()
	if problems := p.config.Validate(); len(problems) > 0 {
		p.t.Fatal(problems)
	}
	cfg := p.config
	s, err := Component(p.pool).Open(&cfg, sinks.Env{
		Identity: flow.Identity{Pipeline: "test", Name: "out", Incarnation: "00c0ffee", Task: 0},
		Schema:   people, Generation: "feedc0de", Dir: p.dir, Data: p.dir, Memory: p.memory,
		Log: slog.New(slog.NewTextHandler(p.logs, nil)), Now: time.Now,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = s.Close() })
	return s.(*sink)
}

// start opens a sink and connects it.
func (p *place) start() *sink {
	p.t.Helper()
	s := p.open()
	if err := s.Start(p.t.Context(), nil); err != nil {
		p.t.Fatal(err)
	}
	return s
}

func (p *place) add(s *sink, batches ...*column.Batch) {
	p.t.Helper()
	for _, b := range batches {
		outcome, err := s.Add(p.t.Context(), b)
		if err != nil {
			p.t.Fatal(err)
		}
		if c := outcome.Counts; c.In != int64(b.Selected()) || c.In != c.Passed+c.Bad {
			p.t.Fatalf("%+v of %d rows", c, b.Selected())
		}
	}
}

func cut(chunk int64) flow.Cut {
	return flow.Cut{Chunk: chunk, Reason: "size", Schema: 3, Now: time.Unix(1_760_000_000, 0),
		Ranges: map[record.ShardID]flow.Range{0: {From: 1, To: 9}}}
}

func (p *place) plan(s *sink, chunk int64) flow.Plan {
	p.t.Helper()
	plan, err := s.Plan(p.t.Context(), cut(chunk))
	if err != nil {
		p.t.Fatal(err)
	}
	return plan
}

func (p *place) put(s *sink, plan flow.Plan) {
	p.t.Helper()
	if err := s.Put(p.t.Context(), plan); err != nil {
		p.t.Fatal(err)
	}
}

// deliver brings a chunk to its end.
func (p *place) deliver(s *sink, chunk int64, batches ...*column.Batch) flow.Plan {
	p.t.Helper()
	p.add(s, batches...)
	plan := p.plan(s, chunk)
	p.put(s, plan)
	s.Published(plan)
	return plan
}

// objects are those in the bucket.
func (p *place) objects(s *sink) map[string][]byte {
	p.t.Helper()
	return s3test.Objects(p.t, s.store.core.Client, p.config.Bucket)
}

// ids are the numbers in all objects, sorted, with the keys in order.
func (p *place) ids(s *sink) (ids []int64, keys []string) {
	p.t.Helper()
	all := p.objects(s)
	return idsOf(p.t, all), slices.Sorted(maps.Keys(all))
}

func idsOf(t *testing.T, files map[string][]byte) (ids []int64) {
	t.Helper()
	for key, file := range files {
		f, err := parquet.OpenFile(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		for _, g := range f.RowGroups() {
			ids = append(ids, firstColumn(t, g)...)
		}
	}
	slices.Sort(ids)
	return ids
}

func firstColumn(t *testing.T, g parquet.RowGroup) (numbers []int64) {
	t.Helper()
	pages := g.ColumnChunks()[0].Pages()
	defer pages.Close()
	for {
		page, err := pages.ReadPage()
		if err == io.EOF {
			return numbers
		}
		if err != nil {
			t.Fatal(err)
		}
		values := make([]parquet.Value, page.NumValues())
		if n, err := page.Values().ReadValues(values); n != len(values) {
			t.Fatal(n, err)
		}
		for _, v := range values {
			numbers = append(numbers, v.Int64())
		}
	}
}

// wantIDs wants each number from first up to but not including end once, in so many objects.
func (p *place) wantIDs(s *sink, first, end int64, objects int) {
	p.t.Helper()
	ids, keys := p.ids(s)
	for i, id := range ids {
		if id != first+int64(i) {
			p.t.Fatalf("row %d has id %d, want %d", i, id, first+int64(i))
		}
	}
	if int64(len(ids)) != end-first || len(keys) != objects {
		p.t.Errorf("%d rows in %v, want %d in %d objects", len(ids), keys, end-first, objects)
	}
}

// spools are the files of spools on disk.
func (p *place) spools() int {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		p.t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".spool") {
			n++
		}
	}
	return n
}

func (p *place) wantError(err error, permanent bool, words ...string) {
	p.t.Helper()
	if err == nil {
		p.t.Fatal("no error")
	}
	for _, w := range append(words, `s3 sink "out"`) {
		if !strings.Contains(err.Error(), w) {
			p.t.Errorf("the error does not say %q: %v", w, err)
		}
	}
	if flow.IsPermanent(err) != permanent {
		p.t.Errorf("permanent is %v, want %v: %v", !permanent, permanent, err)
	}
}

func (p *place) client() *minio.Client { return p.minio.Client }

func key(path string, chunk int) string {
	return fmt.Sprintf("people/%stest-out-00c0ffee-0-%010d.parquet", path, chunk)
}
