package sqldiff

import (
	"flag"
	"fmt"
	"iter"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/e2e/rig"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql"
)

var (
	firstSeed = flag.Uint64("seed", 0, "the first seed of random statements")
	seeds     = flag.Uint64("seeds", 0, "how many seeds each test of random texts has; 0 is as many as take seconds, or minutes with MILLRACE_PROVE")
)

// rounds are the seeds of a test.
func rounds(short, long uint64) iter.Seq[uint64] {
	n := short
	if os.Getenv("MILLRACE_PROVE") != "" {
		n = long
	}
	if *seeds > 0 {
		n = *seeds
	}
	return func(yield func(uint64) bool) {
		for i := range n {
			if !yield(*firstSeed + i) {
				return
			}
		}
	}
}

const perWorld = 12

// oracleDuck is a DuckDB that computes as it is told: its rewriter makes date_trunc(…, NULL) <> DATE '2026-02-28' true, and
// TRY_CAST(1000 AS DECIMAL(4, 2)) <= 1 false, where both are NULL.
func oracleDuck(t *testing.T) *rig.Duck {
	t.Helper()
	duck, err := rig.OpenDuck(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { duck.Close() })
	if err := duck.Exec(t.Context(), "SET disabled_optimizers = 'expression_rewriter'"); err != nil {
		t.Fatal(err)
	}
	return duck
}

// statements is what one seed has: a world, and DuckDB with its events.
type statements struct {
	*testing.T
	duck  *rig.Duck
	world *world
	seed  uint64
	// kinds counts statements by what they have.
	kinds map[string]int
}

