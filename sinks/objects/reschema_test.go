package objects

import (
	"slices"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks/encode"
)

func TestChunkTakesAnotherSchemaBetweenChunks(t *testing.T) {
	field := func(name string, k column.Kind) column.Field {
		return column.Field{Name: name, Type: column.Type{Kind: k}}
	}
	one := &column.Schema{Fields: []column.Field{field("p", column.String), field("n", column.BigInt)}}
	two := &column.Schema{Fields: []column.Field{field("p", column.String), field("n", column.Double), field("more", column.Boolean)}}
	writer := func(s *column.Schema) *encode.Writer {
		w, err := encode.NewWriter(s, encode.Options{Format: encode.Parquet, Compression: encode.Zstd, CreatedBy: "test"})
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	add := func(c *Chunk, s *column.Schema, rows ...string) {
		t.Helper()
		d := column.NewDecoder(s, nil, column.Options{})
		for _, r := range rows {
			if err := d.Add([]byte(r), 0, 0); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.Add(d.Take(column.Origin{})); err != nil {
			t.Fatal(err)
		}
	}
	for _, partitions := range [][]string{nil, {"p"}, {"UPPER(p) AS q"}} {
		c, err := New(Settings{Layout: Layout{PartitionBy: partitions}, Schema: one, Writer: writer(one), Dir: t.TempDir(), Memory: 8 << 20})
		if err != nil {
			t.Fatal(err)
		}
		add(c, one, `{"p":"a","n":1}`, `{"p":"b","n":2}`)
		if err := c.Reschema(two, writer(two), nil); err == nil {
			t.Error("a chunk with rows took another schema")
		}
		if err := c.Drop(); err != nil {
			t.Fatal(err)
		}
		if err := c.Reschema(&column.Schema{Fields: one.Fields[:0]}, writer(two), nil); err == nil && partitions != nil {
			t.Error("a schema without the partition's column was taken")
		}
		if err := c.Reschema(two, writer(two), nil); err != nil {
			t.Fatal(err)
		}
		add(c, two, `{"p":"a","n":1.5,"more":true}`, `{"p":"b","n":2.5}`)
		plan, err := c.Plan(flow.Cut{Chunk: 1, Schema: 7})
		if err != nil {
			t.Fatal(err)
		}
		rows := int64(0)
		for _, o := range plan.Objects {
			rows += o.Rows
			if m := c.metadata(plan.Cut, o); m[MetaSchema] != "7" {
				t.Errorf("the metadata is %v", m)
			}
		}
		if rows != 2 {
			t.Errorf("%v: %d rows in %v", partitions, rows, plan.Objects)
		}
		if partitions != nil && len(plan.Objects) != 2 {
			t.Errorf("%v: objects %v", partitions, plan.Objects)
		}
		if got := c.settings.Layout.Reads(two); partitions != nil && !slices.Equal(got, []string{"p"}) {
			t.Errorf("%v reads %v", partitions, got)
		}
		if err := c.Drop(); err != nil {
			t.Fatal(err)
		}
	}
}
