package build

import "github.com/millrace-io/millrace/engine/column"

// View is the column so far. It is valid until the next row is appended; a column that was viewed
// is not finished.
func (b *Column) View() *column.Column {
	b.col.Children = b.col.Children[:0]
	for _, child := range b.children {
		b.col.Children = append(b.col.Children, child.View())
	}
	return &b.col
}
