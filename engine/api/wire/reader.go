package wire

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Kind is what a value in a body is.
type Kind int

// The kinds. Bytes are in CBOR only: in JSON they are a String of base64.
const (
	Invalid Kind = iota
	Null
	Bool
	Number
	String
	Bytes
	Array
	Object
)

// Reader reads a body value by value, in either format. The first mistake ends it: from then on
// there is nothing more to read, and Err tells.
type Reader struct {
	format Format
	b      []byte
	pos    int
	depth  int
	// left is how many items each open CBOR array or object still has; -1 until its break. In JSON it is 1
	// before the first item and 0 behind it.
	left [maxDepth]int
	err  error
}

// NewReader reads a body, which must not change meanwhile.
func NewReader(format Format, body []byte) *Reader { return &Reader{format: format, b: body} }

// Err is the first mistake.
func (r *Reader) Err() error { return r.err }

// Fail ends reading with a mistake that a Value found.
func (r *Reader) Fail(err error) { r.fail(err) }

func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *Reader) syntax() { r.fail(ErrSyntax) }

func (r *Reader) mismatch(format string, args ...any) {
	r.fail(&TypeError{fmt.Sprintf(format, args...)})
}

// Kind is that of the next value.
func (r *Reader) Kind() Kind {
	if r.err != nil {
		return Invalid
	}
	if r.format == CBOR {
		return r.cborKind()
	}
	return r.jsonKind()
}

// Null passes over a null, if that is next.
func (r *Reader) Null() bool {
	if r.Kind() != Null {
		return false
	}
	if r.format == CBOR {
		r.cborHead()
	} else {
		r.jsonLiteral("null")
	}
	return r.err == nil
}

// BeginObject enters an object; NextField goes on.
func (r *Reader) BeginObject() { r.beginObject("structure") }

func (r *Reader) beginObject(want string) {
	if k := r.Kind(); k != Object {
		r.unexpected(k, want)
		return
	}
	r.begin()
}

// BeginArray enters an array; NextItem goes on.
func (r *Reader) BeginArray() {
	if k := r.Kind(); k != Array {
		r.unexpected(k, "list")
		return
	}
	r.begin()
}

func (r *Reader) begin() {
	if r.depth == maxDepth {
		r.syntax()
		return
	}
	left := 1
	if r.format == CBOR {
		left = r.cborBegin()
	} else {
		r.pos++
	}
	r.left[r.depth] = left
	r.depth++
}

// NextField is the name of the object's next field, which aliases the body and is good until the next
// call; the field's value must be read or skipped. ok is false at the end.
func (r *Reader) NextField() (name []byte, ok bool) {
	if r.err != nil || r.depth == 0 {
		return nil, false
	}
	if r.format == CBOR {
		if !r.cborNext() {
			return nil, false
		}
		if r.Kind() != String {
			r.syntax()
			return nil, false
		}
		name = r.Text()
		return name, r.err == nil
	}
	return r.jsonField()
}

// NextItem reports whether the array has one more value, which must be read or skipped.
func (r *Reader) NextItem() bool {
	if r.err != nil || r.depth == 0 {
		return false
	}
	if r.format == CBOR {
		return r.cborNext()
	}
	return r.jsonNext(']')
}

// Text is a string. It aliases the body or memory of its own.
func (r *Reader) Text() []byte {
	switch k := r.Kind(); k {
	case String:
		if r.format == CBOR {
			return r.cborString(3)
		}
		return r.jsonText()
	case Number, Bool:
		r.mismatch("%s can not be converted to a String", r.token(k))
	default:
		r.unexpected(k, "a String")
	}
	return nil
}

// Bool is true or false.
func (r *Reader) Bool() bool {
	k := r.Kind()
	switch {
	case k == Invalid:
		r.syntax()
	case k != Bool:
		r.scalar(k, "an Boolean")
	case r.format == CBOR:
		return r.cborHead().value == 21
	case r.b[r.pos] == 't':
		r.jsonLiteral("true")
		return r.err == nil
	default:
		r.jsonLiteral("false")
	}
	return false
}

// Int is a whole number; a fraction is cut off, as AWS does.
func (r *Reader) Int() int64 {
	k := r.Kind()
	if k != Number {
		r.scalar(k, "an Integer")
		return 0
	}
	x, n, whole := r.number()
	if whole {
		return n
	}
	if math.IsNaN(x) || math.Abs(x) >= 1<<63 {
		r.mismatch("NUMBER_VALUE can not be converted to an Integer")
		return 0
	}
	return int64(x)
}

