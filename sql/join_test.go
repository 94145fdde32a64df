package sql_test

import (
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql"
)

// A key of very many rows must not make one batch of all that comes of a batch: it is taken in parts.
func TestRowsThatMatchVeryManyAreTakenInParts(t *testing.T) {
	const times, rows = 3000, 200
	for name, text := range map[string]string{
		"windows":   "SELECT window_start, region, COUNT(*) AS n FROM s JOIN regions ON country = code WHERE price < 1000 GROUP BY TUMBLE(event_time, INTERVAL '1' DAY), region",
		"sub-query": "SELECT window_start, region, COUNT(*) AS n FROM (SELECT event_time, region FROM s LEFT JOIN regions ON country = code AND price < 1000) AS x GROUP BY TUMBLE(event_time, INTERVAL '1' DAY), region",
		"behind":    "SELECT region, n FROM (SELECT window_start, country, COUNT(*) AS n FROM s GROUP BY TUMBLE(event_time, INTERVAL '1' DAY), country) AS w JOIN regions ON country = code",
	} {
		op := joining(t, text, regionTable(12, times))
		b := clickBatches(1)[0]
		b.Selection = nil
		for r := range int32(rows) {
			b.Selection = append(b.Selection, 7*r)
		}
		taken, err := op.Add(b)
		if err != nil {
			t.Fatal(err)
		}
		if taken.Aggregated != rows || taken.Filtered != 0 || len(taken.Late) != 0 {
			t.Errorf("%s: %d rows in, %+v", name, rows, taken)
		}
		total, emitted := int64(0), 0
		for {
			out, err := op.Emit(column.MaxWatermark)
			if err != nil {
				t.Fatal(err)
			}
			if out == nil {
				break
			}
			emitted += out.Rows
			n := out.Columns[out.Schema.Index("n")]
			for i := range out.Rows {
				total += n.Int64s[i]
			}
		}
		if total != times*rows {
			t.Errorf("%s: %d pairs in %d rows, want %d", name, total, emitted, times*rows)
		}
	}
}

func TestJoinsDoNotAllocatePerRow(t *testing.T) {
	for _, on := range []string{"LEFT JOIN regions ON country = code", "JOIN regions ON quantity = id", "LEFT JOIN regions ON country = code AND event_time >= since", "JOIN regions ON country = code AND id = quantity"} {
		for times := 1; times <= 2; times++ {
			op := joining(t, "SELECT window_start, region, COUNT(*) AS n FROM s "+on+" GROUP BY TUMBLE(event_time, INTERVAL '1' DAY), region", regionTable(12, times))
			batches := clickBatches(1)
			run := func() {
				if _, err := op.Add(batches[0]); err != nil {
					t.Fatal(err)
				}
			}
			run()
			if n := testing.AllocsPerRun(5, run); n > 40 {
				t.Errorf("%s with %d rows each: %.0f allocations for %d rows", on, times, n, benchRows)
			}
		}
	}
}

func TestAJoinWithoutItsTableIsAnError(t *testing.T) {
	q, err := sql.CompileQuery("SELECT region FROM s JOIN regions ON country = code", func(name string) (sql.Input, bool) {
		return sql.Input{Schema: map[bool]*column.Schema{true: regions, false: clicks}[name == "regions"], Table: name == "regions"}, true
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := q.Tables(); len(got) != 1 || got[0] != "regions" {
		t.Error(got)
	}
	if _, err := q.New().Add(clickBatches(1)[0]); err == nil {
		t.Error("rows were joined with nothing")
	}
}
