// Package sqltest runs scripts that people can read against the operators of package sql, and
// has the small vocabulary that its tests share. See testdata/README.md for the format.
//
// The invariant to remember: every script runs several ways (in one batch or row by row, with
// plain texts or dictionaries, with a snapshot between any two steps) and must come out the same.
package sqltest

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/build"
	"github.com/millrace-io/millrace/sql/decimal"
	"github.com/millrace-io/millrace/sql/temporal"
)

// day is the date of times written as hh:mm:ss.
const day = "2026-01-01"

// Schema reads "name type, name type"; a struct is written geo{lat double, lon double}.
func Schema(text string) (*column.Schema, error) {
	fields, rest, err := fields(text)
	if err == nil && rest != "" {
		err = fmt.Errorf("unexpected %q in schema", rest)
	}
	return &column.Schema{Fields: fields}, err
}

var kinds = map[string]column.Kind{"boolean": column.Boolean, "int": column.Int, "bigint": column.BigInt, "float": column.Float,
	"double": column.Double, "string": column.String, "date": column.Date, "timestamp": column.Timestamp, "json": column.JSON,
	"time": column.Time, "uuid": column.UUID, "binary": column.Binary}

func fields(text string) (out []column.Field, rest string, err error) {
	for {
		text = strings.TrimSpace(text)
		end := strings.IndexAny(text, " {")
		if end < 0 {
			return nil, "", fmt.Errorf("expected a name and a type at %q", text)
		}
		f := column.Field{Name: text[:end]}
		if text[end] == '{' {
			f.Type.Kind = column.Struct
			if f.Type.Fields, text, err = fields(text[end+1:]); err != nil {
				return nil, "", err
			}
			text = strings.TrimPrefix(text, "}")
		} else {
			text = strings.TrimSpace(text[end:])
			if end = strings.IndexAny(text, ",}"); strings.HasPrefix(text, "[") {
				end = bracket(text) + 1
			}
			if end < 0 {
				end = len(text)
			}
			if f.Type, err = typeOf(strings.TrimSpace(text[:end])); err != nil {
				return nil, "", err
			}
			text = text[end:]
		}
		out = append(out, f)
		if !strings.HasPrefix(text, ",") {
			return out, text, nil
		}
		text = text[1:]
	}
}

// bracket is where the bracket closes that a text begins with, -1 if it does not.
func bracket(text string) int {
	depth := 0
	for i, c := range text {
		switch c {
		case '[':
			depth++
		case ']':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

func typeOf(name string) (column.Type, error) {
	if strings.HasPrefix(name, "[{") && strings.HasSuffix(name, "}]") {
		of, rest, err := fields(name[2 : len(name)-1])
		if err == nil && rest != "}" {
			err = fmt.Errorf("unexpected %q in a struct", rest)
		}
		return column.Type{Kind: column.List, Elem: &column.Type{Kind: column.Struct, Fields: of}}, err
	}
	if strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]") {
		elem, err := typeOf(name[1 : len(name)-1])
		return column.Type{Kind: column.List, Elem: &elem}, err
	}
	var precision, scale int
	if n, _ := fmt.Sscanf(name, "decimal(%d;%d)", &precision, &scale); n == 2 {
		return column.Type{Kind: column.Decimal, Precision: precision, Scale: scale}, nil
	}
	k, ok := kinds[name]
	if !ok {
		return column.Type{}, fmt.Errorf("unknown type %q", name)
	}
	return column.Type{Kind: k}, nil
}

// Cells splits a line at blanks; 'a b' is one cell, with its quotes.
func Cells(line string) []string {
	var out []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		end := strings.IndexByte(line, ' ')
		if line[0] == '\'' {
			if end = strings.IndexByte(line[1:], '\''); end >= 0 {
				end += 2
			}
		}
		if end < 0 {
			end = len(line)
		}
		out = append(out, line[:end])
		line = line[end:]
	}
	return out
}