// Time is a time: seconds since the epoch in JSON; in CBOR milliseconds as a whole number, seconds as one
// with a fraction, as the Java SDK has it.
func (r *Reader) Time() time.Time {
	k := r.Kind()
	if k != Number {
		r.scalar(k, "a Date")
		return time.Time{}
	}
	x, n, whole := r.number()
	ms := x * 1000
	if whole && r.format == CBOR {
		ms = float64(n)
	} else if whole {
		ms = float64(n) * 1000
	}
	// Year 9999, so that whoever formats the time can.
	if !(math.Abs(ms) <= 253402300799999) {
		r.mismatch("NUMBER_VALUE can not be converted to a Date")
		return time.Time{}
	}
	return time.UnixMilli(int64(math.Round(ms))).UTC()
}

// number is the next number: n where it is whole, else x.
func (r *Reader) number() (x float64, n int64, whole bool) {
	if r.format == CBOR {
		return r.cborNumber()
	}
	text, whole := r.jsonNumber()
	if r.err != nil {
		return 0, 0, true
	}
	var err error
	if whole {
		if n, err = strconv.ParseInt(text, 10, 64); err == nil {
			return 0, n, true
		}
	}
	// What is too large becomes infinite, which no field takes.
	x, _ = strconv.ParseFloat(text, 64)
	return x, 0, false
}

// strict is the form that AWS takes: no padding bits, and new lines are ignored by the library only.
var strict = base64.StdEncoding.Strict()

// Blob is binary data as the body has it.
type Blob struct {
	raw []byte
	// base64 says that raw is text.
	base64 bool
}

// Len is how many bytes the data has.
func (b Blob) Len() int {
	if !b.base64 {
		return len(b.raw)
	}
	n := len(b.raw) / 4 * 3
	for i := len(b.raw) - 1; i >= 0 && i >= len(b.raw)-2 && b.raw[i] == '='; i-- {
		n--
	}
	return n
}

// Decode writes the data to dst, which has Len bytes. Error: *TypeError.
func (b Blob) Decode(dst []byte) error {
	if !b.base64 {
		copy(dst, b.raw)
		return nil
	}
	n, err := strict.Decode(dst, b.raw)
	if err != nil || n != len(dst) {
		return &TypeError{fmt.Sprintf("Blob is not valid base64: %d of %d characters are", n/3*4, len(b.raw))}
	}
	return nil
}

// Blob is the next value as binary data.
func (r *Reader) Blob() Blob {
	switch k := r.Kind(); {
	case k == Bytes:
		return Blob{raw: r.cborString(2)}
	case k == String && r.format == JSON:
		b := Blob{raw: r.jsonText(), base64: true}
		if len(b.raw)%4 != 0 {
			r.mismatch("Blob can not be converted: Base64 encoded length is expected a multiple of 4 bytes but found: %d", len(b.raw))
		}
		return b
	default:
		r.scalar(k, "a Blob")
	}
	return Blob{}
}

// Skip passes over a value.
func (r *Reader) Skip() {
	if r.err != nil {
		return
	}
	if r.format == CBOR {
		r.cborSkip()
		return
	}
	r.jsonSkip()
}

// end is behind the body's only value.
func (r *Reader) end() {
	if r.err == nil && !r.atEnd() {
		r.syntax()
	}
}

// scalar reports a value that is none of the type wanted.
func (r *Reader) scalar(k Kind, want string) {
	switch k {
	case Bool, Number, String, Bytes, Null:
		r.mismatch("%s can not be converted to %s", r.token(k), want)
	default:
		r.unexpected(k, want)
	}
}

func (r *Reader) unexpected(k Kind, want string) {
	switch k {
	case Invalid:
		r.syntax()
	case Array:
		r.mismatch("Start of list found where not expected")
	case Object:
		r.mismatch("Start of structure or map found where not expected.")
	default:
		if want == "list" || want == "map" {
			r.mismatch("Expected %s or null", want)
			return
		}
		r.mismatch("Unexpected field type")
	}
}

// token is what AWS calls a value of the kind.
func (r *Reader) token(k Kind) string {
	switch k {
	case Bool:
		if r.format == JSON && r.b[r.pos] == 't' || r.format == CBOR && r.b[r.pos] == 0xf5 {
			return "TRUE_VALUE"
		}
		return "FALSE_VALUE"
	case Number:
		return "NUMBER_VALUE"
	case Null:
		return "NULL_VALUE"
	case Bytes:
		return "BLOB_VALUE"
	}
	return "STRING_VALUE"
}
