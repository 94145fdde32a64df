package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/millrace-io/millrace/engine/api/control"
)

// schemaPicture is the schema of a stream whose records decide on it.
func schemaPicture(s control.Schema) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nschema, version %d (%s, %s)\n", s.Version, s.Origin, s.Created.UTC().Format("2006-01-02 15:04:05Z"))
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, c := range s.Columns {
		fixed := ""
		if c.Fixed {
			fixed = "fixed"
		}
		fmt.Fprintf(tw, "  %s\t%s\t%s\n", oneLine(c.Name), oneLine(c.Type), fixed)
	}
	_ = tw.Flush() // a strings.Builder takes everything
	return b.String()
}
