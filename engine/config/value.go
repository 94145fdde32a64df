package config

import (
	"encoding"
	"reflect"
	"time"
)

// Types with a notation of their own.
var (
	nodeType     = reflect.TypeFor[*Node]()
	sizeType     = reflect.TypeFor[Size]()
	durationType = reflect.TypeFor[Duration]()
	stdDuration  = reflect.TypeFor[time.Duration]()
	secretType   = reflect.TypeFor[Secret]()
	timeType     = reflect.TypeFor[time.Time]()
)

// value decodes a node into v, which is settable.
func (d *Decoder) value(n *Node, v reflect.Value, f field) {
	if n.bad {
		return
	}
	if v.Type() == nodeType {
		v.Set(reflect.ValueOf(n))
		return
	}
	if v.Kind() == reflect.Pointer {
		d.pointer(n, v, f)
		return
	}
	if d.custom(n, v.Addr(), f) {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structs(n, []reflect.Value{v})
	case reflect.Map:
		d.mapValue(n, v, f)
	case reflect.Slice:
		d.slice(n, v, f)
	default:
		d.scalar(n, v, f)
	}
}

// custom decodes types with a notation of their own; false means that p is none of them.
func (d *Decoder) custom(n *Node, p reflect.Value, f field) bool {
	if nd, ok := p.Interface().(NodeDecoder); ok {
		nd.DecodeNode(n, d)
		return true
	}
	switch p.Type().Elem() {
	case sizeType, durationType, stdDuration, secretType, timeType:
		d.scalar(n, p.Elem(), f)
		return true
	}
	if tu, ok := p.Interface().(encoding.TextUnmarshaler); ok {
		if d.hasText(n, "text", f) {
			if err := tu.UnmarshalText([]byte(n.text)); err != nil {
				d.Errorf(n, "%v", err)
			}
		}
		return true
	}
	return false
}

func (d *Decoder) pointer(n *Node, v reflect.Value, f field) {
	if n.Kind == Null {
		d.Errorf(n, "expected a value, got nothing; write one or remove the key")
		return
	}
	p := reflect.New(v.Type().Elem())
	if !v.IsNil() {
		p.Elem().Set(v.Elem())
	} else {
		setDefaults(p)
	}
	d.value(n, p.Elem(), f)
	v.Set(p)
}

// setDefaults prepares a new value behind p.
func setDefaults(p reflect.Value) {
	if def, ok := p.Interface().(Defaulter); ok {
		def.SetDefaults()
	}
}

func (d *Decoder) slice(n *Node, v reflect.Value, f field) {
	switch {
	case n.Kind == Null && !f.required:
		return
	case n.Kind == Scalar && v.Type().Elem().Kind() != reflect.Struct:
		d.Errorf(n, "expected a list, got %s; write it in brackets: [%s]", n.shown(), bracketed(n))
		return
	case n.Kind != List:
		d.wrongType(n, "a list")
		return
	case len(n.Items) == 0 && f.required:
		d.Errorf(n, "the list is empty; it needs at least one element")
		return
	}
	s := reflect.MakeSlice(v.Type(), len(n.Items), len(n.Items))
	element := field{enum: f.enum, min: f.min, max: f.max}
	for i, item := range n.Items {
		setDefaults(s.Index(i).Addr())
		d.value(item, s.Index(i), element)
	}
	v.Set(s)
}

// bracketed is a scalar as an element of a list, as the user wrote it.
func bracketed(n *Node) string {
	if n.Interpolated || n.quoted {
		return quote(n.raw)
	}
	return n.raw
}

func (d *Decoder) mapValue(n *Node, v reflect.Value, f field) {
	switch {
	case n.Kind == Null && !f.required:
		return
	case n.Kind != Mapping:
		d.wrongType(n, "keys and values (key: value)")
		return
	case len(n.Keys) == 0 && f.required:
		d.Errorf(n, "there are no keys; it needs at least one")
		return
	}
	m := reflect.MakeMapWithSize(v.Type(), len(n.Keys))
	element := field{enum: f.enum, min: f.min, max: f.max}
	for i, key := range n.Keys {
		e := reflect.New(v.Type().Elem())
		setDefaults(e)
		d.value(n.Values[i], e.Elem(), element)
		m.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), e.Elem())
	}
	v.Set(m)
}

// wrongType reports that a value has the wrong shape.
func (d *Decoder) wrongType(n *Node, want string) {
	d.Errorf(n, "expected %s, got %s", want, n.shown())
}

// hasText reports whether n is a scalar with a text fit for f, and says what is wrong if not.
func (d *Decoder) hasText(n *Node, want string, f field) bool {
	switch {
	case n.Kind != Scalar:
		d.wrongType(n, want)
	case n.text == "" && f.required && n.Interpolated:
		d.Errorf(n, "must not be empty, but %s is", quote(n.raw))
	case n.text == "" && f.required:
		d.Errorf(n, "must not be empty")
	default:
		return true
	}
	return false
}
