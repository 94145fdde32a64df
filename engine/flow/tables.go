package flow

import (
	"context"
	"fmt"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql"
)

// Tabled is a Processor whose rows depend on reference tables. A chunk has one version of each from its
// first row to its last, which its cut records.
type Tabled interface {
	// Refresh takes the latest versions. It is called between chunks, and with back-off until it returns nil
	// before the first one.
	Refresh(ctx context.Context) error
	// Tables are the versions in use; nil when there are no tables.
	Tables() map[string]checkpoint.TableVersion
	// Recall takes the versions that a plan names.
	Recall(versions map[string]checkpoint.TableVersion) error
}

// ReferenceTable is a table that queries join.
type ReferenceTable interface {
	// Latest is the latest version and its rows, which stay as they are. Once it returned no error, it
	// returns at once.
	Latest(ctx context.Context) (checkpoint.TableVersion, *column.Batch, error)
	// At returns the rows of a version that a task used.
	At(v checkpoint.TableVersion) (*column.Batch, error)
	// Use notes that a task uses a version and needs no other one.
	Use(task string, v checkpoint.TableVersion)
}

// joinedTable is a table at work in a query.
type joinedTable struct {
	version checkpoint.TableVersion
	rows    *column.Batch
}

// Refresh implements Tabled.
func (q *Query) Refresh(ctx context.Context) error {
	for name, table := range q.Joins {
		v, rows, err := table.Latest(ctx)
		if err != nil {
			return q.fail(err)
		}
		if err := q.use(name, table, v, rows); err != nil {
			return err
		}
	}
	return nil
}

// Tables implements Tabled.
func (q *Query) Tables() map[string]checkpoint.TableVersion {
	if len(q.Joins) == 0 {
		return nil
	}
	versions := make(map[string]checkpoint.TableVersion, len(q.joined))
	for name, t := range q.joined {
		versions[name] = t.version
	}
	return versions
}

// Recall implements Tabled.
func (q *Query) Recall(versions map[string]checkpoint.TableVersion) error {
	for name, table := range q.Joins {
		v, ok := versions[name]
		if !ok {
			return q.fail(fmt.Errorf("the plan names no version of table %q", name))
		}
		rows, err := table.At(v)
		if err != nil {
			return q.fail(err)
		}
		if err := q.use(name, table, v, rows); err != nil {
			return err
		}
	}
	return nil
}

// use joins a version of a table from now on.
func (q *Query) use(name string, table ReferenceTable, v checkpoint.TableVersion, rows *column.Batch) error {
	if q.joined[name].version == v {
		return nil
	}
	if err := sql.Use(q.op, name, rows); err != nil {
		return Permanent(q.fail(err))
	}
	if q.joined == nil {
		q.joined = map[string]joinedTable{}
	}
	q.joined[name] = joinedTable{v, rows}
	table.Use(Key(q.Identity), v)
	return nil
}

// rejoin gives a new operator the tables of the one before.
func (q *Query) rejoin() error {
	for name, t := range q.joined {
		if err := sql.Use(q.op, name, t.rows); err != nil {
			return Permanent(q.fail(err))
		}
	}
	return nil
}

// refresh lets the next chunk have the latest versions of reference tables. It does nothing within one.
func (t *Task) refresh(ctx context.Context) error {
	p, ok := t.Processor.(Tabled)
	if !ok || t.moved() {
		return nil
	}
	return named(p.Refresh(ctx))
}

// awaitTables waits until all reference tables are there.
func (t *Task) awaitTables(ctx context.Context) error {
	p, ok := t.Processor.(Tabled)
	if !ok {
		return nil
	}
	return named(t.insist(ctx, 0, p.Refresh))
}

// recallTables makes the task work with the versions of reference tables that a plan was made with.
func (t *Task) recallTables(cut Cut) error {
	p, ok := t.Processor.(Tabled)
	if !ok {
		return nil
	}
	if err := p.Recall(cut.Tables); err != nil {
		return Permanent(named(fmt.Errorf("redo chunk %d: %w", cut.Chunk, err)))
	}
	return nil
}

// tables are the versions that the rows of the open chunk are joined with.
func (t *Task) tables() map[string]checkpoint.TableVersion {
	if p, ok := t.Processor.(Tabled); ok {
		return p.Tables()
	}
	return nil
}
