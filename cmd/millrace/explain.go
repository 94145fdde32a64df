package main

import (
	"fmt"

	"github.com/millrace-io/millrace/pipelines"
	"github.com/millrace-io/millrace/sql/outline"
)

type explainCommand struct {
	File string `arg:"" help:"Pipeline file."`
	ID   string `arg:"" optional:"" name:"query" help:"Query, transform or sink to explain; all sinks unless named."`
	JSON bool   `name:"json" help:"Print the plan as JSON."`
}

// Help is printed below the usage.
func (explainCommand) Help() string {
	return `Prints how rows come to the sinks: trees from a sink or query up to the sources, with the types of columns, windows,
keys, parallelism, and what a query keeps in memory. Nothing is run.`
}

// explanation is what explain --json prints.
type explanation struct {
	File  string          `json:"file"`
	Plans []*outline.Node `json:"plans"`
}

// Run prints the plans.
func (c *explainCommand) Run(a *app) error {
	p, err := load(a, c.File)
	if err != nil {
		return err
	}
	plans, err := p.Explain(c.ID)
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", c.File, err)}
	}
	if c.JSON {
		return printJSON(a, explanation{File: c.File, Plans: plans})
	}
	for i, n := range plans {
		if i > 0 {
			fmt.Fprintln(a.stdout)
		}
		fmt.Fprint(a.stdout, n)
	}
	return waiting(a, p)
}

// waiting names the streams whose readers cannot be explained yet.
func waiting(a *app, p *pipelines.Pipeline) error {
	for _, s := range p.Unknown {
		if _, err := fmt.Fprintf(a.stdout, "\nstream %s: the first run infers its schema; what reads it can be explained then\n", s.Name); err != nil {
			return err
		}
	}
	return nil
}
