package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/pipelines"
)

type runCommand struct {
	File  string `arg:"" help:"Pipeline file."`
	Data  string `help:"Data directory: streams, checkpoints, embedded storage." default:"millrace-data" placeholder:"DIR"`
	Admin string `help:"Serve /metrics, /healthz, /readyz and /api/v1/status on this loopback address." placeholder:"HOST:PORT"`
	Drain bool   `help:"Start no unbounded source, deliver what is stored, close all windows and end."`
	JSON  bool   `name:"json" help:"Print the summary as JSON."`

	Reset []string `help:"Start these queries over: their windows are emptied, and they read their input from its start again." placeholder:"QUERY"`

	SkipDamaged bool `help:"Go on behind damaged records of a stream, counting them as expired, instead of stopping."`
}

// Run runs the pipeline to its end or until a signal.
func (c *runCommand) Run(a *app) error {
	ctx, stop, release := signals(a)
	defer release()
	options := pipelines.Options{
		Data: c.Data, Drain: c.Drain, SkipDamaged: c.SkipDamaged, Reset: c.Reset, Stop: stop, Stdout: a.stdout, Log: a.log, Now: time.Now,
	}
	if err := ask(&options); err != nil {
		return err
	}
	p, err := loaded(a)(pipelines.Resolve(ctx, c.File, components(), pipelines.ResolveOptions{
		Load: loadOptions(), Run: options, Say: func(text string) { fmt.Fprintln(a.stderr, text) },
	}))
	if err != nil {
		return err
	}
	// The garbage collector works harder near the budget; what must not grow beyond it is bounded
	// where it is held.
	debug.SetMemoryLimit(int64(p.Memory))
	r, err := pipelines.Open(ctx, p, options)
	if err != nil {
		return err
	}
	err = c.wait(a, r, func() error { return r.Wait(ctx) })
	if err == nil {
		err = c.print(a, r)
	}
	return errors.Join(err, r.Close())
}

// wait shows progress and serves the operator while the pipeline runs.
func (c *runCommand) wait(a *app, r *pipelines.Run, run func() error) error {
	if c.Admin != "" {
		admin, err := pipelines.ServeAdmin(c.Admin, r.Status, r.Expose, a.log)
		if err != nil {
			return usageError{err}
		}
		defer admin.Close()
		fmt.Fprintf(a.stderr, "admin: http://%s/metrics, /healthz, /readyz, /api/v1/status\n", admin.Addr())
	}
	shown := startProgress(a.stderr, r)
	defer shown.finish()
	return run()
}

func (c *runCommand) print(a *app, r *pipelines.Run) error {
	s := r.Summary()
	if c.JSON {
		return printJSON(a, s)
	}
	report(a.stdout, s)
	for _, screen := range r.Screens() {
		fmt.Fprintln(a.stdout)
		for _, line := range screen.Lines(widthOf(a.stdout, 100)) {
			fmt.Fprintln(a.stdout, line)
		}
	}
	next(a.stdout, s, c)
	return nil
}

// load reads a pipeline file and prints its warnings.
func load(a *app, file string) (*pipelines.Pipeline, error) {
	return loaded(a)(pipelines.Load(file, components(), loadOptions()))
}

func loadOptions() pipelines.LoadOptions { return pipelines.LoadOptions{Getenv: os.LookupEnv} }

// loaded prints the warnings of a pipeline and marks the mistakes in its file as the caller's.
func loaded(a *app) func(*pipelines.Pipeline, error) (*pipelines.Pipeline, error) {
	return func(p *pipelines.Pipeline, err error) (*pipelines.Pipeline, error) {
		if err != nil {
			var mistakes config.Errors
			if errors.As(err, &mistakes) || errors.Is(err, fs.ErrNotExist) {
				return nil, usageError{err}
			}
			return nil, err
		}
		for _, w := range p.Warnings {
			fmt.Fprintln(a.stderr, "warning:", w)
		}
		return p, nil
	}
}

func printJSON(a *app, value any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}
