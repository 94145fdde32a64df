package objects

import "github.com/millrace-io/millrace/engine/column"

// heavyText is the size in bytes from which a text makes its row go to the encoder at once: in the stage it
// would be held twice more, there and where it is read back.
const heavyText = 1 << 20

// heavyColumns are the columns of b that may hold such texts.
func heavyColumns(b *column.Batch) []*column.Column {
	var heavy []*column.Column
	for _, c := range b.Columns {
		if c.Dict == nil && len(c.Bytes) >= heavyText && len(c.Offsets) > 0 {
			heavy = append(heavy, c)
		}
	}
	return heavy
}

func isHeavy(columns []*column.Column, row int) bool {
	for _, c := range columns {
		if len(c.Text(row)) >= heavyText {
			return true
		}
	}
	return false
}

// roomFor reports whether p has an encoder, or may have one beside those that are open.
func (c *Chunk) roomFor(p *part) bool {
	return p.encoder != nil || c.encoders == 0 || (c.encoders+len(c.touched)+1)*c.columns <= openColumns
}
