package expr

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
)

// concat joins texts. With strict set, one NULL makes the whole NULL (||), else NULLs are
// left out (CONCAT).
type concat struct {
	strict bool
	args   []node
}

func (n *concat) typ() column.Type { return text }

func (n *concat) eval(x *exec) *column.Column {
	cols := make([]*column.Column, len(n.args))
	for i, a := range n.args {
		cols[i] = a.eval(x)
	}
	t := x.temp(text)
	if x.err != nil {
		return &t.col
	}
	if n.strict {
		t.nullsOf(cols...)
	}
	w := t.writer()
	for _, i := range x.sel {
		w.row(i)
		if t.col.IsNull(int(i)) {
			continue
		}
		for _, c := range cols {
			if !c.IsNull(int(i)) {
				w.buf = append(w.buf, c.Text(int(i))...)
			}
		}
		if w.full(x) {
			break
		}
	}
	w.finish()
	x.release(cols...)
	return &t.col
}

// join compiles a chain of || to one concat, so that its texts are copied once.
func (c *compiler) join(e *ast.Binary) (node, error) {
	var parts []ast.Expr
	var left ast.Expr = e
	for {
		b, ok := left.(*ast.Binary)
		if !ok || b.Op != "||" || c.replaced(b) {
			break
		}
		parts, left = append(parts, b.R), b.L
	}
	parts = append(parts, left)
	slices.Reverse(parts)
	args := make([]node, len(parts))
	for i, p := range parts {
		n, err := c.expr(p)
		if err != nil {
			return nil, err
		}
		args[i] = n
	}
	return c.concat(args, parts, true)
}

func (c *compiler) concat(args []node, at []ast.Expr, strict bool) (node, error) {
	for i, n := range args {
		if !untyped(n) && !castable(n.typ().Kind, column.String) {
			return nil, at[i].Position().Errorf("%s cannot be joined to a text", one(nameOf(n.typ())))
		}
		var err error
		if args[i], err = coerce(n, text, at[i].Position()); err != nil {
			return nil, err
		}
	}
	return fold(&concat{strict: strict, args: args}, args...), nil
}

// slice cuts characters out of s. A start below 1 uses up length, as in PostgreSQL.
func slice(s []byte, start, length int64) []byte {
	if length <= 0 || start > int64(len(s)) {
		return nil
	}
	if start < 1 {
		if start < -1<<40 {
			return nil
		}
		length = min(length, 1<<40) + start - 1
		start = 1
	}
	for ; start > 1 && len(s) > 0; start-- {
		_, n := utf8.DecodeRune(s)
		s = s[n:]
	}
	end := 0
	for ; length > 0 && end < len(s); length-- {
		_, n := utf8.DecodeRune(s[end:])
		end += n
	}
	return s[:end]
}

// like compiles LIKE with a literal pattern.
func (c *compiler) like(e *ast.Like) (node, error) {
	x, err := c.expr(e.X)
	if err != nil {
		return nil, err
	}
	if !untyped(x) && !isText(x) {
		return nil, e.Errorf("LIKE needs a text, but this is of type %s", x.typ())
	}
	word := "LIKE"
	if e.Fold {
		word = "ILIKE"
	}
	pattern, ok := e.Pattern.(*ast.String)
	if !ok {
		return nil, e.Pattern.Position().Errorf("the pattern of %s must be a text literal", word)
	}
	if e.Fold {
		pattern = &ast.String{Pos: pattern.Pos, Value: strings.ToLower(pattern.Value)}
	}
	escape := rune(-1)
	if e.Escape != nil {
		s, ok := e.Escape.(*ast.String)
		if !ok || utf8.RuneCountInString(s.Value) != 1 {
			return nil, e.Escape.Position().Errorf("ESCAPE must be one character")
		}
		escape, _ = utf8.DecodeRuneInString(s.Value)
	}
	p, err := newPattern(pattern, escape)
	if err != nil {
		return nil, err
	}
	x, err = coerce(x, text, e.Pos)
	if err != nil {
		return nil, err
	}
	match := p.match
	if e.Fold {
		match = func(b []byte) bool {
			var buf [256]byte
			return p.match(appendLower(buf[:0], b))
		}
	}
	n := fold(&textTest{x: x, fn: match}, x)
	if e.Not {
		n = fold(&not{n}, n)
	}
	return n, nil
}

