package encode

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
)

// ParquetOptions are what one Parquet file differs in from another. The zero value has no bloom
// filters, keeps the order of the rows, and has row groups of 500,000 rows or 64 MiB.
type ParquetOptions struct {
	// Bloom names the columns that have a bloom filter, fields of structs with their dotted path.
	Bloom []string
	// Sort orders the rows of each row group, the most significant column first. Rows that are equal
	// in all of them keep their order.
	Sort []SortColumn
	// GroupRows and GroupBytes, before compression, are where a row group ends, whichever comes
	// first; zero is the default.
	GroupRows  int
	GroupBytes int64
}

// SortColumn is a top-level column that rows are ordered by. Nulls come last.
type SortColumn struct {
	Column     string
	Descending bool
}

// ParseSort reads a column to sort by: its name, which DESC may follow.
func ParseSort(text string) SortColumn {
	name, order, two := strings.Cut(strings.TrimSpace(text), " ")
	switch order = strings.TrimSpace(order); {
	case two && strings.EqualFold(order, "desc"):
		return SortColumn{Column: name, Descending: true}
	case two && strings.EqualFold(order, "asc"):
		return SortColumn{Column: name}
	}
	return SortColumn{Column: strings.TrimSpace(text)}
}

// A row group ends at whichever of these comes first. It is held in memory, compressed, until
// then, so the third bounds memory where pages hardly compress.
const (
	groupRows  = 500_000
	groupBytes = 64 << 20
	groupHeld  = 20 << 20
	// heavyHeld is groupHeld behind a page of a very large text: the next may be as large.
	heavyHeld = 8 << 20
	// mostGroupBytes keeps the sizes in headers, which have 31 bits, from overflowing.
	mostGroupBytes = 1 << 30
)

// withDefaults fills in what is zero.
func (o ParquetOptions) withDefaults() ParquetOptions {
	if o.GroupRows == 0 {
		o.GroupRows = groupRows
	}
	if o.GroupBytes == 0 {
		o.GroupBytes = groupBytes
	}
	return o
}

// problems are the options that are wrong whatever the columns, with their paths in a Config.
func (o ParquetOptions) problems() []config.Problem {
	var problems []config.Problem
	if o.GroupRows < 0 {
		problems = append(problems, config.Problemf("row_group.rows", "%d rows; want at least 1", o.GroupRows))
	}
	if o.GroupBytes < 0 || o.GroupBytes > mostGroupBytes {
		problems = append(problems, config.Problemf("row_group.size", "a row group has at most 1 GiB"))
	}
	seen := map[string]bool{}
	for i, s := range o.Sort {
		if seen[s.Column] {
			problems = append(problems, config.Problemf(fmt.Sprintf("sort[%d]", i), "rows are sorted by %s already", s.Column))
		}
		seen[s.Column] = true
	}
	return problems
}

// choose marks the leaves that have a bloom filter and finds the columns that rows are sorted by.
func (l *layout) choose(o ParquetOptions) error {
	for _, name := range o.Bloom {
		if err := l.bloom(name); err != nil {
			return err
		}
	}
	for _, s := range o.Sort {
		at := l.schema.Index(s.Column)
		if at < 0 {
			return fmt.Errorf("%s", config.Unknown("column to sort by", s.Column, "columns", l.schema.Names()))
		}
		if k := l.schema.Fields[at].Type.Kind; k == column.List || k == column.Struct || k == column.JSON {
			return fmt.Errorf("rows cannot be sorted by column %s, which is of type %s", s.Column, l.schema.Fields[at].Type)
		}
		leaf := slices.IndexFunc(l.leaves, func(f leaf) bool { return f.column == at })
		l.sort = append(l.sort, sortKey{column: at, leaf: leaf, descending: s.Descending})
	}
	return nil
}

func (l *layout) bloom(name string) error {
	found := false
	for i := range l.leaves {
		f := &l.leaves[i]
		if own := f.name; own != name && !strings.HasPrefix(own, name+".") {
			continue
		}
		if f.typ.Kind == column.Boolean {
			return fmt.Errorf("a bloom filter for column %s would hold both values of a boolean", f.name)
		}
		f.bloom, found = true, true
	}
	if !found {
		return fmt.Errorf("%s", config.Unknown("column for a bloom filter", name, "columns", l.names()))
	}
	return nil
}

func (l *layout) names() []string {
	names := make([]string, len(l.leaves))
	for i := range l.leaves {
		names[i] = l.leaves[i].name
	}
	return names
}
