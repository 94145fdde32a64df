package main

import (
	"fmt"
	"slices"
)

// print writes the tables of docs/benchmarks.md.
func (s *sqlBench) print(measured []*sqlRuns, clicks []figures, idle figures) {
	fmt.Print("\n| query | CPU µs/event | events/s | peak RSS MiB | rows out | DuckDB, CPU µs/event | CPU : DuckDB |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, m := range measured {
		if m.cores > 0 {
			continue
		}
		f, duck := median(slices.Clone(m.runs)), "| "
		if m.beside {
			duck = fmt.Sprintf("%.2f | %.2f", perEvent(median(slices.Clone(m.duck)), s.n), ratio(m.runs, m.duck, cpuOf))
		}
		fmt.Printf("| %s | %.2f | %.0f | %d | %d | %s |\n", m.label, perEvent(f, s.n), float64(s.n)/f.elapsed.Seconds(), f.rss>>20, f.objects, duck)
	}
	if len(clicks) > 0 {
		f := median(slices.Clone(clicks))
		fmt.Printf("| `revenue.yaml`: clicks of 258 bytes, file → stream → filter → windows → file | %.2f | %.0f | %d | | | |\n",
			perEvent(f, s.n), float64(s.n)/f.elapsed.Seconds(), f.rss>>20)
	}
	s.goals(measured, clicks, idle)
	s.scaling(measured)
}

func cpuOf(f figures) float64     { return float64(f.cpu) }
func elapsedOf(f figures) float64 { return float64(f.elapsed) }

// of is what was measured of a query without parallelism.
func of(measured []*sqlRuns, name string) *sqlRuns {
	if i := slices.IndexFunc(measured, func(m *sqlRuns) bool { return m.name == name }); i >= 0 {
		return measured[i]
	}
	return nil
}

// goals says which are met.
func (s *sqlBench) goals(measured []*sqlRuns, clicks []figures, idle figures) {
	fmt.Print("\n| goal | measured | |\n| --- | ---: | --- |\n")
	verdict := func(label string, format string, got, limit float64) {
		said := "met"
		if got > limit {
			said = "**missed**"
		}
		fmt.Printf("| %s | "+format+" | %s |\n", label, got, said)
	}
	for _, g := range []struct {
		name, label string
	}{{"tumble", "`TUMBLE` ≤ 1.0 µs/event"}, {"filter", "filter and project ≤ 1.0 µs/event"}} {
		if m := of(measured, g.name); m != nil {
			verdict(g.label, "%.2f", perEvent(median(slices.Clone(m.runs)), s.n), 1)
		}
	}
	if hop, tumble := of(measured, "hop"), of(measured, "tumble"); hop != nil && tumble != nil {
		verdict("`HOP` of 60 panes ≤ 1.5 × `TUMBLE`", "%.2f", ratio(hop.runs, tumble.runs, cpuOf), 1.5)
	}
	// The budget is of what the program holds, beside itself.
	for _, g := range []struct {
		name, label string
	}{{"distinct", "`COUNT(DISTINCT)` of 1,000,000 numbers"}, {"users", "1,000,000 sessions"}} {
		if m := of(measured, g.name); m != nil {
			label := fmt.Sprintf("%s within `memory: 128MiB`: largest peak RSS less the %d MiB of the program alone", g.label, idle.rss>>20)
			verdict(label, "%.0f", float64(slices.MaxFunc(m.runs, func(a, b figures) int { return int(a.rss - b.rss) }).rss-idle.rss)/(1<<20), 128)
		}
	}
	if len(clicks) > 0 {
		verdict("`revenue.yaml` ≤ 1.6 µs/event, ingest included", "%.2f", perEvent(median(slices.Clone(clicks)), s.n), 1.6)
	}
}

// scaling compares several cores with the first number of cores, turn by turn.
func (s *sqlBench) scaling(measured []*sqlRuns) {
	var first *sqlRuns
	for _, m := range measured {
		if m.cores == 0 {
			continue
		}
		if first == nil {
			fmt.Print("\n| query, stream of 4 shards | `parallelism:` | events/s | CPU µs/event | peak RSS MiB | events/s : first | CPU : first |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n")
		}
		if first == nil || first.label != m.label {
			first = m
		}
		f := median(slices.Clone(m.runs))
		fmt.Printf("| %s | %d | %.0f | %.2f | %d | %.2f | %.2f |\n", m.label, m.cores, float64(s.n)/f.elapsed.Seconds(), perEvent(f, s.n), f.rss>>20,
			ratio(first.runs, m.runs, elapsedOf), ratio(m.runs, first.runs, cpuOf))
	}
}
