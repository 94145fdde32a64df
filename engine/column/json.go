package column

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/bits"
	"strconv"
)

// AppendJSON appends row as a JSON object with the fields in schema order. Nulls are written as
// null; columns and fields that were not decoded are left out. Timestamps are RFC 3339 with Z, decimals are
// numbers, binary is base64, and floats are the shortest text that reads back the same; those that JSON
// cannot write become null.
func AppendJSON(dst []byte, b *Batch, row int) []byte {
	dst = append(dst, '{')
	first := true
	for i, c := range b.Columns {
		if c == nil {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(appendQuoted(dst, bytesOf(b.Schema.Fields[i].Name)), ':')
		dst = appendJSONValue(dst, c, row)
	}
	return append(dst, '}')
}

func appendJSONValue(dst []byte, c *Column, i int) []byte {
	if c.IsNull(i) {
		return append(dst, "null"...)
	}
	switch c.Type.Kind {
	case String:
		return appendQuoted(dst, c.Text(i))
	case Binary, Date, Time, Timestamp, UUID:
		return append(AppendText(append(dst, '"'), c, i), '"')
	case Float:
		return appendFloat(dst, float64(c.Float32s[i]), 32)
	case Double:
		return appendFloat(dst, c.Float64s[i], 64)
	case List:
		dst = append(dst, '[')
		for j := c.Offsets[i]; j < c.Offsets[i+1]; j++ {
			if j > c.Offsets[i] {
				dst = append(dst, ',')
			}
			dst = appendJSONValue(dst, c.Children[0], int(j))
		}
		return append(dst, ']')
	case Struct:
		dst = append(dst, '{')
		first := true
		for k, child := range c.Children {
			if child.Unread {
				continue
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(appendQuoted(dst, bytesOf(c.Type.Fields[k].Name)), ':')
			dst = appendJSONValue(dst, child, i)
		}
		return append(dst, '}')
	}
	return AppendText(dst, c, i)
}

// AppendText appends row i of c as text for people: strings as they are, lists and structs as JSON,
// NULL for null, and NaN and Inf for floats that are.
func AppendText(dst []byte, c *Column, i int) []byte {
	if c.IsNull(i) {
		return append(dst, "NULL"...)
	}
	switch c.Type.Kind {
	case Boolean:
		return strconv.AppendBool(dst, c.Bools.Get(i))
	case Int:
		return strconv.AppendInt(dst, int64(c.Int32s[i]), 10)
	case BigInt:
		return strconv.AppendInt(dst, c.Int64s[i], 10)
	case Float, Double:
		return appendFloatText(dst, c, i)
	case Decimal:
		return appendDecimal(dst, c, i)
	case String, JSON:
		return append(dst, c.Text(i)...)
	case Binary:
		return base64.StdEncoding.AppendEncode(dst, c.Text(i))
	case Date:
		return appendDate(dst, int64(c.Int32s[i]))
	case Time:
		return appendTime(dst, c.Int64s[i])
	case Timestamp:
		return AppendTimestamp(dst, c.Int64s[i])
	case UUID:
		return appendUUID(dst, c.Fixed[16*i:16*i+16])
	}
	return appendJSONValue(dst, c, i)
}

func appendFloatText(dst []byte, c *Column, i int) []byte {
	v, size := 0.0, 64
	if c.Type.Kind == Float {
		v, size = float64(c.Float32s[i]), 32
	} else {
		v = c.Float64s[i]
	}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.AppendFloat(dst, v, 'g', -1, 64)
	}
	return appendFloat(dst, v, size)
}

// appendFloat writes v as encoding/json does.
func appendFloat(dst []byte, v float64, size int) []byte {
	abs := math.Abs(v)
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return append(dst, "null"...)
	case v == math.Trunc(v) && abs < 1<<53 && size == 64 && (v != 0 || !math.Signbit(v)):
		return strconv.AppendInt(dst, int64(v), 10)
	case abs != 0 && (abs < 1e-6 || abs >= 1e21):
		dst = strconv.AppendFloat(dst, v, 'e', -1, size)
		if n := len(dst); dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
			dst[n-2] = dst[n-1]
			dst = dst[:n-1]
		}
		return dst
	case size == 64 && v != 0 && abs < 1e9:
		// Decimals of up to 15 digits name different floats, so one of them that reads back as
		// v is the shortest.
		if u := uint64(abs*1e6 + 0.5); float64(u)/1e6 == abs {
			return appendMillionths(dst, math.Signbit(v), u)
		}
	}
	return strconv.AppendFloat(dst, v, 'f', -1, size)
}

func appendMillionths(dst []byte, negative bool, u uint64) []byte {
	if negative {
		dst = append(dst, '-')
	}
	dst = append(strconv.AppendUint(dst, u/1e6, 10), '.')
	part := int(u % 1e6)
	return trimZeros(append2(append2(append2(dst, part/10000), part/100%100), part%100))
}

// trimZeros drops the zeros at the end of a fraction that is not zero.
func trimZeros(dst []byte) []byte {
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

func appendDecimal(dst []byte, c *Column, i int) []byte {
	var hi, lo uint64
	if c.Type.Wide() {
		hi, lo = binary.BigEndian.Uint64(c.Fixed[16*i:]), binary.BigEndian.Uint64(c.Fixed[16*i+8:])
	} else {
		lo = uint64(c.Int64s[i])
		hi = uint64(c.Int64s[i] >> 63)
	}
	if int64(hi) < 0 {
		dst = append(dst, '-')
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	var text [40]byte
	n := len(text)
	for digits := 0; hi|lo != 0 || digits <= c.Type.Scale; digits++ {
		if digits == c.Type.Scale && digits > 0 {
			n--
			text[n] = '.'
		}
		var rest uint64
		hi, rest = hi/10, hi%10
		lo, rest = bits.Div64(rest, lo, 10)
		n--
		text[n] = byte('0' + rest)
	}
	return append(dst, text[n:]...)
}

func appendUUID(dst, id []byte) []byte {
	dst = append(hex.AppendEncode(dst, id[:4]), '-')
	dst = append(hex.AppendEncode(dst, id[4:6]), '-')
	dst = append(hex.AppendEncode(dst, id[6:8]), '-')
	dst = append(hex.AppendEncode(dst, id[8:10]), '-')
	return hex.AppendEncode(dst, id[10:16])
}

// appendQuoted appends s, which is UTF-8, as a JSON string.
func appendQuoted(dst, s []byte) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		if i = unquotable(s, i); i == len(s) {
			break
		}
		dst = append(append(dst, s[from:i]...), '\\')
		from = i + 1
		switch c := s[i]; c {
		case '"', '\\':
			dst = append(dst, c)
		case '\n':
			dst = append(dst, 'n')
		case '\r':
			dst = append(dst, 'r')
		case '\t':
			dst = append(dst, 't')
		default:
			const digits = "0123456789abcdef"
			dst = append(dst, 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	return append(append(dst, s[from:]...), '"')
}

// unquotable is the index at or after i of the first byte that needs an escape, or len(s).
func unquotable(s []byte, i int) int {
	for ; i+8 <= len(s); i += 8 {
		w := binary.LittleEndian.Uint64(s[i:])
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		if stop := ((quote-ones)&^quote | (slash-ones)&^slash | (w-ones*' ')&^w) & highs; stop != 0 {
			return i + bits.TrailingZeros64(stop)>>3
		}
	}
	for ; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' || s[i] < ' ' {
			return i
		}
	}
	return i
}
