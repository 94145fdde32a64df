package parse

import (
	"os"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/sql/ast"
)

// TestStatementsReadAsWritten compares statements with their canonical spelling, which shows how
// they were read: every operator has its parentheses. testdata/statements.txt has a statement, a
// line "=> spelling" or "!! message", and a blank line.
func TestStatementsReadAsWritten(t *testing.T) {
	data, err := os.ReadFile("testdata/statements.txt")
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for _, block := range strings.Split(string(data), "\n\n") {
		lines := strings.Split(strings.TrimSpace(block), "\n")
		for strings.HasPrefix(lines[0], "#") && len(lines) > 1 {
			lines = lines[1:]
		}
		cut := len(lines)
		for i, l := range lines {
			if strings.HasPrefix(l, "=> ") || strings.HasPrefix(l, "!! ") {
				cut = i
				break
			}
		}
		if cut == len(lines) {
			continue
		}
		cases++
		text := strings.Join(lines[:cut], "\n")
		got := "=> "
		q, err := Query(text)
		if err != nil {
			got = "!! " + strings.ReplaceAll(err.Error(), "\n", "\n!! ")
		} else {
			got += ast.FormatQuery(q)
			checkCanonical(t, text, q)
		}
		if want := strings.Join(lines[cut:], "\n"); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
	if cases < 100 {
		t.Errorf("%d cases, expected at least 100", cases)
	}
}

// checkCanonical fails unless the canonical spelling of q reads as q.
func checkCanonical(t *testing.T, text string, q *ast.Query) {
	t.Helper()
	canonical := ast.FormatQuery(q)
	again, err := Query(canonical)
	if err != nil {
		// Parentheses that the text did not need may nest too deep.
		if !strings.Contains(err.Error(), "nest") && len(canonical) < 60_000 && !strings.Contains(err.Error(), "words and symbols") {
			t.Errorf("%q: its canonical spelling %q: %v", text, canonical, err)
		}
		return
	}
	if got := ast.FormatQuery(again); got != canonical {
		t.Errorf("%q: reads as %q, which reads as %q", text, canonical, got)
	}
}
