package stdout

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/width"

	"github.com/millrace-io/millrace/engine/column"
)

// Widths of a column, in terminal cells.
const (
	gap      = 2
	minWidth = 6
	maxWidth = 40
)

// draw lays rows out as a table that is at most limit cells wide, 0 for any width.
func draw(title string, fields []column.Field, rows [][]*string, limit int) []string {
	if len(rows) == 0 {
		return []string{clip(title, limit)}
	}
	columns := make([]textColumn, len(fields))
	for i, f := range fields {
		columns[i] = newTextColumn(f, i, rows)
	}
	columns, left := fit(columns, limit)
	if left > 0 {
		title += fmt.Sprintf(" (%d more columns do not fit)", left)
	}
	lines := make([]string, len(rows)+3)
	lines[0] = title
	for i := range columns {
		c := &columns[i]
		lines[1] += c.pad(c.name, i)
		lines[2] += strings.Repeat(" ", c.indent(i)) + strings.Repeat("─", c.width)
		for j, text := range c.cells {
			lines[j+3] += c.pad(text, i)
		}
	}
	for i, line := range lines {
		lines[i] = clip(strings.TrimRight(line, " "), limit)
	}
	return lines
}

// textColumn is a column of the table.
type textColumn struct {
	name  string
	cells []string
	// right is set for numbers.
	right bool
	width int
}

func newTextColumn(f column.Field, at int, rows [][]*string) textColumn {
	c := textColumn{name: clean([]byte(f.Name)), cells: make([]string, len(rows))}
	for i, row := range rows {
		if row[at] != nil {
			// Rows come from the checkpoint, too.
			c.cells[i] = clean([]byte(*row[at]))
		}
	}
	switch f.Type.Kind {
	case column.Timestamp:
		shortenTimes(c.cells)
	case column.Float, column.Double:
		alignDecimals(c.cells)
		c.right = true
	case column.Int, column.BigInt, column.Decimal:
		c.right = true
	}
	c.width = cells(c.name)
	for i, row := range rows {
		if row[at] == nil {
			c.cells[i] = "-"
		}
		c.width = max(c.width, cells(c.cells[i]))
	}
	c.width = min(c.width, maxWidth)
	return c
}

// indent is the blanks in front of the column at place i.
func (c *textColumn) indent(i int) int {
	if i == 0 {
		return 0
	}
	return gap
}

// pad is text as wide as the column at place i.
func (c *textColumn) pad(text string, i int) string {
	text = clip(text, c.width)
	indent := strings.Repeat(" ", c.indent(i))
	fill := strings.Repeat(" ", c.width-cells(text))
	if c.right {
		return indent + fill + text
	}
	return indent + text + fill
}

// fit narrows the widest text columns until the table is at most limit wide, and then leaves out
// the last columns. left is how many were left out.
func fit(columns []textColumn, limit int) (fitting []textColumn, left int) {
	if limit <= 0 {
		return columns, 0
	}
	total := -gap
	for _, c := range columns {
		total += c.width + gap
	}
	for total > limit {
		widest := -1
		for i, c := range columns {
			if !c.right && c.width > minWidth && (widest < 0 || c.width > columns[widest].width) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		columns[widest].width--
		total--
	}
	for total > limit && len(columns) > 1 {
		last := len(columns) - 1
		total -= columns[last].width + gap
		columns = columns[:last]
		left++
	}
	return columns, left
}

// shortenTimes takes off the end that is zero in every cell: first the digits of the fraction,
// then the seconds, then the time of day.
func shortenTimes(texts []string) {
	for _, zero := range []string{"000", ".000", ":00", " 00:00"} {
		for _, text := range texts {
			if text != "" && !strings.HasSuffix(text, zero) {
				return
			}
		}
		for i, text := range texts {
			texts[i] = strings.TrimSuffix(text, zero)
		}
	}
}

// alignDecimals gives every number the decimals of the longest one.
func alignDecimals(texts []string) {
	most := 0
	for _, text := range texts {
		if _, decimals, ok := strings.Cut(text, "."); ok && plain(text) {
			most = max(most, len(decimals))
		}
	}
	for i, text := range texts {
		if !plain(text) || most == 0 {
			continue
		}
		whole, decimals, _ := strings.Cut(text, ".")
		texts[i] = whole + "." + decimals + strings.Repeat("0", most-len(decimals))
	}
}

// plain reports whether text is digits with or without a sign and a point.
func plain(text string) bool { return text != "" && strings.Trim(text, "-.0123456789") == "" }

// cells is how many terminal cells a text takes.
func cells(text string) int {
	n := 0
	for _, r := range text {
		n += runeCells(r)
	}
	return n
}

func runeCells(r rune) int {
	if r < 0x300 {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// clip cuts a text to limit cells and marks the cut; 0 means any width.
func clip(text string, limit int) string {
	if limit <= 0 || cells(text) <= limit {
		return text
	}
	n := 0
	for i, r := range text {
		if n += runeCells(r); n > limit-1 {
			return text[:i] + "…"
		}
	}
	return text
}
