package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/millrace-io/millrace/engine/table"
	"github.com/millrace-io/millrace/pipelines"
)

// shownObjects is how many objects of a sink the report lists.
const shownObjects = 12

// report prints what a run did, for people.
func report(w io.Writer, s pipelines.Summary) {
	fmt.Fprintf(w, "%s: %s in %.1f s\n\n", s.Pipeline, resultText(s.Result), s.Seconds)
	reportStreams(w, s)
	reportLedger(w, s)
	for _, t := range s.Tasks {
		if t.Kind == "sink" {
			reportDelivery(w, t)
		}
	}
	if s.DeadLetters.Total > 0 {
		fmt.Fprintf(w, "\n%s kept with the reasons (%s in this run); see them with: millrace dead-letters\n",
			some(s.DeadLetters.Total, "rejected row"), count(s.DeadLetters.Run))
	}
}

func resultText(result string) string {
	if result == "delivered" {
		return "all input delivered"
	}
	return "stopped; run it again to continue where it stands"
}

func reportStreams(w io.Writer, s pipelines.Summary) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, x := range s.Sources {
		fmt.Fprintf(tw, "source\t%s → %s\t%s\n", x.Name, x.To, sourceText(x))
	}
	for _, x := range s.Streams {
		fmt.Fprintf(tw, "stream\t%s\t%s records in %d %s, %s on disk\n", x.Name, count(x.Records), x.Shards, plural(x.Shards, "shard"), size(x.Bytes))
	}
	for _, x := range s.Tables {
		fmt.Fprintf(tw, "table\t%s\t%s\n", x.Name, tableText(x))
	}
	tw.Flush()
}

// tableText says what of a reference table is joined.
func tableText(x table.Status) string {
	if x.Version == 0 {
		return strings.TrimSuffix("not read yet from "+x.From+": "+x.Error, ": ")
	}
	return fmt.Sprintf("version %d of %s with %s, %s in memory, last seen %s%s", x.Version, x.From, some(x.Rows, "row"), size(x.Memory), x.Seen.Format(time.RFC3339), faultText(x.Error))
}

func faultText(text string) string {
	if text == "" {
		return ""
	}
	return "; the last refresh failed: " + text
}

func sourceText(x pipelines.SourceStatus) string {
	text := some(x.Written, "record") + " written"
	if x.Written == 0 {
		text = "nothing new"
	}
	if x.Rejected > 0 {
		text += fmt.Sprintf(", %s of input rejected", some(x.Rejected, "piece"))
	}
	return text
}

// reportLedger prints what became of every row, step by step, over all runs.
func reportLedger(w io.Writer, s pipelines.Summary) {
	fmt.Fprintln(w, "\nLedger, all runs: every row that came in and what became of it")
	rows := [][]string{{"consumer", "step", "in", "passed", "aggregated", "filtered", "late", "bad", "expired", "in flight"}}
	for _, t := range s.Tasks {
		for i, step := range t.Steps {
			row := []string{"", step.Name}
			if i == 0 {
				row[0] = t.Name
			}
			c := step.Counts
			for _, n := range []int64{c.In, c.Passed, c.Aggregated, c.Filtered + c.Dropped, c.Late, c.Bad, c.Expired, c.InFlight()} {
				row = append(row, count(n))
			}
			rows = append(rows, row)
		}
	}
	printTable(w, rows, 2)
}

// printTable aligns columns, the first ones to the left and the others, numbers, to the right.
func printTable(w io.Writer, rows [][]string, left int) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, row := range rows {
		line := " "
		for i, cell := range row {
			width := widths[i]
			if i < left {
				width = -width
			}
			line += fmt.Sprintf(" %*s ", width, cell)
		}
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}

func reportDelivery(w io.Writer, t pipelines.TaskSummary) {
	fmt.Fprintf(w, "\n%s (%s): %s\n", t.Name, t.Type, deliveredText(t))
	if t.Guarantee != "" {
		fmt.Fprintf(w, "  guarantee: %s\n", t.Guarantee)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, o := range t.Objects {
		if o.Bytes == 0 {
			continue // shown, not stored
		}
		if i == shownObjects {
			fmt.Fprintf(tw, "  … and %s more\n", count(t.DeliveredRun.Objects+t.DeliveredRun.ErrorObjects-int64(i)))
			break
		}
		what := "row"
		if o.Rejects {
			what = "rejected row"
		}
		fmt.Fprintf(tw, "  %s\t%s\t%s\n", o.Key, some(o.Rows, what), size(o.Bytes))
	}
	tw.Flush()
}

func deliveredText(t pipelines.TaskSummary) string {
	now := t.DeliveredRun
	rejected := ""
	if t.Delivered.ErrorRows > 0 {
		rejected = fmt.Sprintf("; %s under its error prefix (%s in this run)", some(t.Delivered.ErrorRows, "rejected row"), count(now.ErrorRows))
	}
	if now.Rows == 0 && t.Delivered.Rows > 0 {
		return fmt.Sprintf("nothing new; %s delivered by earlier runs, and not delivered twice%s", some(t.Delivered.Rows, "row"), rejected)
	}
	text := some(now.Rows, "row") + " delivered"
	if before := t.Delivered.Rows - now.Rows; before > 0 {
		text += fmt.Sprintf(", %s by earlier runs", count(before))
	}
	return text + rejected
}

// count prints a number with thousands separated.
func count(n int64) string { return humanize.Comma(n) }

// size prints bytes with a unit.
func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// some prints a number of things.
func some(n int64, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return count(n) + " " + word + "s"
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
