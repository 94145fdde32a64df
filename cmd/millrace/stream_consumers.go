package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/millrace-io/millrace/engine/api/control"
)

type streamConsumers struct {
	streamFlags
	Name string `arg:"" help:"Stream."`
}

// Help is printed below the usage.
func (streamConsumers) Help() string {
	return `Shows the sinks and queries that read the stream: for each shard which of their tasks reads it, which worker
runs that task (nobody after a stop; after a crash the one that was killed, until the next start), the fence under which its commits count, the next record, how
many records are not delivered and how old the first of them is. Positions are those of the last commit.

Example:
  millrace stream consumers clicks`
}

// Run prints the consumers of a stream.
func (c *streamConsumers) Run(a *app) error {
	return c.with(a, openOptions{}, func(ctx context.Context, s *session) error {
		consumers, err := s.Consumers(ctx, c.Name)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(a, consumers)
		}
		if len(consumers) == 0 {
			fmt.Fprintf(a.stdout, "nothing has read %s yet\n", c.Name)
			return nil
		}
		tw := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "consumer\tshard\ttask\tworker\tfence\tnext record\tnot delivered\tsince")
		for _, x := range consumers {
			for _, sh := range x.Shards {
				fmt.Fprintf(tw, "%s\t%d\t%d\t%s\t%d\t%s\t%s\t%s\n", consumerName(x), uint32(sh.Shard), sh.Task, workerText(sh), sh.Fence,
					count(int64(sh.Position)), count(sh.Lag), ageText(sh.LagSeconds))
			}
		}
		return tw.Flush()
	})
}

func consumerName(c control.Consumer) string {
	return cmp.Or(strings.Trim(c.Pipeline+"/"+c.Name, "/"), c.Group)
}

func workerText(s control.ConsumerShard) string {
	text := cmp.Or(s.Owner, "nobody")
	if s.AskedBy != "" {
		text += ", then " + s.AskedBy
	}
	return text
}

// ageText is an age for people, "-" for none.
func ageText(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d <= 0:
		return "-"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
