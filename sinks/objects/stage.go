package objects

import (
	"encoding/binary"
	"fmt"
	"os"

	"github.com/millrace-io/millrace/engine/column"
)

// stage holds rows of many partitions until they are encoded, partition by partition. They are
// kept row by row, so that a full stage can be written to disk in the order of the partitions,
// and each of them finds its rows there in one piece.
type stage struct {
	schema *column.Schema
	disk   *disk
	// most is how many bytes stay in memory.
	most int64
	// grace is how much more it may be because the disk takes nothing.
	grace int64
	// blocks hold the rows. Only one that gets a very large row is reallocated.
	blocks [][]byte
	// held is the memory of the blocks.
	held int64
	rows []staged
	// order is the rows by partition, ends where those of each partition end; set by sort.
	order, ends []int32
	// total is the bytes of all rows of the chunk, in memory and on disk.
	total int64
	file  *os.File
	filed int64

	// texts are the dictionaries by column, nil for one that has none; each may have textsLimit bytes.
	texts      []*stagedTexts
	textsLimit int
	// buffer is what goes to the file next.
	buffer []byte
	// reader is for emptying a full stage.
	reader *stageReader
}

// staged is a row in the stage.
type staged struct {
	part, block int32
	from, to    int32
}

// run is rows of one partition in the stage's file.
type run struct {
	from, size int64
}

const (
	stageBlock = 256 << 10
	// stagedBytes is the memory of a row beside its bytes: staged, and its place in order.
	stagedBytes = 20
	// writeBytes is how much goes to the file at once.
	writeBytes = 1 << 20
	// keptBytes is how much memory a block or buffer keeps; only a very large row takes more.
	keptBytes = 2 << 20
)

func (s *stage) init(schema *column.Schema, d *disk, most int64) {
	s.disk, s.most = d, most
	s.setSchema(schema)
}

// setSchema says what rows are like from now on; there are none yet.
func (s *stage) setSchema(schema *column.Schema) {
	s.schema, s.reader = schema, nil
	s.texts = make([]*stagedTexts, len(schema.Fields))
	texts := 0
	for _, f := range schema.Fields {
		if f.Type.Kind == column.String {
			texts++
		}
	}
	if s.textsLimit = textsLimit(s.most, texts); s.textsLimit < leastTexts {
		return
	}
	for i, f := range schema.Fields {
		if f.Type.Kind == column.String {
			s.texts[i] = &stagedTexts{}
		}
	}
}

// memory is what the stage holds, in bytes.
func (s *stage) memory() int64 {
	n := s.held + int64(cap(s.rows))*16 + int64(cap(s.order)+cap(s.ends))*4 + int64(cap(s.buffer))
	for _, t := range s.texts {
		if t != nil {
			n += t.memory()
		}
	}
	return n
}

func (s *stage) full() bool {
	return s.held+int64(len(s.rows))*stagedBytes >= s.most+s.grace
}

// begin prepares for the rows of b. Error: it is not of the schema.
func (s *stage) begin(b *column.Batch) error {
	if len(b.Columns) != len(s.schema.Fields) {
		return fmt.Errorf("batch of %d columns for a schema of %d", len(b.Columns), len(s.schema.Fields))
	}
	for i, c := range b.Columns {
		if f := &s.schema.Fields[i]; c == nil || c.Type.Kind != f.Type.Kind {
			return fmt.Errorf("the batch has no column %q of type %s", f.Name, f.Type)
		}
	}
	for i, t := range s.texts {
		if t != nil {
			t.begin(b.Columns[i], s.textsLimit)
		}
	}
	return nil
}

// add copies a row of the batch that begin was called with.
func (s *stage) add(b *column.Batch, row int, p *part) {
	n := len(s.blocks)
	if n == 0 || cap(s.blocks[n-1])-len(s.blocks[n-1]) < stageBlock/8 {
		s.blocks = append(s.blocks, make([]byte, 0, stageBlock))
		s.held += stageBlock
		n++
	}
	block := s.blocks[n-1]
	s.held -= int64(cap(block))
	from := len(block)
	for i, c := range b.Columns {
		if t := s.texts[i]; t != nil {
			block = t.append(block, c, row)
		} else {
			block = appendValue(block, c, row)
		}
	}
	s.blocks[n-1] = block
	s.held += int64(cap(block))
	s.rows = append(s.rows, staged{part: p.index, block: int32(n - 1), from: int32(from), to: int32(len(block))})
	s.total += int64(len(block) - from)
}

