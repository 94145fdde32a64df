package wire

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
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

// maxQuoted is how much of a value an answer repeats, in bytes: a whole ARN.
const maxQuoted = 2304

// Violations are what is wrong with a request, in the order of its fields.
type Violations struct{ list []string }

// None reports whether the request is right.
func (v *Violations) None() bool { return len(v.list) == 0 }

// Add notes a violation: the value, quoted or null, the field's path, and what its member must do.
func (v *Violations) Add(value, path, must string) { v.note(value, path, "Member must "+must) }

func (v *Violations) note(value, path, constraint string) {
	if len(v.list) < maxViolations {
		v.list = append(v.list, value+" at '"+path+"' failed to satisfy constraint: "+constraint)
	}
}

// Quoted is a value as an answer repeats it: not more of it than a client needs.
func Quoted[T string | []byte](s T) string {
	if len(s) > maxQuoted {
		return "'" + strings.ToValidUTF8(string(s[:maxQuoted]), "") + "...'"
	}
	return "'" + string(s) + "'"
}

// QuotedBlob is binary data of n bytes as AWS names it.
func QuotedBlob(n int) string {
	return fmt.Sprintf("'java.nio.HeapByteBuffer[pos=0 lim=%d cap=%d]'", n, n)
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
	if r.match != nil && !r.match.MatchString(s) {
		v.Add(Quoted(s), path, "satisfy regular expression pattern: "+r.Pattern)
	}
	if r.bounded() {
		v.length(Quoted(s), path, int64(utf8.RuneCountInString(s)), r)
	}
	if !r.listed(s) {
		v.Add(Quoted(s), path, r.enumText())
	}
}

func (r *Rule) listed(s string) bool { return len(r.Enum) == 0 || slices.Contains(r.Enum, s) }

func (r *Rule) enumText() string {
	return "satisfy enum value set: [" + strings.Join(r.Enum, ", ") + "]"
}

// Holds reports whether a string is as the rule wants it.
func (r *Rule) Holds(s string) bool {
	if r == nil {
		return true
	}
	n := int64(utf8.RuneCountInString(s))
	long := r.Max > 0 && n > r.Max
	short := r.bounded() && n < r.Min
	return !long && !short && r.listed(s) && (r.match == nil || r.match.MatchString(s))
}

// all is what AWS says of the members of a list or map: all that the rule wants, at once.
func (r *Rule) all() string {
	var list []string
	if r.Max > 0 {
		list = append(list, "Member must have length less than or equal to "+strconv.FormatInt(r.Max, 10))
	}
	if r.bounded() {
		list = append(list, "Member must have length greater than or equal to "+strconv.FormatInt(r.Min, 10))
	}
	if r.match != nil {
		list = append(list, "Member must satisfy regular expression pattern: "+r.Pattern)
	}
	if len(r.Enum) > 0 {
		list = append(list, "Member must "+r.enumText())
	}
	return "[" + strings.Join(list, ", ") + "]"
}

// Texts checks a list of strings: how long it is, and each.
func (v *Violations) Texts(path string, list []string, r, each *Rule) {
	v.length(quotedList(list), path, int64(len(list)), r)
	for _, s := range list {
		if !each.Holds(s) {
			v.Add(quotedList(list), path, "satisfy constraint: "+each.all())
			return
		}
	}
}

// quotedList is a list of strings as AWS repeats it.
func quotedList(list []string) string {
	// More strings than are repeated need not be put together.
	return Quoted("[" + strings.Join(list[:min(len(list), maxQuoted)], ", ") + "]")
}

// Map checks a map of strings: how large it is, its keys and its values.
func (v *Violations) Map(path string, m map[string]string, r, key, value *Rule) {
	keys := slices.Sorted(maps.Keys(m))
	badKey, badValue := false, false
	pairs := make([]string, 0, min(len(m), maxQuoted))
	for _, k := range keys {
		badKey, badValue = badKey || !key.Holds(k), badValue || !value.Holds(m[k])
		if len(pairs) < cap(pairs) {
			pairs = append(pairs, k+"="+m[k])
		}
	}
	quoted := Quoted("{" + strings.Join(pairs, ", ") + "}")
	v.length(quoted, path, int64(len(m)), r)
	if badKey {
		v.note(quoted, path, "Map keys must satisfy constraint: "+key.all())
	}
	if badValue {
		v.note(quoted, path, "Map value must satisfy constraint: "+value.all())
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

// Length checks how long a list of structures is.
func (v *Violations) Length(path string, n int, r *Rule) {
	value := "'[]'"
	if n > 0 {
		value = fmt.Sprintf("'[%d members]'", n)
	}
	v.length(value, path, int64(n), r)
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
