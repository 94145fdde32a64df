package config

import (
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scalar decodes a single value.
func (d *Decoder) scalar(n *Node, v reflect.Value, f field) {
	want := wantOf(v)
	n.secret = n.secret || v.Type() == secretType
	if v.Type() == secretType && n.Kind == Scalar && !n.Interpolated && n.text != "" {
		d.Warnf(n, "a secret is written in the file; use ${env:NAME} or ${file:PATH}")
	}
	if !d.hasText(n, want, f) {
		return
	}
	switch v.Type() {
	case secretType:
		v.Set(reflect.ValueOf(NewSecret(n.text)))
		return
	case timeType:
		d.time(n, v)
		return
	case sizeType:
		if s, err := ParseSize(n.text); d.parsed(n, want, err) && d.inRange(n, f, float64(s), sizeBound) {
			v.SetInt(int64(s))
		}
		return
	case durationType, stdDuration:
		if t, err := ParseDuration(n.text); d.parsed(n, want, err) && d.inRange(n, f, float64(t), durationBound) {
			v.SetInt(int64(t))
		}
		return
	}
	switch v.Kind() {
	case reflect.String:
		d.text(n, v, f)
	case reflect.Bool:
		d.boolean(n, v)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		d.whole(n, v, f)
	case reflect.Float32, reflect.Float64:
		d.number(n, v, f)
	default:
		// A mistake of the program, which the test of its component sees.
		d.Errorf(n, "this key cannot be set in a file")
	}
}

// wantOf is what a message calls the values of v.
func wantOf(v reflect.Value) string {
	switch v.Type() {
	case sizeType:
		return "a size such as 64MiB"
	case durationType, stdDuration:
		return "a duration such as 30s, 5m, 24h or 7d"
	case timeType:
		return "a time such as 2026-01-31T00:00:00Z"
	}
	switch v.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.String, reflect.Struct:
		return "text"
	}
	return "a whole number"
}

// parsed reports err unless it is nil. The text of an interpolated scalar stays out of the message.
func (d *Decoder) parsed(n *Node, want string, err error) bool {
	switch {
	case err == nil:
		return true
	case n.Interpolated:
		d.wrongType(n, want)
	default:
		d.Errorf(n, "%v", err)
	}
	return false
}

func (d *Decoder) time(n *Node, v reflect.Value) {
	t, err := time.Parse(time.RFC3339, n.text)
	if err != nil {
		d.wrongType(n, wantOf(v))
		return
	}
	v.Set(reflect.ValueOf(t))
}

func (d *Decoder) text(n *Node, v reflect.Value, f field) {
	switch {
	case f.enum == nil || slices.Contains(f.enum, n.text):
		v.SetString(n.text)
	case n.Interpolated:
		d.Errorf(n, "expected one of %s, got %s", strings.Join(f.enum, ", "), n.shown())
	default:
		d.Errorf(n, "%s", Unknown("value", n.text, "values", f.enum))
	}
}

func (d *Decoder) boolean(n *Node, v reflect.Value) {
	switch {
	case n.text != "true" && n.text != "false":
		d.wrongType(n, "true or false")
	case n.quoted && !n.Interpolated:
		d.Errorf(n, "expected true or false, got %s; remove the quotes", n.shown())
	default:
		v.SetBool(n.text == "true")
	}
}

func (d *Decoder) whole(n *Node, v reflect.Value, f field) {
	i, err := strconv.ParseInt(n.text, 10, 64)
	if err != nil {
		d.wrongType(n, "a whole number")
		return
	}
	if n.quoted && !n.Interpolated {
		d.Errorf(n, "expected a whole number, got %s; remove the quotes", n.shown())
		return
	}
	if !d.inRange(n, f, float64(i), numberBound) {
		return
	}
	switch {
	case v.CanInt() && !v.OverflowInt(i):
		v.SetInt(i)
	case v.CanUint() && i >= 0 && !v.OverflowUint(uint64(i)):
		v.SetUint(uint64(i))
	case i < 0:
		d.Errorf(n, "must not be negative, got %s", n.shown())
	default:
		d.Errorf(n, "%s is too large", n.shown())
	}
}

func (d *Decoder) number(n *Node, v reflect.Value, f field) {
	x, err := strconv.ParseFloat(n.text, 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) || strings.ContainsAny(n.text, "xX_") {
		d.wrongType(n, "a number")
		return
	}
	if n.quoted && !n.Interpolated {
		d.Errorf(n, "expected a number, got %s; remove the quotes", n.shown())
		return
	}
	if d.inRange(n, f, x, numberBound) {
		v.SetFloat(x)
	}
}

// A bound reads the min or max of a field's tag.
type bound func(text string) (float64, error)

func numberBound(text string) (float64, error) { return strconv.ParseFloat(text, 64) }

func sizeBound(text string) (float64, error) {
	s, err := ParseSize(text)
	return float64(s), err
}

func durationBound(text string) (float64, error) {
	t, err := ParseDuration(text)
	return float64(t), err
}

// inRange checks a value against the field's bounds.
func (d *Decoder) inRange(n *Node, f field, x float64, parse bound) bool {
	low, high := math.Inf(-1), math.Inf(1)
	if b, err := parse(f.min); err == nil && f.min != "" {
		low = b
	}
	if b, err := parse(f.max); err == nil && f.max != "" {
		high = b
	}
	switch {
	case x >= low && x <= high:
		return true
	case f.min != "" && f.max != "":
		d.Errorf(n, "must be between %s and %s, got %s", f.min, f.max, n.shown())
	case x < low:
		d.Errorf(n, "must be at least %s, got %s", f.min, n.shown())
	default:
		d.Errorf(n, "must be at most %s, got %s", f.max, n.shown())
	}
	return false
}
