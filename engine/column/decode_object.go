package column

import "encoding/binary"

// field is a field of the schema as the decoder sees it.
type field struct {
	name   string
	typ    Type
	wanted bool
	// rest is set for the column that takes what has no place; fixed and text say what Options say of
	// the field.
	rest, fixed, text bool
	b                 *builder
	// seen is the object instance that last had the field.
	seen uint64
	// width is the memory that a row takes whatever its value.
	width int
	dict  *dictionary
	// object holds the fields of a struct, elem the element of a list.
	object *object
	elem   *field
}

// object is the fields of the row or of a struct, and what is known about the order they come in.
type object struct {
	fields []*field
	byName map[string]*field
	wanted int
	width  int
	// first predicts the first key, odd what follows keys too long or too many to learn; links
	// hold a place for every other spelling of a key seen.
	first, odd link
	links      map[string]*link
	// top is the top-level field that a nested object belongs to.
	top *field
}

// link is a key as spelled in the input, from its quote up to the value, and the two keys that
// followed it last. Producers repeat themselves, so this saves nearly all look-ups.
type link struct {
	spelling string
	// head and tail are the first and the last eight bytes of a spelling that has as many.
	head, tail uint64
	field      *field
	next       [2]*link
	// seen is the object instance that last had the key, for keys without a field.
	seen uint64
}

// maxSpelling and maxLinks bound what is learned from hostile input.
const (
	maxSpelling = 64
	maxLinks    = 256
)

func newObject(fields []Field, want wants, o Options) *object {
	ob := &object{byName: make(map[string]*field, len(fields)), links: map[string]*link{}}
	for _, f := range fields {
		inner, wanted := want.of(f.Name)
		c := newField(f.Name, f.Type, inner, o)
		c.wanted = wanted
		if c.wanted {
			ob.wanted++
			ob.width += c.width
		}
		ob.fields = append(ob.fields, c)
		ob.byName[f.Name] = c
	}
	return ob
}

func newField(name string, t Type, want wants, o Options) *field {
	f := &field{name: name, typ: t, wanted: true, width: 8}
	switch t.Kind {
	case String:
		if !o.Plain {
			f.dict = newDictionary()
		}
	case UUID, Decimal:
		f.width = 16
	case List:
		f.elem = newField("", *t.Elem, nil, o)
	case Struct:
		f.object = newObject(t.Fields, want, o)
		f.width = f.object.width + 1
	}
	return f
}

// share divides the memory for dictionaries, in bytes, among the columns that are decoded.
func (o *object) share(memory int) {
	var all []*dictionary
	o.dictionaries(&all)
	for _, d := range all {
		d.limit = min(max(memory/len(all), minDictionary), maxDictionary)
	}
}

func (o *object) dictionaries(all *[]*dictionary) {
	for _, f := range o.fields {
		if f.wanted {
			f.dictionaries(all)
		}
	}
}

func (f *field) dictionaries(all *[]*dictionary) {
	if f.dict != nil {
		*all = append(*all, f.dict)
	}
	if f.elem != nil {
		f.elem.dictionaries(all)
	}
	if f.object != nil {
		f.object.dictionaries(all)
	}
}

// bind makes b the memory that the field's values are added to.
func (f *field) bind(b *builder) {
	f.b = b
	if f.dict != nil && f.dict.plain == 0 {
		b.dict = f.dict
	}
	if f.elem != nil {
		f.elem.bind(b.children[0])
	}
	if f.object != nil {
		for i, c := range f.object.fields {
			if b.children[i].unread = !c.wanted; c.wanted {
				c.bind(b.children[i])
			}
		}
	}
}

// taken tells the dictionaries that the batch is finished.
func (o *object) taken() {
	for _, f := range o.fields {
		if f.wanted {
			f.taken()
		}
	}
}

func (f *field) taken() {
	if f.dict != nil {
		f.dict.taken(f.b.n, f.b.dict == nil)
		f.b.dict = nil
	}
	if f.elem != nil {
		f.elem.taken()
	}
	if f.object != nil {
		f.object.taken()
	}
}

