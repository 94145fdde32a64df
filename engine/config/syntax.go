package config

import (
	"errors"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// syntax reports what the YAML library says about a text that is no YAML, in words that tell what to
// change. The library stops at the first such mistake.
func (d *Decoder) syntax(err error) {
	var le *yaml.LoadError
	if !errors.As(err, &le) {
		d.errorAt(1, 1, "", "%v", err)
		return
	}
	line, column := le.Mark.Line, le.Mark.Column
	if tab := d.tabAtStart(line); tab > 0 {
		d.errorAt(line, tab, "", "a tab cannot indent; use spaces")
		return
	}
	message, atContext := explain(le)
	if atContext && le.ContextMark.Line > 0 {
		line, column = le.ContextMark.Line, le.ContextMark.Column
	}
	if strings.Contains(le.ContextMsg, "flow") && strings.Contains(d.line(le.Mark.Line), "${") {
		message = `quote a value with ${…} inside { } or [ ]: "${env:NAME}"`
		line, column = le.Mark.Line, le.Mark.Column
	}
	d.errorAt(max(line, 1), max(column, 1), "", "%s", message)
}

// explain puts a message of the library into the user's words; atContext says that the mistake is
// where the construct began, not where the library noticed.
func explain(le *yaml.LoadError) (message string, atContext bool) {
	for _, e := range explanations {
		if strings.Contains(le.Message, e.library) && strings.Contains(le.ContextMsg, e.context) {
			return e.message, e.atContext
		}
	}
	return "not valid YAML: " + le.Message, false
}

var explanations = []struct {
	library, context string
	message          string
	atContext        bool
}{
	{"mapping values are not allowed", "", `unexpected ":"; if it belongs to a text, quote the text, else check the indentation`, false},
	{"did not find expected ',' or '}'", "", "{ without its }, or a comma is missing", true},
	{"did not find expected ',' or ']'", "", "[ without its ], or a comma is missing", true},
	{"did not find expected node content", "flow", "a value is missing, or [ or { is not closed", false},
	{"did not find expected key", "", "not a key at this indentation; align it with the keys above, and quote texts that go on after a quote", false},
	{"did not find expected '-'", "", "list items (-) and keys are mixed at one indentation", false},
	{"unexpected end of stream", "quoted", "a quote is not closed", true},
	{"unexpected document indicator", "quoted", "a quote is not closed", true},
	{"unknown escape character", "", `unknown escape after \ in double quotes; write \\ or use single quotes`, false},
	{"cannot start any token", "", "a text cannot begin with this character; quote it", false},
	{"could not find expected ':'", "", `expected "key: value"`, true},
	{"unknown anchor", "", "aliases (*) are not supported; write the value out, or quote a text that begins with *", false},
	{"incompatible YAML document", "", "remove the %YAML line", false},
	{"depth", "", "nested too deeply", false},
}

// line is line n of the file, from 1, empty if there is none.
func (d *Decoder) line(n int) string {
	if n < 1 || n > len(d.doc.lines) {
		return ""
	}
	return d.doc.lines[n-1]
}

// tabAtStart is the column of a tab in the white space that begins a line, or 0.
func (d *Decoder) tabAtStart(n int) int {
	line := d.line(n)
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	if at := strings.IndexByte(indent, '\t'); at >= 0 {
		return utf8.RuneCountInString(indent[:at]) + 1
	}
	return 0
}
