package agg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/millrace-io/millrace/engine/column"
)

// ErrSnapshot reports a snapshot that no table of this layout has written.
var ErrSnapshot = errors.New("the snapshot is not of this query")

// Shape describes the layout, so that a snapshot of another query is refused.
func (l *Layout) Shape() []byte {
	out := binary.AppendUvarint(nil, uint64(len(l.Keys)))
	for _, k := range l.Keys {
		out = append(out, byte(k.Kind), byte(k.Precision), byte(k.Scale))
	}
	out = binary.AppendUvarint(out, uint64(len(l.Aggs)))
	for _, a := range l.Aggs {
		out = a.shape(out)
	}
	return out
}

// shape appends what the accumulators of a depend on.
func (s Spec) shape(out []byte) []byte {
	out = append(out, byte(s.Func), byte(s.arg()))
	if s.arg() == column.Decimal {
		out = append(out, byte(s.Args[0].Precision), byte(s.Args[0].Scale))
	}
	if len(s.Args) > 0 && nested(s.Args[0]) {
		out = appendBytes(out, []byte(s.Args[0].String()))
	}
	if s.Func <= Max {
		return out
	}
	for _, a := range s.Args[min(1, len(s.Args)):] {
		out = append(out, byte(a.Kind), byte(a.Precision), byte(a.Scale))
	}
	return appendFloat(appendUvarint(out, s.Limit), s.Fraction)
}

// Append appends the table to a snapshot: the groups in their order, column by column. Numbers
// are little-endian, lengths uvarints; see docs/sql.md.
func (t *Table) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(t.n))
	for i := range t.keys {
		k := &t.keys[i]
		for g := range t.n {
			dst = k.append(dst, g)
		}
	}
	for i := range t.accs {
		dst = t.accs[i].append(dst)
	}
	return dst
}

func (k *keys) append(dst []byte, g int) []byte {
	switch {
	case k.null[g]:
		return append(dst, 0)
	case k.text:
		return appendBytes(append(dst, 1), k.at(g))
	}
	return appendWord(append(dst, 1), k.words[g])
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func (a *acc) append(dst []byte) []byte {
	for _, v := range a.count {
		dst = binary.AppendVarint(dst, v)
	}
	for i := range a.low {
		dst = binary.LittleEndian.AppendUint64(dst, a.low[i])
		dst = binary.LittleEndian.AppendUint64(dst, uint64(a.high[i]))
	}
	for _, v := range a.floats {
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
	}
	for _, v := range a.ints {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(v))
	}
	for _, v := range a.texts {
		dst = appendBytes(dst, []byte(v))
	}
	for _, v := range a.seen {
		dst = append(dst, flag(v))
	}
	return dst
}

func flag(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// Reader reads a snapshot. After the first mistake it reads zeros, and Err says what it was.
type Reader struct {
	rest []byte
	err  error
}

// NewReader reads b, which the tables read from it do not keep.
func NewReader(b []byte) *Reader { return &Reader{rest: b} }

// Err is the first mistake, nil if there was none.
func (r *Reader) Err() error { return r.err }

// Rest is how many bytes are left.
func (r *Reader) Rest() int { return len(r.rest) }

func (r *Reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("read %s: %w", what, ErrSnapshot)
	}
	r.rest = nil
}

// Bytes reads n bytes.
func (r *Reader) Bytes(n int, what string) []byte {
	if n < 0 || n > len(r.rest) {
		r.fail(what)
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// Uvarint reads an unsigned number.
func (r *Reader) Uvarint(what string) uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail(what)
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// Varint reads a signed number.
func (r *Reader) Varint(what string) int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail(what)
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// Count reads how many things of at least one byte follow, so never more than bytes are left.
func (r *Reader) Count(what string) int {
	n := r.Uvarint(what)
	if n > uint64(len(r.rest)) {
		r.fail(what)
		return 0
	}
	return int(n)
}

func (r *Reader) text(what string) []byte { return r.Bytes(r.Count(what), what) }

func (r *Reader) word(what string) uint64 {
	b := r.Bytes(8, what)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint64(b)
}

func (r *Reader) flag(what string) bool {
	b := r.Bytes(1, what)
	if len(b) == 1 && b[0] > 1 {
		r.fail(what)
	}
	return len(b) == 1 && b[0] == 1
}

// Read reads a table that Append has written.
func (l *Layout) Read(r *Reader) *Table {
	t := l.New()
	n := int(min(r.Uvarint("groups"), math.MaxInt32))
	if n > r.Rest()+1 || len(l.Keys) == 0 && n > 1 {
		r.fail("groups")
		return t
	}
	for i := range t.keys {
		t.keys[i].read(r, n, fixedKey(l.Keys[i]))
	}
	for i := range t.accs {
		t.accs[i].read(r, n)
	}
	if r.err != nil {
		return l.New()
	}
	for g := range n {
		h := t.hashGroup(g)
		if t.lookup(h, func(other int) bool { return t.sameGroup(other, t, g) }) >= 0 {
			r.fail("groups")
			return l.New()
		}
		t.insert(h)
	}
	return t
}

// fixedKey reports whether keys of type t are texts of 16 bytes.
func fixedKey(t column.Type) bool { return t.Kind == column.UUID || t.Kind == column.Decimal }

func (k *keys) read(r *Reader, n int, fixed bool) {
	for range n {
		switch {
		case r.err != nil:
			return
		case !r.flag("key"):
			k.addNull()
		case k.text:
			b := r.text("key")
			if fixed && len(b) != 16 {
				r.fail("key")
				return
			}
			k.addText(b)
		default:
			k.addWord(r.word("key"))
		}
	}
}

func (a *acc) read(r *Reader, n int) {
	a.grow(n)
	for i := range a.count {
		a.count[i] = r.Varint("count")
	}
	for i := range a.low {
		a.low[i], a.high[i] = r.word("sum"), int64(r.word("sum"))
	}
	for i := range a.floats {
		a.floats[i] = math.Float64frombits(r.word("number"))
	}
	for i := range a.ints {
		a.ints[i] = int64(r.word("number"))
	}
	for i := range a.texts {
		a.texts[i] = string(r.text("text"))
		a.held += int64(len(a.texts[i]))
	}
	for i := range a.seen {
		a.seen[i] = r.flag("flag")
	}
}
