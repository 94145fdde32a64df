package expr

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/sql/temporal"
)

// The page for users has every function, and no function that there is not.
func TestDocsNameEveryFunction(t *testing.T) {
	data, err := os.ReadFile("../../docs/sql.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	known := functions()
	for name := range known {
		if slices.Contains(temporal.Parts, name) {
			// HOUR(ts) and its like are said once for all.
			continue
		}
		if !regexp.MustCompile(`\b` + strings.ToUpper(name) + `\b`).MatchString(page) {
			t.Errorf("docs/sql.md does not name %s", strings.ToUpper(name))
		}
	}
	_, tables, _ := strings.Cut(page, "## Expressions")
	tables, _, _ = strings.Cut(tables, "\n## ")
	for _, m := range regexp.MustCompile(`\b([A-Z][A-Z0-9_]+)\(`).FindAllStringSubmatch(tables, -1) {
		name := strings.ToLower(m[1])
		if _, ok := known[name]; !ok && name != "case" && name != "now" && !strings.Contains("cast trim", name) {
			t.Errorf("docs/sql.md names %s, which there is not", m[1])
		}
	}
	for _, part := range temporal.Parts {
		if !strings.Contains(tables, part) {
			t.Errorf("docs/sql.md does not name the part %s", part)
		}
	}
}
