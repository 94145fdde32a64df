package sql

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/column"
)

func TestOperatorsSayWhenTheNextWindowCloses(t *testing.T) {
	at := func(minute int) int64 { return time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC).UnixMicro() }
	for text, want := range map[string]int64{
		"SELECT k, COUNT(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '5' MINUTE), k":                                                                                                       at(5),
		"SELECT k, COUNT(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '5' MINUTE), k ALLOWED LATENESS INTERVAL '2' MINUTE":                                                                  at(7),
		"SELECT k, COUNT(*) AS n FROM s GROUP BY HOP(ts, INTERVAL '1' MINUTE, INTERVAL '5' MINUTE), k":                                                                                     at(3),
		"SELECT k, COUNT(*) AS n FROM s GROUP BY SESSION(ts, INTERVAL '5' MINUTE), k":                                                                                                      at(7),
		"SELECT k, COUNT(*) AS n FROM s GROUP BY TUMBLE(ROWS 5), k":                                                                                                                        column.MaxWatermark,
		"SELECT ts, COUNT(*) OVER (PARTITION BY k ORDER BY ts) AS n FROM s":                                                                                                                column.MaxWatermark,
		"SELECT window_start, SUM(n) AS n FROM (SELECT window_start, COUNT(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '5' MINUTE)) AS x GROUP BY TUMBLE(window_start, INTERVAL '1' HOUR)": at(5),
		"SELECT k, COUNT(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '5' MINUTE), k UNION ALL SELECT k, COUNT(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '3' MINUTE), k":                  at(3),
	} {
		q, _ := described(t, text)
		op := q.New()
		d := column.NewDecoder(describedRows, nil, column.Options{})
		if err := d.Add([]byte(`{"ts":"2026-01-01T00:02:00Z","k":"a","v":1}`), 0, 0); err != nil {
			t.Fatal(err)
		}
		b := d.Take(column.Origin{})
		b.Watermarks = []int64{column.MinWatermark}
		if _, err := op.Add(b); err != nil {
			t.Fatal(err)
		}
		if _, err := op.Emit(at(2) + 1); err != nil {
			t.Fatal(err)
		}
		if got := op.(Watched).Open().Closes; got != want {
			t.Errorf("%s: the next closes at %v, want %v", text, time.UnixMicro(got).UTC(), time.UnixMicro(want).UTC())
		}
		if _, err := op.Emit(column.MaxWatermark); err != nil {
			t.Fatal(err)
		}
		if got := op.(Watched).Open(); got != (Open{Closes: column.MaxWatermark}) {
			t.Errorf("%s: %+v is open at the end", text, got)
		}
	}
}
