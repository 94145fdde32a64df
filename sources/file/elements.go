package file

import (
	"bytes"
	"strings"

	"github.com/millrace-io/millrace/sources"
)

// elements cuts JSON texts: the elements of arrays, and values that stand one after the other. It
// goes by brackets and quotes alone; what is between them is the consumers' to judge, as with
// lines. It resumes in the middle of an array, because only there a comma follows an element.
type elements struct {
	w   *window
	max int
	// inArray says that brackets belong to elements.
	inArray bool
	// last is the offset behind the last element.
	last int64

	// The element that is being read: how far the window was scanned, and what it is.
	seen  int
	kind  byte // '"', '{' for nested values, 's' for other scalars; 0 before an element
	depth int
	// In nested values.
	inString, escaped bool
	over              long
}

func (e *elements) start() {
	*e = elements{w: e.w, max: e.max, last: e.w.offset}
}

func (e *elements) next() (piece, error) {
	for {
		if e.kind == 0 {
			e.separators()
		}
		b := e.w.bytes()
		if e.kind != 0 && e.scan(b) {
			return e.cut(), nil
		}
		if e.kind != 0 && len(b) > e.max {
			e.over.take(e.w, len(b))
			e.seen = 0
		}
		if err := e.w.more(); err != nil {
			return piece{}, err
		}
	}
}

// separators passes over what stands between elements, and begins one if there is more.
func (e *elements) separators() {
	if b := e.w.bytes(); e.w.offset == 0 && len(b) < len(bom) && strings.HasPrefix(bom, string(b)) {
		return // more will tell
	} else if e.w.offset == 0 && bytes.HasPrefix(b, []byte(bom)) {
		e.w.skip(len(bom))
	}
	for i, c := range e.w.bytes() {
		switch {
		case c == ' ' || c == '\n' || c == '\r' || c == '\t':
		case c == ',':
			e.inArray = true
		case c == '[' && !e.inArray:
			e.inArray = true
		case c == ']':
			e.inArray = false
		default:
			e.w.skip(i)
			e.begin(c)
			return
		}
	}
	e.w.skip(len(e.w.bytes()))
}

func (e *elements) begin(c byte) {
	e.seen, e.depth, e.inString, e.escaped = 0, 0, false, false
	switch c {
	case '{', '[':
		e.kind = '{'
	case '"':
		e.kind, e.inString = '"', true
		e.seen = 1
	default:
		e.kind = 's'
		e.seen = 1
	}
}

// scan reports whether the element ends within b, at e.seen.
func (e *elements) scan(b []byte) bool {
	i := e.seen
	for ; i < len(b); i++ {
		c := b[i]
		if e.inString {
			switch {
			case e.escaped:
				e.escaped = false
			case c == '\\':
				e.escaped = true
			case c == '"':
				e.inString = false
				if e.kind == '"' {
					e.seen = i + 1
					return true
				}
			}
			continue
		}
		if e.kind == 's' {
			if endsScalar(c) {
				e.seen = i
				return true
			}
			continue
		}
		switch c {
		case '"':
			e.inString = true
		case '{', '[':
			e.depth++
		case '}', ']':
			if e.depth--; e.depth == 0 {
				e.seen = i + 1
				return true
			}
		}
	}
	e.seen = i
	return false
}

func endsScalar(c byte) bool {
	switch c {
	case ',', ']', '}', '{', '[', ' ', '\n', '\r', '\t':
		return true
	}
	return false
}

// cut takes the element that ends at seen.
func (e *elements) cut() piece {
	n := e.seen
	e.kind, e.seen = 0, 0
	if e.over.size > 0 || n > e.max {
		e.over.take(e.w, n)
		e.last = e.w.offset
		return e.over.piece(e.last, tooLarge, largerThan(e.max))
	}
	data := sources.OneLine(e.w.bytes()[:n])
	e.w.skip(n)
	e.last = e.w.offset
	return piece{data: data, end: e.last}
}

func (e *elements) rest() (piece, bool) {
	if e.kind == 0 {
		return piece{}, false
	}
	if e.kind == 's' && e.over.size == 0 {
		return e.cut(), true
	}
	e.kind, e.seen = 0, 0
	e.over.take(e.w, len(e.w.bytes()))
	e.last = e.w.offset
	return e.over.piece(e.last, incomplete, "the file ends within this value"), true
}

// settled is behind the last element and not at the end, so that an array can be made longer.
func (e *elements) settled() int64 { return e.last }
