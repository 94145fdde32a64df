package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// tableOf has a head and so many rows.
func tableOf(rows int) []string {
	table := []string{"title", "names", "rule"}
	for i := range rows {
		table = append(table, fmt.Sprint("row ", i))
	}
	return table
}

func TestProgressNeverGetsHigherThanTheTerminal(t *testing.T) {
	text := func() []string { return []string{"source", "query", "sink"} }
	for room := 1; room < 60; room++ {
		for _, tables := range [][][]string{nil, {tableOf(20)}, {tableOf(20), tableOf(1)}, {tableOf(1), tableOf(20), tableOf(20)}} {
			if got := arrange(text(), tables, room); len(got) > room {
				t.Fatalf("%d lines in a room of %d:\n%s", len(got), room, strings.Join(got, "\n"))
			}
		}
	}
	got := arrange(text(), [][]string{tableOf(20)}, 10)
	want := []string{"source", "query", "sink", "", "title", "names", "rule", "row 17", "row 18", "row 19"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	got = arrange(text(), [][]string{tableOf(1), tableOf(20)}, 40)
	if len(got) != 3+1+4+1+23 {
		t.Errorf("rows are missing although there is room: %q", got)
	}
}

func TestADrawingIsReplacedInPlace(t *testing.T) {
	var out strings.Builder
	p := &progress{out: &out}
	p.draw([]string{"a", "b"})
	p.draw([]string{"c"})
	if got, want := out.String(), "a\nb\n\x1b[2A\x1b[Jc\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
