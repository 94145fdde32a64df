package objects

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/millrace-io/millrace/engine/column"
)

const (
	// readRows and readBytes bound the batches that staged rows are encoded in.
	readRows  = 8192
	readBytes = 1 << 20
	// readBuffer is more than most partitions have in a run, so that each is one read.
	readBuffer = 64 << 10
)

// stageReader makes batches of staged rows again. One goroutine uses it; several may read the same stage, to
// which nothing is added meanwhile.
type stageReader struct {
	stage    *stage
	builders []*column.Builder
	texts    []textReader
	columns  []*column.Column
	input    *bufio.Reader
	buffer   []byte
	// add takes the batches; rows and bytes are those of the one at hand.
	add   func(*column.Batch) error
	rows  int
	bytes int
}

func (s *stage) newReader() *stageReader {
	r := &stageReader{stage: s, columns: make([]*column.Column, len(s.schema.Fields)), texts: make([]textReader, len(s.schema.Fields))}
	for _, f := range s.schema.Fields {
		r.builders = append(r.builders, column.NewBuilder(f.Type))
	}
	return r
}

// read calls add with all rows of a partition, those on disk first.
func (r *stageReader) read(p *part, add func(*column.Batch) error) error {
	r.add = add
	for _, x := range p.runs {
		if err := r.readRun(x); err != nil {
			return fmt.Errorf("read spooled rows: %w", err)
		}
	}
	return r.readMemory(p)
}

// readMemory calls add with the rows that are in memory.
func (r *stageReader) readMemory(p *part) error {
	for _, row := range r.stage.of(p) {
		if err := r.row(r.stage.bytes(row)); err != nil {
			return err
		}
	}
	return r.flush()
}

func (r *stageReader) readRun(x run) error {
	if r.input == nil {
		r.input = bufio.NewReaderSize(nil, readBuffer)
	}
	r.input.Reset(io.NewSectionReader(r.stage.file, x.from, x.size))
	for {
		n, err := binary.ReadUvarint(r.input)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && n > uint64(x.size) {
			err = errTorn
		}
		if err != nil {
			return err
		}
		text, err := r.next(int(n))
		if err != nil {
			return err
		}
		if err := r.row(text); err != nil {
			return err
		}
	}
}

// next is the next n bytes of the run, valid until it is called again.
func (r *stageReader) next(n int) ([]byte, error) {
	if n <= readBuffer {
		text, err := r.input.Peek(n)
		if err == nil {
			_, err = r.input.Discard(n)
		}
		return text, err
	}
	r.buffer = slices.Grow(r.buffer[:0], n)[:n]
	_, err := io.ReadFull(r.input, r.buffer)
	return r.buffer, err
}

func (r *stageReader) row(text []byte) error {
	rest := text
	fields := r.stage.schema.Fields
	for i, builder := range r.builders {
		var err error
		if t := r.stage.texts[i]; t != nil {
			rest, err = r.texts[i].read(t, builder, &fields[i].Type, rest)
		} else {
			rest, err = readValue(builder, &fields[i].Type, rest)
		}
		if err != nil {
			return err
		}
	}
	r.rows++
	r.bytes += len(text)
	if cap(r.buffer) > keptBytes {
		// The encoder needs the memory now.
		r.buffer = nil
	}
	if r.rows < readRows && r.bytes < readBytes {
		return nil
	}
	return r.flush()
}

func (r *stageReader) flush() error {
	if r.rows == 0 {
		return nil
	}
	for i, x := range r.builders {
		if t := r.stage.texts[i]; t != nil {
			r.columns[i] = r.texts[i].column(t, x, r.stage.schema.Fields[i].Type)
		} else {
			r.columns[i] = x.Reuse()
		}
	}
	batch, err := column.NewBatch(r.stage.schema, r.columns)
	if err == nil {
		err = r.add(batch)
	}
	for i, x := range r.builders {
		x.Reset()
		r.texts[i].ids = r.texts[i].ids[:0]
	}
	r.rows, r.bytes = 0, 0
	return err
}
