package objects

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sinks/encode"
)

// wide makes batches of many columns whose rows are spread over partitions: half of the columns
// are numbers, half ids in a dictionary that has more values than a partition ever sees.
type wide struct {
	columns, partitions int
	schema              *column.Schema
	dict                *column.Dict
	random              *rand.Rand
}

func newWide(columns, partitions int) *wide {
	w := &wide{columns: columns, partitions: partitions, schema: &column.Schema{},
		dict: &column.Dict{Offsets: []int32{0}}, random: rand.New(rand.NewPCG(1, 2))}
	for i := range columns {
		kind := column.Double
		if i%2 == 1 {
			kind = column.String
		}
		w.schema.Fields = append(w.schema.Fields, column.Field{Name: fmt.Sprintf("c%d", i), Type: column.Type{Kind: kind}})
	}
	w.schema.Fields = append(w.schema.Fields, column.Field{Name: "p", Type: column.Type{Kind: column.BigInt}})
	for i := range 20_000 {
		w.dict.Bytes = fmt.Appendf(w.dict.Bytes, "v%d", i)
		w.dict.Offsets = append(w.dict.Offsets, int32(len(w.dict.Bytes)))
	}
	return w
}

func (w *wide) batch(rows int) *column.Batch {
	b := &column.Batch{Schema: w.schema, Rows: rows}
	for i := range w.schema.Fields {
		c := &column.Column{Type: w.schema.Fields[i].Type, Len: rows}
		for row := range rows {
			switch c.Type.Kind {
			case column.Double:
				c.Float64s = append(c.Float64s, w.random.Float64())
			case column.BigInt:
				c.Int64s = append(c.Int64s, int64(row%w.partitions))
			default:
				c.Dict, c.DictLen = w.dict, len(w.dict.Offsets)-1
				c.IDs = append(c.IDs, w.random.Int32N(int32(c.DictLen)))
			}
		}
		b.Columns = append(b.Columns, c)
	}
	return b
}

func (w *wide) chunk(t *testing.T, memory int64) *Chunk {
	t.Helper()
	o := encode.Options{Format: encode.Parquet, Compression: encode.Zstd}
	writer, err := encode.NewWriter(w.schema, o)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Settings{
		Layout: Layout{PartitionBy: []string{"p"}}, Writer: writer, Schema: w.schema, Dir: t.TempDir(), Memory: memory,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func liveHeap() int64 {
	// Pools let go of what they hold in the second collection.
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// The chunk is cut as a task does it: after the batch that made it hold more than it may.
func TestManyColumnsInManyPartitionsStayWithinTheMemory(t *testing.T) {
	const memory = 16 << 20
	for _, shape := range []struct{ columns, partitions, rows int }{{200, 100, 700}, {1000, 21, 140}, {4, 1000, 8000}, {40, 3, 3000}} {
		t.Run(fmt.Sprintf("%dx%d", shape.columns, shape.partitions), func(t *testing.T) {
			w := newWide(shape.columns, shape.partitions)
			b := w.batch(shape.rows)
			c := w.chunk(t, memory)
			before := liveHeap()
			delivered, cuts := int64(0), 0
			for i := range 12 {
				if _, err := c.Add(b); err != nil {
					t.Fatal(err)
				}
				held := liveHeap() - before
				if held > 2*memory || c.held() > 2*memory {
					t.Errorf("batch %d: %d bytes held, %d reported, of %d", i, held, c.held(), memory)
				}
				if held > c.held()*5/4+(1<<20) || c.held() > held*5/4+(1<<20) {
					t.Errorf("batch %d: %d bytes held, %d reported", i, held, c.held())
				}
				if c.held() <= memory {
					continue
				}
				cuts++
				delivered += c.rows
				if _, err := c.freeze(); err != nil {
					t.Fatal(err)
				}
				if held := liveHeap() - before; held > 2*memory {
					t.Errorf("%d bytes held by finished objects of %d", held, memory)
				}
				if err := c.Drop(); err != nil {
					t.Fatal(err)
				}
			}
			if delivered += c.rows; delivered != 12*int64(shape.rows) {
				t.Errorf("%d rows", delivered)
			}
			t.Logf("%d cuts", cuts)
			runtime.KeepAlive(b)
		})
	}
}
