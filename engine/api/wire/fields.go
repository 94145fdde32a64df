package wire

import (
	"maps"
	"slices"
	"strconv"
	"time"
)

type mode int

const (
	reading mode = iota
	writing
	checking
	describing
)

// Fields walks the fields of a shape. Each method handles one field, under its name in the API: it reads the
// field if that is the one at hand, writes it unless it is absent, or holds it against its rule. A nil
// pointer or slice is an absent field.
type Fields struct {
	mode mode
	r    *Reader
	w    *Writer
	v    *Violations
	d    *[]Member
	// name is the field at hand when reading, and found whether the shape has it.
	name  []byte
	found bool
	// path is that of the shape when checking, with a dot behind.
	path string
}

// Member is a field of a shape, as Describe tells it.
type Member struct {
	Name, Type string
	Rule       Rule
	// Members of a structure or of the structures in a list.
	Members []Member
}

// Describe lists the fields of a shape.
func Describe(s Shape) []Member {
	var d []Member
	f := Fields{mode: describing, d: &d}
	s.Fields(&f)
	return d
}

// readShape reads an object.
func (f *Fields) readShape(s Shape) {
	inner := Fields{mode: reading, r: f.r}
	f.r.BeginObject()
	for {
		name, ok := f.r.NextField()
		if !ok {
			return
		}
		inner.name, inner.found = name, false
		if f.r.Null() {
			continue
		}
		s.Fields(&inner)
		if !inner.found {
			f.r.Skip()
		}
	}
}

func (f *Fields) writeShape(s Shape) {
	f.w.BeginObject()
	s.Fields(f)
	f.w.EndObject()
}

// at reports whether the field is the one to read.
func (f *Fields) at(name string) bool {
	if f.found || string(f.name) != name {
		return false
	}
	f.found = true
	return true
}

func (f *Fields) describe(name, kind string, r *Rule, members []Member) {
	m := Member{Name: name, Type: kind, Members: members}
	if r != nil {
		m.Rule = *r
	}
	*f.d = append(*f.d, m)
}

// pathTo is how AWS names a field: lower camel case, from the request down.
func (f *Fields) pathTo(name string) string {
	return f.path + string(name[0]|0x20) + name[1:]
}

// Text is a string that may be absent.
func (f *Fields) Text(name string, p **string, r *Rule) {
	switch f.mode {
	case reading:
		if f.at(name) {
			s := string(f.r.Text())
			*p = &s
		}
	case writing:
		if *p != nil {
			f.w.Name(name)
			f.w.String(**p)
		}
	case checking:
		if *p == nil {
			f.v.null(f.pathTo(name), r)
			return
		}
		f.v.Text(f.pathTo(name), **p, r)
	case describing:
		f.describe(name, "string", r, nil)
	}
}

// String is a string of an answer; an empty one is not written.
func (f *Fields) String(name string, s *string) {
	p := s
	if *p == "" {
		p = nil
	}
	f.Text(name, &p, nil)
	if f.mode == reading && p != nil {
		*s = *p
	}
}

// Int is a whole number that may be absent.
func (f *Fields) Int(name string, p **int64, r *Rule) {
	switch f.mode {
	case reading:
		if f.at(name) {
			n := f.r.Int()
			*p = &n
		}
	case writing:
		if *p != nil {
			f.w.Name(name)
			f.w.Int(**p)
		}
	case checking:
		if *p == nil {
			f.v.null(f.pathTo(name), r)
			return
		}
		f.v.number(f.pathTo(name), **p, r)
	case describing:
		f.describe(name, "integer", r, nil)
	}
}

// Count is a whole number of an answer, written also when it is 0.
func (f *Fields) Count(name string, n *int64) {
	p := n
	f.Int(name, &p, nil)
	if f.mode == reading {
		*n = *p
	}
}

// Bool is a truth value; Flag is one of an answer, which is always written.
func (f *Fields) Bool(name string, p **bool) {
	switch f.mode {
	case reading:
		if f.at(name) {
			b := f.r.Bool()
			*p = &b
		}
	case writing:
		if *p != nil {
			f.w.Name(name)
			f.w.Bool(**p)
		}
	case describing:
		f.describe(name, "boolean", nil, nil)
	}
}

// Flag is a truth value of an answer, which is always written.
func (f *Fields) Flag(name string, b *bool) {
	p := b
	f.Bool(name, &p)
	if f.mode == reading {
		*b = *p
	}
}

// Time is a time; the zero one is absent.
func (f *Fields) Time(name string, t *time.Time, r *Rule) {
	switch f.mode {
	case reading:
		if f.at(name) {
			*t = f.r.Time()
		}
	case writing:
		if !t.IsZero() {
			f.w.Name(name)
			f.w.Time(*t)
		}
	case checking:
		if t.IsZero() {
			f.v.null(f.pathTo(name), r)
		}
	case describing:
		f.describe(name, "timestamp", r, nil)
	}
}

