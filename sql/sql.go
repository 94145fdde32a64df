// Package sql compiles SELECT statements and expressions to operators on columns. docs/architecture.md,
// section 4, says which file does what.
//
// The invariant to remember: what an operator emits follows from the rows of each shard in their
// order, never from how they were split into batches or how shards interleaved.
package sql

import (
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/expr"
)

// Input is a stream, transform or query that a query may select from.
type Input struct {
	Schema *column.Schema
	// EventTime is the timestamp column that windows go by; empty when there is none.
	EventTime string
	// Table is set for a reference table, which stands on the right side of a JOIN.
	Table bool

	// number is the place among Query.Inputs; arrival is set if rows have an arrival time. A sub-query has
	// neither.
	number  int
	arrival bool
	// untimed says why there is no event time, if rows are of a sub-query.
	untimed string
	// replace finds the field that stands for a node, -1 for none; nil when there are no such nodes.
	replace func(ast.Expr) (int, error)
	// alias finds what a name of the select list stands for in a QUALIFY that became a WHERE.
	alias func(*ast.Ident) ast.Expr
	// parts are the inputs that were joined, nil for one input.
	parts []expr.Part
}

// Operator is a running query. One goroutine uses it.
type Operator interface {
	// Add folds in the selected rows of b.
	Add(b *column.Batch) (Taken, error)
	// Ready reports whether Emit(watermark) would return rows.
	Ready(watermark int64) bool
	// Emit returns and forgets the final rows at a watermark (microseconds since the epoch;
	// column.MaxWatermark closes everything), in an order that depends on nothing but the rows.
	// Rows that belong to windows emitted once are late from then on. Nil when there are none; the batch is
	// valid until the next call.
	Emit(watermark int64) (*column.Batch, error)
	// Snapshot encodes the state; Restore sets it.
	Snapshot() ([]byte, error)
	Restore(snapshot []byte) error
	// Memory is the size of the state in bytes, roughly.
	Memory() int64
}

// Part is a piece of state that was written once and is referred to by snapshots since.
type Part struct {
	// File is the number of the file, Offset where the piece begins in it and Size its bytes.
	File, Offset, Size int64
}

// Parts keeps pieces of state. One goroutine uses it.
type Parts interface {
	Write(piece []byte) (Part, error)
	Read(p Part) ([]byte, error)
}

// Parted is an Operator that need not write all of its state with every snapshot: what changed since
// the last one goes to parts, and the snapshot refers to those that are still of use.
type Parted interface {
	// Keep sets where, and how many bytes of memory the state may take while Emit goes through it;
	// without it snapshots have everything. It comes before any other call.
	Keep(in Parts, room int64)
	// Files are those that the last snapshot refers to.
	Files() []int64
	// Shed lets go of memory for what the last snapshot has in parts, what was not used for longest
	// first, until the state takes no more than some bytes or nothing is left to be let go of.
	Shed(bytes int64) error
}

// Limited is an Operator that need not emit everything at once.
type Limited interface {
	// Limit sets after about how many rows, or as many times leavingRow bytes, Emit leaves the rest for the
	// next one, and stays Ready.
	Limit(rows int)
}

// Watched is an Operator that tells what is open in it.
type Watched interface{ Open() Open }

// Open is what an operator holds.
type Open struct {
	// Windows are those that are not closed, over all keys of one but each key's own where windows
	// differ from key to key. Rows wait for the watermark to pass them.
	Windows, Rows int64
	// Closes is the watermark at which the next window closes at the earliest, in microseconds since the epoch;
	// column.MaxWatermark if none waits for one.
	Closes int64
}

// Taken says what Add did with the selected rows.
type Taken struct {
	// Aggregated rows went into the state, Filtered ones failed the WHERE clause or had no event
	// time to be put in a window by.
	Aggregated, Filtered int64
	// Late are indices of rows whose window had been closed by their own shard's watermark.
	Late []int32

	// chosen are the rows that the WHERE clause took, nil if it took all or none; untimed are those of them
	// without a time. Both are valid until the next Add.
	chosen, untimed []int32
}
