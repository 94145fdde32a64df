package expr

import (
	"bytes"
	"regexp/syntax"
	"unicode/utf8"
)

// straight is a regular expression at one place of which each next byte says how it goes on, so that nothing is ever
// tried again: texts, characters, runs that end at what follows them, and alternatives that begin with
// different bytes. Package regexp takes such an expression a character at a time and notes where it has been.
type straight struct {
	strides []stride
	// slots is how many places it finds, two for each group.
	slots int
}

// stride is a part of a straight expression.
type stride struct {
	op strideOp
	// text is that of strideText.
	text []byte
	// ahead are the characters of strideOne and strideRun, and what the first alternative of strideChoice begins with.
	ahead ahead
	// to is where the other alternative of strideChoice is, where strideJump goes, and the slot of strideMark.
	to int
	// least is how many characters strideRun takes at least.
	least int
}

type strideOp uint8

const (
	strideText strideOp = iota
	strideOne
	strideRun
	strideChoice
	strideJump
	strideMark
	strideBegin
	strideEnd
	strideFail
)

// maxSlots bounds the memory of a match, which is on the stack.
const maxSlots = 16

// ahead is what may come next: bytes, or the end of the text. Of characters that are not ASCII there are all or none.
type ahead struct {
	bytes [256]bool
	end   bool
	// always is set if whatever comes next will do.
	always bool
}

func (a ahead) or(b ahead) ahead {
	for i := range a.bytes {
		a.bytes[i] = a.bytes[i] || b.bytes[i]
	}
	a.end, a.always = a.end || b.end, a.always || b.always
	return a
}

func (a *ahead) meets(b *ahead) bool {
	for i := range a.bytes {
		if a.bytes[i] && b.bytes[i] {
			return true
		}
	}
	return a.end && b.end
}

// newStraight is nil if the expression is not straight.
func newStraight(t *syntax.Regexp) *straight {
	s := &straight{slots: 2 * (t.MaxCap() + 1)}
	rest := ahead{end: true, always: true}
	for i := range rest.bytes {
		rest.bytes[i] = true
	}
	if s.slots > maxSlots || !s.add(t, rest) {
		return nil
	}
	return s
}

// add appends the strides of t in front of what follows; false if they are not straight.
func (s *straight) add(t *syntax.Regexp, follow ahead) bool {
	next := stride{to: 2 * t.Cap}
	switch t.Op {
	case syntax.OpEmptyMatch:
		return true
	case syntax.OpNoMatch:
		next.op = strideFail
	case syntax.OpBeginText:
		next.op = strideBegin
	case syntax.OpEndText:
		next.op = strideEnd
	case syntax.OpLiteral:
		if next.text = literalOf(t); next.text == nil {
			return false
		}
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		next.op = strideOne
		var ok bool
		if next.ahead, ok = characters(t); !ok {
			return false
		}
	case syntax.OpStar, syntax.OpPlus:
		next.op, next.least = strideRun, int(t.Op-syntax.OpStar)
		var ok bool
		next.ahead, ok = characters(t.Sub[0])
		if !ok || t.Flags&syntax.NonGreedy != 0 || !follow.always && next.ahead.meets(&follow) {
			return false
		}
	case syntax.OpCapture:
		s.strides = append(s.strides, stride{op: strideMark, to: 2 * t.Cap})
		if !s.add(t.Sub[0], follow) {
			return false
		}
		next = stride{op: strideMark, to: 2*t.Cap + 1}
	case syntax.OpConcat:
		return s.addAll(t.Sub, follow)
	case syntax.OpAlternate:
		return s.choose(t.Sub, follow)
	case syntax.OpQuest:
		return t.Flags&syntax.NonGreedy == 0 && s.choose([]*syntax.Regexp{t.Sub[0], {Op: syntax.OpEmptyMatch}}, follow)
	default:
		return false
	}
	s.strides = append(s.strides, next)
	return true
}

func (s *straight) addAll(parts []*syntax.Regexp, follow ahead) bool {
	follows := make([]ahead, len(parts))
	for i := len(parts) - 1; i >= 0; i-- {
		follows[i] = follow
		follow = first(parts[i], follow)
	}
	for i, p := range parts {
		if !s.add(p, follows[i]) {
			return false
		}
	}
	return true
}