// Batch makes a batch of rows of cells. Struct fields are cells of their own, in their order.
// With dict set, texts are a dictionary.
func Batch(schema *column.Schema, rows [][]string, dict bool) (*column.Batch, error) {
	columns := make([]*builder, len(schema.Fields))
	for i, f := range schema.Fields {
		columns[i] = newBuilder(f.Type)
	}
	for _, cells := range rows {
		for i, b := range columns {
			var err error
			if cells, err = b.add(cells); err != nil {
				return nil, fmt.Errorf("column %s: %w", schema.Fields[i].Name, err)
			}
		}
		if len(cells) > 0 {
			return nil, fmt.Errorf("cells left over: %v", cells)
		}
	}
	out := &column.Batch{Schema: schema, Rows: len(rows)}
	for _, b := range columns {
		c := b.finish()
		if dict {
			toDict(c)
		}
		out.Columns = append(out.Columns, c)
	}
	return out, nil
}

// builder is a build.Column, or one for each field of a struct.
type builder struct {
	t        column.Type
	leaf     *build.Column
	children []*builder
	rows     int
}

func newBuilder(t column.Type) *builder {
	b := &builder{t: t}
	if t.Kind != column.Struct {
		b.leaf = build.New(t)
		return b
	}
	for _, f := range t.Fields {
		b.children = append(b.children, newBuilder(f.Type))
	}
	return b
}

func (b *builder) add(cells []string) ([]string, error) {
	b.rows++
	if b.leaf == nil {
		for _, c := range b.children {
			var err error
			if cells, err = c.add(cells); err != nil {
				return nil, err
			}
		}
		return cells, nil
	}
	if len(cells) == 0 {
		return nil, fmt.Errorf("a cell is missing")
	}
	return cells[1:], value(b.leaf, b.t, cells[0])
}

func value(out *build.Column, t column.Type, cell string) error {
	if cell == "null" {
		out.Null()
		return nil
	}
	var err error
	switch t.Kind {
	case column.Boolean:
		v := int64(0)
		if cell == "true" {
			v = 1
		}
		out.Int(v)
	case column.String, column.JSON:
		out.Text([]byte(strings.Trim(cell, "'")))
	case column.Binary, column.UUID:
		var v []byte
		v, err = hex.DecodeString(strings.ReplaceAll(cell, "-", ""))
		out.Text(v)
	case column.Decimal:
		v, ok := decimal.Parse([]byte(cell), t.Precision, t.Scale)
		switch {
		case !ok:
			err = fmt.Errorf("%q is not a %s", cell, t)
		case t.Wide():
			var b [16]byte
			v.Put(b[:])
			out.Text(b[:])
		default:
			out.Int(int64(v.Lo))
		}
	case column.Time:
		v, ok := temporal.ParseClock([]byte(cell))
		if !ok {
			err = fmt.Errorf("%q is not a time", cell)
		}
		out.Int(v)
	case column.Struct:
		for i, item := range strings.Split(cell, "/") {
			if err = value(out.Field(i), t.Fields[i].Type, item); err != nil {
				return err
			}
		}
		out.EndStruct()
	case column.List:
		for _, item := range strings.FieldsFunc(strings.Trim(cell, "[]"), func(r rune) bool { return r == ',' }) {
			if err = value(out.Elem(), *t.Elem, item); err != nil {
				return err
			}
		}
		out.EndList()
	case column.Float, column.Double:
		var v float64
		v, err = strconv.ParseFloat(cell, 64)
		out.Float(v)
	case column.Date:
		v, ok := temporal.ParseDate([]byte(cell))
		if !ok {
			err = fmt.Errorf("%q is not a date", cell)
		}
		out.Int(int64(v))
	case column.Timestamp:
		var v int64
		v, err = Time(cell)
		out.Int(v)
	default:
		var v int64
		v, err = strconv.ParseInt(cell, 10, 64)
		out.Int(v)
	}
	return err
}

// Time reads hh:mm:ss on the day of the scripts, or a whole timestamp.
func Time(text string) (int64, error) {
	full := text
	if len(text) > 2 && text[2] == ':' {
		full = day + "T" + text
	}
	v, ok := temporal.ParseTimestamp([]byte(full))
	if !ok {
		return 0, fmt.Errorf("%q is not a time", text)
	}
	return v, nil
}

