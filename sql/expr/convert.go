package expr

import (
	"bytes"
	"encoding/hex"
	"math"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/decimal"
	"github.com/millrace-io/millrace/sql/temporal"
)

// convert is a cast between scalar types. What does not fit or cannot be read is NULL.
type convert struct {
	x  node
	to column.Type
}

func (c *convert) typ() column.Type { return c.to }

// castable reports whether convert knows the way.
func castable(from, to column.Kind) bool {
	number := func(k column.Kind) bool {
		switch k {
		case column.Int, column.BigInt, column.Float, column.Double:
			return true
		}
		return false
	}
	switch {
	case from == interval.Kind || to == interval.Kind || from == column.List || to == column.List || from == column.Struct || to == column.Struct:
		return false
	case from == to:
		return true
	case to == column.String:
		return from != column.Binary
	case to == column.Decimal:
		return number(from) || from == column.Boolean || from == column.String
	case to == column.UUID, to == column.Binary, to == column.JSON:
		return from == column.String
	case to == column.Time:
		return from == column.String || from == column.Timestamp
	case number(to):
		return number(from) || from == column.Boolean || from == column.String || from == column.Decimal
	case to == column.Boolean:
		return number(from) || from == column.String || from == column.Decimal
	case to == column.Timestamp:
		return from == column.String || from == column.Date
	case to == column.Date:
		return from == column.String || from == column.Timestamp
	}
	return false
}

func (c *convert) eval(x *exec) *column.Column {
	in := c.x.eval(x)
	t := x.temp(c.to)
	if x.err != nil {
		return &t.col
	}
	t.nullsOf(in)
	switch c.to.Kind {
	case column.String:
		toText(x, t, in)
	case column.BigInt:
		toBigInt(t, in, x.sel)
	case column.Int:
		toInt(x, t, in)
	case column.Double:
		toDouble(t, in, x.sel)
	case column.Float:
		toFloat(x, t, in)
	case column.Boolean:
		toBoolean(t, in, x.sel)
	case column.Timestamp:
		toTimestamp(t, in, x.sel)
	case column.Date:
		toDate(t, in, x.sel)
	case column.Decimal:
		toDecimal(t, in, x.sel)
	case column.Time:
		toClock(t, in, x.sel)
	case column.UUID:
		toUUID(t, in, x.sel)
	case column.Binary, column.JSON:
		toBytes(x, t, in)
	}
	x.release(in)
	return &t.col
}

func toBigInt(t *temp, in *column.Column, sel []int32) {
	out := t.int64s()
	switch in.Type.Kind {
	case column.Int, column.Date:
		for _, i := range sel {
			out[i] = int64(in.Int32s[i])
		}
	case column.BigInt, column.Timestamp, column.Time:
		copy(out, in.Int64s)
	case column.Boolean:
		for _, i := range sel {
			out[i] = int64(bit(in.Bools.Get(int(i))))
		}
	case column.String:
		for _, i := range sel {
			if in.IsNull(int(i)) {
				continue
			}
			v, ok := parseInt(in.Text(int(i)))
			if out[i] = v; !ok {
				t.setNull(i)
			}
		}
	case column.Decimal:
		for _, i := range sel {
			v, ok := wideAt(in, i).Rescale(in.Type.Scale, 0, decimal.HalfAway)
			n, fits := v.Int()
			if out[i] = n; !ok || !fits {
				t.setNull(i)
			}
		}
	default:
		for _, i := range sel {
			f := math.RoundToEven(number(in, i))
			if !(f >= -1<<63 && f < 1<<63) {
				t.setNull(i)
				continue
			}
			out[i] = int64(f)
		}
	}
}

// parseInt reads a whole number; a fraction is rounded as in a cast of a double, but of all of its digits.
func parseInt(b []byte) (int64, bool) {
	s := strings.TrimSpace(string(b))
	if v, err := strconv.ParseInt(s, 10, 64); err == nil {
		return v, true
	}
	if whole, fraction, point := strings.Cut(s, "."); point && fraction != "" && strings.Trim(fraction, "0123456789") == "" {
		return roundEven(whole, fraction)
	}
	f, ok := parseFloat(b)
	f = math.RoundToEven(f)
	if !ok || !(f >= -1<<63 && f < 1<<63) {
		return 0, false
	}
	return int64(f), true
}

