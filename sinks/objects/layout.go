// Package objects gathers the rows of a chunk into objects, one for each partition, for the sinks
// that create whole files: buckets and directories.
//
// The invariant to remember: an object's key follows from the task, the number of its chunk and
// its rows, so whoever repeats a chunk finds the object there and can tell that it is the same.
package objects

import (
	"errors"
	"fmt"
	"time"
	// Zones are known also where the system has none, as in containers of one file.
	_ "time/tzdata"

	"github.com/millrace-io/millrace/engine/config"
)

// Layout says which objects there are and what they are called.
type Layout struct {
	// Prefix of all names; a slash is added to its end. It may have Firehose's expressions:
	// !{timestamp:yyyy/MM/dd/HH} is when the oldest row of the object arrived,
	// !{partitionKeyFromQuery:name} a value of partition_by, !{firehose:random-string} eleven
	// letters and digits.
	Prefix string `yaml:"prefix"`
	// ErrorPrefix is the prefix of the names of objects with rejected rows. With expressions one
	// of them must be !{firehose:error-output-type}; partition keys cannot be used. Without it
	// rejected rows go to the dead letters.
	ErrorPrefix string `yaml:"error_prefix"`
	// Timezone of !{timestamp:…}, such as Europe/Berlin.
	Timezone string `yaml:"timezone"`
	// PartitionBy lists columns or expressions whose values become directories, each with
	// `AS name` unless it is a column: "DATE(event_time) AS day" gives day=2026-01-15/. Values that
	// the prefix has already are not repeated.
	PartitionBy []string `yaml:"partition_by"`
	// MaxPartitions is how many partitions a chunk may have. Rows of more are rejected with the
	// code partition-overflow. 0 means any number.
	MaxPartitions int `yaml:"max_partitions" min:"0"`
}

// names is a layout whose expressions are taken apart.
type names struct {
	prefix, errors prefix
	// keys are the names in partition_by.
	keys []string
}

// Validate reports mistakes that can be seen without knowing the columns.
func (l *Layout) Validate() []config.Problem {
	_, problems := l.parse()
	if l.MaxPartitions > 0 && len(l.PartitionBy) == 0 {
		problems = append(problems, config.Problemf("max_partitions", "needs partition_by; without it there is one partition"))
	}
	return problems
}

// parse takes the expressions apart; the problems are all there are.
func (l *Layout) parse() (n names, problems []config.Problem) {
	report := func(path string, err error) {
		if err != nil {
			problems = append(problems, config.Problemf(path, "%v", err))
		}
	}
	for i, text := range l.PartitionBy {
		_, name, err := splitName(text)
		report(indexed("partition_by", i), err)
		n.keys = append(n.keys, name)
	}
	zone, err := l.zone()
	report("timezone", err)
	parse := func(path, text string, g grammar) prefix {
		p, err := g.parse(text)
		if err == nil {
			err = p.check(g)
		}
		report(path, err)
		return p
	}
	n.prefix = parse("prefix", l.Prefix, grammar{keys: n.keys, zone: zone})
	n.errors = parse("error_prefix", l.ErrorPrefix, grammar{zone: zone, errors: true})
	if len(problems) == 0 && l.Prefix != "" && l.ErrorPrefix != "" {
		sample := sampleNames(n.keys)
		if text := string(n.errors.append(nil, sample)); text == string(n.prefix.append(nil, sample)) {
			report("error_prefix", fmt.Errorf("gives %q, as prefix does, so rejected rows would lie among the others; choose another one", text))
		}
	}
	if len(problems) == 0 && l.Timezone != "" && n.prefix.index(pieceTime) < 0 && n.errors.index(pieceTime) < 0 {
		report("timezone", errors.New("has no effect: neither prefix nor error_prefix has !{timestamp:…}"))
	}
	return n, problems
}

// zone is UTC by default.
func (l *Layout) zone() (*time.Location, error) {
	if l.Timezone == "Local" {
		return time.UTC, errors.New(`"Local" differs from machine to machine; name a zone, such as Europe/Berlin`)
	}
	zone, err := time.LoadLocation(l.Timezone)
	if err != nil {
		return time.UTC, fmt.Errorf("there is no time zone %q; write UTC or a name such as Europe/Berlin", l.Timezone)
	}
	return zone, nil
}
