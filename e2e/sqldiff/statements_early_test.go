package sqldiff

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
)

// early is what a statement with EMIT CHANGES or EMIT EVERY shows of windows that are open.
type early struct {
	// every is the interval in microseconds, 0 of EMIT CHANGES.
	every int64
	// key are the columns of a row whose later version takes its place, final is window_final.
	key   []int
	final int
	// lateness is how long windows wait behind the watermark, in microseconds.
	lateness int64
	// waits is set where rows wait for their turn, which comes later if state leaves memory.
	waits bool
	// blind is set where DuckDB has only the final rows.
	blind bool
}

// through stands for what the query has closed through in the text for DuckDB: the watermark at which one looks.
const through = "THROUGH"

// atEnd is a statement for DuckDB as it is once everything is closed.
func atEnd(duck string) string {
	return strings.ReplaceAll(duck, through, strconv.FormatInt(column.MaxWatermark, 10))
}

// fromE is where DuckDB reads the events, under a name of their own or not; e is also a column.
var fromE = regexp.MustCompile(`(DISTINCT )?\bFROM e\b( AS \w+)?`)

// after is a statement for DuckDB of the rows that were read so far.
func (e *early) after(duck string, next []int, mark int64) string {
	var read strings.Builder
	for s, n := range next {
		fmt.Fprintf(&read, " WHEN %d THEN %d", s, n)
	}
	duck = fromE.ReplaceAllStringFunc(duck, func(from string) string {
		if strings.HasPrefix(from, "DISTINCT") {
			return from
		}
		_, alias, _ := strings.Cut(from, " AS ")
		if alias == "" {
			alias = "e"
		}
		return "FROM (SELECT * FROM e WHERE ord < CASE sh" + read.String() + " END) AS " + alias
	})
	closed := int64(-1 << 60)
	if mark > closed {
		closed = mark - e.lateness
	}
	return strings.ReplaceAll(duck, through, strconv.FormatInt(closed, 10))
}

// shows reports whether everything is shown that changed, at a watermark behind that of the last emission.
func (e *early) shows(seen, mark int64) bool {
	if e.every == 0 {
		return true
	}
	tick := func(at int64) int64 {
		at = max(at, -1<<60)
		return at - (at%e.every+e.every)%e.every
	}
	return mark != column.MinWatermark && tick(mark) > tick(seen)
}

// view is what a consumer has that lets each row take the place of the one before it with the same key. No row comes
// behind the final one.
func (e *early) view(rows [][]string) ([][]string, error) {
	places := map[string]int{}
	var out [][]string
	for _, row := range rows {
		var key []string
		for _, c := range e.key {
			key = append(key, row[c])
		}
		k := strings.Join(key, "\x00")
		i, known := places[k]
		switch {
		case !known:
			places[k] = len(out)
			out = append(out, row)
		case out[i][e.final] == "true":
			return nil, fmt.Errorf("behind the final row %v comes %v", out[i], row)
		default:
			out[i] = row
		}
	}
	return out, nil
}

// emit is EMIT CHANGES, EMIT EVERY or nothing, and the clause behind it.
func (g *writer) emit(key []int, final int, lateness late) string {
	if g.world.far {
		return lateness.text // windows that are cut off may have one key
	}
	switch g.r.IntN(5) {
	case 0:
		g.s.early = &early{key: key, final: final, lateness: lateness.micros}
		return " EMIT CHANGES" + lateness.text
	case 1:
		every := intervals("10 SECOND", "5 MINUTE", "7 HOUR")[g.r.IntN(3)]
		g.s.early = &early{every: every.micros, key: key, final: final, lateness: lateness.micros}
		return " EMIT EVERY " + every.text + lateness.text
	case 2:
		return " EMIT ON CLOSE" + lateness.text
	}
	return lateness.text
}

// maxLooks is how often a statement is asked for what it shows early.
const maxLooks = 3

// watch has a play compare what it has shown so far with what DuckDB has of the rows that were read so far.
func (o *statements) watch(s statement, p *play) {
	looks := 0
	p.look = func(p *play, mark int64) error {
		if looks == maxLooks || s.early.blind || mark == column.MaxWatermark || !s.early.shows(p.now.seen, mark) || s.early.waits && p.spills || p.r.IntN(3) == 0 {
			return nil
		}
		looks++
		got, err := s.early.view(p.now.rows)
		if err != nil {
			return err
		}
		got = slices.Clone(got)
		text := s.early.after(s.duck, p.now.next, mark)
		want, ok := o.answer(s.ours, text, p.query.Output())
		if !ok {
			return nil
		}
		o.kinds["look"]++
		arrange(p.query.Output(), got)
		if line := differ(p.query.Output(), got, want, s.within); line != "" {
			return fmt.Errorf("having read %v at watermark %d it has shown %d rows, DuckDB has %d; %s\n%s", p.now.next, mark, len(got), len(want), line, text)
		}
		return nil
	}
}