func (b *builder) finish() *column.Column {
	if b.leaf != nil {
		return b.leaf.Finish()
	}
	c := &column.Column{Type: b.t, Len: b.rows}
	for _, child := range b.children {
		c.Children = append(c.Children, child.finish())
	}
	return c
}

// toDict turns the String columns of c into dictionaries.
func toDict(c *column.Column) {
	for _, child := range c.Children {
		toDict(child)
	}
	if c.Type.Kind != column.String || c.Dict != nil {
		return
	}
	d, ids := &column.Dict{Offsets: []int32{0}}, map[string]int32{}
	for i := range c.Len {
		s := string(c.Text(i))
		id, ok := ids[s]
		if !ok {
			id = int32(len(ids))
			ids[s] = id
			d.Bytes = append(d.Bytes, s...)
			d.Offsets = append(d.Offsets, int32(len(d.Bytes)))
		}
		c.IDs = append(c.IDs, id)
	}
	c.Dict, c.DictLen, c.Offsets, c.Bytes = d, len(ids), nil, nil
}

// Format is row i of a column as a cell.
func Format(c *column.Column, i int) string {
	if c.IsNull(i) {
		return "null"
	}
	switch c.Type.Kind {
	case column.Boolean:
		return strconv.FormatBool(c.Bools.Get(i))
	case column.Int:
		return strconv.Itoa(int(c.Int32s[i]))
	case column.Float:
		return strconv.FormatFloat(float64(c.Float32s[i]), 'g', -1, 32)
	case column.Double:
		return strconv.FormatFloat(c.Float64s[i], 'g', -1, 64)
	case column.String, column.JSON:
		s := string(c.Text(i))
		if s == "" || s == "null" || strings.Contains(s, " ") {
			s = "'" + s + "'"
		}
		return s
	case column.Date:
		return string(temporal.AppendDate(nil, c.Int32s[i]))
	case column.Timestamp:
		s := strings.TrimSuffix(string(temporal.AppendTimestamp(nil, c.Int64s[i])), "Z")
		return strings.TrimPrefix(s, day+"T")
	case column.Binary:
		return hex.EncodeToString(c.Text(i))
	case column.UUID:
		return hex.EncodeToString(c.Fixed[16*i : 16*i+16])
	case column.Time:
		return string(temporal.AppendClock(nil, c.Int64s[i]))
	case column.Decimal:
		v := decimal.Int128{}
		if c.Type.Wide() {
			v = decimal.FromBytes(c.Fixed[16*i:])
		} else {
			v = decimal.FromInt(c.Int64s[i])
		}
		return string(decimal.Append(nil, v, c.Type.Scale))
	case column.List:
		var items []string
		for k := c.Offsets[i]; k < c.Offsets[i+1]; k++ {
			items = append(items, Format(c.Children[0], int(k)))
		}
		return "[" + strings.Join(items, ",") + "]"
	case column.Struct:
		cells := make([]string, len(c.Children))
		for k, child := range c.Children {
			cells[k] = Format(child, i)
		}
		return strings.Join(cells, " ")
	}
	return strconv.FormatInt(c.Int64s[i], 10)
}

// Rows are the selected rows of b as lines of cells.
func Rows(b *column.Batch) []string {
	var out []string
	for _, cells := range CellsOf(b, Format) {
		out = append(out, strings.Join(cells, " "))
	}
	return out
}

// CellsOf are the selected rows of b, nil for none, as cells that format writes.
func CellsOf(b *column.Batch, format func(c *column.Column, row int) string) [][]string {
	if b == nil {
		return nil
	}
	out := make([][]string, b.Selected())
	for k := range out {
		row := k
		if b.Selection != nil {
			row = int(b.Selection[k])
		}
		for _, c := range b.Columns {
			out[k] = append(out[k], format(c, row))
		}
	}
	return out
}
