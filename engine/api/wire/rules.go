package wire

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Rule is what a field's value must be. The zero Rule takes anything, or nothing.
type Rule struct {
	Required bool
	// Min and Max bound the length of a string in characters, of a list or blob, or a number's value. Max of 0
	// is no bound; Min counts when Max or HasMin is set.
	Min, Max int64
	HasMin   bool
	// Pattern of a whole string, as the API's model has it.
	Pattern string
	match   *regexp.Regexp
	// Enum are the values of a string.
	Enum []string
}

// Matching is a copy of the rule with a pattern.
func (r Rule) Matching(pattern string) *Rule {
	r.Pattern, r.match = pattern, regexp.MustCompile("^(?:"+pattern+")$")
	return &r
}

func (r *Rule) bounded() bool { return r.Max > 0 || r.HasMin }

// maxViolations is how many of them an answer names, so that a large request gets no large answer.
const maxViolations = 10

// maxQuoted is how much of a value an answer repeats.
const maxQuoted = 256

// Violations are what is wrong with a request, in the order of its fields.
type Violations struct{ list []string }

// None reports whether the request is right.
func (v *Violations) None() bool { return len(v.list) == 0 }

// Add notes a violation: the value, quoted or null, the field's path, and what it must do.
func (v *Violations) Add(value, path, must string) {
	if len(v.list) >= maxViolations {
		return
	}
	if len(value) > maxQuoted {
		value = strings.ToValidUTF8(value[:maxQuoted], "") + "..."
	}
	v.list = append(v.list, fmt.Sprintf("%s at '%s' failed to satisfy constraint: Member must %s", value, path, must))
}

// String is the text that AWS answers with.
func (v *Violations) String() string {
	s := ""
	if len(v.list) > 1 {
		s = "s"
	}
	return fmt.Sprintf("%d validation error%s detected: Value %s", len(v.list), s, strings.Join(v.list, "; Value "))
}

// null notes a missing value.
func (v *Violations) null(path string, r *Rule) {
	if r != nil && r.Required {
		v.Missing(path)
	}
}

// Missing notes a field that is required and not there.
func (v *Violations) Missing(path string) { v.Add("null", path, "not be null") }

// Text checks a string.
func (v *Violations) Text(path, s string, r *Rule) {
	if r == nil {
		return
	}
	if r.bounded() {
		v.length("'"+s+"'", path, int64(utf8.RuneCountInString(s)), r)
	}
	if r.match != nil && !r.match.MatchString(s) {
		v.Add("'"+s+"'", path, "satisfy regular expression pattern: "+r.Pattern)
	}
	if len(r.Enum) > 0 {
		for _, e := range r.Enum {
			if e == s {
				return
			}
		}
		v.Add("'"+s+"'", path, "satisfy enum value set: ["+strings.Join(r.Enum, ", ")+"]")
	}
}

// length checks how long something is that prints as value.
func (v *Violations) length(value, path string, n int64, r *Rule) {
	if r == nil || !r.bounded() {
		return
	}
	if n < r.Min {
		v.Add(value, path, "have length greater than or equal to "+strconv.FormatInt(r.Min, 10))
	}
	if r.Max > 0 && n > r.Max {
		v.Add(value, path, "have length less than or equal to "+strconv.FormatInt(r.Max, 10))
	}
}

// Length checks how long a list or blob is.
func (v *Violations) Length(path string, n int, r *Rule) {
	v.length(fmt.Sprintf("'[%d members]'", n), path, int64(n), r)
}

// number checks a number.
func (v *Violations) number(path string, n int64, r *Rule) {
	if r == nil || !r.bounded() {
		return
	}
	value := "'" + strconv.FormatInt(n, 10) + "'"
	if n < r.Min {
		v.Add(value, path, "have value greater than or equal to "+strconv.FormatInt(r.Min, 10))
	}
	if r.Max > 0 && n > r.Max {
		v.Add(value, path, "have value less than or equal to "+strconv.FormatInt(r.Max, 10))
	}
}
