package expr

import (
	"bytes"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/build"
)

func listOf(elem column.Type) column.Type { return column.Type{Kind: column.List, Elem: &elem} }

// arrayLiteral is ARRAY[a, b].
type arrayLiteral struct {
	t     column.Type
	items []node
}

func (c *compiler) array(e *ast.Array) (node, error) {
	if len(e.Items) == 0 {
		return nil, e.Errorf("an empty array has no type; write CAST(NULL AS bigint[]) for none")
	}
	items, t, err := c.meet(e.Items, "the elements of an array")
	if err != nil {
		return nil, err
	}
	if t.Kind == interval.Kind {
		return nil, e.Errorf("an array of intervals is not supported")
	}
	return &arrayLiteral{t: listOf(t), items: items}, nil
}

func (a *arrayLiteral) typ() column.Type { return a.t }

func (a *arrayLiteral) eval(x *exec) *column.Column {
	cols := make([]*column.Column, len(a.items))
	for k, item := range a.items {
		cols[k] = item.eval(x)
	}
	t := x.temp(a.t)
	if x.err != nil {
		return &t.col
	}
	child := build.New(*a.t.Elem)
	offsets := sized(t.off, x.n+1)
	next := int32(0)
	offsets[0] = 0
	for s, i := range x.sel {
		for ; next < i; next++ {
			offsets[next+1] = int32(child.Len())
		}
		for _, c := range cols {
			child.Rows(c, x.sel[s:s+1])
		}
		offsets[i+1] = int32(child.Len())
		next = i + 1
	}
	for ; int(next) < x.n; next++ {
		offsets[next+1] = int32(child.Len())
	}
	t.off, t.col.Offsets = offsets, offsets
	t.col.Children = []*column.Column{child.Finish()}
	x.release(cols...)
	return &t.col
}

// element is x[i], NULL outside of the list.
type element struct{ x, i node }

func (c *compiler) index(e *ast.Index) (node, error) {
	x, err := c.expr(e.X)
	if err != nil {
		return nil, err
	}
	if x.typ().Kind != column.List {
		cure := ""
		if x.typ().Kind == column.JSON {
			cure = "; write x -> 0"
		}
		return nil, e.Errorf("%s has no elements%s", one(typeName(x)), cure)
	}
	i, err := c.arg(e.I, bigint, "element_at")
	return &element{x: x, i: i}, err
}

func (e *element) typ() column.Type { return *e.x.typ().Elem }

func (e *element) eval(x *exec) *column.Column {
	list, at := e.x.eval(x), e.i.eval(x)
	t := x.temp(e.typ())
	if x.err != nil {
		return &t.col
	}
	places := sized(x.list(), x.n)
	for _, r := range x.sel {
		places[r] = -1
		if list.IsNull(int(r)) || at.IsNull(int(r)) {
			continue
		}
		from, to := int64(list.Offsets[r]), int64(list.Offsets[r+1])
		// From 1 on; -1 is the last.
		switch k := at.Int64s[r]; {
		case k > 0 && k <= to-from:
			places[r] = int32(from + k - 1)
		case k < 0 && k >= from-to:
			places[r] = int32(to + k)
		}
	}
	gather(x, t, list.Children[0], places)
	x.giveBack(places)
	x.release(list, at)
	return &t.col
}

