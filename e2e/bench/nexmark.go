package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/millrace-io/millrace/e2e/rig"
)

// auctions are the parts of pipelines/examples/nexmark.yaml that are measured apart.
type auctions struct {
	Version    int                       `yaml:"version" json:"version"`
	Name       string                    `yaml:"name" json:"name"`
	Memory     string                    `yaml:"memory" json:"memory"`
	Streams    map[string]any            `yaml:"streams" json:"streams"`
	Sources    map[string]map[string]any `yaml:"sources" json:"sources,omitempty"`
	Tables     map[string]any            `yaml:"tables" json:"tables,omitempty"`
	Transforms map[string]any            `yaml:"transforms" json:"transforms,omitempty"`
	Queries    map[string]map[string]any `yaml:"queries" json:"queries,omitempty"`
}

// nexmarkOrder are the queries of the example in the order of the table.
var nexmarkOrder = strings.Fields("q0 q1 q2 q13 q14 q21 q22 q7 q12 q15 q16 q17 q18 q19 q5 q11")

// nexmark measures each query on its own, over a stream that is already filled: reading it, decoding, and
// writing the rows to the stream of the query.
func (b *bench) nexmark(ctx context.Context, runs int, only string) error {
	text, err := os.ReadFile(b.example("nexmark.yaml"))
	if err != nil {
		return err
	}
	var all auctions
	if err := yaml.Unmarshal([]byte(strings.NewReplacer("${env:COUNT:-100000}", fmt.Sprint(b.n), "${env:INTERVAL:-10ms}", "100us").Replace(string(text))), &all); err != nil {
		return fmt.Errorf("read the example: %w", err)
	}
	all.Name = "nexmark"
	fill := all
	fill.Tables, fill.Transforms, fill.Queries = nil, nil, nil
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
			query, ok := all.Queries[name]
			if !ok {
				return fmt.Errorf("the example has no query %q", name)
			}
			one := all
			one.Sources = nil
			// A name of its own in each turn, so that it begins at the beginning.
			one.Queries = map[string]map[string]any{fmt.Sprintf("%s_%d", name, turn): query}
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

// perEvent is the CPU time of an event in microseconds.
func perEvent(f figures, n int) float64 { return float64(f.cpu.Nanoseconds()) / 1e3 / float64(n) }

// part runs a pipeline over a data directory to its end; its rows are counted as objects.
func (b *bench) part(ctx context.Context, p auctions, data, name string) (figures, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return figures{}, err
	}
	file := filepath.Join(b.dir, name+".yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return figures{}, err
	}
	process, err := rig.Command{Path: b.binary, Args: []string{"run", file, "--data", data, "--json"}, Dir: b.root}.Start()
	if err != nil {
		return figures{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	exit, err := process.Wait(ctx)
	if err != nil {
		return figures{}, err
	}
	if exit.Code != 0 {
		return figures{}, fmt.Errorf("exit code %d: %s", exit.Code, exit.Stderr)
	}
	s, err := exit.Summary()
	if err != nil {
		return figures{}, err
	}
	f := figures{cpu: exit.CPU, elapsed: exit.Elapsed, rss: exit.PeakRSS}
	if n := s.Stream("events").Records; n != int64(b.n) {
		return f, fmt.Errorf("the stream holds %d records, want %d", n, b.n)
	}
	for _, t := range s.Tasks {
		i := slices.IndexFunc(t.Steps, func(s rig.Step) bool { return s.Name == t.Name })
		if i < 0 || t.Steps[i].Late+t.Steps[i].Bad != 0 || t.In() != int64(b.n) {
			return f, fmt.Errorf("of %d events some are missing, late or bad: %+v", b.n, t.Steps)
		}
		f.objects = int(t.Delivered.Rows)
	}
	return f, nil
}
