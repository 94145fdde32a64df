package sqltest

import (
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
)

// asRead is b as a decoder gives it to a query with these needs: nothing else is there.
func asRead(b *column.Batch, needs []string) *column.Batch {
	out := *b
	out.Columns = make([]*column.Column, len(b.Columns))
	for i, f := range b.Schema.Fields {
		out.Columns[i] = fieldAsRead(b.Columns[i], f.Name, needs)
	}
	return &out
}

// fieldAsRead is a field at a place (column.Within), nil if nothing of it is read.
func fieldAsRead(c *column.Column, at string, needs []string) *column.Column {
	if slices.Contains(needs, at) {
		return c
	}
	if !slices.ContainsFunc(needs, func(n string) bool { return strings.HasPrefix(n, column.Within(at, "")) }) {
		return nil
	}
	out := *c
	out.Children = make([]*column.Column, len(c.Children))
	for i, f := range c.Type.Fields {
		if out.Children[i] = fieldAsRead(c.Children[i], column.Within(at, f.Name), needs); out.Children[i] == nil {
			out.Children[i] = unread(c.Children[i])
		}
	}
	return &out
}

func unread(c *column.Column) *column.Column {
	nulls := build.New(c.Type)
	for range c.Len {
		nulls.Null()
	}
	out := nulls.Finish()
	out.Unread = true
	return out
}
