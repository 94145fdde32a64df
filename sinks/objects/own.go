package objects

import (
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/millrace-io/millrace/engine/flow"
)

// Redriven is the name under which a sink delivers rows that it had rejected. Ids have no dot, so it is
// no other sink's; and what fails again is found with what failed before.
func Redriven(sink string) string { return sink + redriven }

const redriven = ".redrive"

// ErrorPath is the beginning of the keys of all error objects up to the first expression, without the
// root; ok is false when there is no prefix for them.
func (c *Chunk) ErrorPath() (prefix string, ok bool) {
	return static(c.names.errors), len(c.names.errors) > 0
}

// OwnErrors reports whether the last part of a key is that of an error object of a sink: of all its
// tasks, and of rows that failed again when they were redriven.
func OwnErrors(id flow.Identity) func(key string) bool {
	sink := strings.TrimSuffix(id.Name, redriven)
	name := regexp.MustCompile(`^` + regexp.QuoteMeta(url.PathEscape(id.Pipeline)+"-"+url.PathEscape(sink)) +
		`(\.redrive)?-[0-9a-f]+-[0-9]+-[0-9]{10,}-(` + errorsOfFormat + `|` + errorsOfProcessing + `)\.ndjson$`)
	return func(key string) bool { return name.MatchString(path.Base(key)) }
}

var anyErrors = regexp.MustCompile(`-[0-9a-f]{16}-[0-9]+-[0-9]{10,}-(` + errorsOfFormat + `|` + errorsOfProcessing + `)\.ndjson$`)

// ErrorName is what tells an error object from all others wherever it lies: the last part of its key
// if this program put it, otherwise all of it.
func ErrorName(key string) string {
	if base := path.Base(key); anyErrors.MatchString(base) {
		return base
	}
	return key
}
