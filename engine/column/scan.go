package column

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/jsonscan"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

func space(b []byte, i int) int {
	if i < len(b) && b[i] > ' ' {
		return i
	}
	return jsonscan.Space(b, i)
}

// quoted finds the closing quote of the string whose text starts at i, eight bytes at a time, and
// tells whether it has escapes and bytes that are not ASCII (plain may be false for nothing, when
// such bytes follow the string). It stops with ok false at a control character or at the end.
func quoted(b []byte, i int) (end int, escaped, plain, ok bool) {
	var high uint64
	for {
		var stop uint64
		for i+8 <= len(b) {
			w := binary.LittleEndian.Uint64(b[i:])
			quote, slash := w^(ones*'"'), w^(ones*'\\')
			stop = ((quote-ones)&^quote | (slash-ones)&^slash | (w-ones*' ')&^w) & highs
			high |= w & highs
			if stop != 0 {
				i += bits.TrailingZeros64(stop) >> 3
				break
			}
			i += 8
		}
		for stop == 0 && i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= ' ' {
			high |= uint64(b[i] & 0x80)
			i++
		}
		switch {
		case i >= len(b) || b[i] < ' ':
			return i, escaped, high == 0, false
		case b[i] == '"':
			return i, escaped, high == 0, true
		}
		escaped = true
		i += 2
	}
}

// text is the text of the string whose opening quote is at i, unescaped and known to be UTF-8.
// It aliases b or the decoder's scratch memory. end is negative when the row is bad.
func (d *Decoder) text(b []byte, i int) (s []byte, end int) {
	end, escaped, plain, ok := quoted(b, i+1)
	if !ok {
		return nil, d.badString(b, i)
	}
	s = b[i+1 : end]
	if !plain && !utf8.Valid(s) {
		return nil, d.fail(CodeInvalidUTF8, i, "a string is not UTF-8")
	}
	if !escaped {
		return s, end + 1
	}
	if !d.escapes(b, i, end) {
		return nil, -1
	}
	d.scratch = slices.Grow(d.scratch[:0], end-i)
	s, err := jsonscan.Text(d.scratch, b[i:end+1])
	if err != nil {
		return nil, d.badString(b, i)
	}
	return s, end + 1
}

// badString reports what is wrong with the string at i.
func (d *Decoder) badString(b []byte, i int) int {
	_, _, err := jsonscan.String(b, i)
	return d.failSyntax(err)
}

// escapes checks the escapes of the string from i to its closing quote at end. Unlike
// encoding/json, half a surrogate pair is an error: it has no UTF-8 form, so it would be lost.
func (d *Decoder) escapes(b []byte, i, end int) bool {
	if _, _, err := jsonscan.String(b, i); err != nil {
		d.failSyntax(err)
		return false
	}
	for j := i + 1; j < end; j++ {
		if b[j] != '\\' {
			continue
		}
		if b[j+1] != 'u' {
			j++
			continue
		}
		switch surrogate(b[j+2 : j+6]) {
		case 1:
			if j+12 <= end && b[j+6] == '\\' && b[j+7] == 'u' && surrogate(b[j+8:j+12]) == 2 {
				j += 11
				continue
			}
			fallthrough
		case 2:
			d.fail(CodeInvalidUTF8, j, "half a surrogate pair")
			return false
		}
		j += 5
	}
	return true
}

// surrogate is 1 for the hexadecimal digits of a first half, 2 for those of a second, else 0.
func surrogate(hex []byte) int {
	if hex[0]|0x20 != 'd' {
		return 0
	}
	switch c := hex[1] | 0x20; {
	case c == '8' || c == '9' || c == 'a' || c == 'b':
		return 1
	case c >= 'c' && c <= 'f':
		return 2
	}
	return 0
}

// skipString checks the string at i and returns the index after it, negative when it is bad.
func (d *Decoder) skipString(b []byte, i int) int {
	end, escaped, plain, ok := quoted(b, i+1)
	switch {
	case !ok:
		return d.badString(b, i)
	case !plain && !utf8.Valid(b[i+1:end]):
		return d.fail(CodeInvalidUTF8, i, "a string is not UTF-8")
	case escaped && !d.escapes(b, i, end):
		return -1
	}
	return end + 1
}

// skip checks the value at i and returns the index after it, negative when it is bad. depth is
// how much deeper it may nest.
func (d *Decoder) skip(b []byte, i, depth int) int {
	if i >= len(b) {
		return d.want(b, i, "a value")
	}
	switch c := b[i]; c {
	case '"':
		return d.skipString(b, i)
	case '{', '[':
		return d.skipNested(b, i, depth)
	case 't':
		return d.literal(b, i, "true")
	case 'f':
		return d.literal(b, i, "false")
	case 'n':
		return d.literal(b, i, "null")
	}
	// Most numbers are plain digits; the rest is jsonscan's.
	j := i
	for j < len(b) && b[j]-'0' <= 9 {
		j++
	}
	if j > i && b[i] != '0' && !more(b, j) {
		return j
	}
	end, _, err := jsonscan.Number(b, i)
	if err != nil {
		return d.failSyntax(err)
	}
	return end
}

func (d *Decoder) skipNested(b []byte, i, depth int) int {
	if depth == 0 {
		return d.fail(CodeTooDeep, i, "nested more than 64 deep")
	}
	object, closing := b[i] == '{', b[i]+2
	if i = space(b, i+1); i < len(b) && b[i] == closing {
		return i + 1
	}
	for {
		if object {
			if i >= len(b) || b[i] != '"' {
				return d.want(b, i, "a key")
			}
			if i = d.skipString(b, i); i < 0 {
				return i
			}
			if i = space(b, i); i >= len(b) || b[i] != ':' {
				return d.want(b, i, "':' after the key")
			}
			i = space(b, i+1)
		}
		if i = d.skip(b, i, depth-1); i < 0 {
			return i
		}
		i = space(b, i)
		if i < len(b) && b[i] == closing {
			return i + 1
		}
		if i >= len(b) || b[i] != ',' {
			return d.want(b, i, "',' or '"+string(closing)+"'")
		}
		i = space(b, i+1)
	}
}

func (d *Decoder) literal(b []byte, i int, word string) int {
	if len(b)-i >= len(word) && string(b[i:i+len(word)]) == word {
		return i + len(word)
	}
	return d.want(b, i, word)
}

// appendCompact appends valid JSON without the white space between its tokens.
func appendCompact(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		switch c := raw[i]; c {
		case ' ', '\t', '\r', '\n':
			i++
		case '"':
			end, _, _, _ := quoted(raw, i+1)
			dst = append(dst, raw[i:end+1]...)
			i = end + 1
		default:
			dst = append(dst, c)
			i++
		}
	}
	return dst
}
