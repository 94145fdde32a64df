package column

import "slices"

// builder grows one column. Its slices are the Arrow buffers that a finished Column aliases; they
// keep their capacity from batch to batch.
type builder struct {
	typ      Type
	n, nulls int
	// valid is ones as far as it reaches; only a null touches it.
	valid    []byte
	bits     []byte
	i32      []int32
	i64      []int64
	f32      []float32
	f64      []float64
	fixed    []byte
	offsets  []int32
	bytes    []byte
	children []*builder
	// dict is set while a string column goes into a dictionary; i32 are the ids then.
	dict *dictionary
	// unread is set for a field of a struct that nobody reads: it gets no values, and all of its memory is zero.
	unread bool
	out    Column
}

func newBuilder(t Type) *builder {
	b := &builder{typ: t}
	switch t.Kind {
	case String, Binary, JSON:
		b.offsets = []int32{0}
	case List:
		b.offsets = []int32{0}
		b.children = []*builder{newBuilder(*t.Elem)}
	case Struct:
		for _, f := range t.Fields {
			b.children = append(b.children, newBuilder(f.Type))
		}
	}
	return b
}

func (b *builder) appendBool(v bool) {
	if b.n&7 == 0 {
		b.bits = append(b.bits, 0)
	}
	if v {
		b.bits[b.n>>3] |= 1 << (b.n & 7)
	}
	b.n++
}

func (b *builder) appendInt32(v int32)     { b.i32 = append(b.i32, v); b.n++ }
func (b *builder) appendInt64(v int64)     { b.i64 = append(b.i64, v); b.n++ }
func (b *builder) appendFloat32(v float32) { b.f32 = append(b.f32, v); b.n++ }
func (b *builder) appendFloat64(v float64) { b.f64 = append(b.f64, v); b.n++ }
func (b *builder) appendFixed(v [16]byte)  { b.fixed = append(b.fixed, v[:]...); b.n++ }

func (b *builder) appendText(s []byte) {
	if b.dict != nil {
		if id, ok := b.dict.id(s); ok {
			b.appendInt32(id)
			return
		}
		b.toPlain()
	}
	b.bytes = append(b.bytes, s...)
	b.endText()
}

// endText ends a row whose bytes, or for a list whose elements, were appended.
func (b *builder) endText() {
	b.offsets = append(b.offsets, int32(len(b.bytes)))
	b.n++
}

func (b *builder) endList() {
	b.offsets = append(b.offsets, int32(b.children[0].n))
	b.n++
}

// toPlain turns the dictionary rows of the batch into plain ones, because the dictionary does not
// pay or has no room.
func (b *builder) toPlain() {
	for i, id := range b.i32 {
		if b.nulls == 0 || !b.isNull(i) {
			b.bytes = append(b.bytes, b.dict.text(id)...)
		}
		b.offsets = append(b.offsets, int32(len(b.bytes)))
	}
	b.i32 = b.i32[:0]
	b.dict = nil
}

func (b *builder) isNull(i int) bool {
	return i>>3 < len(b.valid) && b.valid[i>>3]&(1<<(i&7)) == 0
}

func (b *builder) appendNull() {
	if b.unread {
		return
	}
	b.coverValid(b.n + 1)
	b.valid[b.n>>3] &^= 1 << (b.n & 7)
	b.nulls++
	switch b.typ.Kind {
	case Boolean:
		b.appendBool(false)
	case Int, Date:
		b.appendInt32(0)
	case BigInt, Time, Timestamp:
		b.appendInt64(0)
	case Float:
		b.appendFloat32(0)
	case Double:
		b.appendFloat64(0)
	case UUID:
		b.appendFixed([16]byte{})
	case Decimal:
		if b.typ.Wide() {
			b.appendFixed([16]byte{})
		} else {
			b.appendInt64(0)
		}
	case String, Binary, JSON:
		if b.dict != nil {
			b.appendInt32(0)
		} else {
			b.endText()
		}
	case List:
		b.endList()
	case Struct:
		for _, c := range b.children {
			c.appendNull()
		}
		b.n++
	}
}

