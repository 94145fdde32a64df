package sql_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/sqltest"
)

const everyAggregate = "COUNT(*) AS c, COUNT(d) AS cd, SUM(d) AS sd, AVG(d) AS ad, SUM(n) AS sn, MIN(n) AS lo, MAX(d) AS hi"

// grouped is a query with a window.
func grouped(window string) string {
	return "SELECT window_start, window_end, k, " + everyAggregate + " FROM s WHERE n IS NULL OR n <> 3 GROUP BY " + window + ", k"
}

var anyWindow = []string{
	grouped("TUMBLE(ts, INTERVAL '7' SECOND, INTERVAL '2' SECOND)"),
	grouped("HOP(ts, INTERVAL '2' SECOND, INTERVAL '9' SECOND)"),
	grouped("HOP(ts, INTERVAL '10' SECOND, INTERVAL '10' SECOND)"),
	grouped("CUMULATE(ts, INTERVAL '3' SECOND, INTERVAL '12' SECOND)"),
	grouped("TUMBLE(ts, INTERVAL '1' DAY, TIME ZONE 'Europe/Berlin')"),
	grouped("SESSION(ts, INTERVAL '2' SECOND)"),
	grouped("SESSION(ts, INTERVAL '30' SECOND)"),
	grouped("STAGGER(ts, INTERVAL '5' SECOND)"),
	grouped("TUMBLE(ROWS 4)"),
	grouped("HOP(ROWS 2, ROWS 5)"),
	grouped("HOP(ts, INTERVAL '3' SECOND, INTERVAL '9' SECOND)") + " ALLOWED LATENESS INTERVAL '2' SECOND",
	grouped("SESSION(ts, INTERVAL '3' SECOND)") + " ALLOWED LATENESS INTERVAL '2' SECOND",
	`SELECT ts, k, d, SUM(d) OVER w AS sd, MAX(n) OVER w AS hi, LAG(d, 2) OVER w AS before, ROW_NUMBER() OVER w AS i FROM s
		WINDOW w AS (PARTITION BY k ORDER BY ts RANGE INTERVAL '4' SECOND PRECEDING)`,
	`SELECT ts, k, d, SUM(d) OVER (PARTITION BY k ORDER BY ts ROWS 3 PRECEDING) AS sd, COUNT(d) OVER (ORDER BY ts) AS c FROM s`,
}

