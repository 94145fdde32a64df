package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"unicode"
)

// Options are what a Decoder gets from the outside. The zero value means the process's own.
type Options struct {
	// Getenv looks up ${env:…}.
	Getenv func(name string) (string, bool)
	// ReadFile reads ${file:…}.
	ReadFile func(path string) ([]byte, error)
}

// Decoder turns one file into Go values and gathers every mistake on the way. It is used by one
// goroutine: Parse, then Decode, then Err.
type Decoder struct {
	name    string
	options Options
	doc     *document

	errors, warnings Errors
	// bad are the paths of values that a mistake was reported for.
	bad map[string]bool
	// resolved maps the values of ${…} to the references they came from.
	resolved     map[string]string
	interpolated int
}

// NewDecoder makes a decoder for a file; name is how messages call it.
func NewDecoder(name string, o Options) *Decoder {
	if o.Getenv == nil {
		o.Getenv = os.LookupEnv
	}
	if o.ReadFile == nil {
		o.ReadFile = ReadFile
	}
	return &Decoder{
		name: name, options: o, doc: &document{},
		bad: make(map[string]bool), resolved: make(map[string]string),
	}
}

// NodeDecoder is implemented, on pointers, by types that decode themselves. They report mistakes to
// the decoder and go on.
type NodeDecoder interface {
	DecodeNode(n *Node, d *Decoder)
}

// Defaulter is implemented, on pointers, by types that need defaults where the surrounding struct
// cannot give them: elements of maps and lists.
type Defaulter interface {
	SetDefaults()
}

// Decode fills what into points to from a node. Several pointers to structs share the keys of one
// mapping, for example what all sinks have and what this sink has. Keys that are not in the file keep
// what the struct holds, so defaults are set before. Each struct that is a Validator is validated,
// inner ones first.
//
// Struct tags: `yaml:"name"` names the key ("-" for none, ",inline" for the keys of a struct within);
// `required:"true"` wants the key, and not empty; `enum:"a,b"` lists the allowed texts; `min:"1"` and
// `max:"10"` bound numbers, sizes and durations, in their own notation.
func (d *Decoder) Decode(n *Node, into ...any) {
	if n == nil || n.bad {
		return
	}
	if len(into) == 1 && reflect.TypeOf(into[0]).Elem().Kind() != reflect.Struct {
		d.value(n, reflect.ValueOf(into[0]).Elem(), field{})
		return
	}
	if len(into) == 1 && d.custom(n, reflect.ValueOf(into[0]), field{}) {
		return
	}
	values := make([]reflect.Value, len(into))
	for i, p := range into {
		values[i] = reflect.ValueOf(p).Elem()
	}
	d.structs(n, values)
}

