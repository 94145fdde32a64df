package encode

import (
	"hash/crc32"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// raw is the size of the chunk's part of the row group before compression.
func (k *chunk) raw() int64 {
	n := int64(k.values.size() + 4*len(k.ids) + len(k.levels.defs))
	if k.dict != nil {
		n += int64(k.dict.size())
	}
	for i := range k.pages {
		n += int64(k.pages[i].size)
	}
	return n
}

// writeChunk writes the dictionary and pages of k, and describes them.
func (f *parquetFile) writeChunk(k *chunk, meta *format.ColumnMetaData, index *format.OffsetIndex, s *scratch) error {
	start := f.written
	*meta = format.ColumnMetaData{
		Type: k.values.physical, PathInSchema: k.leaf.path, Codec: k.codec.id, Statistics: k.statistics(),
		Encoding: []format.Encoding{format.RLE},
	}
	if k.usesDictionary() {
		meta.DictionaryPageOffset = f.written
		size, err := f.writeDictionary(k, s)
		if err != nil {
			return err
		}
		meta.TotalUncompressedSize += int64(size)
		meta.Encoding = append(meta.Encoding, format.Plain)
	}
	meta.DataPageOffset = f.written
	row := int64(0)
	for i := range k.pages {
		p := &k.pages[i]
		index.PageLocations = append(index.PageLocations, format.PageLocation{
			Offset: f.written, CompressedPageSize: int32(len(p.data) + len(p.rest)), FirstRowIndex: row,
		})
		if err := f.write(p.data); err != nil {
			return err
		}
		if len(p.rest) > 0 {
			if err := f.write(p.rest); err != nil {
				return err
			}
		}
		row += int64(p.rows)
		meta.NumValues += int64(p.entries)
		meta.TotalUncompressedSize += int64(p.size)
	}
	meta.TotalCompressedSize = f.written - start
	k.describeEncodings(meta)
	return nil
}

// usesDictionary reports whether any page of the chunk holds ids.
func (k *chunk) usesDictionary() bool { return len(k.pages) > 0 && k.pages[0].encoded }

// writeDictionary returns the size of the page before compression.
func (f *parquetFile) writeDictionary(k *chunk, s *scratch) (int, error) {
	s.values = k.dict.appendPlain(s.values[:0])
	body, err := k.compress(s)
	if err != nil {
		return 0, err
	}
	header := format.PageHeader{
		Type:                 format.DictionaryPage,
		UncompressedPageSize: int32(len(s.values)),
		CompressedPageSize:   int32(len(body)),
		CRC:                  int32(crc32.ChecksumIEEE(body)),
		DictionaryPageHeader: thrift.New(format.DictionaryPageHeader{
			NumValues: int32(k.dict.len()), Encoding: format.Plain,
		}),
	}
	if err := encodeThrift(&s.header, &header); err != nil {
		return 0, err
	}
	size := s.header.Len() + len(s.values)
	if err := f.write(s.header.Bytes()); err != nil {
		return 0, err
	}
	return size, f.write(body)
}

// describeEncodings names the encodings of the values, and counts the pages of each.
func (k *chunk) describeEncodings(meta *format.ColumnMetaData) {
	ids, others := int32(0), int32(0)
	for i := range k.pages {
		if k.pages[i].encoded {
			ids++
		} else {
			others++
		}
	}
	if ids > 0 {
		meta.Encoding = append(meta.Encoding, format.RLEDictionary)
		meta.EncodingStats = append(meta.EncodingStats,
			format.PageEncodingStats{PageType: format.DictionaryPage, Encoding: format.Plain, Count: 1},
			format.PageEncodingStats{PageType: format.DataPageV2, Encoding: format.RLEDictionary, Count: ids})
	}
	if others == 0 {
		return
	}
	encoding := format.Plain
	if p := k.values.physical; p == format.Int32 || p == format.Int64 {
		encoding = format.DeltaBinaryPacked
	}
	if ids == 0 || encoding != format.Plain {
		meta.Encoding = append(meta.Encoding, encoding)
	}
	meta.EncodingStats = append(meta.EncodingStats,
		format.PageEncodingStats{PageType: format.DataPageV2, Encoding: encoding, Count: others})
}

// statistics of the chunk. Bounds that are not exact are left out: readers take them for values.
func (k *chunk) statistics() format.Statistics {
	var s format.Statistics
	var all bounds
	known := true
	for i := range k.pages {
		p := &k.pages[i]
		s.NullCount += int64(p.nulls)
		if p.bounds.valid {
			all.widen(p.bounds, k.compare)
		} else if p.nulls < p.entries {
			known = false
		}
	}
	if known && all.valid && all.exact {
		s.MinValue, s.MaxValue = all.min, all.max
	}
	return s
}

// describe fills the column index. It stays empty when some page has values but no bounds, for
// the format has no way to say so for one page.
func (k *chunk) describe(index *format.ColumnIndex) {
	rising, falling := true, true
	var last *bounds
	for i := range k.pages {
		p := &k.pages[i]
		if !p.bounds.valid && p.nulls < p.entries {
			*index = format.ColumnIndex{}
			return
		}
		index.NullPages = append(index.NullPages, !p.bounds.valid)
		index.MinValues = append(index.MinValues, p.bounds.min)
		index.MaxValues = append(index.MaxValues, p.bounds.max)
		index.NullCounts = append(index.NullCounts, int64(p.nulls))
		if !p.bounds.valid {
			continue
		}
		if last != nil {
			min, max := k.compare(last.min, p.bounds.min), k.compare(last.max, p.bounds.max)
			rising = rising && min <= 0 && max <= 0
			falling = falling && min >= 0 && max >= 0
		}
		last = &p.bounds
	}
	switch {
	case rising:
		index.BoundaryOrder = format.Ascending
	case falling:
		index.BoundaryOrder = format.Descending
	}
}

// reset begins the next row group; memory is kept for it.
func (k *chunk) reset() {
	for i := range k.pages {
		k.unused = append(k.unused, k.pages[i].data)
		k.pages[i] = page{}
	}
	k.pages, k.held = k.pages[:0], 0
	k.encoded = !k.declined
	if k.dict != nil {
		k.dict.reset()
	}
}

// release lets go of memory that only serves speed.
func (k *chunk) release() {
	k.pages, k.unused, k.dict, k.spare, k.ids, k.hashes = nil, nil, nil, nil, nil, nil
	k.values = values{physical: k.values.physical}
	k.levels.defs, k.levels.reps = nil, nil
}

// renew makes a chunk whose row group has ended that of a new file; memory is kept for it.
func (k *chunk) renew() {
	*k = chunk{
		leaf: k.leaf, codec: k.codec, compare: k.compare, levels: k.levels, values: k.values, ids: k.ids[:0],
		dict: k.dict, spare: k.spare, hashes: k.hashes[:0], pages: k.pages, unused: k.unused,
		declined: !hasDictionary(k.leaf.typ),
	}
	k.encoded = !k.declined
}
