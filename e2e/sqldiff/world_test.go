package sqldiff

import (
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/sqltest"
)

// lead are the columns of events in front of those of expressions: their time, which may be null, a number of
// their own, a key of few values, and numbers that can be summed.
const lead = "ts timestamp, id bigint, kk string, v bigint, x double, m decimal(12;2)"

// event is a row of a stream and where it is.
type event struct {
	cells []string
	// at is its time in microseconds, mark the watermark of its shard before it, arrival when it arrived.
	at, mark, arrival int64
	timed             bool
}

// world is the events of a stream by shard, the same for both engines.
type world struct {
	schema *column.Schema
	shards [][]event
	// streams is for each shard which of several streams it is of; they ascend.
	streams []int
	// span is how much time they cover. No two have the same time if they are unique, and some are late unless
	// they are patient.
	span            time.Duration
	unique, patient bool
	// delay is how far watermarks stay behind, in microseconds.
	delay int64
	// base is where their time begins; far is set at the ends of what timestamps can be.
	base int64
	far  bool
	// zone is one whose clocks change then, if there is one.
	zone string
	// tableRows are the rows of the reference table, tables what queries read it as.
	tableRows [][]string
	tables    map[string]*column.Batch
}

// bases are where time begins: an ordinary day, changes of the clock, the epoch, a leap day.
var bases = []struct{ at, zone string }{
	{"2026-01-01T00:00:00Z", ""}, {"1969-12-31T23:50:00Z", ""}, {"2024-02-28T23:00:00Z", ""},
	{"2026-03-28T21:00:00Z", "Europe/Berlin"}, {"2026-10-24T22:30:00Z", "Europe/Berlin"}, {"2026-11-01T03:00:00Z", "America/New_York"},
	{"2018-11-03T20:00:00Z", "America/Sao_Paulo"}, {"2026-04-04T12:00:00Z", "Australia/Lord_Howe"},
}

// arrived is when the first row of each world did.
var arrived = time.Date(2026, 5, 5, 0, 0, 0, 0, time.UTC)

func newWorld(r *rand.Rand) (*world, error) {
	s, err := sqltest.Schema(lead + ", " + schema())
	if err != nil {
		return nil, err
	}
	w := &world{schema: s, unique: r.IntN(2) == 0, patient: r.IntN(2) == 0}
	w.span = []time.Duration{10 * time.Minute, 26 * time.Hour, 5 * 24 * time.Hour, 400 * 24 * time.Hour}[r.IntN(4)]
	n := []int{1 + r.IntN(4), 20 + r.IntN(60), 60 + r.IntN(140)}[r.IntN(3)]
	begin := bases[r.IntN(len(bases))]
	if begin.zone != "" && r.IntN(2) == 0 {
		w.span = 12 * time.Hour
	}
	base, err := time.Parse(time.RFC3339, begin.at)
	if err != nil {
		return nil, err
	}
	switch r.IntN(20) {
	case 0:
		base, w.far = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), true
	case 1:
		base, w.far = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).Add(-w.span), true
	}
	w.base, w.zone = base.UnixMicro(), begin.zone
	disorder := w.span.Microseconds() / 8
	w.delay = disorder
	if !w.patient {
		w.delay = disorder / int64(2+r.IntN(4))
	}
	all := w.draw(r, n, base.UnixMicro())
	order := make([]int64, n)
	for i := range order {
		order[i] = all[i].at + r.Int64N(disorder)
	}
	w.place(r, all, order)
	w.divide(r)
	return w, w.drawTable(r, base.UnixMicro())
}

// draw makes the events in the order of their numbers.
func (w *world) draw(r *rand.Rand, n int, base int64) []event {
	cells, steps := rows(r, n), r.Perm(4*n)
	out := make([]event, n)
	for i := range out {
		at := base + int64(steps[i])*(w.span.Microseconds()/int64(4*n))
		if !w.unique {
			at = base + r.Int64N(int64(n)/2+1)*(w.span.Microseconds()/int64(n))
		}
		own := []string{
			instant(at), strconv.Itoa(i), "k" + strconv.Itoa(r.IntN(4)),
			strconv.Itoa(r.IntN(200) - 20), strconv.FormatFloat(math.Exp(r.NormFloat64()), 'g', -1, 64), fmt.Sprintf("%d.%02d", r.IntN(5000), r.IntN(100)),
		}
		out[i].timed = r.IntN(40) > 0
		if !out[i].timed {
			own[0] = "null"
		}
		for c := 2; c < len(own); c++ {
			if r.IntN(12) == 0 {
				own[c] = "null"
			}
		}
		out[i].cells, out[i].at = append(own, cells[i]...), at
	}
	return out
}

