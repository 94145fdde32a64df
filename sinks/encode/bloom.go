package encode

import (
	"math"

	"github.com/parquet-go/parquet-go/bloom"
	"github.com/parquet-go/parquet-go/format"
)

// bloomBits a distinct value make one answer in a hundred wrong.
const bloomBits = 10

// bloomHashes are those of the values of a column's plain pages in the open row group. Values in the
// dictionary are hashed when the group ends, once each.
type bloomHashes []uint64

// add takes the values of the open page. Values are hashed as they are PLAIN encoded, without a
// length (Parquet bloom filter specification).
func (h *bloomHashes) add(v *values) {
	var x bloom.XXH64
	for _, n := range v.int32s {
		*h = append(*h, x.Sum64Uint32(uint32(n)))
	}
	for _, n := range v.int64s {
		*h = append(*h, x.Sum64Uint64(uint64(n)))
	}
	for _, n := range v.floats {
		*h = append(*h, x.Sum64Uint32(math.Float32bits(n)))
		if n == 0 {
			*h = append(*h, x.Sum64Uint32(math.Float32bits(-n)))
		}
	}
	for _, n := range v.doubles {
		*h = append(*h, x.Sum64Uint64(math.Float64bits(n)))
		// Who looks for a zero means both.
		if n == 0 {
			*h = append(*h, x.Sum64Uint64(math.Float64bits(-n)))
		}
	}
	switch v.physical {
	case format.FixedLenByteArray:
		for at := 0; at < len(v.bytes); at += fixedLength {
			*h = append(*h, x.Sum64(v.bytes[at:at+fixedLength]))
		}
	case format.ByteArray:
		for i := range v.n {
			*h = append(*h, x.Sum64(v.text(i)))
		}
	}
}

// writeBloom writes the bloom filter of the chunk, whose pages are closed.
func (f *parquetFile) writeBloom(k *chunk, meta *format.ColumnMetaData, s *scratch) error {
	if !k.leaf.bloom {
		return nil
	}
	hashes := k.hashes
	if k.usesDictionary() {
		v := values{physical: k.values.physical}
		k.dict.expand(&v, allIDs(k.dict.len()))
		hashes.add(&v)
	}
	blocks := max(bloom.NumSplitBlocksOf(int64(len(hashes)), bloomBits), 1)
	filter := make(bloom.SplitBlockFilter, blocks)
	filter.InsertBulk(hashes)
	k.hashes = hashes[:0]

	bits := filter.Bytes()
	meta.BloomFilterOffset = f.written
	header := format.BloomFilterHeader{
		NumBytes:    int32(len(bits)),
		Algorithm:   format.BloomFilterAlgorithm{Value: new(format.SplitBlockAlgorithm)},
		Hash:        format.BloomFilterHash{Value: new(format.XxHash)},
		Compression: format.BloomFilterCompression{Value: new(format.BloomFilterUncompressed)},
	}
	if err := encodeThrift(&s.header, &header); err != nil {
		return err
	}
	meta.BloomFilterLength = int32(s.header.Len() + len(bits))
	if err := f.write(s.header.Bytes()); err != nil {
		return err
	}
	return f.write(bits)
}

func allIDs(n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(i)
	}
	return ids
}
