package sqldiff

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/e2e/rig"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/sqltest"
)

const (
	rowCount    = 48
	perRound    = 900
	maxReported = 8
)

// oracle is a DuckDB with the rows of a round.
type oracle struct {
	*testing.T
	duck  *rig.Duck
	batch *column.Batch
	rows  [][]string
	bad   int
}

func TestExpressionsAgreeWithDuckDB(t *testing.T) {
	duck := oracleDuck(t)
	s, err := sqltest.Schema(schema())
	if err != nil {
		t.Fatal(err)
	}
	zones := duck.Exec(t.Context(), "SELECT (TIMESTAMP '2026-01-01' AT TIME ZONE 'UTC') AT TIME ZONE 'Europe/Berlin'") == nil
	t.Logf("DuckDB has time zones: %v", zones)
	for round := range rounds(4, 60) {
		r := rand.New(rand.NewPCG(round, 77))
		o := &oracle{T: t, duck: duck, rows: rows(r, rowCount)}
		if o.batch, err = sqltest.Batch(s, o.rows, round%2 == 1); err != nil {
			t.Fatal(err)
		}
		if err := duck.Exec(t.Context(), table(o.rows)); err != nil {
			t.Fatal(err)
		}
		g := &grammar{r}
		kinds := []func(int) pair{g.whole, g.double, g.inexact, g.decimal, g.text, g.condition, g.time, g.day}
		if zones {
			kinds = append(kinds, g.zoned)
		}
		for n := range perRound {
			depth := 1 + r.IntN(3)
			k := n % len(kinds)
			if k == 3 {
				depth = min(depth, 2)
			}
			o.check(kinds[k](depth))
			if o.bad >= maxReported {
				t.Fatal("and so on")
			}
		}
	}
}

func (o *oracle) check(p pair) {
	o.Helper()
	e, err := sql.CompileExpr(p.ours, o.batch.Schema)
	if err != nil {
		if strings.Contains(err.Error(), "decimals; cast an operand") {
			return
		}
		o.bad++
		o.Errorf("%s: %v", p.ours, err)
		return
	}
	c, err := e.Eval(o.batch)
	if err != nil {
		o.bad++
		o.Errorf("%s: %v", p.ours, err)
		return
	}
	lines, err := o.duck.Lines(o.Context(), fmt.Sprintf("SELECT %s FROM (SELECT id, %s AS v FROM t) ORDER BY id", asText(e.Type().Kind), p.duck))
	if err != nil {
		o.bad++
		o.Errorf("%s\nDuckDB: %v", p.ours, err)
		return
	}
	for i, want := range lines {
		if got := cell(c, i); !agree(e.Type().Kind, got, want) {
			o.bad++
			o.Errorf("row %d %v\n%s is %s\n%s is %s", i, o.rows[i], p.ours, got, p.duck, want)
			return
		}
	}
}

// asText is how DuckDB writes v so that it can be compared.
func asText(k column.Kind) string {
	if k == column.Timestamp {
		return "coalesce(epoch_us(v)::VARCHAR, 'null')"
	}
	return "coalesce(v::VARCHAR, 'null')"
}

func cell(c *column.Column, i int) string {
	switch {
	case c.IsNull(i):
		return "null"
	case c.Type.Kind == column.Timestamp:
		return strconv.FormatInt(c.Int64s[i], 10)
	case c.Type.Kind == column.String:
		return string(c.Text(i))
	}
	return sqltest.Format(c, i)
}

// agree compares doubles to 1e-9 and decimals by their value.
func agree(k column.Kind, got, want string) bool {
	switch {
	case got == want:
		return true
	case k == column.Double:
		a, err1 := strconv.ParseFloat(got, 64)
		b, err2 := strconv.ParseFloat(want, 64)
		return err1 == nil && err2 == nil && math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b))
	case k == column.Decimal:
		a, ok1 := new(big.Rat).SetString(got)
		b, ok2 := new(big.Rat).SetString(want)
		return ok1 && ok2 && a.Cmp(b) == 0
	}
	return false
}