// sort orders the rows by partition, keeping their order within one.
func (s *stage) sort(parts int) {
	s.ends = append(s.ends[:0], make([]int32, parts+1)...)
	for i := range s.rows {
		s.ends[s.rows[i].part+1]++
	}
	for i := range parts {
		s.ends[i+1] += s.ends[i]
	}
	s.order = append(s.order[:0], make([]int32, len(s.rows))...)
	// Each entry moves from where its partition begins to where it ends.
	for i := range s.rows {
		p := s.rows[i].part
		s.order[s.ends[p]] = int32(i)
		s.ends[p]++
	}
}

// of are the rows of a partition, after sort.
func (s *stage) of(p *part) []int32 {
	if int(p.index) >= len(s.ends)-1 {
		return nil
	}
	from := int32(0)
	if p.index > 0 {
		from = s.ends[p.index-1]
	}
	return s.order[from:s.ends[p.index]]
}

func (s *stage) bytes(row int32) []byte {
	r := s.rows[row]
	return s.blocks[r.block][r.from:r.to]
}

// size is how many bytes a partition has in memory, after sort.
func (s *stage) size(p *part) int64 {
	var n int64
	for _, row := range s.of(p) {
		n += int64(s.rows[row].to - s.rows[row].from)
	}
	return n
}

// spill writes the rows of some partitions to the file. On an error none of them was written.
func (s *stage) spill(parts []*part) error {
	begin := s.filed
	for i, p := range parts {
		from := s.filed + int64(len(s.buffer))
		err := s.spillRows(s.of(p))
		if err == nil && i == len(parts)-1 {
			err = s.write()
		}
		if err != nil {
			for _, q := range parts[:i] {
				q.runs = q.runs[:len(q.runs)-1]
			}
			s.filed, s.buffer = begin, nil
			return err
		}
		p.runs = append(p.runs, run{from: from, size: s.filed + int64(len(s.buffer)) - from})
	}
	return nil
}

func (s *stage) spillRows(rows []int32) error {
	for _, row := range rows {
		text := s.bytes(row)
		s.buffer = binary.AppendUvarint(s.buffer, uint64(len(text)))
		if len(text) >= writeBytes {
			if err := s.writeLarge(text); err != nil {
				return err
			}
			continue
		}
		s.buffer = append(s.buffer, text...)
		if len(s.buffer) >= writeBytes {
			if err := s.write(); err != nil {
				return err
			}
		}
	}
	return nil
}

// write moves the buffer to the file.
func (s *stage) write() error {
	if err := s.disk.write(&s.file, s.buffer, s.filed); err != nil {
		return err
	}
	s.filed += int64(len(s.buffer))
	s.buffer = s.buffer[:0]
	return nil
}

// writeLarge writes a row behind what is in the buffer, without a copy.
func (s *stage) writeLarge(text []byte) error {
	if err := s.write(); err != nil {
		return err
	}
	if err := s.disk.write(&s.file, text, s.filed); err != nil {
		return err
	}
	s.filed += int64(len(text))
	return nil
}

// empty forgets the rows in memory; a block stays for the next ones.
func (s *stage) empty() {
	s.held = 0
	if len(s.blocks) > 0 {
		clear(s.blocks[1:])
		s.blocks = s.blocks[:1]
		if cap(s.blocks[0]) > keptBytes {
			s.blocks[0] = make([]byte, 0, stageBlock)
		}
		s.blocks[0] = s.blocks[0][:0]
		s.held = int64(cap(s.blocks[0]))
	}
	s.grace = 0
	s.rows, s.order, s.ends = s.rows[:0], s.order[:0], s.ends[:0]
}

// drop forgets everything.
func (s *stage) drop() error {
	s.blocks, s.rows, s.order, s.ends, s.buffer = nil, nil, nil, nil, nil
	s.reader = nil
	s.total, s.filed, s.held = 0, 0, 0
	s.grace = 0
	for _, t := range s.texts {
		if t != nil {
			*t = stagedTexts{}
		}
	}
	return s.disk.discard(&s.file)
}
