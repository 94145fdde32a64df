package flow_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql"
)

var perKey = &column.Schema{Fields: []column.Field{
	{Name: "ts", Type: column.Type{Kind: column.Timestamp}}, {Name: "k", Type: column.Type{Kind: column.BigInt}},
}}

// countQuery is a query over perKey with its state in dir; what it puts is counted.
func countQuery(t *testing.T, dir, text string, put *int) *flow.Query {
	t.Helper()
	q, err := sql.CompileQuery(text, func(string) (sql.Input, bool) { return sql.Input{Schema: perKey, EventTime: "ts"}, true })
	if err != nil {
		t.Fatal(err)
	}
	return &flow.Query{
		Identity: flow.Identity{Pipeline: "p", Name: "q"}, Target: "p.q", New: q.New, Windowed: true, Memory: 64 << 20, Dir: dir,
		Write: func(_ context.Context, b *record.Batch) error {
			*put += b.Len()
			return nil
		},
	}
}

// keysFrom is n rows of keys from first on.
func keysFrom(first, n int) *column.Batch {
	b := &column.Batch{Schema: perKey, Rows: n, Columns: []*column.Column{{Type: perKey.Fields[0].Type, Len: n}, {Type: perKey.Fields[1].Type, Len: n}}}
	for i := range n {
		b.Columns[0].Int64s = append(b.Columns[0].Int64s, 1_000_000)
		b.Columns[1].Int64s = append(b.Columns[1].Int64s, int64(first+i))
	}
	return b
}

func restart(t *testing.T, q *flow.Query, state []byte) {
	t.Helper()
	if err := q.Start(t.Context(), state); err != nil {
		t.Fatal(err)
	}
}

