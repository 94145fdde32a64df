package encode

import (
	"fmt"
	"io"
	"reflect"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/format"

	"github.com/millrace-io/millrace/engine/column"
)

// layout is a schema as Parquet sees it. It is immutable.
type layout struct {
	schema   *column.Schema
	elements []format.SchemaElement
	orders   []format.ColumnOrder
	leaves   []leaf
	// sort is empty when rows keep their order.
	sort []sortKey
}

// leaf is a Parquet column: values, and the way to them from a top-level column.
type leaf struct {
	// column is the top-level column, and steps the children to take from there.
	column int
	steps  []int
	typ    column.Type
	path   []string
	// name is the path as users write it, in which lists have no part.
	name string
	// maxDef counts the optional and repeated nodes on the way, maxRep the repeated ones.
	maxDef, maxRep uint8
	bloom          bool
}

// sorting declares the order of the rows.
func (l *layout) sorting() []format.SortingColumn {
	var columns []format.SortingColumn
	for _, k := range l.sort {
		columns = append(columns, format.SortingColumn{ColumnIdx: int32(k.leaf), Descending: k.descending})
	}
	return columns
}

// maxDepth bounds the nesting of a schema: levels are bytes, and readers recurse.
const maxDepth = 32

func newLayout(schema *column.Schema, o ParquetOptions) (*layout, error) {
	l := &layout{schema: schema}
	if len(schema.Fields) == 0 {
		return nil, fmt.Errorf("a parquet file needs at least one column")
	}
	root := group{}
	for i, f := range schema.Fields {
		node, err := nodeOf(f.Type, f.Name, 0)
		if err != nil {
			return nil, err
		}
		root.fields = append(root.fields, field{parquet.Optional(node), f.Name})
		l.addLeaves(leaf{column: i, typ: f.Type, path: []string{f.Name}, name: f.Name, maxDef: 1})
	}
	// The library knows best how to spell the schema in a footer, so it writes an empty file.
	w := parquet.NewWriter(io.Discard, parquet.NewSchema("millrace", root))
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("parquet schema: %w", err)
	}
	meta := w.File().Metadata()
	l.elements, l.orders = meta.Schema, meta.ColumnOrders
	if len(l.orders) != len(l.leaves) {
		return nil, fmt.Errorf("parquet schema has %d columns instead of %d", len(l.orders), len(l.leaves))
	}
	if err := l.choose(o); err != nil {
		return nil, err
	}
	return l, nil
}

// addLeaves appends the leaves at and below at.
func (l *layout) addLeaves(at leaf) {
	below := func(step int, t column.Type, name string, def, rep uint8, names ...string) {
		next := leaf{column: at.column, typ: t, name: name, maxDef: at.maxDef + def, maxRep: at.maxRep + rep}
		next.steps = append(append(next.steps, at.steps...), step)
		next.path = append(append(next.path, at.path...), names...)
		l.addLeaves(next)
	}
	switch at.typ.Kind {
	case column.Struct:
		for i, f := range at.typ.Fields {
			below(i, f.Type, at.name+"."+f.Name, 1, 0, f.Name)
		}
	case column.List:
		below(0, *at.typ.Elem, at.name, 2, 1, "list", "element")
	default:
		l.leaves = append(l.leaves, at)
	}
}

// nodeOf is the Parquet node of a type, without its being optional.
func nodeOf(t column.Type, path string, depth int) (parquet.Node, error) {
	if depth >= maxDepth {
		return nil, fmt.Errorf("column %s: nested more than %d levels deep", path, maxDepth)
	}
	switch t.Kind {
	case column.Boolean:
		return parquet.Leaf(parquet.BooleanType), nil
	case column.Int:
		return parquet.Leaf(parquet.Int32Type), nil
	case column.BigInt:
		return parquet.Leaf(parquet.Int64Type), nil
	case column.Float:
		return parquet.Leaf(parquet.FloatType), nil
	case column.Double:
		return parquet.Leaf(parquet.DoubleType), nil
	case column.Decimal:
		return decimalNode(t, path)
	case column.String:
		return parquet.String(), nil
	case column.Binary:
		return parquet.Leaf(parquet.ByteArrayType), nil
	case column.Date:
		return parquet.Date(), nil
	case column.Time:
		return parquet.TimeAdjusted(parquet.Microsecond, false), nil
	case column.Timestamp:
		return parquet.Timestamp(parquet.Microsecond), nil
	case column.UUID:
		return parquet.UUID(), nil
	case column.JSON:
		return parquet.JSON(), nil
	case column.List:
		return listNode(t, path, depth)
	case column.Struct:
		return structNode(t, path, depth)
	}
	return nil, fmt.Errorf("column %s: type %d has no place in a parquet file", path, t.Kind)
}

// decimalNode takes the smallest physical type that holds the precision, as the format asks for.
func decimalNode(t column.Type, path string) (parquet.Node, error) {
	if t.Precision < 1 || t.Precision > 38 || t.Scale < 0 || t.Scale > t.Precision {
		return nil, fmt.Errorf("column %s: decimal(%d,%d): want a precision of 1 to 38 and a scale of at most that",
			path, t.Precision, t.Scale)
	}
	physical := parquet.FixedLenByteArrayType(16)
	switch {
	case t.Precision <= 9:
		physical = parquet.Int32Type
	case t.Precision <= 18:
		physical = parquet.Int64Type
	}
	return parquet.Decimal(t.Scale, t.Precision, physical), nil
}

func listNode(t column.Type, path string, depth int) (parquet.Node, error) {
	if t.Elem == nil {
		return nil, fmt.Errorf("column %s: a list without a type of element", path)
	}
	elem, err := nodeOf(*t.Elem, path+"[]", depth+1)
	if err != nil {
		return nil, err
	}
	return parquet.List(parquet.Optional(elem)), nil
}

func structNode(t column.Type, path string, depth int) (parquet.Node, error) {
	if len(t.Fields) == 0 {
		return nil, fmt.Errorf("column %s: a parquet struct needs at least one field", path)
	}
	g := group{}
	for _, f := range t.Fields {
		node, err := nodeOf(f.Type, path+"."+f.Name, depth+1)
		if err != nil {
			return nil, err
		}
		g.fields = append(g.fields, field{parquet.Optional(node), f.Name})
	}
	return g, nil
}

// group is a struct whose fields keep their order; parquet.Group sorts them by name.
type group struct{ fields []parquet.Field }

type field struct {
	parquet.Node
	name string
}

func (f field) Name() string { return f.name }

// Value is never called: rows do not enter through Go values.
func (f field) Value(reflect.Value) reflect.Value { return reflect.Value{} }

func (g group) ID() int                     { return 0 }
func (g group) String() string              { return "group" }
func (g group) Type() parquet.Type          { return parquet.Group{}.Type() }
func (g group) Optional() bool              { return false }
func (g group) Repeated() bool              { return false }
func (g group) Required() bool              { return true }
func (g group) Leaf() bool                  { return false }
func (g group) Fields() []parquet.Field     { return g.fields }
func (g group) Encoding() encoding.Encoding { return nil }
func (g group) Compression() compress.Codec { return nil }
func (g group) GoType() reflect.Type        { return reflect.TypeFor[struct{}]() }