// instant is a time as a cell.
func instant(at int64) string { return time.UnixMicro(at).UTC().Format("2006-01-02T15:04:05.000000") }

// place puts the events into shards in some order, with the watermarks that this makes.
func (w *world) place(r *rand.Rand, all []event, order []int64) {
	index := make([]int, len(all))
	for i := range index {
		index[i] = i
	}
	slices.SortFunc(index, func(a, b int) int { return int(order[a] - order[b]) })
	w.shards = make([][]event, 1+r.IntN(4))
	latest := make([]int64, len(w.shards))
	arrival := arrived.UnixMilli()
	for _, i := range index {
		e, s := all[i], r.IntN(len(w.shards))
		e.mark = column.MinWatermark
		if latest[s] != 0 {
			e.mark = latest[s] - w.delay
		}
		if e.timed && (latest[s] == 0 || e.at > latest[s]) {
			latest[s] = e.at
		}
		arrival += r.Int64N(3) * r.Int64N(2000)
		e.arrival = arrival
		w.shards[s] = append(w.shards[s], e)
	}
}

// divide makes the shards those of up to three streams.
func (w *world) divide(r *rand.Rand) {
	n := 0
	for range w.shards {
		if len(w.streams) > 0 && n < 2 && r.IntN(3) == 0 {
			n++
		}
		w.streams = append(w.streams, n)
	}
}

// united is a statement over s as one over UNION ALL of the streams that s is divided into.
func (w *world) united(text string) string {
	last := w.streams[len(w.streams)-1]
	if last == 0 || strings.Contains(text, "arrival_time") {
		return text
	}
	var terms []string
	for i := range last + 1 {
		terms = append(terms, fmt.Sprintf("SELECT * FROM s%d", i))
	}
	return fromS.ReplaceAllString(text, "FROM ("+strings.Join(terms, " UNION ALL ")+") AS s$1")
}

// fromS is where the stream is read under its own name.
var fromS = regexp.MustCompile(`\bFROM s(\W|$)`)

// input resolves the stream, those that it is divided into, and the table.
func (w *world) input(name string) (sql.Input, bool) {
	if t := w.tables[name]; t != nil {
		return sql.Input{Schema: t.Schema, Table: true}, true
	}
	_, part := strings.CutPrefix(name, "s")
	return sql.Input{Schema: w.schema, EventTime: "ts"}, part
}

// table is the statements that make the events a table e of DuckDB, with their shards, their places in them,
// and microseconds of their times, and the reference table.
func (w *world) table() string {
	var b strings.Builder
	b.WriteString(macros + "CREATE OR REPLACE TABLE e (sh BIGINT, ord BIGINT, nth BIGINT, wm BIGINT, us BIGINT, ar BIGINT, ts TIMESTAMP, id BIGINT, kk VARCHAR, v BIGINT, x DOUBLE, m DECIMAL(12,2)")
	for _, c := range columns {
		fmt.Fprintf(&b, ", %s %s", c.name, c.duck)
	}
	b.WriteString("); INSERT INTO e VALUES ")
	own := len(strings.Split(lead, ", "))
	first := true
	for s, events := range w.shards {
		for i, e := range events {
			if !first {
				b.WriteString(", ")
			}
			first = false
			// What is before every time stands for no watermark.
			mark, at := max(e.mark, -1<<60), "NULL"
			if e.timed {
				at = strconv.FormatInt(e.at, 10)
			}
			fmt.Fprintf(&b, "(%d, %d, 0, %d, %s, %d", s, i, mark, at, e.arrival*1000)
			for _, cell := range e.cells[:own] {
				if cell == "null" {
					b.WriteString(", NULL")
				} else {
					b.WriteString(", '" + cell + "'")
				}
			}
			values(&b, e.cells[own:])
			b.WriteString(")")
		}
	}
	return noEmptyText(b.String()) + "; " + w.tableText()
}
