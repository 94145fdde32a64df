package policy

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// What a pattern has besides characters.
const (
	anyText rune = -1 - iota
	anyOne
	// variable stands for the value of the pattern's next variable.
	variableHere
)

// pattern is a text with wildcards and variables.
type pattern struct {
	// text is as it was written.
	text      string
	runes     []rune
	variables []variable
}

// variable is ${key} or ${key, 'default'}.
type variable struct {
	key         key
	otherwise   string
	hasDefaults bool
}

// compile reads a text. With wild, * and ? are wildcards; with expand, ${…} are variables.
func compile(text string, wild, expand bool) (pattern, error) {
	p := pattern{text: text}
	for rest := text; rest != ""; {
		if expand && strings.HasPrefix(rest, "${") {
			inside, after, ok := strings.Cut(rest[2:], "}")
			if !ok {
				return p, fmt.Errorf("variable %q has no end", rest)
			}
			if err := p.variable(inside); err != nil {
				return p, err
			}
			rest = after
			continue
		}
		r, n := utf8.DecodeRuneInString(rest)
		rest = rest[n:]
		switch {
		case wild && r == '*':
			if len(p.runes) == 0 || p.runes[len(p.runes)-1] != anyText {
				p.runes = append(p.runes, anyText)
			}
		case wild && r == '?':
			p.runes = append(p.runes, anyOne)
		default:
			p.runes = append(p.runes, r)
		}
	}
	return p, nil
}

// variable adds what stands between ${ and }. The characters *, ? and $ stand for themselves.
func (p *pattern) variable(inside string) error {
	switch inside {
	case "*", "?", "$":
		p.runes = append(p.runes, rune(inside[0]))
		return nil
	}
	name, otherwise, hasDefault := strings.Cut(inside, ",")
	k, ok := keyOf(strings.TrimSpace(name))
	if !ok {
		return fmt.Errorf("variable ${%s} is not known; known are %s", inside, knownKeys())
	}
	v := variable{key: k}
	if hasDefault {
		otherwise = strings.TrimSpace(otherwise)
		if len(otherwise) < 2 || otherwise[0] != '\'' || otherwise[len(otherwise)-1] != '\'' {
			return fmt.Errorf("variable ${%s}: its default must stand between single quotes", inside)
		}
		v.otherwise, v.hasDefaults = otherwise[1:len(otherwise)-1], true
	}
	p.runes = append(p.runes, variableHere)
	p.variables = append(p.variables, v)
	return nil
}

// expand puts in the values of variables, as they are. Without a value nothing matches (AWS, policy variables).
func (p *pattern) expand(r *Request) ([]rune, bool) {
	if len(p.variables) == 0 {
		return p.runes, true
	}
	var runes []rune
	next := 0
	for _, c := range p.runes {
		if c != variableHere {
			runes = append(runes, c)
			continue
		}
		v := p.variables[next]
		next++
		text, ok := v.key.of(r)
		if !ok {
			text, ok = v.otherwise, v.hasDefaults
		}
		if !ok {
			return nil, false
		}
		runes = append(runes, []rune(text)...)
	}
	return runes, true
}

// match reports whether all of a text is as the pattern says.
func (p *pattern) match(text string, r *Request) bool {
	runes, ok := p.expand(r)
	return ok && matches(runes, text)
}

// matches takes at most as many steps as the pattern and the text are long, multiplied: of several places where a
// star could end only those of the last star are tried.
func matches(p []rune, text string) bool {
	i, at := 0, 0
	star, mark := -1, 0
	for at < len(text) {
		c, n := utf8.DecodeRuneInString(text[at:])
		switch {
		case i < len(p) && (p[i] == c || p[i] == anyOne):
			i++
			at += n
		case i < len(p) && p[i] == anyText:
			star, mark = i, at
			i++
		case star >= 0:
			_, n = utf8.DecodeRuneInString(text[mark:])
			mark += n
			i, at = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == anyText {
		i++
	}
	return i == len(p)
}

// arnParts is how many parts an ARN has between its colons; the last one may have more of them.
const arnParts = 6

// arnPattern matches ARNs part by part, so that a star goes beyond a colon in the last part only. The zero one, whose
// text is *, matches everything.
type arnPattern struct{ parts []pattern }

// compileARN reads the pattern of an ARN, or *. Parts that are left out at the end may be anything (AWS, Resource).
func compileARN(text string, expand bool) (a arnPattern, err error) {
	if text == "*" {
		return a, nil
	}
	if !strings.HasPrefix(text, "arn:") {
		return a, fmt.Errorf("%q must be in ARN format or \"*\"", text)
	}
	p, err := compile(text, true, expand)
	if err != nil {
		return a, err
	}
	part := pattern{}
	variables := p.variables
	for _, c := range p.runes {
		if c == ':' && len(a.parts) < arnParts-1 {
			a.parts = append(a.parts, part)
			part = pattern{}
			continue
		}
		if c == variableHere {
			part.variables = append(part.variables, variables[0])
			variables = variables[1:]
		}
		part.runes = append(part.runes, c)
	}
	a.parts = append(a.parts, part)
	for len(a.parts) < arnParts {
		a.parts = append(a.parts, pattern{runes: []rune{anyText}})
	}
	return a, nil
}

func (a *arnPattern) match(arn string, r *Request) bool {
	if a.parts == nil {
		return true
	}
	parts := strings.SplitN(arn, ":", arnParts)
	if len(parts) != arnParts {
		return false
	}
	for i := range parts {
		if !a.parts[i].match(parts[i], r) {
			return false
		}
	}
	return true
}
