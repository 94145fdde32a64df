package encode

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
)

// sortKey is a top-level column that rows are sorted by, and its leaf.
type sortKey struct {
	column, leaf int
	descending   bool
}

// sortSteps bounds what is appended at once, in rows and in bytes, so that the offsets of texts do
// not overflow.
const (
	sortRows = 4096
	sortStep = 64 << 20
)

// sorter holds the rows of a row group until it is full, and passes them on in order. Only places
// are sorted; values move once, from the builders to the pages.
type sorter struct {
	file     *parquetFile
	keys     []sortKey
	builders []*column.Builder
	rows     int
	// raw is the bytes of the rows in the builders.
	raw   int64
	order []int32
}

func newSorter(f *parquetFile) *sorter {
	s := &sorter{file: f, keys: f.layout.sort}
	for _, field := range f.layout.schema.Fields {
		s.builders = append(s.builders, column.NewBuilder(field.Type))
	}
	return s
}

// Add implements Encoder.
func (s *sorter) Add(b *column.Batch) error {
	if s.file.failed != nil {
		return s.file.failed
	}
	if err := checkBatch(s.file.layout.schema, b); err != nil {
		return err
	}
	for done, n := 0, b.Selected(); done < n; {
		step := min(n-done, sortRows, s.file.options.GroupRows-s.rows)
		r := rowsOf(b, done, step)
		size := rawSize(b, r)
		for ; step > 1 && size > sortStep; size = rawSize(b, r) {
			step /= 2
			r = rowsOf(b, done, step)
		}
		s.keep(b, r)
		s.raw += size
		done += step
		if s.rows < s.file.options.GroupRows && s.raw < s.file.options.GroupBytes {
			continue
		}
		if err := s.emit(); err != nil {
			return err
		}
	}
	return nil
}

func (s *sorter) keep(b *column.Batch, r rows) {
	for i, c := range b.Columns {
		for j := range r.len() {
			s.builders[i].AppendFrom(c, r.at(j))
		}
	}
	s.rows += r.len()
}

// emit writes the rows held as a row group, or as several when they hardly compress.
func (s *sorter) emit() error {
	if s.rows == 0 {
		return nil
	}
	b := &column.Batch{Schema: s.file.layout.schema, Rows: s.rows}
	for _, builder := range s.builders {
		b.Columns = append(b.Columns, builder.Reuse())
	}
	s.order = slices.Grow(s.order[:0], s.rows)
	for i := range s.rows {
		s.order = append(s.order, int32(i))
	}
	slices.SortStableFunc(s.order, comparisonOf(b.Columns, s.keys))
	for from := 0; from < s.rows; from += batchRows {
		r := rows{idx: s.order[from:min(from+batchRows, s.rows)]}
		if err := s.file.take(b, r); err != nil {
			return err
		}
	}
	for _, builder := range s.builders {
		builder.Reset()
	}
	s.rows, s.raw = 0, 0
	return s.file.endGroup()
}

// Rows implements Encoder.
func (s *sorter) Rows() int64 { return s.file.Rows() + int64(s.rows) }

// Size implements Encoder. What is held counts a quarter, roughly what becomes of it.
func (s *sorter) Size() int64 { return s.file.Size() + s.raw/4 }

// Memory implements Encoder. Builders grow by doubling at most.
func (s *sorter) Memory() int64 { return s.file.Memory() + s.raw*3/2 + int64(4*cap(s.order)) }

// Flush implements Encoder.
func (s *sorter) Flush() error {
	if err := s.emit(); err != nil {
		return err
	}
	*s = *newSorter(s.file)
	return s.file.Flush()
}

// Finish implements Encoder.
func (s *sorter) Finish() error {
	if err := s.emit(); err != nil {
		return err
	}
	s.builders, s.order = nil, nil
	return s.file.Finish()
}

// rowsOf are n selected rows of b.
func rowsOf(b *column.Batch, from, n int) rows {
	if b.Selection != nil {
		return rows{idx: b.Selection[from : from+n]}
	}
	return rows{from: from, to: from + n}
}

// rawSize is about the memory that rows take in builders.
func rawSize(b *column.Batch, r rows) int64 {
	var n int64
	for _, c := range b.Columns {
		n += columnSize(c, r)
	}
	return n
}

func columnSize(c *column.Column, r rows) int64 {
	n := int64(r.len())
	switch c.Type.Kind {
	case column.Boolean:
		return n
	case column.Int, column.Date, column.Float:
		return 4 * n
	case column.UUID, column.Decimal:
		return fixedLength * n
	case column.Struct:
		for _, child := range c.Children {
			n += columnSize(child, r)
		}
		return n
	case column.List:
		n *= 4
		for i := range r.len() {
			j := r.at(i)
			n += columnSize(c.Children[0], rows{from: int(c.Offsets[j]), to: int(c.Offsets[j+1])})
		}
		return n
	case column.String, column.Binary, column.JSON:
		n *= 4
		for i := range r.len() {
			if j := r.at(i); !c.IsNull(j) {
				n += int64(len(c.Text(j)))
			}
		}
		return n
	}
	return 8 * n
}

// comparisonOf compares rows by the keys.
func comparisonOf(columns []*column.Column, keys []sortKey) func(a, b int32) int {
	var compare []func(a, b int32) int
	for _, k := range keys {
		c := columns[k.column]
		values := compareValues(c)
		if k.descending {
			rising := values
			values = func(a, b int32) int { return rising(b, a) }
		}
		if c.Nulls > 0 {
			values = nullsLast(c, values)
		}
		compare = append(compare, values)
	}
	return func(a, b int32) int {
		for _, f := range compare {
			if d := f(a, b); d != 0 {
				return d
			}
		}
		return 0
	}
}

func nullsLast(c *column.Column, values func(a, b int32) int) func(a, b int32) int {
	return func(a, b int32) int {
		switch x, y := c.IsNull(int(a)), c.IsNull(int(b)); {
		case x && y:
			return 0
		case x:
			return 1
		case y:
			return -1
		}
		return values(a, b)
	}
}

// compareValues compares rows of a column in the order that Parquet defines for its type.
func compareValues(c *column.Column) func(a, b int32) int {
	switch c.Type.Kind {
	case column.Boolean:
		return func(a, b int32) int { return cmp.Compare(one(c.Bools, a), one(c.Bools, b)) }
	case column.Int, column.Date:
		return compareSlice(c.Int32s)
	case column.Float:
		return compareSlice(c.Float32s)
	case column.Double:
		return compareSlice(c.Float64s)
	case column.String, column.Binary:
		return func(a, b int32) int { return bytes.Compare(c.Text(int(a)), c.Text(int(b))) }
	case column.UUID, column.Decimal:
		if c.Type.Kind == column.Decimal && !c.Type.Wide() {
			break
		}
		compare := bytes.Compare
		if c.Type.Kind == column.Decimal {
			compare = compareDecimals
		}
		return func(a, b int32) int {
			return compare(c.Fixed[int(a)*fixedLength:][:fixedLength], c.Fixed[int(b)*fixedLength:][:fixedLength])
		}
	}
	return compareSlice(c.Int64s)
}

func compareSlice[T cmp.Ordered](s []T) func(a, b int32) int {
	return func(a, b int32) int { return cmp.Compare(s[a], s[b]) }
}

func one(m column.Bitmap, i int32) byte { return m[i>>3] >> (i & 7) & 1 }
