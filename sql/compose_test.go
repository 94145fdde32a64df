package sql_test

import (
	"testing"

	"github.com/millrace-io/millrace/engine/column"
)

// composed are queries whose state is that of several operators.
var composed = []string{
	"SELECT window_start, MAX(n) AS m FROM (SELECT window_start, COUNT(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '1' SECOND)) AS w GROUP BY TUMBLE(window_start, INTERVAL '1' MINUTE)",
	"SELECT window_start, COUNT(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '1' SECOND) UNION ALL SELECT window_start, COUNT(*) AS n FROM s GROUP BY SESSION(ts, INTERVAL '1' SECOND)",
	"SELECT window_start, COUNT(*) AS n FROM s GROUP BY TUMBLE(ts, INTERVAL '1' SECOND) UNION ALL SELECT window_start, COUNT(*) AS n FROM other GROUP BY TUMBLE(ts, INTERVAL '1' SECOND)",
	"SELECT ts, COUNT(*) OVER (ORDER BY ts ROWS 3 PRECEDING) AS n FROM (SELECT ts FROM s UNION ALL SELECT ts FROM s) AS u",
}

func FuzzRestoreComposed(f *testing.F) {
	for i, text := range composed {
		state := snapshotOf(f, compile(f, streamSchema, "ts", text), someRows...)
		f.Add(i, state)
		f.Add(i, state[:len(state)/2])
	}
	f.Fuzz(func(t *testing.T, i int, state []byte) {
		if i < 0 || i >= len(composed) {
			return
		}
		op := compile(t, streamSchema, "ts", composed[i]).New()
		if op.Restore(state) != nil {
			return
		}
		if op.Memory() > int64(1000*(len(state)+2000)) {
			t.Errorf("%d bytes of state from %d", op.Memory(), len(state))
		}
		if _, err := op.Emit(column.MaxWatermark); err != nil {
			t.Error(err)
		}
	})
}
