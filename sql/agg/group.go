package agg

import "github.com/millrace-io/millrace/engine/column"

// KeyGroups is how many groups keys are divided into. State is kept by them, so the number is part of
// docs/formats/query-state.md.
const KeyGroups = 256

// KeyGroup is the group of a row's key: always the same for the same key, in every process.
func (l *Layout) KeyGroup(columns []*column.Column, row int) int {
	h := uint64(0)
	for i, c := range columns {
		h = spread(h ^ l.lastingKey(i, c, row))
	}
	return int(h >> 56)
}

func (l *Layout) lastingKey(i int, c *column.Column, row int) uint64 {
	if c.IsNull(row) {
		return nullWord
	}
	return lasting(textKey(l.Keys[i]), c, row)
}

// spread is the finalizer of SplitMix64.
func spread(h uint64) uint64 {
	h += 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
