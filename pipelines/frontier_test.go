package pipelines_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/vfs"
	"github.com/millrace-io/millrace/pipelines"
	"github.com/millrace-io/millrace/sources"
)

// besideFile has a query over a stream, and one over both.
const besideFile = `
version: 1
streams:
  events: {schema: {ts: timestamp, v: bigint}, event_time: ts, watermark: 5s, shards: 2}
sources:
  in: {type: ticks, to: events}
queries:
  minutes:
    sql: "SELECT window_start, COUNT(*) AS n FROM events GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)"
  both:
    sql: |
      SELECT window_start, SUM(n) AS n FROM (
        SELECT ts, 1 AS n FROM events UNION ALL SELECT window_start, 1000 * n FROM minutes) AS u
      GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)
sinks:
  out: {type: file, from: both, dir: DIR/out, format: ndjson}
`

// ticks is a source that writes an event every five seconds, for as long as five minutes.
type ticks struct{}

func (ticks) Bounded() bool { return true }

func (ticks) Run(ctx context.Context, w sources.Writer) error {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for i := range 60 {
		var b record.Batch
		b.Add(fmt.Append(nil, i), fmt.Appendf(nil, `{"ts":%q,"v":%d}`, time.Now().UTC().Format(time.RFC3339Nano), i), 0)
		if err := w.Write(ctx, &b); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// TestWindowsOverAStreamAndAQueryOverItAreComplete has windows that are longer than a shard takes to be idle.
func TestWindowsOverAStreamAndAQueryOverItAreComplete(t *testing.T) {
	p := placeOf(t, besideFile)
	components := realComponents()
	components.Sources = append(components.Sources, sources.Define("ticks", func() struct{} { return struct{}{} },
		func(struct{}, sources.Env) (sources.Source, error) { return ticks{}, nil }))
	loaded, err := pipelines.Load(p.path("p.yaml"), components, pipelines.LoadOptions{Getenv: os.LookupEnv})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		o := pipelines.Options{
			Data: p.path("data"), FS: vfs.NewMem(), Stop: make(chan struct{}), Stdout: os.Stderr, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		}
		d, err := pipelines.OpenDirectory(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		r, err := d.Open(t.Context(), loaded, o)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- r.Wait(context.WithoutCancel(t.Context())) }()
		<-time.After(123 * time.Second)
		synctest.Wait()
		for _, task := range r.Status().Tasks {
			if task.Name == "both" && (task.HeldBy != "query minutes" || !task.Watermark.Equal(began.Add(time.Minute))) {
				t.Errorf("held by %q at %v", task.HeldBy, task.Watermark)
			}
		}
		err = <-done
		status := r.Status()
		if err = errors.Join(err, d.Close()); err != nil {
			t.Fatal(err)
		}
		if late := status.DeadLetters.Records; late > 0 {
			t.Errorf("%d rows were late", late)
		}
	})
	began := "2000-01-01T00:0"
	var want []string
	for minute := range 5 {
		want = append(want, fmt.Sprintf(`{"window_start":"%s%d:00Z","n":12012}`, began, minute))
	}
	p.want("out", want...)
}
