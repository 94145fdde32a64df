// Package objects gathers the rows of a chunk into objects, one for each partition, for the sinks
// that create whole files: buckets and directories.
//
// The invariant to remember: an object's key follows from the task, the number of its chunk and
// what the plan recorded, so whoever repeats a chunk finds the object there and can tell that it
// is the same.
package objects

import (
	"strings"

	"github.com/millrace-io/millrace/engine/config"
)

// Layout says which objects there are and what they are called.
type Layout struct {
	// Prefix of all names; a slash is added to its end.
	Prefix string `yaml:"prefix"`
	// PartitionBy lists columns or expressions whose values become directories, each with
	// `AS name` unless it is a column: "DATE(event_time) AS day" gives day=2026-01-15/.
	PartitionBy []string `yaml:"partition_by"`
}

// Validate reports mistakes that can be seen without knowing the columns.
func (l *Layout) Validate() []config.Problem {
	var problems []config.Problem
	for i, text := range l.PartitionBy {
		if _, _, err := splitName(text); err != nil {
			problems = append(problems, config.Problemf(indexed("partition_by", i), "%v", err))
		}
	}
	return problems
}

// Static is the prefix as names begin with it.
func (l *Layout) Static() string {
	p := strings.TrimLeft(l.Prefix, "/")
	if p != "" && !strings.HasSuffix(p, "/") {
		p += "/"
	}
	return p
}
