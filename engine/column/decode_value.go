package column

import "encoding/base64"

// value decodes the value at i into f's column and returns the index after it, negative when the
// row is bad.
func (d *Decoder) value(f *field, b []byte, i, depth int) int {
	if i >= len(b) {
		return d.want(b, i, "a value")
	}
	if b[i] == 'n' {
		if i = d.literal(b, i, "null"); i >= 0 {
			f.b.appendNull()
		}
		return i
	}
	switch f.typ.Kind {
	case String:
		return d.stringValue(f, b, i)
	case Int, BigInt:
		return d.integerValue(f, b, i)
	case Double:
		return d.doubleValue(f, b, i)
	case Timestamp:
		return d.timestampValue(f, b, i)
	case Boolean:
		return d.booleanValue(f, b, i)
	case Float:
		return d.floatValue(f, b, i)
	case Decimal:
		return d.decimalValue(f, b, i)
	case Date, Time, UUID, Binary:
		return d.spelledValue(f, b, i)
	case JSON:
		return d.jsonValue(f, b, i, depth)
	case List:
		return d.listValue(f, b, i, depth)
	case Struct:
		return d.structValue(f, b, i, depth)
	}
	return d.mismatch(b, i, f.typ)
}

func (d *Decoder) stringValue(f *field, b []byte, i int) int {
	if b[i] != '"' {
		if f.text {
			return d.scalarText(f, b, i)
		}
		return d.mismatch(b, i, f.typ)
	}
	s, end := d.text(b, i)
	if end >= 0 {
		f.b.appendText(s)
	}
	return end
}

// scalarText takes a number or boolean as it is written.
func (d *Decoder) scalarText(f *field, b []byte, i int) int {
	if b[i] == '{' || b[i] == '[' {
		return d.mismatch(b, i, f.typ)
	}
	end := d.skip(b, i, 1)
	if end >= 0 {
		f.b.appendText(b[i:end])
	}
	return end
}

func (d *Decoder) booleanValue(f *field, b []byte, i int) int {
	switch b[i] {
	case 't':
		if i = d.literal(b, i, "true"); i >= 0 {
			f.b.appendBool(true)
		}
		return i
	case 'f':
		if i = d.literal(b, i, "false"); i >= 0 {
			f.b.appendBool(false)
		}
		return i
	}
	return d.mismatch(b, i, f.typ)
}

func (d *Decoder) timestampValue(f *field, b []byte, i int) int {
	if b[i] != '"' {
		v, end := d.integer(f.typ, b, i)
		if end < 0 {
			return end
		}
		if v < minMillis || v > maxMillis {
			return d.outOfRange(b, i, f.typ)
		}
		f.b.appendInt64(v * 1000)
		return end
	}
	s, end := d.text(b, i)
	if end < 0 {
		return end
	}
	v, st := d.day.timestamp(s)
	if st != wellFormed {
		return d.malformed(st, b, i, f.typ)
	}
	f.b.appendInt64(v)
	return end
}

func (d *Decoder) malformed(st form, b []byte, i int, t Type) int {
	if st == outside {
		return d.outOfRange(b, i, t)
	}
	return d.mismatch(b, i, t)
}

// spelledValue decodes the types that are strings of a certain form.
func (d *Decoder) spelledValue(f *field, b []byte, i int) int {
	if b[i] != '"' {
		return d.mismatch(b, i, f.typ)
	}
	s, end := d.text(b, i)
	if end < 0 {
		return end
	}
	st := malformed
	switch f.typ.Kind {
	case Date:
		var days int64
		if len(s) == 10 {
			if days, st = d.day.days(s); st == wellFormed {
				f.b.appendInt32(int32(days))
			}
		}
	case Time:
		var v int64
		if v, st = timeOfDay(s); st == wellFormed {
			f.b.appendInt64(v)
		}
	case UUID:
		var id [16]byte
		if id, st = parseUUID(s); st == wellFormed {
			f.b.appendFixed(id)
		}
	case Binary:
		if text, err := base64.StdEncoding.AppendDecode(f.b.bytes, s); err == nil {
			f.b.bytes, st = text, wellFormed
			f.b.endText()
		}
	}
	if st != wellFormed {
		return d.malformed(st, b, i, f.typ)
	}
	return end
}

func (d *Decoder) jsonValue(f *field, b []byte, i, depth int) int {
	end := d.skip(b, i, depth)
	if end >= 0 {
		f.b.bytes = appendCompact(f.b.bytes, b[i:end])
		f.b.endText()
	}
	return end
}

func (d *Decoder) structValue(f *field, b []byte, i, depth int) int {
	if b[i] != '{' {
		return d.mismatch(b, i, f.typ)
	}
	end := d.object(f.object, b, i, depth)
	if end >= 0 {
		f.b.n++
	}
	return end
}

func (d *Decoder) listValue(f *field, b []byte, i, depth int) int {
	if b[i] != '[' {
		return d.mismatch(b, i, f.typ)
	}
	if depth == 0 {
		return d.fail(CodeTooDeep, i, "nested more than 64 deep")
	}
	for i = space(b, i+1); i >= len(b) || b[i] != ']'; {
		if d.size += f.elem.width; d.size > d.rowEnd || d.size > maxBatch {
			return d.fail(CodeTooLarge, i, "the row is too large")
		}
		if i = d.value(f.elem, b, i, depth-1); i < 0 {
			return i
		}
		if i = space(b, i); i < len(b) && b[i] == ',' {
			if i = space(b, i+1); i < len(b) && b[i] != ']' {
				continue
			}
			return d.want(b, i, "a value")
		}
		if i >= len(b) || b[i] != ']' {
			return d.want(b, i, "',' or ']'")
		}
	}
	f.b.endList()
	return i + 1
}

// parseUUID reads the form 123e4567-e89b-12d3-a456-426614174000 (RFC 9562), in either case.
func parseUUID(s []byte) (id [16]byte, st form) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, malformed
	}
	for i, at := range uuidDigits {
		hi, lo := hexValue[s[at]], hexValue[s[at+1]]
		if hi|lo > 15 {
			return id, malformed
		}
		id[i] = hi<<4 | lo
	}
	return id, wellFormed
}

// uuidDigits is where each byte of a UUID starts in its text.
var uuidDigits = [16]int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}

// hexValue is the value of a hexadecimal digit, 255 for any other byte.
var hexValue = func() (t [256]byte) {
	for i := range t {
		switch c := byte(i); {
		case c >= '0' && c <= '9':
			t[i] = c - '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			t[i] = c | 0x20 - 'a' + 10
		default:
			t[i] = 255
		}
	}
	return t
}()