// TestStatementsAgreeWithDuckDB plays random statements over random events: however rows are cut into batches, come from shards,
// are read again after kills and leave memory, the rows are those of DuckDB, and every row is accounted for.
func TestStatementsAgreeWithDuckDB(t *testing.T) {
	duck := oracleDuck(t)
	kinds := map[string]int{}
	for seed := range rounds(48, 2000) {
		if t.Failed() {
			break
		}
		r := rand.New(rand.NewPCG(seed, 80))
		w, err := newWorld(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := duck.Exec(t.Context(), w.table()); err != nil {
			t.Fatal(err)
		}
		o := &statements{T: t, duck: duck, world: w, seed: seed, kinds: kinds}
		for range perWorld {
			o.check(newWriter(&grammar{r}, w).write(), r)
		}
	}
	t.Logf("%d statements: %v", kinds["all"], kinds)
	if t.Failed() || kinds["all"] < 500 {
		return // so few need not be of all kinds
	}
	for kind, share := range map[string]int{"late": 30, "streams": 20, "rows": 2, "emit": 20, "look": 20, "join": 20, "unnest": 20, "stagger": 200, "zone": 30, "arrival": 100, "chain": 200, "lanes": 2} {
		if kinds[kind]*share < kinds["all"] {
			t.Errorf("of %d statements %d are of kind %q", kinds["all"], kinds[kind], kind)
		}
	}
}

// check plays a statement twice and compares both with DuckDB.
func (o *statements) check(s statement, r *rand.Rand) {
	o.Helper()
	if r.IntN(2) == 0 {
		s.ours = o.world.united(s.ours)
	}
	if s.then != "" {
		o.checkChain(s, r)
		return
	}
	q, err := sql.CompileQuery(s.ours, o.world.input)
	if err != nil {
		if !strings.Contains(err.Error(), "decimals; cast an operand") {
			o.Errorf("seed %d: %s: %v", o.seed, s.ours, err)
		}
		return
	}
	want, ok := o.answer(s.ours, atEnd(s.duck), q.Output())
	if !ok {
		return
	}
	late, filtered := o.fates(s)
	o.count(s, q, len(want), len(late))
	var exact [][]string
	for range 2 {
		p := newPlay(o.world, q, r)
		if s.early != nil {
			o.watch(s, p)
		}
		end, err := p.run()
		if p.lanes > 1 {
			o.kinds["lanes"]++
		}
		if err == nil && s.early != nil {
			end.rows, err = s.early.view(end.rows)
		}
		if err != nil {
			o.Errorf("seed %d: %s: %v", o.seed, s.ours, err)
			return
		}
		o.ledger(s, end, late, filtered)
		got := end.rows
		arrange(q.Output(), got)
		if line := differ(q.Output(), got, want, s.within); line != "" {
			o.Errorf("seed %d: %s\n%s\n%d rows, DuckDB has %d; %s", o.seed, s.ours, s.duck, len(got), len(want), line)
			return
		}
		if p.spills {
			continue
		}
		// The same to the last bit.
		if exact != nil {
			if i := slices.IndexFunc(got, func(row []string) bool { return !contains(exact, row) }); i >= 0 {
				o.Errorf("seed %d: %s\nhas %v in one play and not in the other", o.seed, s.ours, got[i])
			}
		}
		exact = got
	}
}

// count takes down what a statement has that is to be compared.
func (o *statements) count(s statement, q *sql.Query, rows, late int) {
	kinds := append(s.kinds, "all")
	for kind, has := range map[string]bool{"rows": rows > 0, "late": late > 0, "streams": len(q.Inputs()) > 1, "emit": s.early != nil} {
		if has {
			kinds = append(kinds, kind)
		}
	}
	for _, kind := range kinds {
		o.kinds[kind]++
	}
}

func contains(rows [][]string, row []string) bool {
	return slices.ContainsFunc(rows, func(other []string) bool { return slices.Equal(row, other) })
}

// answer is what DuckDB says to a statement that is known as ours.
func (o *statements) answer(ours, duck string, out *column.Schema) (rows [][]string, ok bool) {
	o.Helper()
	var cells, names []string
	for i, f := range out.Fields {
		names = append(names, fmt.Sprintf("y%d", i))
		cells = append(cells, deepText(f.Type, names[i], 0)+fmt.Sprintf(" AS z%d", i))
	}
	lines, err := o.duck.Cells(o.Context(), fmt.Sprintf("SELECT %s FROM (%s) AS q(%s)", strings.Join(cells, ", "), duck, strings.Join(names, ", ")))
	if err != nil {
		o.Errorf("seed %d: %s\nDuckDB: %v", o.seed, ours, err)
		return nil, false
	}
	arrange(out, lines)
	return lines, true
}

// fates is what DuckDB says of rows that come to nothing: the ids of late ones, nil where it cannot, and how many are
// filtered, -1 where it cannot.
func (o *statements) fates(s statement) (late []string, filtered int64) {
	o.Helper()
	filtered = -1
	if s.late != "" {
		rows, err := o.duck.Lines(o.Context(), s.late)
		if err != nil {
			o.Errorf("seed %d: %v", o.seed, err)
		}
		late = append([]string{}, rows...)
		slices.Sort(late)
	}
	if s.filtered != "" {
		if err := o.duck.Row(o.Context(), s.filtered, &filtered); err != nil {
			o.Errorf("seed %d: %v", o.seed, err)
		}
	}
	return late, filtered
}

// ledger wants every row accounted for, as DuckDB does.
func (o *statements) ledger(s statement, end progress, late []string, filtered int64) {
	o.Helper()
	total, taken := int64(0), end.taken
	for _, events := range o.world.shards {
		total += int64(len(events))
	}
	if taken.read != total || taken.aggregated+taken.filtered+taken.late != total {
		o.Errorf("seed %d: %s\nof %d rows: %+v", o.seed, s.ours, total, taken)
	}
	slices.Sort(end.late)
	if late != nil && !slices.Equal(end.late, late) || filtered >= 0 && taken.filtered != filtered {
		o.Errorf("seed %d: %s\nrows %v are late and %d filtered, want %v and %d by\n%s\n%s", o.seed, s.ours, end.late, taken.filtered, late, filtered, s.late, s.filtered)
	}
}

// arrange sorts rows, doubles that differ a little among equals.
func arrange(out *column.Schema, rows [][]string) {
	key := func(row []string) string {
		var b strings.Builder
		for i, f := range out.Fields {
			cell := row[i]
			if x, err := strconv.ParseFloat(cell, 64); err == nil && (f.Type.Kind == column.Double || f.Type.Kind == column.Decimal) {
				cell = strconv.FormatFloat(x, 'e', 5, 64)
			}
			b.WriteString(cell + "\x00")
		}
		return b.String()
	}
	slices.SortStableFunc(rows, func(a, b []string) int { return strings.Compare(key(a), key(b)) })
}

// differ says where two lists of rows part; "" if they do not.
func differ(out *column.Schema, got, want [][]string, within map[int]tolerance) string {
	for i := range min(len(got), len(want)) {
		for c, f := range out.Fields {
			if !close(f.Type.Kind, got[i][c], want[i][c], within[c]) {
				return fmt.Sprintf("the first that differs is\n%v, want\n%v, in column %d", got[i], want[i], c)
			}
		}
	}
	switch {
	case len(got) > len(want):
		return fmt.Sprintf("too many from %v on", got[len(want)])
	case len(got) < len(want):
		return fmt.Sprintf("missing from %v on", want[len(got)])
	}
	return ""
}

// close compares cells.
func close(k column.Kind, got, want string, within tolerance) bool {
	if within != (tolerance{}) || k == column.Double {
		a, err1 := strconv.ParseFloat(got, 64)
		b, err2 := strconv.ParseFloat(want, 64)
		if err1 == nil && err2 == nil {
			return math.Abs(a-b) <= max(within.relative, 1e-9)*max(math.Abs(a), math.Abs(b), 1e-3) || math.Abs(a-b) <= within.absolute
		}
	}
	if k == column.Decimal {
		a, ok1 := new(big.Rat).SetString(got)
		b, ok2 := new(big.Rat).SetString(want)
		if ok1 && ok2 {
			return a.Cmp(b) == 0
		}
	}
	return got == want
}
