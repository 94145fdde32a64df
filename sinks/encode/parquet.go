package encode

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"unsafe"

	"github.com/parquet-go/parquet-go/format"

	"github.com/millrace-io/millrace/engine/column"
)

// batchRows is how many rows go to one column before the next column has its turn.
const batchRows = 4096

// parquetFile writes pages straight from the column buffers, with parquet-go's encodings: its
// own way in, a Value for each value, costs eight times as much.
type parquetFile struct {
	layout    *layout
	scratches *sync.Pool
	// spares takes the chunks of the finished file.
	spares    *sync.Pool
	options   ParquetOptions
	createdBy string
	out       io.Writer
	written   int64
	rows      int64
	chunks    []chunk

	// open is the rows of the open row group.
	open          int64
	groups        []format.RowGroup
	columnIndexes [][]format.ColumnIndex
	offsetIndexes [][]format.OffsetIndex
	// described is the memory of what the footer will say of the closed row groups.
	described int64
	// failed is the error after which the file cannot be continued.
	failed error
}

// openParquet starts a file of the writer's.
func (w *Writer) openParquet(out io.Writer) Encoder {
	l := w.layout
	f := &parquetFile{
		layout: l, scratches: &w.scratches, spares: &w.spares, options: w.options.ParquetOptions.withDefaults(),
		createdBy: w.options.CreatedBy, out: out,
	}
	if spare, _ := w.spares.Get().(*[]chunk); spare != nil {
		f.chunks = *spare
	} else {
		f.chunks = newChunks(l, w.codec)
	}
	if len(l.sort) > 0 {
		return newSorter(f)
	}
	return f
}

func newChunks(l *layout, c codec) []chunk {
	chunks := make([]chunk, len(l.leaves))
	for i := range l.leaves {
		chunks[i] = newChunk(&l.leaves[i], c)
	}
	return chunks
}

// spareBytes bounds the memory that the chunks of a finished file keep for the next one. Files of many partitions
// are small, and making their memory anew costs a good part of encoding them.
const spareBytes = 1 << 20

// spare gives the chunks of the finished file to the next one, unless they hold much.
func (f *parquetFile) spare() {
	held := 0
	for i := range f.chunks {
		f.chunks[i].renew()
		if held += f.chunks[i].memory(); held > spareBytes {
			return
		}
	}
	chunks := f.chunks
	f.spares.Put(&chunks)
}

// Add implements Encoder.
func (f *parquetFile) Add(b *column.Batch) error {
	if f.failed != nil {
		return f.failed
	}
	if err := checkBatch(f.layout.schema, b); err != nil {
		return err
	}
	heavy := heavyColumns(b)
	for done, n := 0, b.Selected(); done < n; {
		step := apart(heavy, b, done, min(n-done, batchRows, f.options.GroupRows-int(f.open)))
		if err := f.take(b, rowsOf(b, done, step)); err != nil {
			return err
		}
		done += step
	}
	return nil
}

// take adds rows of a batch that was checked; there is room for them in the row group.
func (f *parquetFile) take(b *column.Batch, r rows) error {
	if f.failed == nil {
		f.failed = f.addRows(b, r)
	}
	return f.failed
}

func (f *parquetFile) addRows(b *column.Batch, r rows) error {
	s := f.scratches.Get().(*scratch)
	defer f.scratches.Put(s)
	var raw int64
	held, most := 0, groupHeld
	for i := range f.chunks {
		k := &f.chunks[i]
		if err := k.add(b.Columns[k.leaf.column], r, s); err != nil {
			return err
		}
		raw += k.raw()
		held += k.held
		if n := len(k.pages); n > 0 && k.pages[n-1].rest != nil {
			most = heavyHeld
		}
	}
	f.rows += int64(r.len())
	f.open += int64(r.len())
	if f.open < int64(f.options.GroupRows) && raw < f.options.GroupBytes && held < most {
		return nil
	}
	return f.closeGroup(s)
}

// Rows implements Encoder.
func (f *parquetFile) Rows() int64 { return f.rows }

// Size implements Encoder.
func (f *parquetFile) Size() int64 {
	n := f.written
	for i := range f.chunks {
		n += f.chunks[i].estimate()
	}
	return n
}

// Memory implements Encoder.
func (f *parquetFile) Memory() int64 {
	n := int64(unsafe.Sizeof(*f)) + f.described
	for i := range f.chunks {
		n += int64(f.chunks[i].memory())
	}
	return n
}

// Flush implements Encoder: it ends the row group.
func (f *parquetFile) Flush() error {
	if err := f.endGroup(); err != nil {
		return err
	}
	for i := range f.chunks {
		f.chunks[i].release()
	}
	return nil
}

// endGroup writes the open row group if there is one.
func (f *parquetFile) endGroup() error {
	if f.failed != nil || f.open == 0 {
		return f.failed
	}
	s := f.scratches.Get().(*scratch)
	defer f.scratches.Put(s)
	f.failed = f.closeGroup(s)
	return f.failed
}

// Finish implements Encoder.
func (f *parquetFile) Finish() error {
	if f.failed != nil {
		return f.failed
	}
	s := f.scratches.Get().(*scratch)
	defer f.scratches.Put(s)
	if err := f.finish(s); err != nil {
		f.failed = err
		return err
	}
	f.spare()
	f.chunks, f.groups, f.columnIndexes, f.offsetIndexes, f.described = nil, nil, nil, nil, 0
	f.failed = fmt.Errorf("the file is finished")
	return nil
}

