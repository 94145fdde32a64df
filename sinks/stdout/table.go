package stdout

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks"
)

// table keeps the newest rows for Screen. It writes nothing itself.
type table struct {
	env   sinks.Env
	limit int
	// open and hash are of the open chunk.
	open int64
	hash column.RowHash

	// newest has the open chunk in it.
	newest state

	mu sync.Mutex // guards what follows
	// shown is as of the last commit; fresh is set once it has a row of this run.
	shown state
	fresh bool
}

// state is what the checkpoint holds, so that a run that brings nothing new has a table to show.
type state struct {
	// Columns are the names that Rows belong to.
	Columns []string `json:"columns"`
	// Seen counts all rows so far.
	Seen int64 `json:"seen"`
	// Rows are the newest ones, oldest first, as text; null stays null.
	Rows [][]*string `json:"rows"`
}

func newTable(limit int, env sinks.Env) *table {
	t := &table{env: env, limit: limit}
	for _, f := range env.Schema.Fields {
		t.newest.Columns = append(t.newest.Columns, f.Name)
	}
	return t
}

func (t *table) Guarantee() string {
	return fmt.Sprintf("last value: shows the newest rows and keeps up to %d of them for the next run", t.limit)
}

// Trigger keeps rows back only as long as nobody notices.
func (t *table) Trigger() flow.Trigger { return flow.Trigger{Age: 250 * time.Millisecond} }

// Start takes over the rows of earlier runs unless the columns have changed since.
func (t *table) Start(_ context.Context, raw json.RawMessage) error {
	var s state
	if raw != nil {
		if err := json.Unmarshal(raw, &s); err != nil {
			return flow.Permanent(fmt.Errorf("stdout sink %q: state in the checkpoint: %w", t.env.Identity.Name, err))
		}
	}
	t.open, t.hash = 0, column.RowHash{}
	t.newest.Seen, t.newest.Rows = s.Seen, nil
	if slices.Equal(s.Columns, t.newest.Columns) {
		t.newest.Rows = slices.DeleteFunc(s.Rows, func(row []*string) bool { return len(row) != len(t.newest.Columns) })
		t.newest.Rows = t.newest.Rows[max(0, len(t.newest.Rows)-t.limit):]
	}
	t.show(false)
	return nil
}

// show lets the screen see what there is.
func (t *table) show(fresh bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shown, t.fresh = t.newest, fresh
	t.shown.Rows = slices.Clone(t.newest.Rows)
}

func (t *table) Add(_ context.Context, b *column.Batch) (flow.Outcome, error) {
	n := b.Selected()
	for i := max(0, n-t.limit); i < n; i++ {
		row := i
		if b.Selection != nil {
			row = int(b.Selection[i])
		}
		cells := make([]*string, len(b.Columns))
		for j, c := range b.Columns {
			if !c.IsNull(row) {
				text := cell(c, row)
				cells[j] = &text
			}
		}
		t.newest.Rows = append(t.newest.Rows, cells)
	}
	// Moved to the front, so that the rows that left can be freed.
	t.newest.Rows = slices.Delete(t.newest.Rows, 0, max(0, len(t.newest.Rows)-t.limit))
	t.newest.Seen += int64(n)
	t.open += int64(n)
	t.hash.Add(column.HashRows(b))
	return flow.Outcome{Counts: flow.Counts{In: int64(n), Passed: int64(n)}}, nil
}

func (t *table) Open() flow.Open { return flow.Open{Rows: t.open} }

func (t *table) Plan(_ context.Context, cut flow.Cut) (flow.Plan, error) {
	raw, err := json.Marshal(t.newest)
	plan := flow.Plan{Cut: cut, State: raw}
	if t.open > 0 {
		// It creates nothing, but makes the rows count as delivered.
		plan.Objects = []flow.Object{{Key: "terminal", Rows: t.open, Hash: t.hash.String()}}
	}
	return plan, err
}

func (t *table) Put(context.Context, flow.Plan) error { return nil }

// Published lets the screen see the chunk.
func (t *table) Published(flow.Plan) {
	if t.open > 0 {
		t.show(true)
	}
	t.open, t.hash = 0, column.RowHash{}
}

func (t *table) Close() error { return nil }

// Screen implements sinks.Screen.
func (t *table) Screen(width int) []string {
	t.mu.Lock()
	shown, title := t.shown, t.title()
	t.mu.Unlock()
	return draw(title, t.env.Schema.Fields, shown.Rows, width)
}

// title says which rows these are.
func (t *table) title() string {
	text := t.env.Identity.Name + ": "
	switch n := len(t.shown.Rows); {
	case t.shown.Seen == 0:
		return text + "no rows yet"
	case n == 0:
		return text + fmt.Sprintf("%d rows so far, none since the columns changed", t.shown.Seen)
	case int64(n) < t.shown.Seen:
		text += fmt.Sprintf("the last %d of %d rows", n, t.shown.Seen)
	case n == 1:
		text += "1 row"
	default:
		text += fmt.Sprintf("%d rows", n)
	}
	if !t.fresh {
		text += ", from earlier runs"
	}
	return text
}
