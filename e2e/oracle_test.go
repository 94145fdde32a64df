package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// events is the table function that reads generated click events, every column typed as the
// pipeline files declare it.
func events(file string) string {
	return fmt.Sprintf(`(SELECT epoch_us(event_time::TIMESTAMP) AS event_time, * EXCLUDE event_time FROM read_ndjson('%s', columns = {
		event_time: 'VARCHAR', user_id: 'VARCHAR', session_id: 'VARCHAR', url: 'VARCHAR', action: 'VARCHAR',
		price: 'DOUBLE', quantity: 'BIGINT', country: 'VARCHAR', user_agent: 'VARCHAR',
		geo: 'STRUCT(lat DOUBLE, lon DOUBLE)', seq: 'BIGINT'}))`, file)
}

// revenue is DuckDB's answer to the query of pipelines/examples/revenue.yaml.
func revenue(file string) string {
	return fmt.Sprintf(`(SELECT event_time - event_time %% 60000000 AS window_start, country, COUNT(*) AS n,
		SUM(price * quantity) AS revenue, MAX(price) AS top FROM %s WHERE action = 'purchase' GROUP BY ALL)`, events(file))
}

// revenueOutput is the table function that reads what the query delivered to a file.
func revenueOutput(file string) string {
	return fmt.Sprintf(`(SELECT epoch_us(window_start::TIMESTAMP) AS window_start, * EXCLUDE window_start FROM read_ndjson('%s', columns = {
		window_start: 'VARCHAR', country: 'VARCHAR', n: 'BIGINT', revenue: 'DOUBLE', top: 'DOUBLE'}))`, file)
}

// count is the fate of what a test produced.
type count struct{ produced, delivered, duplicated, lost int64 }

func (c count) String() string {
	return fmt.Sprintf("produced %d / delivered %d / duplicated %d / lost %d", c.produced, c.delivered, c.duplicated, c.lost)
}

// countBy compares two tables by the expressions that identify a row.
func countBy(t *testing.T, key, want, got string) count {
	t.Helper()
	if got == "" {
		n := number(t, "SELECT COUNT(*) FROM %s", want)
		return count{produced: n, lost: n}
	}
	var c count
	c.produced = number(t, "SELECT COUNT(*) FROM %s", want)
	c.delivered = number(t, "SELECT COUNT(*) FROM %s", got)
	c.duplicated = c.delivered - number(t, "SELECT COUNT(*) FROM (SELECT DISTINCT %s FROM %s)", key, got)
	c.lost = number(t, "SELECT COUNT(*) FROM (SELECT %s FROM %s EXCEPT SELECT %s FROM %s)", key, want, key, got)
	return c
}

// sameEvents fails the test unless got holds exactly the events of the file, column by column.
func sameEvents(t *testing.T, file, got string) {
	t.Helper()
	if c := countBy(t, "seq", events(file), got); c.lost != 0 || c.duplicated != 0 || c.delivered != c.produced {
		t.Errorf("events: %v", c)
	}
	if got != "" {
		equalTables(t, events(file), got)
	}
}

// equalTables compares two tables of events column by column.
func equalTables(t *testing.T, wanted, got string) {
	t.Helper()
	const columns = "user_id, session_id, url, action, price, quantity, country, user_agent, geo, seq"
	want := fmt.Sprintf("SELECT event_time, %s FROM %s", columns, wanted)
	have := fmt.Sprintf("SELECT epoch_us(event_time) AS event_time, %s FROM %s", columns, got)
	for _, pair := range [][2]string{{want, have}, {have, want}} {
		if n := number(t, "SELECT COUNT(*) FROM (%s EXCEPT ALL %s)", pair[0], pair[1]); n != 0 {
			lines, err := duck.Lines(t.Context(), fmt.Sprintf("(%s EXCEPT ALL %s) LIMIT 3", pair[0], pair[1]))
			must(t, err)
			t.Errorf("%d rows differ, among them\n%s", n, strings.Join(lines, "\n"))
		}
	}
}

// sameRevenue fails the test unless the output file holds exactly the windows that DuckDB computes;
// sums of floating-point numbers may differ by the order they were added in.
func sameRevenue(t *testing.T, file, out string) count {
	t.Helper()
	c := countBy(t, "window_start, country", revenue(file), outputOrNothing(t, out))
	if c.lost != 0 || c.duplicated != 0 || c.delivered != c.produced {
		t.Errorf("windows: %v", c)
	}
	if wrong := wrongWindows(t, file, out); len(wrong) > 0 {
		t.Errorf("windows that differ from DuckDB's:\n%s", strings.Join(wrong, "\n"))
	}
	return c
}

// wrongWindows lists windows in the output that DuckDB computes differently or not at all. A
// window that was closed too early is among them.
func wrongWindows(t *testing.T, file, out string) []string {
	t.Helper()
	if outputOrNothing(t, out) == "" {
		return nil
	}
	lines, err := duck.Lines(t.Context(), fmt.Sprintf(`SELECT g.window_start, g.country, g.n, w.n, g.revenue, w.revenue, g.top, w.top
		FROM %s g LEFT JOIN %s w USING (window_start, country)
		WHERE w.n IS DISTINCT FROM g.n OR w.top IS DISTINCT FROM g.top
		   OR w.revenue IS NULL OR abs(w.revenue - g.revenue) > 1e-9 * abs(w.revenue) LIMIT 5`, revenueOutput(out), revenue(file)))
	must(t, err)
	return lines
}

// outputOrNothing is the table function for an output file, "" when it has no rows yet.
func outputOrNothing(t *testing.T, out string) string {
	t.Helper()
	if info, err := os.Stat(out); err != nil || info.Size() == 0 {
		return ""
	}
	return revenueOutput(out)
}
