// Package table is reference tables: rows of a file or an object that queries join. A table is read
// whole, kept in memory as columns, and read again on a schedule; each different content is a version.
//
// The invariant to remember: a version whose number was given to anybody lies in the data directory, and
// stays there until neither a task nor a plan needs it. What was joined once can be joined again.
package table

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/millrace-io/millrace/engine/column"
)

// The formats of a table's content.
const (
	CSV     = "csv"
	NDJSON  = "ndjson"
	Parquet = "parquet"
)

// Spec is what a table is made of.
type Spec struct {
	Name string
	// Source is where the content comes from.
	Source Source
	Format string
	// Schema are the columns; others that the content has are left out.
	Schema *column.Schema
	// Key are columns whose values no two rows may have in common; empty when any may.
	Key []string
	CSV CSVOptions
	// Memory is what the rows may take, in bytes; Uses is how many queries keep an index of them, which
	// counts.
	Memory int64
	Uses   int
	// Refresh is the time between looks at the source; 0 means that it is read at the start only.
	Refresh time.Duration
}

// CSVOptions say how a CSV file is written.
type CSVOptions struct {
	// Delimiter parts cells; 0 is a comma.
	Delimiter byte
	// NoHeader says that the first line is a row and cells are in the order of the schema.
	NoHeader bool
}

// Source is where a table's content comes from.
type Source interface {
	// Fetch writes the content to w. tag is that of the last content, or empty: a source that knows that
	// nothing has changed since returns it again and writes nothing.
	Fetch(ctx context.Context, tag string, w io.Writer) (newTag string, err error)
	// String says where that is.
	String() string
}

// Status of a table for people and metrics.
type Status struct {
	Name string `json:"name"`
	// From is where the content comes from.
	From string `json:"from"`
	// Version is the number of the version in use, 0 before there is one; Hash that of its content.
	Version int64  `json:"version"`
	Hash    string `json:"hash,omitempty"`
	Rows    int64  `json:"rows"`
	// Bytes of the content, and Memory that its rows take.
	Bytes  int64 `json:"bytes"`
	Memory int64 `json:"memory"`
	// Seen is when the source last had this content.
	Seen *time.Time `json:"seen,omitempty"`
	// Age is the time since then in seconds.
	Age float64 `json:"age_seconds"`
	// Error is why the last look at the source failed; the version before stays in use.
	Error string `json:"error,omitempty"`
	// Failures are those looks in this run.
	Failures int64 `json:"failures"`
}

// indexBytes is what an index of the rows takes for each at most.
const indexBytes = 36

// TooLargeError says that a table does not fit the memory it has.
type TooLargeError struct{ Limit int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("its rows take more than the %.1f MiB it may have; raise its memory (and that of the pipeline), or leave columns that are not needed out of its schema", float64(e.Limit)/(1<<20))
}
