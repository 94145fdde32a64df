package objects

import (
	"encoding/binary"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/column"
)

func TestPartitionValuesAreSpelledOut(t *testing.T) {
	wide := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, ^uint64(0)), ^uint64(0)-122)
	for _, c := range []struct {
		column column.Column
		want   string
	}{
		{column.Column{Type: column.Type{Kind: column.Boolean}, Bools: []byte{1}}, "true"},
		{column.Column{Type: column.Type{Kind: column.Int}, Int32s: []int32{-5}}, "-5"},
		{column.Column{Type: column.Type{Kind: column.BigInt}, Int64s: []int64{1 << 60}}, "1152921504606846976"},
		{column.Column{Type: column.Type{Kind: column.Date}, Int32s: []int32{-1}}, "1969-12-31"},
		{column.Column{Type: column.Type{Kind: column.Time}, Int64s: []int64{3_600_000_001}}, "01%3A00%3A00.000001"},
		{column.Column{Type: column.Type{Kind: column.Timestamp}, Int64s: []int64{1_500_000}}, "1970-01-01T00%3A00%3A01.5Z"},
		{column.Column{Type: column.Type{Kind: column.UUID}, Fixed: []byte("0123456789abcdef")}, "30313233-3435-3637-3839-616263646566"},
		{column.Column{Type: column.Type{Kind: column.Decimal, Precision: 9, Scale: 3}, Int64s: []int64{-5}}, "-0.005"},
		{column.Column{Type: column.Type{Kind: column.Decimal, Precision: 9}, Int64s: []int64{42}}, "42"},
		{column.Column{Type: column.Type{Kind: column.Decimal, Precision: 38, Scale: 2}, Fixed: wide}, "-1.23"},
		{column.Column{Type: column.Type{Kind: column.String}, Offsets: []int32{0, 8}, Bytes: []byte("a=b/ü\x01")}, "a%3Db%2Fü%01"},
		{column.Column{Type: column.Type{Kind: column.String}, Offsets: []int32{0, 0}}, ""},
		{column.Column{Type: column.Type{Kind: column.String}, Valid: []byte{0}, Nulls: 1}, nullPartition},
	} {
		c.column.Len = 1
		if c.column.Offsets != nil {
			c.column.Offsets[1] = int32(len(c.column.Bytes))
		}
		p := partitioner{names: []string{"v"}, columns: []*column.Column{&c.column}}
		values, err := p.values(0)
		if err != nil || p.path(values) != "v="+c.want+"/" {
			t.Errorf("%v: %s, want %s (%v)", c.column.Type, values, c.want, err)
		}
	}
}

func TestPrefixEndsWithASlash(t *testing.T) {
	got := map[string]string{}
	want := map[string]string{"": "", "a": "a/", "a/": "a/", "/a/b": "a/b/", "/": ""}
	for p := range maps.Keys(want) {
		got[p] = (&Layout{Prefix: p}).Static()
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