// structs decodes the keys of one mapping into several structs.
func (d *Decoder) structs(n *Node, into []reflect.Value) {
	if n.Kind != Mapping && n.Kind != Null {
		d.wrongType(n, "keys and values (key: value)")
		return
	}
	var fields []field
	for _, v := range into {
		fields = append(fields, fieldsOf(v)...)
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	for i, key := range n.Keys {
		if f := find(fields, key); f != nil {
			d.value(n.Values[i], f.value, *f)
			continue
		}
		if len(d.errors) >= maxErrors {
			break // a suggestion is dear
		}
		v := n.Values[i]
		d.errorAt(v.KeyLine, v.KeyColumn, n.Path, "%s", Unknown("key", key, "keys", names))
		if s := Suggest(key, names); n.Get(s) == nil {
			// The key is there, misspelt: it is not missing as well.
			d.bad[join(n.Path, s)] = true
		}
	}
	for _, f := range fields {
		if f.required && n.Get(f.name) == nil && !d.bad[join(n.Path, f.name)] {
			d.KeyErrorf(n, "missing key %s", quote(f.name))
			d.bad[join(n.Path, f.name)] = true
		}
	}
	for _, v := range into {
		d.validate(n, v)
	}
}

func find(fields []field, name string) *field {
	for i := range fields {
		if fields[i].name == name {
			return &fields[i]
		}
	}
	return nil
}

// validate runs the Validate method of a struct. What it says about a value that is known to be
// wrong is left out: the value it saw is not the user's.
func (d *Decoder) validate(n *Node, v reflect.Value) {
	validator, ok := v.Addr().Interface().(Validator)
	if !ok {
		return
	}
	for _, p := range validator.Validate() {
		d.Problem(n, p)
	}
}

// Problem reports a problem of the value at n, at the key that its path names or at the nearest one
// around it that the file has.
func (d *Decoder) Problem(n *Node, p Problem) {
	at, _ := n.Find(p.Path)
	path := n.Path
	switch {
	case p.Path == "":
	case path == "" || p.Path[0] == '[':
		path += p.Path
	default:
		path += "." + p.Path
	}
	if d.Reported(path) {
		return
	}
	d.errorAt(at.KeyLine, at.KeyColumn, path, "%s", p.Message)
}

// Reported tells whether a mistake of the value at a path, or inside it, has been reported. A key that
// is missing because it is misspelt counts.
func (d *Decoder) Reported(path string) bool {
	for b := range d.bad {
		if rest, ok := strings.CutPrefix(b, path); ok && (rest == "" || path == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}

// Errorf reports a mistake at a value.
func (d *Decoder) Errorf(n *Node, format string, args ...any) {
	if len(d.errors) < maxErrors {
		d.bad[n.Path] = true
	}
	d.errorAt(n.Line, n.Column, n.Path, format, args...)
}

// KeyErrorf reports a mistake at the key of a value.
func (d *Decoder) KeyErrorf(n *Node, format string, args ...any) {
	d.errorAt(n.KeyLine, n.KeyColumn, n.Path, format, args...)
}

// TextErrorf reports a mistake at a line and column of the text of a scalar, both from 1.
func (d *Decoder) TextErrorf(n *Node, line, column int, format string, args ...any) {
	fileLine, fileColumn := n.Position(line, column)
	d.errorAt(fileLine, fileColumn, n.Path, format, args...)
}

// Warnf notes at the key of a value what is allowed but hardly meant.
func (d *Decoder) Warnf(n *Node, format string, args ...any) {
	d.warnings = append(d.warnings, d.at(n.KeyLine, n.KeyColumn, n.Path, format, args...))
}

// maxErrors is how many mistakes are reported. Nobody reads more, and a hostile file could make each
// of them dear.
const maxErrors = 1000

func (d *Decoder) errorAt(line, column int, path, format string, args ...any) {
	if len(d.errors) >= maxErrors {
		return
	}
	d.errors = append(d.errors, d.at(line, column, path, format, args...))
}

func (d *Decoder) at(line, column int, path, format string, args ...any) Error {
	message := d.redact(fmt.Sprintf(format, args...))
	line, column = d.doc.clamp(line, column)
	return Error{File: d.name, Line: line, Column: column, Path: path, Message: message}
}

// ErrorCount is how many mistakes were reported so far.
func (d *Decoder) ErrorCount() int { return len(d.errors) }

// Errors are the mistakes so far, by position.
func (d *Decoder) Errors() Errors { return d.errors.sorted() }

// Warnings are what Warnf noted, and secrets written into the file, by position.
func (d *Decoder) Warnings() Errors { return d.warnings.sorted() }

// Err is the mistakes as an error of type Errors, or nil.
func (d *Decoder) Err() error {
	if len(d.errors) == 0 {
		return nil
	}
	return d.Errors()
}

// redact replaces the values of ${…} in a message by their references: messages of libraries and of
// Validate methods repeat the value they complain about.
func (d *Decoder) redact(message string) string {
	for value, reference := range d.resolved {
		message = replaceWords(message, value, reference)
		if q := quote(value); q[1:len(q)-1] != value {
			message = replaceWords(message, q[1:len(q)-1], reference)
		}
	}
	return message
}

// replaceWords replaces old in text. A short one only where it stands alone: the value "1" must not
// garble every number.
func replaceWords(text, old, replacement string) string {
	const short = 4
	if len(old) >= short {
		return strings.ReplaceAll(text, old, replacement)
	}
	var out strings.Builder
	for {
		i := strings.Index(text, old)
		if i < 0 {
			out.WriteString(text)
			return out.String()
		}
		out.WriteString(text[:i])
		before, after := out.String(), text[i+len(old):]
		if endsInWord(before) || startsWithWord(after) {
			out.WriteString(old)
		} else {
			out.WriteString(replacement)
		}
		text = after
	}
}

func endsInWord(s string) bool {
	r := []rune(s)
	return len(r) > 0 && isWord(r[len(r)-1])
}

func startsWithWord(s string) bool {
	for _, r := range s {
		return isWord(r)
	}
	return false
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
