package main

import (
	"fmt"
	"io"

	"github.com/millrace-io/millrace/pipelines"
)

// defaultData is the data directory without --data, see runCommand.
const defaultData = "millrace-data"

// next suggests what to try after a run.
func next(w io.Writer, s pipelines.Summary, c *runCommand) {
	if s.Result != "delivered" {
		return
	}
	fmt.Fprintln(w, "\nNext")
	for _, t := range s.Tasks {
		if t.Hint != "" {
			fmt.Fprintf(w, "  %s\n", t.Hint)
		}
	}
	again := c.File
	if c.Data != defaultData {
		again = "--data " + c.Data + " " + c.File
	}
	fmt.Fprintf(w, "  run it again, nothing is delivered twice: millrace run %s\n", again)
	fmt.Fprintf(w, "  watch it with a metrics server: millrace run --admin 127.0.0.1:9090 %s\n", again)
	fmt.Fprintf(w, "  start over: rm -r %s\n", c.Data)
}