// gather fills t with rows of c, by their place; -1 is NULL.
func gather(x *exec, t *temp, c *column.Column, places []int32) {
	for _, r := range x.sel {
		if p := places[r]; p < 0 || c.IsNull(int(p)) {
			places[r] = -1
			t.setNull(r)
		}
	}
	switch c.Type.Kind {
	case column.BigInt, column.Timestamp, column.Time:
		pick(t.int64s(), c.Int64s, places, x.sel)
	case column.Int, column.Date:
		pick(t.int32s(), c.Int32s, places, x.sel)
	case column.Double:
		pick(t.float64s(), c.Float64s, places, x.sel)
	case column.Float:
		pick(t.float32s(), c.Float32s, places, x.sel)
	case column.String, column.Binary, column.JSON:
		w := t.writer()
		for _, r := range x.sel {
			w.row(r)
			if p := places[r]; p >= 0 {
				w.buf = append(w.buf, c.Text(int(p))...)
			}
			if w.full(x) {
				break
			}
		}
		w.finish()
	default:
		b := build.New(t.col.Type)
		sel := x.sel
		for r := range int32(x.n) {
			if len(sel) > 0 && sel[0] == r {
				sel = sel[1:]
				if places[r] >= 0 {
					b.Rows(c, places[r:r+1])
					continue
				}
			}
			b.Null()
		}
		t.col = *b.Finish()
	}
}

func pick[T any](out, in []T, places, sel []int32) {
	for _, r := range sel {
		if p := places[r]; p >= 0 {
			out[r] = in[p]
		}
	}
}

// member is a field of a struct that is no plain column.
type member struct {
	x     node
	t     column.Type
	field int
}

func (c *compiler) member(e *ast.Member) (node, error) {
	x, err := c.expr(e.X)
	if err != nil {
		return nil, err
	}
	if x.typ().Kind != column.Struct {
		return nil, e.Errorf("%s has no field %q", one(typeName(x)), e.Name.Text)
	}
	i := find(x.typ().Fields, e.Name)
	if i < 0 {
		return nil, c.unknown(x.typ().Fields, e.Name, i, &ast.Ident{Pos: e.Pos}, "field")
	}
	return &member{x: x, t: x.typ().Fields[i].Type, field: i}, nil
}

func (m *member) typ() column.Type { return m.t }

func (m *member) eval(x *exec) *column.Column {
	c := m.x.eval(x)
	t := x.temp(m.t)
	if x.err != nil {
		return &t.col
	}
	t.col = *c.Children[m.field]
	t.col.Valid = nil
	t.nullsOf(c.Children[m.field], c)
	// The field stays part of c, which is therefore not given back.
	return &t.col
}

// cardinality is the number of elements.
type cardinality struct{ x node }

func (n *cardinality) typ() column.Type { return bigint }

func (n *cardinality) eval(x *exec) *column.Column {
	c := n.x.eval(x)
	t := x.temp(bigint)
	if x.err != nil {
		return &t.col
	}
	t.nullsOf(c)
	out := t.int64s()
	for _, i := range x.sel {
		out[i] = int64(c.Offsets[i+1] - c.Offsets[i])
	}
	x.release(c)
	return &t.col
}

func (c *compiler) list(e ast.Expr, function string) (node, error) {
	x, err := c.expr(e)
	if err == nil && x.typ().Kind != column.List {
		err = e.Position().Errorf("%s needs a list, but this is of type %s", strings.ToUpper(function), typeName(x))
	}
	return x, err
}

func buildCardinality(c *compiler, e *ast.Call) (node, error) {
	x, err := c.list(e.Args[0], e.Name)
	return &cardinality{x}, err
}

// contains is whether a list has an element.
type contains struct{ x, v node }

func buildContains(c *compiler, e *ast.Call) (node, error) {
	x, err := c.list(e.Args[0], e.Name)
	if err != nil {
		return nil, err
	}
	elem := *x.typ().Elem
	if elem.Kind == column.List || elem.Kind == column.Struct {
		return nil, e.Errorf("%s of a list of type %s is not supported", strings.ToUpper(e.Name), x.typ())
	}
	v, err := c.expr(e.Args[1])
	if err != nil {
		return nil, err
	}
	if t, ok := common(&constant{t: elem, null: true}, v); !ok || !t.Equal(elem) && !(isNumber(t) && isNumber(elem)) {
		return nil, e.Args[1].Position().Errorf("the list has elements of type %s, but this is of type %s", elem, typeName(v))
	}
	v, err = coerce(v, elem, e.Args[1].Position())
	return &contains{x: x, v: v}, err
}