// object decodes the object whose brace is at i and returns the index after it, negative when the
// row is bad.
func (d *Decoder) object(o *object, b []byte, i, depth int) int {
	if depth == 0 {
		return d.fail(CodeTooDeep, i, "nested more than 64 deep")
	}
	d.epoch++
	epoch, filled := d.epoch, 0
	at := &o.first
	for i = space(b, i+1); i >= len(b) || b[i] != '}'; {
		var f *field
		key := i
		if next := at.next[0]; next != nil && next.at(b, i) {
			at, f, i = next, next.field, space(b, i+len(next.spelling))
		} else if at, f, i = d.key(o, at, b, i); i < 0 {
			return i
		}
		start := i
		switch {
		case f == nil:
			if i = d.skip(b, i, depth-1); i >= 0 && d.spare != nil {
				i = d.unknown(o, at, b, key, start, i)
			}
		case f.seen == epoch:
			d.fail(CodeDuplicate, i, "the field occurs twice")
			return d.in(f)
		case !f.wanted:
			f.seen = epoch
			i = d.skip(b, i, depth-1)
		default:
			f.seen = epoch
			filled++
			i = d.value(f, b, i, depth-1)
		}
		if i < 0 && d.spare != nil {
			i = d.misfit(o, f, b, start, depth)
		}
		if i < 0 {
			return d.in(f)
		}
		if i = space(b, i); i < len(b) && b[i] == ',' {
			if i = space(b, i+1); i < len(b) && b[i] == '"' {
				continue
			}
			return d.want(b, i, "a key")
		}
		if i >= len(b) || b[i] != '}' {
			return d.want(b, i, "',' or '}'")
		}
	}
	if filled < o.wanted {
		o.fillNulls(epoch)
	}
	return i + 1
}

// at reports whether b has the key at i. Nearly every key has 8 to 16 bytes with its quotes, and two
// loads then do for a call.
func (l *link) at(b []byte, i int) bool {
	n := len(l.spelling)
	if len(b)-i < n {
		return false
	}
	if n-8 <= 8 && n >= 8 {
		return binary.LittleEndian.Uint64(b[i:]) == l.head && binary.LittleEndian.Uint64(b[i+n-8:]) == l.tail
	}
	return string(b[i:i+n]) == l.spelling
}

// in puts f's name in front of the path of the error.
func (d *Decoder) in(f *field) int {
	if f != nil && f.name != "" {
		if d.bad.Field != "" {
			d.bad.Field = "." + d.bad.Field
		}
		d.bad.Field = f.name + d.bad.Field
	}
	return -1
}

func (o *object) fillNulls(epoch uint64) {
	for _, f := range o.fields {
		if f.wanted && f.seen != epoch && !f.rest {
			f.b.appendNull()
		}
	}
}

// key reads the key at i that did not follow at last time, and learns that it does.
func (d *Decoder) key(o *object, at *link, b []byte, i int) (*link, *field, int) {
	if next := at.next[1]; next != nil && next.at(b, i) {
		at.next[0], at.next[1] = next, at.next[0]
		return next, next.field, space(b, i+len(next.spelling))
	}
	if i >= len(b) || b[i] != '"' {
		return nil, nil, d.want(b, i, "a key")
	}
	name, end := d.text(b, i)
	if end < 0 {
		return nil, nil, end
	}
	f := o.byName[string(name)]
	if end = space(b, end); end >= len(b) || b[end] != ':' {
		return nil, nil, d.want(b, end, "':' after the key")
	}
	end = space(b, end+1)
	next := o.link(b[i:end], f)
	if next == nil {
		return &o.odd, f, end
	}
	at.next[0], at.next[1] = next, at.next[0]
	return next, f, end
}

func (o *object) link(spelling []byte, f *field) *link {
	l := o.links[string(spelling)]
	if l == nil && len(spelling) <= maxSpelling && len(o.links) < maxLinks+4*len(o.fields) {
		l = &link{spelling: string(spelling), field: f}
		if n := len(spelling); n >= 8 {
			l.head, l.tail = binary.LittleEndian.Uint64(spelling), binary.LittleEndian.Uint64(spelling[n-8:])
		}
		o.links[l.spelling] = l
	}
	return l
}