// pattern is a LIKE pattern as the pieces between %.
type pattern struct {
	// pieces have any for _.
	pieces [][]rune
	// plain are the pieces as bytes, when none has an _.
	plain [][]byte
}

const any1 = rune(-2)

func newPattern(p *ast.String, escape rune) (*pattern, error) {
	out := &pattern{pieces: [][]rune{nil}}
	last := func() *[]rune { return &out.pieces[len(out.pieces)-1] }
	escaped, plain := false, true
	for _, r := range p.Value {
		switch {
		case escaped:
			*last() = append(*last(), r)
			escaped = false
		case r == escape:
			escaped = true
		case r == '%':
			out.pieces = append(out.pieces, nil)
		case r == '_':
			*last() = append(*last(), any1)
			plain = false
		default:
			*last() = append(*last(), r)
		}
	}
	if escaped {
		return nil, p.Errorf("the pattern ends with its escape character")
	}
	if plain {
		for _, piece := range out.pieces {
			out.plain = append(out.plain, []byte(string(piece)))
		}
	}
	return out, nil
}

// match reports whether all of s matches. Each piece is taken at its first place, which finds a
// match if there is one, in time proportional to text × pattern at worst.
func (p *pattern) match(s []byte) bool {
	if p.plain != nil {
		return p.matchPlain(s)
	}
	n := prefix(s, p.pieces[0])
	if n < 0 {
		return false
	}
	if len(p.pieces) == 1 {
		return n == len(s)
	}
	s = s[n:]
	for _, piece := range p.pieces[1 : len(p.pieces)-1] {
		for n = prefix(s, piece); n < 0; n = prefix(s, piece) {
			if len(s) == 0 {
				return false
			}
			_, size := utf8.DecodeRune(s)
			s = s[size:]
		}
		s = s[n:]
	}
	final := p.pieces[len(p.pieces)-1]
	for extra := utf8.RuneCount(s) - len(final); extra > 0; extra-- {
		_, size := utf8.DecodeRune(s)
		s = s[size:]
	}
	return prefix(s, final) == len(s)
}

func (p *pattern) matchPlain(s []byte) bool {
	first, final := p.plain[0], p.plain[len(p.plain)-1]
	if len(p.plain) == 1 {
		return bytes.Equal(s, first)
	}
	if len(s) < len(first)+len(final) || !bytes.HasPrefix(s, first) || !bytes.HasSuffix(s, final) {
		return false
	}
	s = s[len(first) : len(s)-len(final)]
	for _, piece := range p.plain[1 : len(p.plain)-1] {
		at := bytes.Index(s, piece)
		if at < 0 {
			return false
		}
		s = s[at+len(piece):]
	}
	return true
}

// prefix is how many bytes of s the piece takes, -1 if s does not begin with it.
func prefix(s []byte, piece []rune) int {
	n := 0
	for _, want := range piece {
		r, size := utf8.DecodeRune(s[n:])
		if size == 0 || want != any1 && r != want {
			return -1
		}
		n += size
	}
	return n
}

// trimmer cuts characters off the ends of a text; blanks unless said otherwise.
func trimmer(set string, left, right bool) func(dst, s []byte) []byte {
	return func(dst, s []byte) []byte {
		if left {
			s = bytes.TrimLeftFunc(s, func(r rune) bool { return strings.ContainsRune(set, r) })
		}
		if right {
			s = bytes.TrimRightFunc(s, func(r rune) bool { return strings.ContainsRune(set, r) })
		}
		return append(dst, s...)
	}
}
