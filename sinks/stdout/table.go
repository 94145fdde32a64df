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

	mu sync.Mutex // guards what follows
	state
	// fresh is set once a row came in this run.
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
		t.Columns = append(t.Columns, f.Name)
	}
	return t
}

func (t *table) Guarantee() string {
	return fmt.Sprintf("last value: shows the newest rows and keeps up to %d of them for the next run", t.limit)
}

func (t *table) Trigger() flow.Trigger { return flow.Trigger{Age: 2 * time.Second} }

// Start takes over the rows of earlier runs unless the columns have changed since.
func (t *table) Start(_ context.Context, raw json.RawMessage) error {
	var s state
	if raw != nil {
		if err := json.Unmarshal(raw, &s); err != nil {
			return flow.Permanent(fmt.Errorf("stdout sink %q: state in the checkpoint: %w", t.env.Identity.Name, err))
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Seen, t.Rows, t.fresh = s.Seen, nil, false
	if slices.Equal(s.Columns, t.Columns) {
		t.Rows = slices.DeleteFunc(s.Rows, func(row []*string) bool { return len(row) != len(t.Columns) })
		t.Rows = t.Rows[max(0, len(t.Rows)-t.limit):]
	}
	return nil
}

func (t *table) Add(_ context.Context, b *column.Batch) (flow.Outcome, error) {
	n := b.Selected()
	t.mu.Lock()
	defer t.mu.Unlock()
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
		t.Rows = append(t.Rows, cells)
	}
	// Moved to the front, so that the rows that left can be freed.
	t.Rows = slices.Delete(t.Rows, 0, max(0, len(t.Rows)-t.limit))
	t.Seen += int64(n)
	t.fresh = t.fresh || n > 0
	t.open += int64(n)
	t.hash.Add(column.HashRows(b))
	return flow.Outcome{Counts: flow.Counts{In: int64(n), Passed: int64(n)}}, nil
}

func (t *table) Open() flow.Open { return flow.Open{Rows: t.open} }

func (t *table) Plan(_ context.Context, cut flow.Cut) (flow.Plan, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	raw, err := json.Marshal(t.state)
	plan := flow.Plan{Cut: cut, State: raw}
	if t.open > 0 {
		// It creates nothing, but makes the rows count as delivered.
		plan.Objects = []flow.Object{{Key: "terminal", Rows: t.open, Hash: t.hash.String()}}
	}
	return plan, err
}

func (t *table) Put(context.Context, flow.Plan) error { return nil }

func (t *table) Published(flow.Plan) { t.open, t.hash = 0, column.RowHash{} }

func (t *table) Close() error { return nil }

// Screen implements sinks.Screen.
func (t *table) Screen(width int) []string {
	t.mu.Lock()
	rows := slices.Clone(t.Rows)
	title := t.title()
	t.mu.Unlock()
	return draw(title, t.env.Schema.Fields, rows, width)
}

// title says which rows these are.
func (t *table) title() string {
	text := t.env.Identity.Name + ": "
	switch n := len(t.Rows); {
	case t.Seen == 0:
		return text + "no rows yet"
	case n == 0:
		return text + fmt.Sprintf("%d rows so far, none since the columns changed", t.Seen)
	case int64(n) < t.Seen:
		text += fmt.Sprintf("the last %d of %d rows", n, t.Seen)
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