// coverValid makes the validity bits reach over n rows.
func (b *builder) coverValid(n int) {
	for len(b.valid) < (n+7)>>3 {
		b.valid = append(b.valid, 0xff)
	}
}

// truncate drops all rows but the first n.
func (b *builder) truncate(n int) {
	if b.unread || b.n <= n && b.typ.Kind != List && b.typ.Kind != Struct {
		return
	}
	for i := n; b.nulls > 0 && i < b.n; i++ {
		if b.isNull(i) {
			b.valid[i>>3] |= 1 << (i & 7)
			b.nulls--
		}
	}
	b.n = min(b.n, n)
	switch b.typ.Kind {
	case Boolean:
		b.bits = b.bits[:(n+7)>>3]
		if n&7 != 0 {
			b.bits[n>>3] &= 1<<(n&7) - 1
		}
	case Struct:
		for _, c := range b.children {
			c.truncate(n)
		}
	case List:
		b.offsets = b.offsets[:n+1]
		b.children[0].truncate(int(b.offsets[n]))
	case String, Binary, JSON:
		if b.dict != nil {
			b.i32 = b.i32[:n]
			return
		}
		b.offsets = b.offsets[:n+1]
		b.bytes = b.bytes[:b.offsets[n]]
	default:
		b.truncateFixed(n)
	}
}

func (b *builder) truncateFixed(n int) {
	switch {
	case len(b.i32) > n:
		b.i32 = b.i32[:n]
	case len(b.i64) > n:
		b.i64 = b.i64[:n]
	case len(b.f32) > n:
		b.f32 = b.f32[:n]
	case len(b.f64) > n:
		b.f64 = b.f64[:n]
	case len(b.fixed) > 16*n:
		b.fixed = b.fixed[:16*n]
	}
}

// keptBytes is Options.Kept unless it is set; only very large rows take more.
const keptBytes = 6 << 20

// reset empties b for the next batch and keeps its memory.
func (b *builder) reset() {
	b.n, b.nulls = 0, 0
	b.valid, b.bits, b.fixed, b.bytes = b.valid[:0], b.bits[:0], b.fixed[:0], b.bytes[:0]
	b.i32, b.i64, b.f32, b.f64 = b.i32[:0], b.i64[:0], b.f32[:0], b.f64[:0]
	if b.offsets != nil {
		b.offsets = b.offsets[:1]
	}
	for _, c := range b.children {
		c.reset()
	}
}

// trim lets go of texts of more than so many bytes, and of a dictionary, which others may have grown out of. The
// finished column has them as well.
func (b *builder) trim(kept int) {
	if b.out.Dict = nil; cap(b.bytes) > kept {
		b.bytes, b.out.Bytes = nil, nil
	}
	for _, c := range b.children {
		c.trim(kept)
	}
}

// finish describes the rows as a Column that aliases b.
func (b *builder) finish() *Column {
	if b.dict != nil && !b.dict.pays(b.n) {
		b.toPlain()
	}
	children := b.out.Children[:0]
	b.out = Column{Type: b.typ, Len: b.n, Nulls: b.nulls, Bools: b.bits, Int64s: b.i64,
		Float32s: b.f32, Float64s: b.f64, Fixed: b.fixed}
	if b.nulls > 0 {
		b.coverValid(b.n)
		if b.n&7 != 0 {
			b.valid[b.n>>3] &= 1<<(b.n&7) - 1
		}
		b.out.Valid = b.valid
	}
	if b.dict != nil {
		b.out.IDs, b.out.Dict, b.out.DictLen = b.i32, b.dict.dict, b.dict.len
	} else {
		b.out.Offsets, b.out.Bytes = b.offsets, b.bytes
		// Texts that had a dictionary before keep the memory of their ids, which are no values.
		if b.offsets == nil {
			b.out.Int32s = b.i32
		}
	}
	for _, c := range b.children {
		if c.unread {
			children = append(children, c.nothing(b.n))
		} else {
			children = append(children, c.finish())
		}
	}
	b.out.Children = slices.Clip(children)
	return &b.out
}