func (n *contains) typ() column.Type { return boolean }

func (n *contains) eval(x *exec) *column.Column {
	list, v := n.x.eval(x), n.v.eval(x)
	t := x.temp(boolean)
	if x.err != nil {
		return &t.col
	}
	t.nullsOf(list, v)
	out, child := t.bits(), list.Children[0]
	for _, i := range x.sel {
		if t.col.IsNull(int(i)) {
			continue
		}
		for k := list.Offsets[i]; k < list.Offsets[i+1]; k++ {
			if !child.IsNull(int(k)) && equal(child, k, v, i) {
				out[i>>3] |= 1 << (i & 7)
				break
			}
		}
	}
	x.release(list, v)
	return &t.col
}

// equal compares values of two columns of the same type.
func equal(a *column.Column, i int32, b *column.Column, j int32) bool {
	switch a.Type.Kind {
	case column.Boolean:
		return a.Bools.Get(int(i)) == b.Bools.Get(int(j))
	case column.Int, column.Date:
		return a.Int32s[i] == b.Int32s[j]
	case column.Float:
		return a.Float32s[i] == b.Float32s[j]
	case column.Double:
		return a.Float64s[i] == b.Float64s[j]
	case column.UUID:
		return bytes.Equal(a.Fixed[16*i:16*i+16], b.Fixed[16*j:16*j+16])
	case column.Decimal:
		return wideAt(a, i) == wideAt(b, j)
	case column.BigInt, column.Timestamp, column.Time:
		return a.Int64s[i] == b.Int64s[j]
	}
	return bytes.Equal(a.Text(int(i)), b.Text(int(j)))
}

// split is a text cut into a list.
type split struct {
	x   node
	sep []byte
}

func buildSplit(c *compiler, e *ast.Call) (node, error) {
	x, err := c.arg(e.Args[0], text, e.Name)
	if err != nil {
		return nil, err
	}
	sep, ok := e.Args[1].(*ast.String)
	if !ok || sep.Value == "" {
		return nil, e.Args[1].Position().Errorf("the separator of %s must be a text literal that is not empty", strings.ToUpper(e.Name))
	}
	return &split{x: x, sep: []byte(sep.Value)}, nil
}

func (s *split) typ() column.Type { return listOf(text) }

func (s *split) eval(x *exec) *column.Column {
	c := s.x.eval(x)
	t := x.temp(s.typ())
	if x.err != nil {
		return &t.col
	}
	t.nullsOf(c)
	child := build.New(text)
	offsets := sized(t.off, x.n+1)
	offsets[0] = 0
	sel := x.sel
	for r := range int32(x.n) {
		if len(sel) > 0 && sel[0] == r {
			sel = sel[1:]
			if !c.IsNull(int(r)) {
				rest := c.Text(int(r))
				for at := bytes.Index(rest, s.sep); at >= 0; at = bytes.Index(rest, s.sep) {
					child.Text(rest[:at])
					rest = rest[at+len(s.sep):]
				}
				child.Text(rest)
			}
		}
		offsets[r+1] = int32(child.Len())
	}
	t.off, t.col.Offsets = offsets, offsets
	t.col.Children = []*column.Column{child.Finish()}
	x.release(c)
	return &t.col
}

// Unnest is the elements of the lists in the selected rows: parents[k] is the row that element
// elements[k] of c.Children[0] is of. With outer set, a row without elements has one entry with
// element -1, as in a LEFT JOIN. It is what an operator for UNNEST goes by.
func Unnest(c *column.Column, sel []int32, outer bool, parents, elements []int32) ([]int32, []int32) {
	for _, r := range sel {
		from, to := c.Offsets[r], c.Offsets[r+1]
		if c.IsNull(int(r)) {
			to = from
		}
		for k := from; k < to; k++ {
			parents, elements = append(parents, r), append(elements, k)
		}
		if outer && from == to {
			parents, elements = append(parents, r), append(elements, -1)
		}
	}
	return parents, elements
}
