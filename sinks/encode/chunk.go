package encode

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math"
	"unsafe"

	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/millrace-io/millrace/engine/column"
)

// A page is closed at whichever of these comes first. Larger pages compress a little better and
// take that much more memory in every open file.
const (
	pageRows  = 32 << 10
	pageBytes = 1 << 20
)

// chunk is one column of the open row group. Closed pages are kept compressed until the row
// group ends, because in the file they follow those of the columns before.
type chunk struct {
	leaf    *leaf
	codec   codec
	compare func(a, b []byte) int
	levels  levels
	values  values

	// ids are the values of the open page while a dictionary is used.
	ids  []int32
	dict dictionary
	// spare is a dictionary that was declined.
	spare dictionary
	// encoded is set while the open page holds ids, declined once this file does without.
	encoded, declined bool
	// sample is set until the first rows of a small file are looked at.
	sample bool
	// even is what was found out about texts of one length.
	even evenness

	hashes bloomHashes
	pages  []page
	// unused is memory of earlier pages.
	unused [][]byte
	held   int
	// compressed and uncompressed are the sizes of all pages of the file, for estimates.
	compressed, uncompressed int64
}

// page is a closed data page with its header.
type page struct {
	data []byte
	// rest follows data; only a large page has it.
	rest    []byte
	encoded bool
	// packed is whether the values went through the codec.
	packed bool
	// size is that of header and body before compression.
	size          int
	entries, rows int
	nulls         int
	bounds        bounds
}

// scratch is memory that one page needs while it is closed; a Writer's files share it.
type scratch struct {
	values, defs, reps, packed, even []byte
	header                           bytes.Buffer
	// places are those of a batch's rows that have a value.
	places []int32
}

// keptBytes is how much memory of one kind is kept for what is encoded next. Very large values take more.
const keptBytes = 4 << 20

// trim lets go of what a very large value took.
func (s *scratch) trim() {
	for _, b := range []*[]byte{&s.values, &s.packed, &s.even} {
		if cap(*b) > keptBytes {
			*b = nil
		}
	}
}

func newChunk(f *leaf, c codec) chunk {
	physical := physicalOf(f.typ)
	k := chunk{
		leaf: f, codec: c, compare: comparison(f.typ.Kind, physical),
		levels: levels{maxDef: f.maxDef, maxRep: f.maxRep},
		values: values{physical: physical}, declined: !hasDictionary(f.typ),
	}
	k.levels.reset()
	k.encoded = !k.declined
	return k
}

// add appends rows of the column's top-level column.
func (k *chunk) add(top *column.Column, r rows, s *scratch) error {
	var c *column.Column
	c, r, s.places = k.leaf.shred(&k.levels, top, r, s.places)
	if k.encoded {
		k.addIDs(c, r)
	} else {
		k.values.add(c, r)
	}
	if k.levels.rows < pageRows && !(k.encoded && k.dict.size() > keptBytes) && k.values.size()+4*len(k.ids)+len(k.levels.defs) < pageBytes {
		return nil
	}
	return k.closePage(s)
}

func (k *chunk) addIDs(c *column.Column, r rows) {
	if k.dict == nil {
		if k.dict, k.spare = k.spare, nil; k.dict == nil {
			k.dict = newDictionary(k.leaf.typ)
		}
	}
	sample := k.sample && r.len() > 0
	k.sample = k.sample && !sample
	if len(k.pages) == 0 && (outgrows(c, r) || sample && differ(c, r)) {
		// It would be declined all the same, after a copy of what may be very large.
		k.decline()
		k.values.add(c, r)
		return
	}
	before := len(k.ids)
	k.ids = k.dict.appendIDs(k.ids, c, r)
	if len(k.pages) > 0 {
		return
	}
	judged := before < dictTrial && len(k.ids) >= dictTrial
	if judged && k.distinct() > dictTrialShare || full(k.dict) {
		k.decline()
	}
}

// distinct is the share of distinct values in the first page.
func (k *chunk) distinct() float64 { return float64(k.dict.len()) / float64(len(k.ids)) }