// TestEveryWindowIsTheSameHoweverRowsArrive: random batch splits, shards interleaved at random,
// snapshots in between, emissions at random watermarks. Every row is accounted for.
func TestEveryWindowIsTheSameHoweverRowsArrive(t *testing.T) {
	for _, text := range anyWindow {
		q := compile(t, streamSchema, "ts", text)
		for seed := range uint64(25) {
			r := rand.New(rand.NewPCG(seed, 9))
			stream := randomStream(r)
			want, wantLate := runRandomly(t, r, q, stream)
			slices.Sort(want)
			for range 3 {
				got, late := runRandomly(t, r, q, stream)
				slices.Sort(got)
				if strings.Join(got, "\n") != strings.Join(want, "\n") || late != wantLate {
					t.Fatalf("%s\nseed %d: %d late and %d; got\n%s\nand\n%s", text, seed, late, wantLate, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
		}
	}
}

// TestWindowsThatAreOthersInDisguise compares two queries over the same rows.
func TestWindowsThatAreOthersInDisguise(t *testing.T) {
	tumble := grouped("TUMBLE(ts, INTERVAL '10' SECOND)")
	for _, pair := range [][2]string{
		{tumble, grouped("HOP(ts, INTERVAL '10' SECOND, INTERVAL '10' SECOND)")},
		{tumble, grouped("CUMULATE(ts, INTERVAL '10' SECOND, INTERVAL '10' SECOND)")},
		{tumble, grouped("TUMBLE(ts, INTERVAL '10' SECOND, INTERVAL '20' SECOND)")},
		{tumble, grouped("TUMBLE(ts, INTERVAL '10' SECOND, TIME ZONE 'Asia/Tokyo')")},
		{grouped("TUMBLE(ts, INTERVAL '1' DAY, TIME ZONE 'UTC')"), grouped("TUMBLE(ts, INTERVAL '1' DAY)")},
		{grouped("TUMBLE(ROWS 3)"), grouped("HOP(ROWS 3, ROWS 3)")},
	} {
		for seed := range uint64(30) {
			r := rand.New(rand.NewPCG(seed, 21))
			stream := randomStream(r)
			want, wantLate := runRandomly(t, r, compile(t, streamSchema, "ts", pair[0]), stream)
			got, late := runRandomly(t, r, compile(t, streamSchema, "ts", pair[1]), stream)
			slices.Sort(want)
			slices.Sort(got)
			if strings.Join(got, "\n") != strings.Join(want, "\n") || late != wantLate {
				t.Fatalf("%s\nseed %d: %d late, want %d; got\n%s\nwant\n%s", pair[1], seed, late, wantLate, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
}

// TestASessionOfAnyGapIsOneGroup: with a gap longer than the stream each key has one session, with the
// rows of them all.
func TestASessionOfAnyGapIsOneGroup(t *testing.T) {
	q := compile(t, streamSchema, "ts", "SELECT k, COUNT(*) AS c FROM s GROUP BY SESSION(ts, INTERVAL '9' HOUR), k")
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 33))
		stream, counts := randomStream(r), map[string]int{}
		for _, rows := range stream {
			for _, e := range rows {
				if e.ts >= e.mark {
					counts[e.k]++
				}
			}
		}
		var want []string
		for k, n := range counts {
			if k == "" {
				k = "null"
			}
			want = append(want, fmt.Sprint(k, " ", n))
		}
		got, _ := runRandomly(t, r, q, stream)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: got %v, want %v", seed, got, want)
		}
	}
}

// TestSessionsAreThoseOfSortedRows compares with sessions found by sorting all rows that are on time.
func TestSessionsAreThoseOfSortedRows(t *testing.T) {
	const gap = 2_000_000
	q := compile(t, streamSchema, "ts", "SELECT k, COUNT(*) AS c, MIN(ts) AS lo, MAX(ts) AS hi FROM s GROUP BY SESSION(ts, INTERVAL '2' SECOND), k")
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 44))
		stream, times := randomStream(r), map[string][]int64{}
		for id := range record.ShardID(10) {
			for _, e := range stream[id] {
				if e.ts >= e.mark {
					times[e.k] = append(times[e.k], e.ts)
				}
			}
		}
		var want []string
		for k, all := range times {
			slices.Sort(all)
			for from := 0; from < len(all); {
				to := from + 1
				for to < len(all) && all[to] < all[to-1]+gap {
					to++
				}
				cells := event{ts: all[from], k: k}.cells()
				want = append(want, strings.ReplaceAll(fmt.Sprint(cells[1], " ", to-from, " ", cells[0], " ", event{ts: all[to-1]}.cells()[0]), "'", ""))
				from = to
			}
		}
		got, _ := runRandomly(t, r, q, stream)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: got\n%s\nwant\n%s", seed, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// FuzzRestoreAnyWindow: a damaged snapshot is refused, or it is one.
func FuzzRestoreAnyWindow(f *testing.F) {
	for i, text := range anyWindow {
		f.Add(i, snapshotOf(f, compile(f, streamSchema, "ts", text), someRows...))
	}
	f.Fuzz(func(t *testing.T, i int, snapshot []byte) {
		if i < 0 || i >= len(anyWindow) {
			return
		}
		op := compile(t, streamSchema, "ts", anyWindow[i]).New()
		if op.Restore(snapshot) != nil {
			return
		}
		b, err := op.Emit(1 << 50)
		if err == nil {
			sqltest.Rows(b)
		}
	})
}

func TestStateOfAnotherQueryIsRefused(t *testing.T) {
	const query = "SELECT window_start, k, SUM(n) AS s FROM s GROUP BY HOP(ts, INTERVAL '5' SECOND, INTERVAL '10' SECOND), k"
	snapshot := snapshotOf(t, compile(t, streamSchema, "ts", query), someRows...)
	for _, c := range []struct {
		from, to string
		fits     bool
	}{
		{"SUM(n) AS s", "SUM(n) AS total", true},
		{"FROM s", "FROM s WHERE n > 1", true},
		{"SUM(n) AS s", "SUM(n) * 2 AS s", true},
		{"SUM(n)", "SUM(n + 1)", false},
		{"SUM(n)", "MAX(n)", false},
		{"'5' SECOND", "'2' SECOND", false},
		{"HOP", "CUMULATE", false},
		{"HOP(ts", "HOP(arrival_time", false},
		{", k", ", UPPER(k)", false},
	} {
		text := query
		if c.from == ", k" {
			text = strings.ReplaceAll(text, c.from, c.to)
			text = strings.Replace(text, "UPPER(k)", "UPPER(k) AS k2", 1)
		} else {
			text = strings.Replace(text, c.from, c.to, 1)
		}
		err := compile(t, streamSchema, "ts", text).New().Restore(snapshot)
		if c.fits && err != nil || !c.fits && !errors.Is(err, sql.ErrChanged) {
			t.Errorf("%s: %v", text, err)
		}
	}
	over := "SELECT window_start, SUM(s) AS s FROM (" + query + ") AS x GROUP BY TUMBLE(window_start, INTERVAL '1' MINUTE)"
	if err := compile(t, streamSchema, "ts", over).New().Restore(snapshot); !errors.Is(err, sql.ErrChanged) {
		t.Errorf("a query over it: %v", err)
	}
	if err := compile(t, streamSchema, "ts", query).New().Restore(snapshotOf(t, compile(t, streamSchema, "ts", over), someRows...)); !errors.Is(err, sql.ErrChanged) {
		t.Errorf("a query below it: %v", err)
	}
	if err := compile(t, streamSchema, "ts", "SELECT k FROM s").New().Restore(snapshot); !errors.Is(err, sql.ErrChanged) {
		t.Errorf("a query without windows: %v", err)
	}
}
