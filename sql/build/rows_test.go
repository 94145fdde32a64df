package build_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/sql/build"
	"github.com/millrace-io/millrace/sql/sqltest"
)

func TestRowsAreThoseOfTheColumn(t *testing.T) {
	s, err := sqltest.Schema("a bigint, i int, d double, f float, o boolean, k string, t timestamp, p decimal(10;2), w decimal(30;4), l [bigint], j json, y date")
	if err != nil {
		t.Fatal(err)
	}
	full := []string{"7", "-3", "1.5", "2.5", "true", "'two words'", "00:00:01", "12.50", "12345678901234567890.1234", "[1,2]", "{}", "2026-01-31"}
	r := rand.New(rand.NewPCG(3, 4))
	for round := range 60 {
		var cells [][]string
		for range 12 {
			row := append([]string(nil), full...)
			for i := range row {
				if round%2 == 1 && r.IntN(5) == 0 {
					row[i] = "null"
				}
			}
			cells = append(cells, row)
		}
		b, err := sqltest.Batch(s, cells, round%3 == 0)
		if err != nil {
			t.Fatal(err)
		}
		var many []*build.Column
		for _, f := range s.Fields {
			many = append(many, build.New(f.Type))
		}
		var want []string
		for range 3 {
			var rows []int32
			for i := range int32(b.Rows) {
				if r.IntN(2) == 0 {
					rows = append(rows, i)
				}
			}
			for i, c := range b.Columns {
				many[i].Rows(c, rows)
				if round%4 == 0 {
					many[i].Null()
				}
			}
			if rows != nil {
				want = append(want, sqltest.Rows(b.With(rows))...)
			}
			if round%4 == 0 {
				want = append(want, strings.TrimSpace(strings.Repeat("null ", len(s.Fields))))
			}
		}
		if got := sqltest.Rows(build.Batch(s, many)); !slices.Equal(got, want) {
			t.Fatalf("the rows are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}
