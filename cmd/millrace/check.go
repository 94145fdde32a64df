package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/pipelines"
)

type checkCommand struct {
	File string `arg:"" help:"Pipeline file."`
	JSON bool   `name:"json" help:"Print the result as JSON."`
}

// checkResult is what check --json prints.
type checkResult struct {
	File     string         `json:"file"`
	OK       bool           `json:"ok"`
	Errors   []config.Error `json:"errors"`
	Warnings []string       `json:"warnings"`
}

// Run prints every mistake of the file and fails with exit code 2 if there is one.
func (c *checkCommand) Run(a *app) error {
	if c.JSON {
		return c.json(a)
	}
	p, err := loaded(a)(pipelines.Load(c.File, components(), c.options()))
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s: no mistakes\n\n", c.File)
	tw := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, s := range p.Sources {
		fmt.Fprintf(tw, "source\t%s\t%s\t→ %s\n", s.Name, s.Component.Type, cmp.Or(s.To, "*"))
	}
	for _, s := range p.Streams {
		fmt.Fprintf(tw, "stream\t%s\t%s\t%s\n", s.Name, shardsText(s), schemaText(p, s))
	}
	for _, t := range p.Tables {
		fmt.Fprintf(tw, "table\t%s\t%s %s\t%s\n", t.Name, t.Spec.Format, t.Spec.Source, columnsText(t.Spec.Schema))
	}
	for _, q := range p.Queries {
		fmt.Fprintf(tw, "query\t%s\tfrom %s\t%s\n", q.Name, strings.Join(q.Query.Inputs(), ", "), columnsText(q.Query.Output()))
	}
	for _, s := range p.Sinks {
		fmt.Fprintf(tw, "sink\t%s\t%s from %s\t%s\n", s.Name, s.Component.Type, s.From, p.Guarantee(s))
	}
	for _, u := range p.Users {
		fmt.Fprintf(tw, "user\t%s\tmay do: %s\n", u.Name, policyName(u.Policy))
	}
	return tw.Flush()
}

// options let files pass that are only served.
func (c *checkCommand) options() pipelines.LoadOptions {
	o := loadOptions()
	o.UsersAlone = true
	return o
}

// shardsText says how many shards a stream has.
func shardsText(s *pipelines.Stream) string {
	if s.Settings.Mode == stream.OnDemand {
		return fmt.Sprintf("shards by load: %d to %s", s.Shards, maxShardsText(s.Settings.MaxShards))
	}
	return fmt.Sprintf("%d %s", s.Shards, plural(s.Shards, "shard"))
}

// schemaText says which columns a stream has and where they are from.
func schemaText(p *pipelines.Pipeline, s *pipelines.Stream) string {
	switch {
	case slices.Contains(p.Unknown, s):
		return fmt.Sprintf("the first run infers the schema and writes %s; what reads the stream is checked then", s.Infer.Lock)
	case s.Infer != nil:
		return columnsText(s.Schema) + " from " + s.Infer.Lock
	}
	return columnsText(s.Schema)
}

func columnsText(s *column.Schema) string {
	if s == nil {
		return "opaque records"
	}
	return fmt.Sprintf("%d %s", len(s.Fields), plural(len(s.Fields), "column"))
}

func (c *checkCommand) json(a *app) error {
	result := checkResult{File: c.File, OK: true, Errors: []config.Error{}, Warnings: []string{}}
	p, err := pipelines.Load(c.File, components(), c.options())
	var mistakes config.Errors
	switch {
	case errors.As(err, &mistakes):
		result.OK = false
		for _, m := range mistakes {
			result.Errors = append(result.Errors, m)
		}
	case err != nil:
		return err
	default:
		for _, w := range p.Warnings {
			result.Warnings = append(result.Warnings, fmt.Sprint(w))
		}
	}
	if err := printJSON(a, result); err != nil || result.OK {
		return err
	}
	return usageError{fmt.Errorf("%s: %d %s", c.File, len(mistakes), plural(len(mistakes), "mistake"))}
}