func (f *parquetFile) finish(s *scratch) error {
	if f.open > 0 {
		if err := f.closeGroup(s); err != nil {
			return err
		}
	}
	if err := f.begin(); err != nil {
		return err
	}
	return f.writeFooter(s)
}

// magic begins and ends a Parquet file.
const magic = "PAR1"

func (f *parquetFile) begin() error {
	if f.written > 0 {
		return nil
	}
	return f.write([]byte(magic))
}

func (f *parquetFile) write(b []byte) error {
	n, err := f.out.Write(b)
	f.written += int64(n)
	return err
}

// closeGroup writes the open row group.
func (f *parquetFile) closeGroup(s *scratch) error {
	if err := f.begin(); err != nil {
		return err
	}
	group := format.RowGroup{
		NumRows: f.open, FileOffset: f.written, Ordinal: int16(len(f.groups)),
		Columns: make([]format.ColumnChunk, len(f.chunks)), SortingColumns: f.layout.sorting(),
	}
	if len(f.groups) > maxGroups {
		return fmt.Errorf("more than %d row groups in one parquet file", maxGroups)
	}
	columnIndex := make([]format.ColumnIndex, len(f.chunks))
	offsetIndex := make([]format.OffsetIndex, len(f.chunks))
	for i := range f.chunks {
		k := &f.chunks[i]
		if err := k.closePage(s); err != nil {
			return err
		}
		k.describe(&columnIndex[i])
		meta := &group.Columns[i].MetaData
		if err := f.writeChunk(k, meta, &offsetIndex[i], s); err != nil {
			return fmt.Errorf("write column %s: %w", k.leaf.name, err)
		}
		group.TotalByteSize += meta.TotalUncompressedSize
		group.TotalCompressedSize += meta.TotalCompressedSize
	}
	for i := range f.chunks {
		if err := f.writeBloom(&f.chunks[i], &group.Columns[i].MetaData, s); err != nil {
			return fmt.Errorf("write bloom filter of column %s: %w", f.chunks[i].leaf.name, err)
		}
		f.chunks[i].reset()
	}
	f.groups = append(f.groups, group)
	f.columnIndexes = append(f.columnIndexes, columnIndex)
	f.offsetIndexes = append(f.offsetIndexes, offsetIndex)
	f.described += describedBytes(columnIndex, offsetIndex)
	f.open = 0
	return nil
}

// maxGroups follows from the ordinal, which is a signed 16-bit number in the footer.
const maxGroups = 1<<15 - 1

// describedBytes is the memory that the description of a row group takes until the footer is written.
func describedBytes(columns []format.ColumnIndex, offsets []format.OffsetIndex) int64 {
	const (
		// The slices of encodings, their statistics, and the bounds beside those of the pages.
		lists = 256
		fixed = unsafe.Sizeof(format.ColumnChunk{}) + unsafe.Sizeof(format.ColumnIndex{}) +
			unsafe.Sizeof(format.OffsetIndex{}) + lists
		perPage = unsafe.Sizeof(format.PageLocation{}) + 2*unsafe.Sizeof([]byte(nil)) + 8 + 1
	)
	n := int64(unsafe.Sizeof(format.RowGroup{})) + int64(len(columns))*int64(fixed)
	for i := range columns {
		n += int64(len(offsets[i].PageLocations)) * int64(perPage)
		for j := range columns[i].MinValues {
			n += int64(cap(columns[i].MinValues[j]) + cap(columns[i].MaxValues[j]))
		}
	}
	return n
}

// writeFooter writes the page indexes and the description of the file.
func (f *parquetFile) writeFooter(s *scratch) error {
	for i := range f.groups {
		for j := range f.groups[i].Columns {
			c := &f.groups[i].Columns[j]
			if len(f.columnIndexes[i][j].NullPages) == 0 {
				continue
			}
			c.ColumnIndexOffset = f.written
			if err := f.writeThrift(&f.columnIndexes[i][j], s); err != nil {
				return err
			}
			c.ColumnIndexLength = int32(f.written - c.ColumnIndexOffset)
		}
	}
	for i := range f.groups {
		for j := range f.groups[i].Columns {
			c := &f.groups[i].Columns[j]
			c.OffsetIndexOffset = f.written
			if err := f.writeThrift(&f.offsetIndexes[i][j], s); err != nil {
				return err
			}
			c.OffsetIndexLength = int32(f.written - c.OffsetIndexOffset)
		}
	}
	start := f.written
	err := f.writeThrift(&format.FileMetaData{
		Version: 2, Schema: f.layout.elements, NumRows: f.rows, RowGroups: f.groups,
		CreatedBy: f.createdBy, ColumnOrders: f.layout.orders,
	}, s)
	if err != nil {
		return err
	}
	end := binary.LittleEndian.AppendUint32(nil, uint32(f.written-start))
	return f.write(append(end, magic...))
}

func (f *parquetFile) writeThrift(v any, s *scratch) error {
	if err := encodeThrift(&s.header, v); err != nil {
		return err
	}
	return f.write(s.header.Bytes())
}
