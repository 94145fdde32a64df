package encode

import (
	"io"
	"sync"

	"github.com/millrace-io/millrace/engine/column"
)

// pieceBytes is how many bytes of rows are gathered before they are compressed and written. Of text,
// each piece is a zstd frame, gzip member or snappy stream of its own, which readers take one after
// the other; so an open file holds no compressor, only this much text. Of Avro it is a block, which
// readers hold whole.
const pieceBytes = 512 << 10

// rowFormat is the bytes of rows one by one. One file has one, used by one goroutine.
type rowFormat interface {
	// begin and end append what comes before the first row and after the last.
	begin(dst []byte) []byte
	end(dst []byte) []byte
	// row appends a row; first tells the first of the file.
	row(dst []byte, b *column.Batch, row int, first bool) []byte
}

// packer makes what is written out of gathered rows. One file has one, used by one goroutine.
type packer interface {
	// pack writes a piece of some rows over dst and returns it.
	pack(dst, piece []byte, rows int64) ([]byte, error)
	// finish is what the file still needs behind its pieces.
	finish() []byte
}

// pieces writes the formats whose rows stand one after the other.
type pieces struct {
	schema *column.Schema
	format rowFormat
	// packer is nil when pieces are written as they are.
	packer packer
	// buffers are of type *[]byte and lent to the packer, so that open files share them.
	buffers *sync.Pool
	out     io.Writer

	pending []byte
	// rows are those of the file, packed those of the pieces written.
	rows, packed int64
	// gathered is how many bytes of rows were written, written how many they became.
	gathered, written int64
	failed            error
}

func (p *pieces) open() *pieces {
	p.pending = p.format.begin(nil)
	return p
}

// Add implements Encoder.
func (p *pieces) Add(b *column.Batch) error {
	if p.failed != nil {
		return p.failed
	}
	if err := checkBatch(p.schema, b); err != nil {
		return err
	}
	for i := range b.Selected() {
		row := i
		if b.Selection != nil {
			row = int(b.Selection[i])
		}
		p.pending = p.format.row(p.pending, b, row, p.rows == 0)
		p.rows++
		if len(p.pending) >= pieceBytes {
			if err := p.write(); err != nil {
				return err
			}
		}
	}
	return nil
}

// write writes what is pending as one piece.
func (p *pieces) write() error {
	if p.failed != nil || len(p.pending) == 0 {
		return p.failed
	}
	data := p.pending
	if p.packer != nil {
		buffer := p.buffers.Get().(*[]byte)
		defer p.buffers.Put(buffer)
		*buffer, p.failed = p.packer.pack(*buffer, p.pending, p.rows-p.packed)
		data = *buffer
		// A row may be large; its buffer is not worth keeping.
		if cap(*buffer) > 4*pieceBytes {
			*buffer = nil
		}
	}
	if p.failed == nil {
		_, p.failed = p.out.Write(data)
	}
	p.gathered += int64(len(p.pending))
	p.written += int64(len(data))
	p.packed = p.rows
	p.pending = p.pending[:0]
	if cap(p.pending) > 4*pieceBytes {
		p.pending = nil
	}
	return p.failed
}

// Flush implements Encoder.
func (p *pieces) Flush() error {
	err := p.write()
	p.pending = nil
	return err
}

// Finish implements Encoder.
func (p *pieces) Finish() error {
	p.pending = p.format.end(p.pending)
	err := p.Flush()
	if err != nil || p.packer == nil {
		return err
	}
	if rest := p.packer.finish(); len(rest) > 0 {
		_, p.failed = p.out.Write(rest)
		p.written += int64(len(rest))
	}
	return p.failed
}

// Rows implements Encoder.
func (p *pieces) Rows() int64 { return p.rows }

// Size implements Encoder.
func (p *pieces) Size() int64 {
	open := int64(len(p.pending))
	switch {
	case p.packer == nil:
	case p.gathered > 0:
		open = open * p.written / p.gathered
	case open > 0:
		open = p.guess(open)
	}
	return p.written + open
}

// guess is the size of the first bytes of a file, before there is a piece to judge by.
func (p *pieces) guess(open int64) int64 {
	if a, ok := p.packer.(*avroBlocks); ok && a.compress == nil {
		return open
	}
	return max(open/4, 1)
}

// Memory implements Encoder.
func (p *pieces) Memory() int64 { return int64(cap(p.pending)) }

// objects writes rows as JSON objects: a line each, or the elements of an array.
type objects struct{ array bool }

func (o objects) begin(dst []byte) []byte {
	if o.array {
		return append(dst, '[')
	}
	return dst
}

func (o objects) end(dst []byte) []byte {
	if o.array {
		return append(dst, "\n]\n"...)
	}
	return dst
}

func (o objects) row(dst []byte, b *column.Batch, row int, first bool) []byte {
	if !o.array {
		return append(column.AppendJSON(dst, b, row), '\n')
	}
	if !first {
		dst = append(dst, ',')
	}
	return column.AppendJSON(append(dst, '\n'), b, row)
}
