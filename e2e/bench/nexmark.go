package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/millrace-io/millrace/e2e/rig"
)

// nexmarkOrder are the queries of the example in the order of the table.
var nexmarkOrder = strings.Fields("q0 q1 q2 q13 q14 q21 q22 q7 q12 q15 q16 q17 q18 q19 q5 q11 q10")

// nexmark measures each query on its own, over a stream that is already filled: reading it, decoding, and
// writing the rows to the stream of the query; q10, which is a sink, to objects in the store.
func (b *bench) nexmark(ctx context.Context, runs int, only string, interval time.Duration) error {
	text, err := os.ReadFile(b.example("nexmark.yaml"))
	if err != nil {
		return err
	}
	var all parts
	if err := yaml.Unmarshal([]byte(strings.NewReplacer("${env:COUNT:-100000}", fmt.Sprint(b.n), "${env:INTERVAL:-10ms}", interval.String(), "${env:WATERMARK:-4s}", max(4*time.Second, 400*interval).String()).Replace(string(text))), &all); err != nil {
		return fmt.Errorf("read the example: %w", err)
	}
	all.Name = "nexmark"
	fill := all
	fill.Tables, fill.Transforms, fill.Queries, fill.Sinks = nil, nil, nil, nil
	data := filepath.Join(b.dir, "data")
	if _, err := b.part(ctx, fill, data, "fill"); err != nil {
		return err
	}
	names := nexmarkOrder
	if only != "" {
		names = strings.Split(only, ",")
	}
	results := make([][]figures, len(names))
	for turn := range runs {
		for i, name := range names {
			one, err := b.only(all, name, turn)
			if err != nil {
				return err
			}
			f, err := b.part(ctx, one, data, name)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			fmt.Fprintf(os.Stderr, "run %d: %s: %.2f µs\n", turn+1, name, perEvent(f, b.n))
			results[i] = append(results[i], f)
		}
	}
	fmt.Printf("%s, %d NEXMark events, %s, %d CPUs (%s); median of %d.\n\n", time.Now().UTC().Format(time.DateOnly), b.n, runtime.Version(), runtime.NumCPU(), rig.Processor(), runs)
	fmt.Println("| query | CPU µs/event | events/s per core | peak RSS MiB | rows out |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: |")
	for i, name := range names {
		f := median(results[i])
		fmt.Printf("| %s | %.2f | %.0f | %d | %d |\n", name, perEvent(f, b.n), 1e6/perEvent(f, b.n), f.rss>>20, f.objects)
	}
	return nil
}

// only is the part of the example with one query, or q10, under a name of its own in each turn, so that it
// begins at the beginning.
func (b *bench) only(all parts, name string, turn int) (parts, error) {
	one, unique := all, fmt.Sprintf("%s_%d", name, turn)
	one.Sources, one.Queries, one.Sinks = nil, nil, nil
	if query, ok := all.Queries[name]; ok {
		one.Queries = map[string]map[string]any{unique: query}
		return one, nil
	}
	sink, ok := all.Sinks[name]
	if !ok {
		return one, fmt.Errorf("the example has no query %q", name)
	}
	// As it is, but into the store.
	stored := map[string]any{
		"type": "s3", "endpoint": b.store.Endpoint, "bucket": "bench", "prefix": unique + "/",
		"access_key": "${env:AWS_ACCESS_KEY_ID}", "secret_key": "${env:AWS_SECRET_ACCESS_KEY}",
	}
	for _, key := range []string{"from", "partition_by", "format"} {
		stored[key] = sink[key]
	}
	one.Sinks = map[string]map[string]any{unique: stored}
	return one, nil
}

// part runs a part of the example over a data directory to its end; its rows are counted as objects.
func (b *bench) part(ctx context.Context, p parts, data, name string) (figures, error) {
	f, s, err := b.pipe(ctx, p, data, name)
	if err != nil {
		return f, err
	}
	if n := s.Stream("events").Records; n != int64(b.n) {
		return f, fmt.Errorf("the stream holds %d records, want %d", n, b.n)
	}
	for _, t := range s.Tasks {
		if err := complete(t, b.n); err != nil {
			return f, err
		}
		f.objects = int(t.Delivered.Rows)
		if _, sink := p.Sinks[t.Name]; sink && t.Delivered.Rows != int64(b.n)/50*46 {
			return f, fmt.Errorf("%d bids are in %d objects, want %d", t.Delivered.Rows, t.Delivered.Objects, b.n/50*46)
		}
	}
	return f, nil
}
