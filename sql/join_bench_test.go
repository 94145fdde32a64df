package sql_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/build"
)

var regions = &column.Schema{Fields: []column.Field{
	{Name: "code", Type: column.Type{Kind: column.String}},
	{Name: "id", Type: column.Type{Kind: column.BigInt}},
	{Name: "region", Type: column.Type{Kind: column.String}},
	{Name: "since", Type: column.Type{Kind: column.Timestamp}},
}}

// regionTable has n rows with ids from 0, the first of them with the countries of clickBatches; each
// row is there as often as said.
func regionTable(n, times int) *column.Batch {
	codes := []string{"DE", "FR", "US", "GB", "IN", "JP", "BR", "CN", "ES", "IT", "PL", "NL"}
	columns := []*build.Column{build.New(regions.Fields[0].Type), build.New(regions.Fields[1].Type), build.New(column.Type{Kind: column.Int}), build.New(regions.Fields[3].Type)}
	for i := range n * times {
		row := i / times
		if row < len(codes) {
			columns[0].Text([]byte(codes[row]))
		} else {
			columns[0].Text(fmt.Appendf(nil, "X%d", row))
		}
		columns[1].Int(int64(row))
		columns[2].Int(int64(row % 4))
		columns[3].Int(0)
	}
	b := build.Batch(regions, columns)
	r := b.Columns[2]
	r.Type, r.IDs, r.Int32s = regions.Fields[2].Type, r.Int32s, nil
	r.Dict, r.DictLen = dictOf("Europe", "Asia", "America", "Africa"), 4
	return b
}

// keyed gives the batches of clickBatches random keys below n in place of the quantity.
func keyed(batches []*column.Batch, n int64) []*column.Batch {
	r := rand.New(rand.NewPCG(5, 6))
	for _, b := range batches {
		for i := range b.Columns[4].Int64s {
			b.Columns[4].Int64s[i] = r.Int64N(n)
		}
	}
	return batches
}

const (
	plainRevenue = `SELECT window_start, country, COUNT(*) AS n, SUM(price) AS revenue, MAX(price) AS top FROM s GROUP BY TUMBLE(event_time, INTERVAL '1' MINUTE), country`
	joinRevenue  = `SELECT window_start, region, COUNT(*) AS n, SUM(price) AS revenue, MAX(price) AS top FROM s %s GROUP BY TUMBLE(event_time, INTERVAL '1' MINUTE), region`
)

// joining is an operator of a query that joins a table.
func joining(t testing.TB, text string, table *column.Batch) sql.Operator {
	t.Helper()
	q, err := sql.CompileQuery(text, func(name string) (sql.Input, bool) {
		if name == "regions" {
			return sql.Input{Schema: regions, Table: true}, true
		}
		return sql.Input{Schema: clicks, EventTime: "event_time"}, true
	})
	if err != nil {
		t.Fatal(err)
	}
	op := q.New()
	if err := sql.Use(op, "regions", table); err != nil {
		t.Fatal(err)
	}
	return op
}

// BenchmarkJoin is the tumbling aggregate with and without a table.
func BenchmarkJoin(b *testing.B) {
	for _, c := range []struct {
		name, text  string
		rows, times int
	}{
		{"none", plainRevenue, 1, 1},
		{"text", fmt.Sprintf(joinRevenue, "LEFT JOIN regions ON country = code"), 12, 1},
		{"text of 100,000", fmt.Sprintf(joinRevenue, "LEFT JOIN regions ON country = code"), 100_000, 1},
		{"inner", fmt.Sprintf(joinRevenue, "JOIN regions ON country = code"), 12, 1},
		{"number", fmt.Sprintf(joinRevenue, "LEFT JOIN regions ON quantity = id"), 1000, 1},
		{"number of 1,000,000", fmt.Sprintf(joinRevenue, "LEFT JOIN regions ON quantity = id"), 1_000_000, 1},
		{"condition on both", fmt.Sprintf(joinRevenue, "LEFT JOIN regions ON country = code AND event_time >= since"), 12, 1},
		{"two rows each", fmt.Sprintf(joinRevenue, "LEFT JOIN regions ON country = code"), 12, 2},
	} {
		b.Run(c.name, func(b *testing.B) {
			fold(b, joining(b, c.text, regionTable(c.rows, c.times)), keyed(clickBatches(64), int64(c.rows)))
		})
	}
}