// choose appends alternatives, of which no two may begin with the same byte.
func (s *straight) choose(parts []*syntax.Regexp, follow ahead) bool {
	var met ahead
	var jumps []int
	for i, p := range parts {
		begin := first(p, follow)
		if met.meets(&begin) {
			return false
		}
		met = met.or(begin)
		choice := len(s.strides)
		if i < len(parts)-1 {
			s.strides = append(s.strides, stride{op: strideChoice, ahead: begin})
		}
		if !s.add(p, follow) {
			return false
		}
		if i < len(parts)-1 {
			jumps = append(jumps, len(s.strides))
			s.strides = append(s.strides, stride{op: strideJump})
			s.strides[choice].to = len(s.strides)
		}
	}
	for _, j := range jumps {
		s.strides[j].to = len(s.strides)
	}
	return true
}

// first is what t may begin with in front of what follows; nothing for an expression that is not straight.
func first(t *syntax.Regexp, follow ahead) ahead {
	switch t.Op {
	case syntax.OpEmptyMatch:
		return follow
	case syntax.OpBeginText:
		follow.always = false
		return follow
	case syntax.OpEndText:
		return ahead{end: true}
	case syntax.OpLiteral:
		var a ahead
		if text := literalOf(t); len(text) > 0 {
			a.bytes[text[0]] = true
		}
		return a
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		a, _ := characters(t)
		return a
	case syntax.OpStar, syntax.OpQuest:
		return first(t.Sub[0], follow).or(follow)
	case syntax.OpPlus, syntax.OpCapture:
		return first(t.Sub[0], follow)
	case syntax.OpConcat:
		for i := len(t.Sub) - 1; i >= 0; i-- {
			follow = first(t.Sub[i], follow)
		}
		return follow
	case syntax.OpAlternate:
		var a ahead
		for _, sub := range t.Sub {
			a = a.or(first(sub, follow))
		}
		return a
	}
	return ahead{}
}

// literalOf is the bytes of a literal; nil if others match it too.
func literalOf(t *syntax.Regexp) []byte {
	if t.Flags&syntax.FoldCase != 0 {
		return nil
	}
	for _, r := range t.Rune {
		if r == utf8.RuneError {
			// A byte that is no UTF-8 matches it.
			return nil
		}
	}
	return []byte(string(t.Rune))
}

// characters are those that an expression for one character matches.
func characters(t *syntax.Regexp) (a ahead, ok bool) {
	pairs := t.Rune
	switch t.Op {
	case syntax.OpAnyChar:
		pairs = []rune{0, utf8.MaxRune}
	case syntax.OpAnyCharNotNL:
		pairs = []rune{0, '\n' - 1, '\n' + 1, utf8.MaxRune}
	case syntax.OpLiteral:
		if t.Flags&syntax.FoldCase != 0 || len(t.Rune) != 1 || t.Rune[0] >= utf8.RuneSelf {
			return a, false
		}
		pairs = []rune{t.Rune[0], t.Rune[0]}
	case syntax.OpCharClass:
	default:
		return a, false
	}
	for i := 0; i < len(pairs); i += 2 {
		low, high := pairs[i], pairs[i+1]
		if high >= utf8.RuneSelf {
			if low > utf8.RuneSelf || high < utf8.MaxRune {
				return a, false
			}
			high = 0xff
		}
		for c := low; c <= high; c++ {
			a.bytes[c] = true
		}
	}
	return a, true
}

// find is where the groups are in the match at the beginning of b, in dst, which has room for them; nil if there is
// none. Groups that are not in it are at -1.
func (s *straight) find(dst []int, b []byte) []int {
	dst = dst[:s.slots]
	for i := range dst {
		dst[i] = -1
	}
	i := 0
	for pc := 0; pc < len(s.strides); pc++ {
		switch st := &s.strides[pc]; st.op {
		case strideText:
			if !bytes.HasPrefix(b[i:], st.text) {
				return nil
			}
			i += len(st.text)
		case strideOne:
			if i == len(b) || !st.ahead.bytes[b[i]] {
				return nil
			}
			_, n := utf8.DecodeRune(b[i:])
			i += n
		case strideRun:
			from := i
			for i < len(b) && st.ahead.bytes[b[i]] {
				i++
			}
			if i-from < st.least {
				return nil
			}
		case strideChoice:
			if i == len(b) && !st.ahead.end || i < len(b) && !st.ahead.bytes[b[i]] {
				pc = st.to - 1
			}
		case strideJump:
			pc = st.to - 1
		case strideMark:
			dst[st.to] = i
		case strideBegin:
			if i > 0 {
				return nil
			}
		case strideEnd:
			if i < len(b) {
				return nil
			}
		case strideFail:
			return nil
		}
	}
	dst[0], dst[1] = 0, i
	return dst
}
