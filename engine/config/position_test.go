package config_test

import (
	"strings"
	"testing"
)

// Each case marks one place with § in the file; the same place is found from the text.
func TestPlacesInATextAreFoundInTheFile(t *testing.T) {
	for name, file := range map[string]string{
		"plain":               "motto: one §two three\n",
		"plain over lines":    "motto: one\n  two\n  §three\n",
		"double quotes":       "motto: \"one §two\"\n",
		"escapes":             "motto: \"a\\\"b\\\\ \\u00e9\\x41 §two\"\n",
		"escaped line ends":   "motto: \"a\\n\\tb\\n§two\"\n",
		"quotes over lines":   "motto: \"one\n  two \\\n  §three\"\n",
		"single quotes":       "motto: 'it''s §two'\n",
		"literal":             "motto: |\n  one\n    two §three\n  four\n",
		"literal, first":      "motto: |\n  §one\n",
		"literal, blank":      "motto: |\n\n  one\n\n  §two\n",
		"literal, indented":   "motto: |2-\n    one\n   §two\n",
		"literal, comment":    "motto: | # what\n  one §two\n",
		"folded":              "motto: >\n  one\n  two\n\n  three §four\n",
		"in braces":           "buffer: {rows: 1}\nmotto: \"a\"\nlabels: {x: \"ä ö §two\"}\n",
		"wide characters":     "motto: äöü \"日本\" §two\n",
		"windows line ends":   "motto: |\r\n  one\r\n  §two\r\n",
		"byte order mark":     "\uFEFFmotto: one §two\n",
		"anchor":              "motto: &m one §two\n",
		"after a reference":   "motto: \"${env:WORD} and §two\"\n",
		"between references":  "motto: |\n  ${env:WORD} §and ${env:LINES}\n",
		"after many lines":    "motto: |\n  ${env:LINES} and\n  then §two\n",
		"escaped reference":   "motto: $${x} §two\n",
		"end":                 "motto: one two§\n",
		"end of literal line": "motto: |\n  one§\n  two\n",
	} {
		line, column := place(file)
		d := decode(t, strings.Replace(file, "§", "", 1))
		n := d.Parse([]byte(strings.Replace(file, "§", "", 1)))
		marked := d.Parse([]byte(file))
		if n == nil || marked == nil {
			t.Fatalf("%s: %v", name, d.Err())
		}
		text := marked.Get("motto")
		got := n.Get("motto")
		if name == "in braces" {
			text, got = marked.Get("labels").Get("x"), n.Get("labels").Get("x")
		}
		textLine, textColumn := place(text.Text())
		gotLine, gotColumn := got.Position(textLine, textColumn)
		if gotLine != line || gotColumn != column {
			t.Errorf("%s: text %d:%d is at %d:%d, want %d:%d", name, textLine, textColumn, gotLine, gotColumn, line, column)
		}
	}
}

// place is the line and column of the § in a text.
func place(text string) (line, column int) {
	head, _, _ := strings.Cut(strings.TrimPrefix(text, "\uFEFF"), "§")
	start := strings.LastIndexByte(head, '\n') + 1
	return strings.Count(head, "\n") + 1, len([]rune(head[start:])) + 1
}

func TestPlacesBeyondTheTextAreItsEnd(t *testing.T) {
	d := decode(t, "name: a")
	for _, file := range []string{"motto: one", "motto: |\n  one\n  two", "motto: \"one\"", "motto: |\n", "motto: \"\"", "motto: >-\n\n\n"} {
		n := d.Parse([]byte(file)).Get("motto")
		lines := strings.Count(file, "\n") + 1
		for _, at := range [][2]int{{1, 1}, {1, 1000}, {1000, 1}, {0, 0}, {-5, -5}} {
			if line, column := n.Position(at[0], at[1]); line < 1 || line > lines || column < 1 || column > 20 {
				t.Errorf("%q %v: %d:%d", file, at, line, column)
			}
		}
	}
}
