package column

import (
	"slices"

	"github.com/millrace-io/millrace/engine/jsonscan"
)

// spare gathers what a row has no column for.
type spare struct {
	// column takes it; nil when nobody wants it.
	column *field
	// text is the members of an object, each behind a comma.
	text []byte
	// kept are the fields whose values are in text, partial those that hold unknown fields of nested
	// objects and belong there.
	kept, partial []*field
	// odd are keys of the row that the decoder does not learn.
	odd  [][]byte
	name []byte
	// row is the instance of the object that is the row.
	row uint64
}

// maxOdd is how many keys that are not learned are compared to find one that occurs twice.
const maxOdd = 64

func (s *spare) reset(row uint64) {
	s.row = row
	s.text, s.kept, s.partial, s.odd = s.text[:0], s.kept[:0], s.partial[:0], s.odd[:0]
}

// openSpare prepares for what Options say of values without a place.
func (d *Decoder) openSpare() {
	if d.o.Rest == "" && d.o.Misfit == nil && !d.o.Text {
		return
	}
	s := &spare{}
	for _, f := range d.root.fields {
		if f.name == d.o.Rest && f.typ.Kind == JSON {
			f.rest = true
			delete(d.root.byName, f.name)
			if f.wanted {
				s.column = f
				d.root.wanted--
			}
			continue
		}
		f.fixed = slices.Contains(d.o.Fixed, f.name)
		f.within(f, d.o.Text && !slices.Contains(d.o.Strict, f.name))
	}
	if d.o.Rest != "" || d.o.Misfit != nil {
		d.spare = s
	}
}

// within tells a field and those below it which top-level field they belong to.
func (f *field) within(top *field, text bool) {
	f.text = text
	if f.elem != nil {
		f.elem.within(top, text)
	}
	if f.object != nil {
		f.object.top = top
		for _, c := range f.object.fields {
			c.within(top, text)
		}
	}
}

// unknown notes the field of o without a column whose key is at key and whose value goes from start
// to end. It returns end, or -1 when the row is bad.
func (d *Decoder) unknown(o *object, at *link, b []byte, key, start, end int) int {
	s := d.spare
	if o != d.root {
		// A column that nobody reads is of no concern.
		if o.top != nil && o.top.wanted && !slices.Contains(s.partial, o.top) {
			s.partial = append(s.partial, o.top)
		}
		return end
	}
	spelled := b[key:start]
	if d.repeated(at, spelled) {
		return d.fail(CodeDuplicate, key, "the field occurs twice")
	}
	if b[start] == 'n' {
		return end
	}
	s.keep(spelled, b[start:end])
	if d.o.Misfit != nil {
		literal := spelled[:slices.Index(spelled[1:], '"')+2]
		if slices.Contains(literal, '\\') {
			last, _, err := jsonscan.String(spelled, 0)
			if err != nil {
				return end
			}
			literal = spelled[:last]
		}
		if name, err := jsonscan.Text(s.name, literal); err == nil {
			d.o.Misfit(name, b[start:end])
		}
	}
	return end
}

// repeated reports whether the row had the key before. The same key in another spelling is another.
func (d *Decoder) repeated(at *link, spelled []byte) bool {
	s := d.spare
	if at != &d.root.odd {
		again := at.seen == s.row
		at.seen = s.row
		return again
	}
	if len(s.odd) >= maxOdd {
		return false
	}
	again := slices.ContainsFunc(s.odd, func(k []byte) bool { return string(k) == string(spelled) })
	s.odd = append(s.odd, spelled)
	return again
}

// keep adds a member to the object of what has no column. key goes up to the value.
func (s *spare) keep(key, value []byte) {
	if s.column == nil {
		return
	}
	s.text = append(s.text, ',')
	s.text = appendCompact(s.text, key)
	s.text = appendCompact(s.text, value)
}

// misfit is called when the value of f at i did not fit. It returns the index after the value if the
// row goes on without it.
func (d *Decoder) misfit(o *object, f *field, b []byte, i, depth int) int {
	s := d.spare
	if o != d.root || f == nil || f.fixed || !f.wanted || d.bad.Code != CodeMismatch && d.bad.Code != CodeRange {
		return -1
	}
	bad := d.bad
	end := d.skip(b, i, depth-1)
	if end < 0 {
		return end
	}
	if d.o.Misfit != nil {
		d.o.Misfit([]byte(f.name), b[i:end])
	}
	if s.column == nil {
		d.bad = bad
		return -1
	}
	d.bad = nil
	f.b.truncate(d.Len())
	f.b.appendNull()
	s.kept = append(s.kept, f)
	s.keep(f.key(), b[i:end])
	return end
}

// key is the field's name as a key of an object.
func (f *field) key() []byte { return append(appendQuoted(nil, []byte(f.name)), ':') }

// endSpare fills the column of what has no other, at the end of a row that ends before end.
func (d *Decoder) endSpare(data []byte, end int) int {
	s := d.spare
	for _, f := range s.partial {
		if slices.Contains(s.kept, f) {
			continue
		}
		raw, ok, err := jsonscan.Field(data, f.name)
		if err != nil || !ok {
			continue
		}
		s.keep(f.key(), raw)
		if d.o.Misfit != nil && !f.fixed {
			d.o.Misfit([]byte(f.name), raw)
		}
	}
	if s.column == nil {
		return end
	}
	b := s.column.b
	if len(s.text) == 0 {
		b.appendNull()
		return end
	}
	if d.size += len(s.text); d.size > d.rowEnd || d.size > maxBatch {
		return d.fail(CodeTooLarge, 0, "the row is too large")
	}
	s.text[0] = '{'
	b.bytes = append(append(b.bytes, s.text...), '}')
	b.endText()
	return end
}