func plan(t *testing.T, q *flow.Query, chunk, watermark int64, rows ...*column.Batch) flow.Plan {
	t.Helper()
	for _, b := range rows {
		if _, err := q.Add(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	p, err := q.Plan(t.Context(), checkpoint.Cut{Chunk: chunk, Watermark: watermark})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func stateFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.state"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

const countPerKey = "SELECT k, COUNT(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), k"

func TestStateInFilesSurvivesAChunkThatIsRedone(t *testing.T) {
	for _, text := range []string{countPerKey, strings.Replace(countPerKey, "TUMBLE", "SESSION", 1)} {
		dir, put := t.TempDir(), 0
		q := countQuery(t, dir, text, &put)
		restart(t, q, nil)
		first := plan(t, q, 1, column.MinWatermark, keysFrom(0, 20_000))
		q.Published(first)
		recorded := plan(t, q, 2, column.MinWatermark, keysFrom(10_000, 20_000))
		if len(recorded.State) > 4096 {
			t.Errorf("the document has %d bytes of state", len(recorded.State))
		}

		// A crash between plan and publish: the next process redoes the chunk and publishes what was
		// recorded, then goes on, and crashes again.
		q = countQuery(t, dir, text, &put)
		restart(t, q, first.State)
		plan(t, q, 2, column.MinWatermark, keysFrom(10_000, 20_000))
		q.Published(recorded)
		third := plan(t, q, 3, column.MinWatermark, keysFrom(0, 10))
		q.Published(third)

		q = countQuery(t, dir, text, &put)
		restart(t, q, third.State)
		last := plan(t, q, 4, column.MaxWatermark)
		if n := last.Objects[0].Rows; n != 30_000 {
			t.Errorf("%d rows, want 30000", n)
		}
		if err := q.Put(t.Context(), last); err != nil || put != 30_000 {
			t.Errorf("%d rows were put: %v", put, err)
		}
		q.Published(last)
		if files := stateFiles(t, dir); len(files) > 0 {
			t.Errorf("files that nothing needs: %v", files)
		}
	}
}

func TestDamagedStateIsReported(t *testing.T) {
	for _, text := range []string{countPerKey, strings.Replace(countPerKey, "TUMBLE", "SESSION", 1),
		"SELECT k, SUM(k) OVER (PARTITION BY k ORDER BY ts ROWS 2 PRECEDING) AS n FROM s"} {
		damage(t, text)
	}
}

func damage(t *testing.T, text string) {
	dir, put := t.TempDir(), 0
	q := countQuery(t, dir, text, &put)
	restart(t, q, nil)
	p := plan(t, q, 1, column.MinWatermark, keysFrom(0, 20_000))
	q.Published(p)
	files := stateFiles(t, dir)
	if len(files) != 1 {
		t.Fatalf("files %v", files)
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(files[0], content, 0o600); err != nil {
		t.Fatal(err)
	}
	q = countQuery(t, dir, text, &put)
	if err = q.Start(t.Context(), p.State); err == nil {
		_, err = q.Plan(t.Context(), checkpoint.Cut{Chunk: 2, Watermark: column.MaxWatermark})
	}
	for _, part := range []string{files[0], "the checksum differs", "--reset q"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: no word of %q: %v", text, part, err)
		}
	}
}

func TestPanesThatNothingTouchesLeaveTheMemory(t *testing.T) {
	dir, put := t.TempDir(), 0
	q := countQuery(t, dir, "SELECT k, COUNT(*) AS n FROM s GROUP BY HOP(ts, INTERVAL '1' MINUTE, INTERVAL '1' HOUR), k", &put)
	q.Memory = 4 << 20
	restart(t, q, nil)
	for minute := range 40 {
		b := keysFrom(0, 8000)
		for i := range b.Columns[0].Int64s {
			b.Columns[0].Int64s[i] = int64(minute) * 60_000_000
		}
		q.Published(plan(t, q, int64(minute+1), column.MinWatermark, b))
		if held := q.Figures().Memory["windows"]; held > q.Memory {
			t.Fatalf("minute %d: %d bytes held", minute, held)
		}
	}
	chunks, rows := int64(0), int64(0)
	for ; q.Ready(60 * 60_000_000); chunks++ {
		last := plan(t, q, 41+chunks, 60*60_000_000)
		rows += last.Objects[0].Rows
		q.Published(last)
		if held := q.Figures().Memory["windows"]; held > q.Memory {
			t.Fatalf("chunk %d: %d bytes held", 41+chunks, held)
		}
	}
	if rows != 60*8000 || chunks < 10 {
		t.Errorf("%d rows in %d chunks, want %d in many", rows, chunks, 60*8000)
	}
	if fmt.Sprint(q.Figures().Spilled) == "0" {
		t.Error("nothing was written")
	}
}

// BenchmarkCommit is how long a commit of a million groups or sessions holds up the rows behind it, of which
// one in a hundred changed: snapshot, file and sync.
func BenchmarkCommit(b *testing.B) {
	text := strings.Replace(countPerKey, "COUNT(*) AS n", "COUNT(*) AS n, SUM(k) AS s", 1)
	for name, window := range map[string]string{"groups": "TUMBLE(ts, INTERVAL '1' DAY)", "sessions": "SESSION(ts, INTERVAL '1' DAY)"} {
		b.Run(name, func(b *testing.B) {
			benchmarkCommit(b, strings.Replace(text, "TUMBLE(ts, INTERVAL '1' MINUTE)", window, 1))
		})
	}
}

func benchmarkCommit(b *testing.B, text string) {
	c, err := sql.CompileQuery(text, func(string) (sql.Input, bool) { return sql.Input{Schema: perKey, EventTime: "ts"}, true })
	if err != nil {
		b.Fatal(err)
	}
	q := &flow.Query{Identity: flow.Identity{Pipeline: "p", Name: "q"}, New: c.New, Windowed: true, Memory: 1 << 30, Dir: b.TempDir()}
	if err := q.Start(b.Context(), nil); err != nil {
		b.Fatal(err)
	}
	chunk := int64(0)
	// commit is that of 10,000 rows, a second after those of the last one.
	// Its own CPU time tells more than the clock where others use the machine, too.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(1, &u); err != nil {
			return 0
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	commit := func(from, step int) (wall, cpu time.Duration) {
		chunk++
		rows := keysFrom(0, 10_000)
		for i := range rows.Columns[1].Int64s {
			rows.Columns[0].Int64s[i], rows.Columns[1].Int64s[i] = chunk*1_000_000, int64(from+i*step)
		}
		if _, err := q.Add(b.Context(), rows); err != nil {
			b.Fatal(err)
		}
		start, before := time.Now(), own()
		p, err := q.Plan(b.Context(), checkpoint.Cut{Chunk: chunk, Watermark: chunk * 1_000_000})
		if err != nil {
			b.Fatal(err)
		}
		q.Published(p)
		return time.Since(start), own() - before
	}
	for i := range 100 {
		commit(i*10_000, 1)
	}
	var walls, cpus []time.Duration
	for i := 0; b.Loop(); i++ {
		wall, cpu := commit(i%100, 100)
		walls, cpus = append(walls, wall), append(cpus, cpu)
	}
	slices.Sort(walls)
	slices.Sort(cpus)
	for _, x := range []struct {
		name string
		of   time.Duration
	}{
		{"median", walls[len(walls)/2]}, {"p99", walls[len(walls)*99/100]}, {"longest", walls[len(walls)-1]},
		{"median-cpu", cpus[len(cpus)/2]}, {"longest-cpu", cpus[len(cpus)-1]},
	} {
		b.ReportMetric(float64(x.of.Microseconds())/1000, "ms/"+x.name)
	}
}
