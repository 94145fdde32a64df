package main

import (
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/pipelines"
)

type redriveCommand struct {
	File   string `arg:"" help:"Pipeline file, in which the cause is repaired."`
	Sink   string `arg:"" help:"Sink that gets its rejected rows again."`
	From   string `help:"Where the rejected rows are: a directory, s3://BUCKET/PREFIX in the sink's store, or dead-letters. Default: the sink's error_prefix, or dead-letters if it has none." placeholder:"PLACE"`
	Data   string `help:"Data directory of the pipeline; it must not be running." default:"millrace-data" placeholder:"DIR"`
	DryRun bool   `help:"Count what would be sent and send nothing."`
	JSON   bool   `name:"json" help:"Print the result as JSON."`
}

// Run sends rejected rows to their sink again.
func (c *redriveCommand) Run(a *app) error {
	ctx, stop, release := signals(a)
	defer release()
	options := pipelines.Options{Data: c.Data, Stop: stop, Stdout: a.stdout, Log: a.log, Now: time.Now}
	p, err := loaded(a)(pipelines.Resolve(ctx, c.File, components(), pipelines.ResolveOptions{
		Load: loadOptions(), Run: options, Say: func(text string) { fmt.Fprintln(a.stderr, text) },
	}))
	if err != nil {
		return c.explain(err)
	}
	if !slices.ContainsFunc(p.Sinks, func(s *pipelines.Sink) bool { return s.Name == c.Sink }) {
		var names []string
		for _, s := range p.Sinks {
			names = append(names, s.Name)
		}
		return usageError{fmt.Errorf("%s has no sink %q; it has %s", c.File, c.Sink, strings.Join(names, ", "))}
	}
	debug.SetMemoryLimit(int64(p.Memory))
	r, err := pipelines.Redrive(ctx, p, pipelines.RedriveOptions{Run: options, Sink: c.Sink, From: c.From, DryRun: c.DryRun})
	if err != nil {
		return c.explain(err)
	}
	if c.JSON {
		return printJSON(a, r)
	}
	c.print(a, r)
	return nil
}

// explain says what to do about a pipeline that is running.
func (c *redriveCommand) explain(err error) error {
	var locked *disk.LockedError
	if errors.As(err, &locked) {
		return fmt.Errorf("%w; stop the pipeline, redrive, and start it again: what it has not delivered yet waits meanwhile", err)
	}
	return err
}

func (c *redriveCommand) print(a *app, r pipelines.Redriven) {
	fmt.Fprintf(a.stdout, "%s, sink %s: %s found in %s", r.Pipeline, r.Sink, some(r.Records, "rejected row"), r.From)
	if r.Objects > 0 {
		fmt.Fprintf(a.stdout, " (%s)", some(r.Objects, "object"))
	}
	if r.Before > 0 {
		fmt.Fprintf(a.stdout, ", %s sent before", count(r.Before))
	}
	fmt.Fprintln(a.stdout)
	for _, code := range slices.Sorted(maps.Keys(r.Codes)) {
		fmt.Fprintf(a.stdout, "  %s\t%s\n", code, count(r.Codes[code]))
	}
	if r.DryRun {
		fmt.Fprintf(a.stdout, "%s would be sent; nothing was\n", some(r.Sent, "row"))
		return
	}
	fmt.Fprintf(a.stdout, "%s sent, %s delivered, %s failed again", some(r.Sent, "row"), count(r.Delivered), count(r.Failed))
	if r.Filtered > 0 {
		fmt.Fprintf(a.stdout, ", %s filtered", count(r.Filtered))
	}
	fmt.Fprintln(a.stdout)
	if r.Stopped {
		fmt.Fprintln(a.stdout, "stopped before all was delivered; run it again to go on")
	}
}