// roundEven is the number of digits before and behind a point, rounded half to even.
func roundEven(whole, fraction string) (int64, bool) {
	if strings.TrimLeft(whole, "+-") == "" && len(whole) < 2 {
		whole += "0"
	}
	v, err := strconv.ParseInt(whole, 10, 64)
	half := strings.TrimRight(fraction, "0") == "5"
	if err != nil || fraction[0] < '5' || half && v%2 == 0 {
		return v, err == nil
	}
	if whole[0] == '-' {
		return v - 1, v > math.MinInt64
	}
	return v + 1, v < math.MaxInt64
}

func parseFloat(b []byte) (float64, bool) {
	s := strings.TrimSpace(string(b))
	if strings.ContainsAny(s, "xX_nN") {
		// Hexadecimal, digit groups, inf and nan are Go's, not SQL's.
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && finite(f)
}

// number is row i of a numeric column other than BigInt and Int.
func number(c *column.Column, i int32) float64 {
	switch c.Type.Kind {
	case column.Float:
		return float64(c.Float32s[i])
	case column.Double:
		return c.Float64s[i]
	default:
		return wideAt(c, i).Float() / math.Pow10(c.Type.Scale)
	}
}

func toInt(x *exec, t *temp, in *column.Column) {
	wide := x.temp(bigint)
	wide.nullsOf(in)
	toBigInt(wide, in, x.sel)
	t.nullsOf(&wide.col)
	out := t.int32s()
	for _, i := range x.sel {
		v := wide.col.Int64s[i]
		if out[i] = int32(v); int64(out[i]) != v {
			t.setNull(i)
		}
	}
	x.release(&wide.col)
}

func toDouble(t *temp, in *column.Column, sel []int32) {
	out := t.float64s()
	switch in.Type.Kind {
	case column.Double:
		copy(out, in.Float64s)
	case column.Int:
		for _, i := range sel {
			out[i] = float64(in.Int32s[i])
		}
	case column.BigInt:
		for _, i := range sel {
			out[i] = float64(in.Int64s[i])
		}
	case column.Boolean:
		for _, i := range sel {
			out[i] = float64(bit(in.Bools.Get(int(i))))
		}
	case column.String:
		for _, i := range sel {
			if in.IsNull(int(i)) {
				continue
			}
			v, ok := parseFloat(in.Text(int(i)))
			if out[i] = v; !ok {
				t.setNull(i)
			}
		}
	default:
		for _, i := range sel {
			if !in.IsNull(int(i)) {
				out[i] = number(in, i)
			}
		}
	}
}

func toFloat(x *exec, t *temp, in *column.Column) {
	wide := x.temp(double)
	wide.nullsOf(in)
	toDouble(wide, in, x.sel)
	t.nullsOf(&wide.col)
	out := t.float32s()
	for _, i := range x.sel {
		if out[i] = float32(wide.col.Float64s[i]); out[i]-out[i] != 0 {
			t.setNull(i)
		}
	}
	x.release(&wide.col)
}

func toBoolean(t *temp, in *column.Column, sel []int32) {
	out := t.bits()
	for _, i := range sel {
		if in.IsNull(int(i)) {
			continue
		}
		v, ok := truth(in, i)
		if !ok {
			t.setNull(i)
		}
		out[i>>3] |= byte(bit(v)) << (i & 7)
	}
}

func truth(c *column.Column, i int32) (v, ok bool) {
	switch c.Type.Kind {
	case column.Boolean:
		return c.Bools.Get(int(i)), true
	case column.Int:
		return c.Int32s[i] != 0, true
	case column.BigInt:
		return c.Int64s[i] != 0, true
	case column.String:
		switch strings.ToLower(strings.TrimSpace(string(c.Text(int(i))))) {
		case "true", "t", "1":
			return true, true
		case "false", "f", "0":
			return false, true
		}
		return false, false
	}
	return number(c, i) != 0, true
}

func toTimestamp(t *temp, in *column.Column, sel []int32) {
	out := t.int64s()
	for _, i := range sel {
		if in.IsNull(int(i)) {
			continue
		}
		switch in.Type.Kind {
		case column.Timestamp:
			out[i] = in.Int64s[i]
		case column.Date:
			v, ok := temporal.MulInt(int64(in.Int32s[i]), temporal.Day)
			if out[i] = v; !ok {
				t.setNull(i)
			}
		default:
			v, ok := temporal.ParseTimestamp(bytes.TrimSpace(in.Text(int(i))))
			if out[i] = v; !ok {
				t.setNull(i)
			}
		}
	}
}

func toDate(t *temp, in *column.Column, sel []int32) {
	out := t.int32s()
	for _, i := range sel {
		if in.IsNull(int(i)) {
			continue
		}
		switch in.Type.Kind {
		case column.Date:
			out[i] = in.Int32s[i]
		case column.Timestamp:
			v := in.Int64s[i]
			out[i] = int32((v - temporal.FloorMod(v, temporal.Day)) / temporal.Day)
		default:
			// A timestamp is cut to its day.
			v, ok := temporal.ParseTimestamp(bytes.TrimSpace(in.Text(int(i))))
			out[i] = int32((v - temporal.FloorMod(v, temporal.Day)) / temporal.Day)
			if !ok {
				t.setNull(i)
			}
		}
	}
}

func toText(x *exec, t *temp, in *column.Column) {
	w := t.writer()
	for _, i := range x.sel {
		w.row(i)
		if !in.IsNull(int(i)) {
			w.buf = appendText(w.buf, in, i)
			if w.full(x) {
				break
			}
		}
	}
	w.finish()
}

// appendText appends row i as its JSON form, without quotes.
func appendText(dst []byte, c *column.Column, i int32) []byte {
	switch c.Type.Kind {
	case column.Boolean:
		return strconv.AppendBool(dst, c.Bools.Get(int(i)))
	case column.Int:
		return strconv.AppendInt(dst, int64(c.Int32s[i]), 10)
	case column.BigInt:
		return strconv.AppendInt(dst, c.Int64s[i], 10)
	case column.Float:
		return appendFloat(dst, float64(c.Float32s[i]), 32)
	case column.Double:
		return appendFloat(dst, c.Float64s[i], 64)
	case column.Date:
		return temporal.AppendDate(dst, c.Int32s[i])
	case column.Time:
		return temporal.AppendClock(dst, c.Int64s[i])
	case column.Timestamp:
		return temporal.AppendTimestamp(dst, c.Int64s[i])
	case column.UUID:
		return appendUUID(dst, c.Fixed[16*i:16*i+16])
	case column.Decimal:
		return decimal.Append(dst, wideAt(c, i), c.Type.Scale)
	default:
		return append(dst, c.Text(int(i))...)
	}
}

// appendFloat writes plain digits as long as they are readable, as JSON does.
func appendFloat(dst []byte, f float64, bits int) []byte {
	form := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		form = 'e'
	}
	return strconv.AppendFloat(dst, f, form, -1, bits)
}

