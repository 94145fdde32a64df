package expr

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
)

// maxRepeat is how many bytes REPEAT, LPAD and RPAD make of one value; beyond it is NULL.
const maxRepeat = 64 << 10

// texts is a function of arguments of the given types to a text.
func texts(types []column.Type, fn func(dst []byte, v []value) ([]byte, bool)) func(*compiler, *ast.Call) (node, error) {
	return func(c *compiler, e *ast.Call) (node, error) {
		return c.scalar(e, 0, text, types, &scalar{text: fn})
	}
}

// wholesOf is a function of arguments of the given types to a bigint.
func wholesOf(types []column.Type, fn func(v []value) (int64, bool)) func(*compiler, *ast.Call) (node, error) {
	return func(c *compiler, e *ast.Call) (node, error) {
		return c.scalar(e, 0, bigint, types, &scalar{whole: fn})
	}
}

func booleansOf(types []column.Type, fn func(v []value) bool) func(*compiler, *ast.Call) (node, error) {
	return func(c *compiler, e *ast.Call) (node, error) {
		return c.scalar(e, 0, boolean, types, &scalar{whole: func(v []value) (int64, bool) { return int64(bit(fn(v))), true }})
	}
}

// skip is s without its first n characters.
func skip(s []byte, n int64) []byte {
	for ; n > 0 && len(s) > 0; n-- {
		_, size := utf8.DecodeRune(s)
		s = s[size:]
	}
	return s
}

func substr(dst []byte, v []value) ([]byte, bool) {
	count := int64(1) << 40
	if len(v) == 3 {
		count = v[2].i
	}
	return append(dst, slice(v[0].s, v[1].i, count)...), true
}

// left is the first n characters, or all but the last -n.
func left(dst []byte, v []value) ([]byte, bool) {
	n := v[1].i
	if n < 0 {
		n = max(0, int64(utf8.RuneCount(v[0].s))+max(n, -1<<40))
	}
	return append(dst, v[0].s[:len(v[0].s)-len(skip(v[0].s, n))]...), true
}

// right is the last n characters, or all but the first -n.
func right(dst []byte, v []value) ([]byte, bool) {
	n := v[1].i
	if n < 0 {
		return append(dst, skip(v[0].s, -max(n, -1<<40))...), true
	}
	return append(dst, skip(v[0].s, max(0, int64(utf8.RuneCount(v[0].s))-n))...), true
}

// splitPart is field n, from 1 on or from the end; empty if there is none.
func splitPart(dst []byte, v []value) ([]byte, bool) {
	s, sep, n := v[0].s, v[1].s, v[2].i
	if n == 0 {
		return dst, false
	}
	if len(sep) == 0 {
		if n == 1 || n == -1 {
			dst = append(dst, s...)
		}
		return dst, true
	}
	if n < 0 {
		n += int64(bytes.Count(s, sep)) + 2
		if n < 1 {
			return dst, true
		}
	}
	for ; n > 1; n-- {
		at := bytes.Index(s, sep)
		if at < 0 {
			return dst, true
		}
		s = s[at+len(sep):]
	}
	if at := bytes.Index(s, sep); at >= 0 {
		s = s[:at]
	}
	return append(dst, s...), true
}

func replace(dst []byte, v []value) ([]byte, bool) {
	s, from, to := v[0].s, v[1].s, v[2].s
	if len(from) == 0 {
		return append(dst, s...), true
	}
	limit := len(dst) + maxText
	for {
		at := bytes.Index(s, from)
		if at < 0 {
			return append(dst, s...), true
		}
		dst = append(append(dst, s[:at]...), to...)
		s = s[at+len(from):]
		if len(dst) > limit {
			return dst, false
		}
	}
}

// pad fills a text up to a number of characters, or cuts it.
func pad(front bool) func(dst []byte, v []value) ([]byte, bool) {
	return func(dst []byte, v []value) ([]byte, bool) {
		s, n, fill := v[0].s, v[1].i, []byte(" ")
		if len(v) == 3 {
			fill = v[2].s
		}
		if n < 0 {
			n = 0
		}
		missing := n - int64(utf8.RuneCount(s))
		if missing <= 0 {
			return append(dst, s[:len(s)-len(skip(s, n))]...), true
		}
		if n > maxRepeat || len(fill) == 0 {
			return dst, false
		}
		if !front {
			dst = append(dst, s...)
		}
		for rest := fill; missing > 0; missing-- {
			_, size := utf8.DecodeRune(rest)
			dst = append(dst, rest[:size]...)
			if rest = rest[size:]; len(rest) == 0 {
				rest = fill
			}
		}
		if front {
			dst = append(dst, s...)
		}
		return dst, true
	}
}

func repeat(dst []byte, v []value) ([]byte, bool) {
	n := max(0, v[1].i)
	if len(v[0].s) == 0 {
		return dst, true
	}
	if n > maxRepeat || n*int64(len(v[0].s)) > maxRepeat {
		return dst, false
	}
	for ; n > 0; n-- {
		dst = append(dst, v[0].s...)
	}
	return dst, true
}

func reverse(dst []byte, v []value) ([]byte, bool) {
	for s := v[0].s; len(s) > 0; {
		_, size := utf8.DecodeLastRune(s)
		dst = append(dst, s[len(s)-size:]...)
		s = s[:len(s)-size]
	}
	return dst, true
}

func appendUpper(dst, s []byte) []byte { return appendFolded(dst, s, 'a', unicode.ToUpper) }

func appendLower(dst, s []byte) []byte { return appendFolded(dst, s, 'A', unicode.ToLower) }

