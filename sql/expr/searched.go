package expr

import (
	"bytes"
	"regexp"
	"regexp/syntax"
	"unicode/utf8"
)

// searched is a regular expression that looks for a text first which every match must contain, and tries
// the few places before it where a match may begin. Package regexp tries every place of the input instead,
// unless the expression begins with such a text.
type searched struct {
	re *regexp.Regexp
	// must is that text; empty if there is none.
	must []byte
	// before is how many bytes of a match may stand before must, -1 if there is no small limit.
	before int
	// first and inner are re at one place: the beginning of the text, and any other. Nil if before is -1.
	first, inner *placed
}

// placed is an expression that matches at the beginning of what it is given, or not at all.
type placed struct {
	re *regexp.Regexp
	// straight is used instead of re if it is not nil.
	straight *straight
}

func newPlaced(tree *syntax.Regexp) (*placed, error) {
	re, err := regexp.Compile(`\A(?:` + tree.String() + `)`)
	return &placed{re, newStraight(tree)}, err
}

// find is FindSubmatchIndex, in dst if there is room.
func (p *placed) find(dst []int, b []byte) []int {
	if p.straight == nil {
		return p.re.FindSubmatchIndex(b)
	}
	return p.straight.find(dst, b)
}

const (
	// minMust is the length from which looking for a text pays.
	minMust = 3
	// maxBefore and maxPlaces bound what is tried before all is left to package regexp, whose time is linear.
	maxBefore = 8
	maxPlaces = 4
)

// newSearched compiles a regular expression.
func newSearched(text string) (*searched, error) {
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	p := &searched{re: re, before: -1}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	var before int
	if p.must, before = mustContain(tree); p.must == nil || before < 0 || before > maxBefore {
		return p, nil
	}
	first, err := newPlaced(tree)
	if err != nil || !cut(tree) {
		return p, nil
	}
	inner, err := newPlaced(tree)
	if err == nil {
		p.first, p.inner, p.before = first, inner, before
	}
	return p, nil
}

// mustContain is a text that every match contains, with how many bytes of the match may stand before it;
// -1 for any number.
func mustContain(tree *syntax.Regexp) (must []byte, before int) {
	parts := []*syntax.Regexp{tree}
	if tree.Op == syntax.OpConcat {
		parts = tree.Sub
	}
	for _, part := range parts {
		if part.Op == syntax.OpLiteral && part.Flags&syntax.FoldCase == 0 && len(string(part.Rune)) >= minMust {
			return []byte(string(part.Rune)), before
		}
		if width := longest(part); width < 0 || before < 0 {
			before = -1
		} else {
			before += width
		}
	}
	return nil, 0
}

// cut makes what matches the beginning of the text match nothing. It reports false if the expression asks
// for what stands in front of a place in any other way.
func cut(t *syntax.Regexp) bool {
	switch t.Op {
	case syntax.OpBeginText:
		t.Op = syntax.OpNoMatch
	case syntax.OpBeginLine, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return false
	}
	for _, s := range t.Sub {
		if !cut(s) {
			return false
		}
	}
	return true
}

// longest is how many bytes an expression matches at most, -1 for any number.
func longest(t *syntax.Regexp) int {
	sub, sum := 0, 0
	for _, s := range t.Sub {
		n := longest(s)
		if n < 0 {
			return -1
		}
		sub, sum = max(sub, n), sum+n
	}
	switch t.Op {
	case syntax.OpLiteral:
		if t.Flags&syntax.FoldCase != 0 {
			return utf8.UTFMax * len(t.Rune)
		}
		return len(string(t.Rune))
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return utf8.UTFMax
	case syntax.OpStar, syntax.OpPlus:
		return -1
	case syntax.OpRepeat:
		if t.Max < 0 {
			return -1
		}
		return t.Max * sub
	case syntax.OpConcat:
		return sum
	}
	return sub
}

// match reports whether s has a match.
func (p *searched) match(s []byte) bool {
	if p.before < 0 {
		return (p.must == nil || bytes.Contains(s, p.must)) && p.re.Match(s)
	}
	var room [maxSlots]int
	return p.find(room[:], s) != nil
}

// group is what a group matched in the first match of s, 0 for all of it; nil without a match.
func (p *searched) group(s []byte, group int) []byte {
	var found []int
	var room [maxSlots]int
	switch {
	case p.before >= 0:
		found = p.find(room[:], s)
	case p.must != nil && !bytes.Contains(s, p.must):
	default:
		found = p.re.FindSubmatchIndex(s)
	}
	if found == nil || found[2*group] < 0 {
		return nil
	}
	return s[found[2*group]:found[2*group+1]:found[2*group+1]]
}

// find is FindSubmatchIndex, in dst if there is room. A match begins at most before bytes in front of a place of must.
func (p *searched) find(dst []int, s []byte) []int {
	begin, at := 0, 0
	for range maxPlaces {
		next := bytes.Index(s[at:], p.must)
		if next < 0 {
			return nil
		}
		at += next
		for begin = max(begin, at-p.before); begin <= at; begin++ {
			re := p.inner
			if begin == 0 {
				re = p.first
			}
			if found := re.find(dst, s[begin:]); found != nil {
				for i := range found {
					if found[i] >= 0 {
						found[i] += begin
					}
				}
				return found
			}
		}
		at++
	}
	return p.re.FindSubmatchIndex(s)
}
