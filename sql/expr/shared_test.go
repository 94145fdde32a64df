package expr

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/build"
	"github.com/millrace-io/millrace/sql/parse"
)

// sharing are a condition and items that have calls in common.
var sharing = [][]string{
	{"REGEXP_EXTRACT(s, 'a(.)') IS NOT NULL", "REGEXP_EXTRACT(s, 'a(.)')", "UPPER(REGEXP_EXTRACT(s, 'a(.)'))"},
	{"UPPER(s) IN ('AB', 'BA') OR LEFT(s, 1) = 'b'", "CASE UPPER(s) WHEN 'AB' THEN 'x' ELSE LEFT(s, 1) END", "LENGTH(UPPER(s)) + LENGTH(s)"},
	{"LENGTH(s) > 1", "CASE WHEN n > 3 THEN UPPER(s) ELSE LOWER(s) END", "CASE WHEN n > 1 THEN UPPER(s) || LOWER(s) END", "UPPER(s)"},
	{"n > 2", "LEFT(s, n)", "LEFT(s, n) || '!'", "COALESCE(NULLIF(LEFT(s, n), 'a'), UPPER(s))"},
	{"LEFT(u, 1) = 'A' OR UPPER(s) = 'BA'", "UPPER(s)", "LEFT(u, 1)", "UPPER(u)"},
}

var sharedSchema = &column.Schema{Fields: []column.Field{{Name: "s", Type: text}, {Name: "u", Type: text}, {Name: "n", Type: bigint}}}

// programs compiles a condition and items.
func programs(t *testing.T, texts []string, shared *Shared) []*Program {
	t.Helper()
	var out []*Program
	for i, text := range texts {
		e, err := parse.Expr(text)
		if err != nil {
			t.Fatal(err)
		}
		scope := &Scope{Schema: sharedSchema, Shared: shared}
		if i == 0 {
			scope.Alias = func(id *ast.Ident) ast.Expr {
				if id.Parts[0].Text != "u" {
					return nil
				}
				// Not the column of that name, although it is of that.
				return &ast.Call{Pos: id.Pos, Name: "upper", Args: []ast.Expr{id}}
			}
		}
		p, err := Compile(e, scope)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		out = append(out, p)
	}
	return out
}

// sharedBatch is random rows, of which some may be selected.
func sharedBatch(r *rand.Rand) *column.Batch {
	s, u, n := build.New(text), build.New(text), build.New(bigint)
	b := &column.Batch{Schema: sharedSchema, Rows: r.IntN(200)}
	for row := range b.Rows {
		for _, c := range []*build.Column{s, u} {
			if r.IntN(8) == 0 {
				c.Null()
				continue
			}
			var v []byte
			for range r.IntN(4) {
				v = append(v, "abB"[r.IntN(3)])
			}
			c.Text(v)
		}
		n.Int(r.Int64N(6))
		if r.IntN(3) > 0 {
			b.Selection = append(b.Selection, int32(row))
		}
	}
	b.Columns = []*column.Column{s.Finish(), u.Finish(), n.Finish()}
	return b
}

func TestProgramsThatShareCallsGiveWhatTheyGiveAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for _, texts := range sharing {
		alone := programs(t, texts, nil)
		all := programs(t, texts, NewShared())
		lists := Together(all[:1], all[1:])
		where, items := lists[0][0], lists[1]
		for range 200 {
			b := sharedBatch(r)
			want, err := alone[0].Select(b, nil)
			if err != nil {
				t.Fatal(err)
			}
			rows, err := where.Select(b, nil)
			if err != nil || !slices.Equal(rows, want) {
				t.Fatalf("%s: rows %v, want %v (%v)", texts[0], rows, want, err)
			}
			view := b.With(rows)
			for i, p := range items {
				got, err := p.Eval(view)
				if err != nil {
					t.Fatal(err)
				}
				want, err := alone[i+1].Eval(view)
				if err != nil {
					t.Fatal(err)
				}
				for _, row := range rows {
					if a, b := cell(got, int(row)), cell(want, int(row)); a != b {
						t.Fatalf("%s WHERE %s: row %d is %s, want %s", texts[i+1], texts[0], row, a, b)
					}
				}
			}
		}
	}
}

func cell(c *column.Column, row int) string {
	switch {
	case c.IsNull(row):
		return "NULL"
	case c.Type.Kind == column.String:
		return strconv.Quote(string(c.Text(row)))
	}
	return strconv.FormatInt(c.Int64s[row], 10)
}

func TestACallThatWhereAndTheSelectListHaveIsComputedOnce(t *testing.T) {
	shared := NewShared()
	all := programs(t, []string{"REGEXP_EXTRACT(s, 'a(.)') IS NOT NULL", "REGEXP_EXTRACT( s,'a(.)' )", "CASE WHEN n > 2 THEN regexp_extract(s, 'a(.)') END"}, shared)
	calls := 0
	for _, m := range shared.calls {
		compute := m.call.text
		m.call.text = func(dst []byte, v []value) ([]byte, bool) {
			calls++
			return compute(dst, v)
		}
	}
	lists := Together(all)
	where, items := lists[0][0], lists[0][1:]
	r := rand.New(rand.NewPCG(4, 4))
	for range 10 {
		b := sharedBatch(r)
		rows, err := where.Select(b, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range items {
			if _, err := p.Eval(b.With(rows)); err != nil {
				t.Fatal(err)
			}
		}
		want := 0
		for _, row := range b.Selection {
			if !b.Columns[0].IsNull(int(row)) {
				want++
			}
		}
		if calls != want {
			t.Fatalf("%d calls for %d rows", calls, want)
		}
		calls = 0
	}
}
