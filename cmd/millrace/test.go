package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/pipelines"
)

type testCommand struct {
	File  string   `arg:"" help:"Pipeline file."`
	Names []string `arg:"" optional:"" name:"test" help:"Tests to run; all of them unless named."`
	JSON  bool     `name:"json" help:"Print the results as JSON."`
}

// Help is printed below the usage.
func (testCommand) Help() string {
	return `Runs the tests: of a pipeline file. Their rows come into the streams in place of the sources, and go the way that
rows go when the pipeline runs, in memory and in virtual time; sinks deliver nothing. The exit code is 0 when all
pass, 1 when one fails, and 2 when there is a mistake in the file.`
}

// testReport is what test --json prints.
type testReport struct {
	File  string                 `json:"file"`
	OK    bool                   `json:"ok"`
	Tests []pipelines.TestResult `json:"tests"`
}

// Run runs the tests one after the other.
func (c *testCommand) Run(a *app) error {
	p, err := load(a, c.File)
	if err != nil {
		return err
	}
	tests, err := c.chosen(p)
	if err != nil {
		return usageError{err}
	}
	ctx, stop, release := signals(a)
	defer release()
	report := testReport{File: c.File, OK: true, Tests: []pipelines.TestResult{}}
	failed := 0
	for _, t := range tests {
		select {
		case <-stop:
			return context.Canceled
		default:
		}
		result, err := p.RunTest(ctx, t)
		if err != nil {
			return fmt.Errorf("test %q: %w", t.Name, err)
		}
		report.Tests = append(report.Tests, result)
		if !result.OK {
			report.OK = false
			failed++
		}
		if !c.JSON {
			fmt.Fprint(a.stdout, testText(c.File, result))
		}
	}
	if c.JSON {
		if err := printJSON(a, report); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d tests failed", failed, len(tests))
	}
	return nil
}

// chosen are the tests to run.
func (c *testCommand) chosen(p *pipelines.Pipeline) ([]*pipelines.Test, error) {
	if len(p.Tests) == 0 {
		return nil, fmt.Errorf("%s has no tests; write some under its key `tests`", c.File)
	}
	if len(c.Names) == 0 {
		return p.Tests, nil
	}
	var names []string
	for _, t := range p.Tests {
		names = append(names, t.Name)
	}
	var out []*pipelines.Test
	for _, name := range c.Names {
		i := slices.Index(names, name)
		if i < 0 {
			return nil, errors.New(config.Unknown("test", name, "tests", names))
		}
		out = append(out, p.Tests[i])
	}
	return out, nil
}

// testText is a result for people.
func testText(file string, r pipelines.TestResult) string {
	if r.OK {
		return fmt.Sprintf("ok    %s (%s)\n", r.Name, seconds(r.Seconds))
	}
	var s strings.Builder
	fmt.Fprintf(&s, "FAIL  %s (%s:%d)\n", r.Name, file, r.Line)
	if r.Error != "" {
		fmt.Fprintf(&s, "    %s\n", r.Error)
	}
	for _, o := range r.Outputs {
		fmt.Fprintf(&s, "    %s: %s expected, %s came; - is expected, + is what came\n", o.ID, some(int64(o.Want), "row"), some(int64(o.Got), "row"))
		for _, d := range o.Differences {
			differenceText(&s, file, d)
		}
	}
	for _, line := range r.NotRejected {
		fmt.Fprintf(&s, "    %s:%d: no row was rejected like this\n", file, line)
	}
	for _, l := range r.Rejected {
		fmt.Fprintf(&s, "    rejected by %s, unexpected: %s (%s)\n      + %s\n", l.Step, l.Code, l.Reason, longLine(l.Data))
	}
	return s.String()
}

func differenceText(s *strings.Builder, file string, d pipelines.Difference) {
	if d.Want != nil {
		fmt.Fprintf(s, "      - %s   %s:%d\n", d.Want, file, d.Line)
	}
	if d.Got != nil {
		fmt.Fprintf(s, "      + %s\n", longLine(string(d.Got)))
	}
	if d.Want != nil && d.Got != nil {
		fmt.Fprintf(s, "        not equal: %s\n", strings.Join(d.Columns, ", "))
	}
}

// longLine is a row as one line that a terminal can be shown.
func longLine(text string) string {
	const most = 2000
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, text)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
