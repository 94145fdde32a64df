package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/pipelines"
)

type estimateCommand struct {
	File   string  `arg:"" help:"Pipeline file."`
	Data   string  `help:"Data directory, whose streams are sampled if they have records." default:"millrace-data" placeholder:"DIR"`
	Sample int     `help:"Encode so many records of each stream." default:"20000" placeholder:"N"`
	Rate   float64 `help:"Records a second that each stream gets (default: as those stored did, else 1,000)." placeholder:"N"`
	JSON   bool    `name:"json" help:"Print the result as JSON."`
}

// Help is printed below the usage.
func (estimateCommand) Help() string {
	return `Predicts what the s3 and file sinks of a pipeline will write: objects an hour, rows and bytes in each. It takes
records from the streams or, where they are empty, from the sources, encodes them as the sinks do, and
delivers nothing. Small objects are warned of, with the cure.

Example: as it is; with twenty times the traffic:
  millrace estimate lake.yaml
  millrace estimate lake.yaml --rate 20000`
}

// Run prints the estimates.
func (c *estimateCommand) Run(a *app) error {
	if c.Sample < 2 || c.Rate < 0 {
		return usageError{errors.New("want --sample 2 or more, and a --rate above 0")}
	}
	estimates, err := pipelines.EstimatePipeline(context.Background(), c.File, components(), pipelines.EstimateOptions{
		Load: loadOptions(), Sample: c.Sample, Rate: c.Rate,
		Stored: func(_ context.Context, name string) (pipelines.Stored, error) { return c.stored(a, name) },
	})
	if err != nil {
		_, err = loaded(a)(nil, err)
		return err
	}
	if c.JSON {
		return printJSON(a, map[string]any{"file": c.File, "sinks": estimates})
	}
	if len(estimates) == 0 {
		fmt.Fprintf(a.stdout, "%s has no s3 or file sinks\n", c.File)
	}
	for _, e := range estimates {
		if err := c.print(a, e); err != nil {
			return err
		}
	}
	return nil
}

// stored are the records that a stream of the data directory holds; none if there is no such stream.
func (c *estimateCommand) stored(a *app, name string) (out pipelines.Stored, err error) {
	if _, err := os.Stat(c.Data); err != nil {
		return out, nil //nolint:nilerr // no directory has no streams
	}
	var first, last time.Time
	err = streamFlags{Data: c.Data}.with(a, openOptions{}, func(ctx context.Context, s *session) error {
		request := control.ReadRequest{Stream: name}
		for len(out.Records) < c.Sample {
			request.Limit = min(c.Sample-len(out.Records), control.MaxRead)
			page, err := s.Read(ctx, request)
			if err != nil {
				return err
			}
			for _, r := range page.Records {
				out.Records = append(out.Records, r.Data)
				if first.IsZero() || r.Arrival.Before(first) {
					first = r.Arrival
				}
				if r.Arrival.After(last) {
					last = r.Arrival
				}
			}
			if request.Cursor = page.Cursor; page.CaughtUp {
				break
			}
		}
		return nil
	})
	if errors.Is(err, stream.ErrNotFound) {
		return pipelines.Stored{}, nil
	}
	// What was loaded at once, as from a file, says nothing of the times to come.
	if span := last.Sub(first); span >= 10*time.Second {
		out.PerSecond = float64(len(out.Records)) / span.Seconds()
	}
	return out, err
}

func (c *estimateCommand) print(a *app, e pipelines.Estimate) error {
	fmt.Fprintf(a.stdout, "%s (%s)", e.Sink, e.Type)
	if e.Note != "" {
		_, err := fmt.Fprintf(a.stdout, ": %s\n", e.Note)
		return err
	}
	fmt.Fprintf(a.stdout, ", at %.0f records a second (%s)\n", e.PerSecond, map[string]string{
		"asked": "--rate", "stored": "as stored records arrived", "assumed": "assumed; --rate N says better",
	}[e.PerSecondFrom])
	tw := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "  sample\t%s, %s delivered\n", some(e.Records, "record"), some(e.Rows, "row"))
	if e.Rejected > 0 {
		fmt.Fprintf(tw, "  rejected\t%s of the sample\n", some(e.Rejected, "record"))
	}
	fmt.Fprintf(tw, "  a chunk\tevery %s by %s: %s, %s\n", seconds(e.ChunkSeconds), e.Cut, some(int64(e.ChunkRows), "row"), some(max(int64(e.Partitions+0.5), 1), "object"))
	if e.Tasks > 1 {
		fmt.Fprintf(tw, "  tasks\t%d, each with chunks of its own\n", e.Tasks)
	}
	fmt.Fprintf(tw, "  objects\t%.4g an hour, %s and %s each (%.1f bytes a row)\n", e.ObjectsPerHour, some(int64(e.RowsPerObject), "row"), size(int64(e.BytesPerObject)), e.BytesPerRow)
	if len(e.Largest) > 1 {
		for _, p := range e.Largest {
			fmt.Fprintf(tw, "  largest\t%s: %s, %s\n", oneLine(p.Path), some(int64(p.RowsPerObject), "row"), size(int64(p.BytesPerObject)))
		}
	}
	for _, w := range e.Warnings {
		fmt.Fprintf(tw, "  warning\t%s\n", w)
	}
	fmt.Fprintln(tw)
	return tw.Flush()
}

// seconds is a length of time, short.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	if d > time.Minute {
		return d.Round(time.Second).String()
	}
	return d.Round(time.Millisecond).String()
}