func appendUUID(dst, b []byte) []byte {
	for i, part := range [][]byte{b[:4], b[4:6], b[6:8], b[8:10], b[10:16]} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, part)
	}
	return dst
}

func toClock(t *temp, in *column.Column, sel []int32) {
	out := t.int64s()
	for _, i := range sel {
		switch {
		case in.IsNull(int(i)):
		case in.Type.Kind == column.String:
			v, ok := temporal.ParseClock(bytes.TrimSpace(in.Text(int(i))))
			if out[i] = v; !ok {
				t.setNull(i)
			}
		case in.Type.Kind == column.Timestamp:
			out[i] = temporal.FloorMod(in.Int64s[i], temporal.Day)
		default:
			out[i] = in.Int64s[i]
		}
	}
}

func toUUID(t *temp, in *column.Column, sel []int32) {
	out := t.sixteens()
	for _, i := range sel {
		if in.IsNull(int(i)) {
			continue
		}
		if in.Type.Kind == column.UUID {
			copy(out[16*i:16*i+16], in.Fixed[16*i:])
		} else if !parseUUID(out[16*i:16*i+16], bytes.TrimSpace(in.Text(int(i)))) {
			t.setNull(i)
		}
	}
}

// parseUUID reads the form 8-4-4-4-12 in either case.
func parseUUID(dst, s []byte) bool {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return false
	}
	for _, p := range [][3]int{{0, 0, 8}, {4, 9, 13}, {6, 14, 18}, {8, 19, 23}, {10, 24, 36}} {
		if _, err := hex.Decode(dst[p[0]:], s[p[1]:p[2]]); err != nil {
			return false
		}
	}
	return true
}

// toBytes is text as bytes, or as JSON if it is some.
func toBytes(x *exec, t *temp, in *column.Column) {
	w := t.writer()
	for _, i := range x.sel {
		w.row(i)
		if in.IsNull(int(i)) {
			continue
		}
		v, ok := in.Text(int(i)), true
		if t.col.Type.Kind == column.JSON && in.Type.Kind != column.JSON {
			from := len(w.buf)
			if w.buf, ok = appendCompact(w.buf, v); !ok {
				w.buf = w.buf[:from]
				t.setNull(i)
			}
		} else {
			w.buf = append(w.buf, v...)
		}
		if w.full(x) {
			break
		}
	}
	w.finish()
}
