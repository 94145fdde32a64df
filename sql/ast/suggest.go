package ast

import (
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/engine/config"
)

// DidYouMean is "; did you mean …?" with the name closest to a misspelt one, or, when none is
// close, a list of a few names. It is empty when there are no names.
func DidYouMean(name string, names []string) string {
	best := config.Suggest(name, names)
	switch {
	case best != "":
		return fmt.Sprintf("; did you mean %q?", best)
	case len(names) == 0:
		return ""
	case len(names) > 12:
		names = append(names[:12:12], "…")
	}
	return "; there are " + strings.Join(names, ", ")
}