// Blob is binary data; nil is absent.
func (f *Fields) Blob(name string, b *[]byte, r *Rule) {
	switch f.mode {
	case reading:
		if !f.at(name) {
			return
		}
		blob := f.r.Blob()
		if f.r.Err() == nil {
			*b = make([]byte, blob.Len())
			if err := blob.Decode(*b); err != nil {
				f.r.fail(err)
			}
		}
	case writing:
		if *b != nil {
			f.w.Name(name)
			f.w.Blob(*b)
		}
	case checking:
		if *b == nil {
			f.v.null(f.pathTo(name), r)
			return
		}
		f.v.length(QuotedBlob(len(*b)), f.pathTo(name), int64(len(*b)), r)
	case describing:
		f.describe(name, "blob", r, nil)
	}
}

// Texts is a list of strings; the second rule is for each.
func (f *Fields) Texts(name string, list *[]string, r, each *Rule) {
	switch f.mode {
	case reading:
		if !f.at(name) {
			return
		}
		*list = []string{}
		for f.r.BeginArray(); f.r.NextItem(); {
			*list = append(*list, string(f.r.Text()))
		}
	case writing:
		if *list == nil {
			return
		}
		f.w.Name(name)
		f.w.BeginArray()
		for _, s := range *list {
			f.w.String(s)
		}
		f.w.EndArray()
	case checking:
		path := f.pathTo(name)
		if *list == nil {
			f.v.null(path, r)
			return
		}
		f.v.Texts(path, *list, r, each)
	case describing:
		f.describe(name, "list", r, nil)
	}
}

// Map is one of strings; the rules are for the whole, the keys and the values.
func (f *Fields) Map(name string, m *map[string]string, r, key, value *Rule) {
	switch f.mode {
	case reading:
		if f.at(name) {
			f.readMap(m)
		}
	case writing:
		if *m == nil {
			return
		}
		f.w.Name(name)
		f.w.BeginObject()
		for _, k := range slices.Sorted(maps.Keys(*m)) {
			f.w.String(k)
			f.w.mapValue((*m)[k])
		}
		f.w.EndObject()
	case checking:
		path := f.pathTo(name)
		if *m == nil {
			f.v.null(path, r)
			return
		}
		f.v.Map(path, *m, r, key, value)
	case describing:
		f.describe(name, "map", r, nil)
	}
}

func (f *Fields) readMap(m *map[string]string) {
	*m = map[string]string{}
	f.r.beginObject("map")
	for {
		name, ok := f.r.NextField()
		if !ok {
			return
		}
		k := string(name)
		if f.r.Null() {
			continue
		}
		(*m)[k] = string(f.r.Text())
	}
}

// Value is a field that handles itself. kind is what Describe calls it. It is written when present.
func (f *Fields) Value(name, kind string, v Value, present bool, r *Rule) {
	switch f.mode {
	case reading:
		if f.at(name) {
			v.ReadWire(f.r)
		}
	case writing:
		if present {
			f.w.Name(name)
			v.WriteWire(f.w)
		}
	case checking:
		v.CheckWire(f.v, f.pathTo(name))
	case describing:
		f.describe(name, kind, r, nil)
	}
}

// pointer is a *T that is a Shape.
type pointer[T any] interface {
	*T
	Shape
}

// Struct is a structure inside another one; nil is absent.
func Struct[T any, P pointer[T]](f *Fields, name string, p *P, r *Rule) {
	switch f.mode {
	case reading:
		if f.at(name) {
			*p = P(new(T))
			f.readShape(*p)
		}
	case writing:
		if *p != nil {
			f.w.Name(name)
			f.writeShape(*p)
		}
	case checking:
		if *p == nil {
			f.v.null(f.pathTo(name), r)
			return
		}
		inner := Fields{mode: checking, v: f.v, path: f.pathTo(name) + "."}
		(*p).Fields(&inner)
	case describing:
		f.describe(name, "structure", r, Describe(P(new(T))))
	}
}

// List is a list of structures; nil is absent.
func List[T any, P pointer[T]](f *Fields, name string, list *[]T, r *Rule) {
	switch f.mode {
	case reading:
		if !f.at(name) {
			return
		}
		*list = []T{}
		for f.r.BeginArray(); f.r.NextItem(); {
			var item T
			f.readShape(P(&item))
			*list = append(*list, item)
		}
	case writing:
		if *list == nil {
			return
		}
		f.w.Name(name)
		f.w.BeginArray()
		for i := range *list {
			f.writeShape(P(&(*list)[i]))
		}
		f.w.EndArray()
	case checking:
		path := f.pathTo(name)
		if *list == nil {
			f.v.null(path, r)
			return
		}
		f.v.Length(path, len(*list), r)
		for i := range *list {
			inner := Fields{mode: checking, v: f.v, path: path + "." + strconv.Itoa(i+1) + ".member."}
			P(&(*list)[i]).Fields(&inner)
		}
	case describing:
		f.describe(name, "list", r, Describe(P(new(T))))
	}
}
