package encode

import "github.com/millrace-io/millrace/engine/column"

// heavyColumns are the columns of b in which a text may fill a page by itself.
func heavyColumns(b *column.Batch) []*column.Column {
	var heavy []*column.Column
	for _, c := range b.Columns {
		if c.Dict == nil && len(c.Bytes) >= pageBytes && len(c.Offsets) > 0 {
			heavy = append(heavy, c)
		}
	}
	return heavy
}

// apart is how many of the selected rows done to done+n can be added at once, so that each text which fills a
// page comes by itself.
func apart(heavy []*column.Column, b *column.Batch, done, n int) int {
	if len(heavy) == 0 {
		return n
	}
	for i := range n {
		row := done + i
		if b.Selection != nil {
			row = int(b.Selection[row])
		}
		for _, c := range heavy {
			if len(c.Text(row)) >= pageBytes {
				return max(i, 1)
			}
		}
	}
	return n
}