// decline goes on without a dictionary for the rest of the file. No page has been closed with it.
func (k *chunk) decline() {
	k.declined, k.encoded = true, false
	k.dict.expand(&k.values, k.ids)
	k.dict.reset()
	k.ids, k.dict, k.spare = k.ids[:0], nil, k.dict
}

// closePage encodes and compresses the open page, if it holds anything.
func (k *chunk) closePage(s *scratch) error {
	if k.levels.entries == 0 {
		return nil
	}
	if k.encoded && len(k.pages) == 0 && len(k.ids) > 0 && k.distinct() > dictPageShare {
		k.decline()
	}
	p := page{encoded: k.encoded, entries: k.levels.entries, rows: k.levels.rows}
	encoding, err := k.encodeValues(&p, s)
	if err != nil {
		return k.wrap(err)
	}
	if s.defs, err = k.levels.encodeDefs(s.defs); err != nil {
		return k.wrap(err)
	}
	if s.reps, err = k.levels.encodeReps(s.reps); err != nil {
		return k.wrap(err)
	}
	if (k.values.borrowed || len(k.values.bytes) > keptBytes) && k.values.n < evenLeast {
		// Only of many texts is it asked whether they are even.
		k.values.bytes = nil
	}
	p.packed = k.codec.compress != nil && len(s.values) >= packedLeast(encoding)
	body := s.values
	if p.packed {
		compress := k.compress
		if k.codec.even != nil && encoding == format.Plain && k.values.physical == format.ByteArray {
			compress = k.compressTexts
		}
		body, err = compress(s)
	}
	if err != nil {
		return k.wrap(err)
	}
	if err := k.assemble(&p, encoding, body, s); err != nil {
		return k.wrap(err)
	}
	k.pages = append(k.pages, p)
	k.held += cap(p.data) + cap(p.rest) + cap(p.bounds.min) + cap(p.bounds.max)
	k.compressed += int64(len(p.data) + len(p.rest))
	k.uncompressed += int64(p.size)
	k.levels.reset()
	k.values.reset()
	k.ids = k.ids[:0]
	if k.encoded && full(k.dict) {
		k.encoded = false
	}
	return nil
}

func (k *chunk) encodeValues(p *page, s *scratch) (format.Encoding, error) {
	var encoding format.Encoding
	var err error
	if k.encoded {
		encoding = format.RLEDictionary
		s.values, err = new(rle.DictionaryEncoding).EncodeInt32(s.values, k.ids)
		p.nulls = p.entries - len(k.ids)
		// Bounds of the dictionary so far hold for each of its pages, and cost nothing.
		if len(k.ids) > 0 {
			p.bounds = k.dict.bounds(k.leaf.typ.Kind)
		}
		return encoding, err
	}
	p.nulls = p.entries - k.values.n
	p.bounds = k.values.bounds(k.leaf.typ.Kind)
	if k.leaf.bloom {
		k.hashes.add(&k.values)
	}
	s.values, encoding, err = k.values.encode(s.values)
	return encoding, err
}

// packedLeast is the size from which values are compressed. Ids and deltas are packed in bits already,
// so a codec takes longer to begin than it saves on less; files of many partitions are full of such
// pages. Ids get smaller only where they repeat in some order, deltas also where all are alike.
func packedLeast(e format.Encoding) int {
	switch e {
	case format.RLEDictionary:
		return 4096
	case format.DeltaBinaryPacked:
		return 1024
	}
	return 0
}

// evenness says whether texts of one length are written by the codec's own way for them, which is
// decided on the first page of the file that has them.
type evenness uint8

const (
	evenUnknown evenness = iota
	evenUsed
	evenRefused
)

// compressTexts is compress for a page of PLAIN texts.
func (k *chunk) compressTexts(s *scratch) ([]byte, error) {
	width := k.values.width()
	if k.even == evenRefused || !k.codec.even.suits(k.values.n, width) {
		return k.compress(s)
	}
	s.even = k.codec.even.append(s.even[:0], k.values.bytes, width)
	if k.even == evenUsed {
		return s.even, nil
	}
	if k.values.n <= evenSmall && !repeatsInside(k.values.bytes, width) {
		k.even = evenUsed
		return s.even, nil
	}
	general, err := k.compress(s)
	// It costs a fraction of the time, so it need not be smaller.
	if err != nil || len(general)+len(general)/64 < len(s.even) {
		k.even = evenRefused
		return general, err
	}
	k.even = evenUsed
	return s.even, nil
}

