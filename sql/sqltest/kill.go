package sqltest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql"
)

// committed is the last commit, and what came since: it is lost with a kill and read again.
type committed struct {
	state  []byte
	marks  map[record.ShardID]int64
	taken  sql.Taken
	lates  int
	tables map[string]*column.Batch
	since  []input
	// rows is how many there were in all, kills how often the operator was killed.
	rows, kills int
}

// input is rows of a shard, or new versions of reference tables.
type input struct {
	of     *stream
	shard  record.ShardID
	rows   [][]string
	tables map[string]*column.Batch
}

// killing reports whether the case is run with kills.
func (r *runner) killing() bool { return r.way.KillEvery > 0 && r.err == nil && r.op != nil }

// commit makes what was read so far safe from kills.
func (r *runner) commit() error {
	if !r.killing() {
		return nil
	}
	var err error
	r.last.state, err = r.drawer.Snapshot(r.op)
	r.last.marks, r.last.tables = maps.Clone(r.marks), maps.Clone(r.tables)
	r.last.taken, r.last.lates, r.last.since = r.taken, r.lates, nil
	return err
}

// addKilled adds rows and kills the operator behind every so manieth. Every second kill is followed by a
// commit, unless rows would leave with it.
func (r *runner) addKilled(of *stream, shard record.ShardID, rows [][]string) error {
	for len(rows) > 0 {
		n := min(len(rows), r.way.KillEvery-r.last.rows%r.way.KillEvery)
		if err := r.feed(of, shard, rows[:n]); err != nil {
			return err
		}
		r.last.since = append(r.last.since, input{of: of, shard: shard, rows: rows[:n]})
		r.last.rows += n
		rows = rows[n:]
		if r.last.rows%r.way.KillEvery != 0 {
			continue
		}
		if err := r.kill(); err != nil {
			return err
		}
		if r.last.kills%2 == 0 && r.query.Windowed() {
			if err := r.commit(); err != nil {
				return err
			}
		}
	}
	return nil
}

// kill goes on from the last commit with a new operator, which reads again what came since, in batches
// that are as large as can be.
func (r *runner) kill() error {
	r.last.kills++
	r.open()
	if r.last.state != nil {
		if err := r.op.Restore(r.last.state); err != nil {
			return err
		}
	}
	r.marks, r.tables = maps.Clone(r.last.marks), maps.Clone(r.last.tables)
	r.taken, r.lates = r.last.taken, r.last.lates
	if err := r.useTables(); err != nil {
		return err
	}
	var whole []input
	for _, in := range r.last.since {
		if n := len(whole) - 1; n >= 0 && in.rows != nil && whole[n].rows != nil && whole[n].shard == in.shard {
			whole[n].rows = slices.Concat(whole[n].rows, in.rows)
			continue
		}
		whole = append(whole, in)
	}
	for _, in := range whole {
		if in.tables != nil {
			r.tables = maps.Clone(in.tables)
			if err := r.useTables(); err != nil {
				return err
			}
			continue
		}
		if err := r.feed(in.of, in.shard, in.rows); err != nil {
			return err
		}
	}
	return nil
}

// emitKilled emits, is killed before that was committed, and must emit the same again.
func (r *runner) emitKilled(mark int64) error {
	if err := r.emitOnce(mark); err != nil {
		return err
	}
	first := r.got
	if err := r.kill(); err != nil {
		return err
	}
	if err := r.emitOnce(mark); err != nil {
		return err
	}
	if !slices.Equal(first, r.got) {
		return fmt.Errorf("killed before the commit it emits\n%v\nafter\n%v", r.got, first)
	}
	return r.commit()
}
