package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/pipelines"
)

type statusCommand struct {
	Admin string `arg:"" help:"Address that run --admin was given." placeholder:"HOST:PORT"`
	JSON  bool   `name:"json" help:"Print the whole snapshot, samples included, as JSON."`
}

// Run asks a running pipeline for its snapshot.
func (c *statusCommand) Run(a *app) error {
	s, err := c.fetch()
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a, s)
	}
	tw := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	now := time.Now()
	ready := "ready"
	if !s.Ready {
		ready = "not ready"
	}
	fmt.Fprintf(tw, "pipeline\t%s\t%s\n", s.Pipeline, ready)
	for _, x := range s.Streams {
		fmt.Fprintf(tw, "stream\t%s\t%s\n", x.Name, streamText(x))
		for _, hot := range x.Stuck {
			fmt.Fprintf(tw, "stream\t%s\t%s has %.1f times the load a shard is good for, %.0f%% of it under hash key %s: a split would not help, only better partition keys\n",
				x.Name, hot.Shard, hot.Load, 100*hot.Part, hot.HashKey)
		}
	}
	for _, line := range lines(s) {
		fmt.Fprintf(tw, "\t%s\n", line)
	}
	for _, t := range s.Tasks {
		for _, sh := range t.Shards {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", t.Name, shardText(t.Parallelism, sh), lagText(sh), watermarkText(sh.Watermark)+aheadText(sh.Watermark, now))
		}
		if t.OldestUndelivered > 0 {
			fmt.Fprintf(tw, "%s\tundelivered\tthe oldest record for %s\n", t.Name, ageText(t.OldestUndelivered))
		}
		if text := passingText(t); text != "" {
			fmt.Fprintf(tw, "%s\t%s\n", t.Name, text)
		}
		if f := t.Figures; f != nil && f.Windows != nil {
			fmt.Fprintf(tw, "%s\twindows\t%s\n", t.Name, windowsText(f))
		} else if f != nil {
			held := int64(0)
			for _, n := range f.Memory {
				held += n
			}
			fmt.Fprintf(tw, "%s\topen chunk\t%s %s, %s in memory, %s spilled in this run\n",
				t.Name, count(f.Partitions), plural(int(f.Partitions), "partition"), size(held), size(f.Spilled))
		}
		if t.Schema > 0 {
			fmt.Fprintf(tw, "%s\tschema\tversion %d\n", t.Name, t.Schema)
		}
		if t.Guarantee != "" {
			fmt.Fprintf(tw, "%s\tguarantee\t%s\n", t.Name, t.Guarantee)
		}
	}
	return tw.Flush()
}

func (c *statusCommand) fetch() (s pipelines.Status, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Admin+"/api/v1/status", nil)
	if err != nil {
		return s, usageError{fmt.Errorf("admin address %q: %w", c.Admin, err)}
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return s, fmt.Errorf("%w; was the pipeline started with --admin %s?", err, c.Admin)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return s, fmt.Errorf("%s answered %s", c.Admin, response.Status)
	}
	return s, json.NewDecoder(response.Body).Decode(&s)
}

// streamText says how a stream is stored and what it takes.
func streamText(x pipelines.StreamStatus) string {
	text := fmt.Sprintf("%d %s open, appends synced: %s", x.Open, plural(x.Open, "shard"),
		syncText(control.Settings{Sync: x.Sync, SyncEveryMillis: x.SyncEveryMillis}))
	if x.Mode == stream.OnDemand {
		text += fmt.Sprintf(", on demand (%d split, %d merged)", x.Splits, x.Merges)
	}
	if x.Limits == stream.KinesisLimits {
		text += fmt.Sprintf(", limits of Kinesis (%s throttled)", some(x.Throttled, "write"))
	}
	if x.Encryption != "" {
		text += ", encrypted"
	}
	return text
}

// shardText names a shard, its stream when there are several, and its task when there are several.
func shardText(tasks int, sh flow.ShardStatus) string {
	text := sh.Shard
	if sh.Stream != "" {
		text = sh.Stream + " " + text
	}
	if tasks < 2 {
		return text
	}
	return fmt.Sprintf("%s, task %d", text, sh.Task)
}

func lagText(sh flow.ShardStatus) string {
	text := fmt.Sprintf("next record %s, %s behind", count(int64(sh.Next)), count(sh.Lag))
	if sh.Lag > 0 {
		text += " by " + ageText(sh.Behind)
	}
	return text
}

// passingText says what a query's watermark waits for, or that it passes by itself.
func passingText(t flow.Status) string {
	switch {
	case t.Awaits != "":
		return fmt.Sprintf("held back\tby query %s, whose rows are yet to come", t.Awaits)
	case t.HeldBy != "" && t.Watermark == nil && len(t.Shards) > 1:
		return fmt.Sprintf("held back\tby %s, where no event was seen yet; once it has brought nothing for 30s it is not waited for", t.HeldBy)
	case t.HeldBy != "" && len(t.Shards) > 1:
		return fmt.Sprintf("held back\tby %s, whose watermark is the earliest", t.HeldBy)
	case t.HeldBy == "" && t.Kind == "query" && t.State == "running" && t.Watermark != nil:
		return fmt.Sprintf("by the clock\t%s: time goes on while no shard brings rows", watermarkText(t.Watermark))
	}
	return ""
}

// windowsText says what a query holds, and when the next of it leaves.
func windowsText(f *flow.Figures) string {
	text := fmt.Sprintf("%s open, %s waiting for the watermark, %s in memory", count(f.Windows.Open), some(f.Windows.Waiting, "row"), size(f.Memory["windows"]))
	if f.Windows.Closes != nil {
		text += ", the next closes at " + watermarkText(f.Windows.Closes)
	}
	return text
}

// aheadText says that a watermark is ahead of the clock: an event claims a time to come, and events of now are late.
func aheadText(at *time.Time, now time.Time) string {
	if at == nil || at.Sub(now) < 10*time.Second {
		return ""
	}
	return fmt.Sprintf(", %s ahead of the clock", config.Duration(at.Sub(now).Round(time.Second)))
}

func watermarkText(at *time.Time) string {
	if at == nil {
		return "no event seen"
	}
	return "watermark " + at.Format(time.RFC3339)
}
