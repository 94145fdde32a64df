package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// variant is the first example with something changed, and memory: 64MiB.
type variant struct {
	name string
	// sink is added to the sink, format takes the place of its format.
	sink, format string
	env          []string
}

// variants are what `-parquet` measures. The ratios of the first to DuckDB's COPY, and of the others to
// the first, are the ones with goals.
var variants = []variant{
	{name: "zstd, the default"},
	{name: "snappy", format: "{type: parquet, compression: snappy}"},
	{name: "1,000 partitions", sink: `partition_by: ["seq % 1000 AS part"]`},
	{name: "one core", env: []string{"GOMAXPROCS=1"}},
	{name: "two cores, `parallelism: 2`", sink: "parallelism: 2"},
}

// measured is a variant or DuckDB in every turn.
type measured struct {
	name string
	runs []figures
}

// parquet measures the variants and DuckDB in turns and prints medians and ratios. A ratio is one of a
// single turn, because the machine's speed changes from minute to minute.
func (b *bench) parquet(ctx context.Context, turns int) error {
	all := []measured{{name: "DuckDB `COPY`, one thread, zstd, no log, no upload"}}
	for _, v := range variants {
		all = append(all, measured{name: v.name})
	}
	for turn := range turns {
		for i := range all {
			var f figures
			var err error
			if i == 0 {
				f, err = b.duckdb(ctx, turn)
			} else {
				f, err = b.variant(ctx, variants[i-1], fmt.Sprintf("parquet-%d-%d", turn, i))
			}
			if err != nil {
				return fmt.Errorf("%s: %w", all[i].name, err)
			}
			fmt.Fprintf(os.Stderr, "turn %d: %s: %s\n", turn+1, all[i].name, f.cells(b.n))
			all[i].runs = append(all[i].runs, f)
		}
	}
	fmt.Printf("%d events, median of %d turns; ratios are of the same turn.\n\n", b.n, turns)
	fmt.Println("| job | CPU µs/row | rows/s | peak RSS MiB | objects | MiB out | CPU : DuckDB | size : DuckDB | CPU : default |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	cpu := func(f figures) float64 { return float64(f.cpu) }
	size := func(f figures) float64 { return float64(f.bytes) }
	for _, m := range all {
		fmt.Printf("| %s | %s | %.2f | %.2f | %.2f |\n", m.name, median(slices.Clone(m.runs)).cells(b.n),
			ratio(m.runs, all[0].runs, cpu), ratio(m.runs, all[0].runs, size), ratio(m.runs, all[1].runs, cpu))
	}
	return nil
}

// ratio is the median over the turns.
func ratio(a, b []figures, of func(figures) float64) float64 {
	var all []float64
	for i := range a {
		all = append(all, of(a[i])/of(b[i]))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// variant runs the changed example and checks what is in the bucket.
func (b *bench) variant(ctx context.Context, v variant, prefix string) (figures, error) {
	dir, done, err := b.scratch()
	if err != nil {
		return figures{}, err
	}
	defer done()
	file := filepath.Join(dir, "clicks.yaml")
	text, err := os.ReadFile(b.example("clicks_to_s3.yaml"))
	if err != nil {
		return figures{}, err
	}
	if err := os.WriteFile(file, []byte(v.edit(string(text))), 0o644); err != nil {
		return figures{}, err
	}
	f, err := b.clicks(ctx, file, dir, append(v.env, "PREFIX="+prefix)...)
	if err != nil {
		return f, err
	}
	return b.inBucket(ctx, prefix, dir, f)
}

func (v variant) edit(text string) string {
	const format = "    format: {type: parquet, compression: zstd}\n"
	changed := format
	if v.format != "" {
		changed = "    format: " + v.format + "\n"
	}
	if v.sink != "" {
		changed += "    " + v.sink + "\n"
	}
	return "memory: 64MiB\n" + strings.Replace(text, format, changed, 1)
}