// compress returns the values as they go into the file.
func (k *chunk) compress(s *scratch) ([]byte, error) {
	if k.codec.compress == nil {
		return s.values, nil
	}
	var err error
	s.packed, err = k.codec.compress(s.packed, s.values)
	return s.packed, err
}

// assemble puts header, levels and values together.
func (k *chunk) assemble(p *page, encoding format.Encoding, body []byte, s *scratch) error {
	levels := len(s.reps) + len(s.defs)
	if levels+max(len(body), len(s.values)) > math.MaxInt32 {
		return fmt.Errorf("a page of %d bytes; the format allows 2 GiB", levels+len(s.values))
	}
	crc := crc32.ChecksumIEEE(s.reps)
	crc = crc32.Update(crc, crc32.IEEETable, s.defs)
	crc = crc32.Update(crc, crc32.IEEETable, body)
	header := format.PageHeader{
		Type:                 format.DataPageV2,
		UncompressedPageSize: int32(levels + len(s.values)),
		CompressedPageSize:   int32(levels + len(body)),
		CRC:                  int32(crc),
		DataPageHeaderV2: thrift.New(format.DataPageHeaderV2{
			NumValues: int32(p.entries), NumNulls: int32(p.nulls), NumRows: int32(p.rows),
			Encoding:                   encoding,
			DefinitionLevelsByteLength: int32(len(s.defs)),
			RepetitionLevelsByteLength: int32(len(s.reps)),
			IsCompressed:               thrift.New(p.packed),
		}),
	}
	if err := encodeThrift(&s.header, &header); err != nil {
		return err
	}
	p.size = s.header.Len() + levels + len(s.values)
	copied := body
	if len(body) > keptBytes && len(body) > cap(body)/2 {
		// The scratch loses this memory, so the page can have it.
		p.rest, copied = body, nil
	}
	p.data = k.buffer(s.header.Len() + levels + len(copied))
	p.data = append(p.data, s.header.Bytes()...)
	p.data = append(append(p.data, s.reps...), s.defs...)
	p.data = append(p.data, copied...)
	s.trim()
	return nil
}

// encodeThrift replaces what is in b by v.
func encodeThrift(b *bytes.Buffer, v any) error {
	b.Reset()
	return thrift.NewEncoder(new(thrift.CompactProtocol).NewWriter(b)).Encode(v)
}

// buffer is empty memory for a page of n bytes.
func (k *chunk) buffer(n int) []byte {
	for i, b := range k.unused {
		if cap(b) >= n {
			last := len(k.unused) - 1
			k.unused[i] = k.unused[last]
			k.unused = k.unused[:last]
			return b[:0]
		}
	}
	return make([]byte, 0, n)
}

func (k *chunk) wrap(err error) error {
	return fmt.Errorf("encode column %s: %w", k.leaf.name, err)
}

// memory is what the chunk holds.
func (k *chunk) memory() int {
	n := int(unsafe.Sizeof(*k)) + k.held + k.values.memory() + 4*cap(k.ids) + cap(k.levels.defs) + cap(k.levels.reps) +
		cap(k.pages)*int(unsafe.Sizeof(page{})) + cap(k.unused)*int(unsafe.Sizeof([]byte(nil))) + 8*cap(k.hashes)
	for _, b := range k.unused {
		n += cap(b)
	}
	if k.dict != nil {
		n += k.dict.memory()
	}
	if k.spare != nil {
		n += k.spare.memory()
	}
	return n
}

// estimate is how many bytes of the file the chunk stands for: its pages, and what is open at
// the rate at which this column was compressed so far.
func (k *chunk) estimate() int64 {
	n := int64(0)
	for i := range k.pages {
		n += int64(len(k.pages[i].data) + len(k.pages[i].rest))
	}
	open := int64(k.values.size() + len(k.levels.defs)/8 + len(k.ids))
	if k.dict != nil {
		open += int64(k.dict.size())
	}
	if k.uncompressed > 0 {
		return n + open*k.compressed/k.uncompressed
	}
	return n + open/2
}