// appendFolded changes the case of letters, of which the ASCII ones begin at first.
func appendFolded(dst, s []byte, first byte, fold func(rune) rune) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c-first < 26 {
				c ^= 0x20
			}
			dst, i = append(dst, c), i+1
			continue
		}
		r, size := utf8.DecodeRune(s[i:])
		dst, i = utf8.AppendRune(dst, fold(r)), i+size
	}
	return dst
}

// place is the character at which a text is found, from 1; 0 if it is not.
func place(s, sub []byte) int64 {
	at := bytes.Index(s, sub)
	if at < 0 {
		return 0
	}
	return int64(utf8.RuneCount(s[:at])) + 1
}

func initcap(dst, s []byte) []byte {
	start := true
	for _, r := range string(s) {
		letter := r >= '0' && r <= '9' || r >= utf8.RuneSelf || r|0x20 >= 'a' && r|0x20 <= 'z'
		if start {
			dst = append(dst, strings.ToUpper(string(r))...)
		} else {
			dst = append(dst, strings.ToLower(string(r))...)
		}
		start = !letter
	}
	return dst
}

// digest is the hexadecimal form of a checksum of a text or binary.
func digest(sum func(dst, b []byte) []byte) func(*compiler, *ast.Call) (node, error) {
	return func(c *compiler, e *ast.Call) (node, error) {
		x, err := c.bytes(e.Args[0], e.Name)
		if err != nil {
			return nil, err
		}
		return foldStrict(&scalar{t: text, args: []node{x}, text: func(dst []byte, v []value) ([]byte, bool) {
			return sum(dst, v[0].s), true
		}}), nil
	}
}

func md5Hex(dst, b []byte) []byte {
	sum := md5.Sum(b)
	return hex.AppendEncode(dst, sum[:])
}

func sha256Hex(dst, b []byte) []byte {
	sum := sha256.Sum256(b)
	return hex.AppendEncode(dst, sum[:])
}

// bytes compiles a text or binary.
func (c *compiler) bytes(e ast.Expr, function string) (node, error) {
	x, err := c.expr(e)
	if err != nil {
		return nil, err
	}
	if k := x.typ().Kind; k == column.Binary || k == column.JSON {
		return x, nil
	}
	return c.arg(e, text, function)
}

// encoding names one of base64, hex and utf8.
func encoding(e ast.Expr) (string, error) {
	s, ok := e.(*ast.String)
	if ok {
		switch name := strings.ToLower(s.Value); name {
		case "base64", "hex", "utf8", "utf-8":
			return strings.ReplaceAll(name, "-", ""), nil
		}
	}
	return "", e.Position().Errorf("the encoding must be 'base64', 'hex' or 'utf8'")
}

// buildEncode is ENCODE(bytes, encoding): text. A text is taken by its bytes.
func buildEncode(c *compiler, e *ast.Call) (node, error) {
	name, err := encoding(e.Args[1])
	if err != nil {
		return nil, err
	}
	x, err := c.bytes(e.Args[0], e.Name)
	if err != nil {
		return nil, err
	}
	return foldStrict(&scalar{t: text, args: []node{x}, text: func(dst []byte, v []value) ([]byte, bool) {
		switch name {
		case "base64":
			return base64.StdEncoding.AppendEncode(dst, v[0].s), true
		case "hex":
			return hex.AppendEncode(dst, v[0].s), true
		}
		return append(dst, v[0].s...), utf8.Valid(v[0].s)
	}}), nil
}

// buildDecode is DECODE(text, encoding): binary, NULL if the text is not of that encoding.
func buildDecode(c *compiler, e *ast.Call) (node, error) {
	name, err := encoding(e.Args[1])
	if err != nil {
		return nil, err
	}
	x, err := c.arg(e.Args[0], text, e.Name)
	if err != nil {
		return nil, err
	}
	return foldStrict(&scalar{t: binary, args: []node{x}, text: func(dst []byte, v []value) ([]byte, bool) {
		var err error
		switch name {
		case "base64":
			dst, err = base64.StdEncoding.AppendDecode(dst, v[0].s)
		case "hex":
			dst, err = hex.AppendDecode(dst, v[0].s)
		default:
			dst = append(dst, v[0].s...)
		}
		return dst, err == nil
	}}), nil
}

// concatWS joins texts with a separator and leaves NULLs out.
type concatWS struct {
	sep  node
	args []node
}

func buildConcatWS(c *compiler, e *ast.Call) (node, error) {
	n := &concatWS{}
	for i, a := range e.Args {
		x, err := c.expr(a)
		if err != nil {
			return nil, err
		}
		if !untyped(x) && !castable(x.typ().Kind, column.String) {
			return nil, a.Position().Errorf("%s cannot be joined to a text", one(typeName(x)))
		}
		if x, err = coerce(x, text, a.Position()); err != nil {
			return nil, err
		}
		if i == 0 {
			n.sep = x
		} else {
			n.args = append(n.args, x)
		}
	}
	return fold(n, append([]node{n.sep}, n.args...)...), nil
}

func (n *concatWS) typ() column.Type { return text }

func (n *concatWS) eval(x *exec) *column.Column {
	sep := n.sep.eval(x)
	cols := make([]*column.Column, len(n.args))
	for i, a := range n.args {
		cols[i] = a.eval(x)
	}
	t := x.temp(text)
	if x.err != nil {
		return &t.col
	}
	t.nullsOf(sep)
	w := t.writer()
	for _, i := range x.sel {
		w.row(i)
		if t.col.IsNull(int(i)) {
			continue
		}
		between := []byte(nil)
		for _, c := range cols {
			if !c.IsNull(int(i)) {
				w.buf = append(append(w.buf, between...), c.Text(int(i))...)
				between = sep.Text(int(i))
			}
		}
		if w.full(x) {
			break
		}
	}
	w.finish()
	x.release(sep)
	x.release(cols...)
	return &t.col
}
