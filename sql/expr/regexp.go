package expr

import (
	"regexp/syntax"
	"strings"

	"github.com/millrace-io/millrace/sql/ast"
)

const (
	// maxPattern is how many bytes a regular expression may have.
	maxPattern = 1000
	// maxSteps is how many steps it may have once repetitions such as a{1,900} are written out. Matching
	// takes time proportional to them and to the text. What has no such repetition never has more.
	maxSteps = 2000
)

// regularExpression compiles a literal regular expression, in RE2's syntax, once per query.
func regularExpression(e ast.Expr, what string) (*searched, error) {
	s, ok := e.(*ast.String)
	switch {
	case !ok:
		return nil, e.Position().Errorf("the pattern of %s must be a text literal", what)
	case len(s.Value) > maxPattern:
		return nil, s.Errorf("the pattern has %d bytes; it may have %d", len(s.Value), maxPattern)
	}
	n, err := steps(s.Value)
	if err != nil {
		return nil, s.Errorf("%q is no regular expression: %s", s.Value, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	if n > maxSteps {
		return nil, s.Errorf("the pattern comes to %d steps with its repetitions written out; it may have %d", n, maxSteps)
	}
	re, err := newSearched(s.Value)
	if err != nil {
		return nil, s.Errorf("%q is no regular expression: %s", s.Value, err)
	}
	return re, nil
}

// steps is how many steps a regular expression takes at each character at most.
func steps(text string) (int, error) {
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return 0, err
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return 0, err
	}
	return len(program.Inst), nil
}

func (c *compiler) regexp(e *ast.Regexp) (node, error) {
	n, err := c.matches(e.X, e.Pattern, "REGEXP")
	if err == nil && e.Not {
		n = fold(&not{n}, n)
	}
	return n, err
}

func (c *compiler) matches(x, p ast.Expr, what string) (node, error) {
	n, err := c.arg(x, text, what)
	if err != nil {
		return nil, err
	}
	re, err := regularExpression(p, what)
	if err != nil {
		return nil, err
	}
	return fold(&textTest{x: n, fn: re.match}, n), nil
}

func buildRegexpLike(c *compiler, e *ast.Call) (node, error) {
	return c.matches(e.Args[0], e.Args[1], "REGEXP_LIKE")
}

// buildExtractGroup is REGEXP_EXTRACT(x, pattern, group): NULL without a match.
func buildExtractGroup(c *compiler, e *ast.Call) (node, error) {
	x, err := c.arg(e.Args[0], text, e.Name)
	if err != nil {
		return nil, err
	}
	re, err := regularExpression(e.Args[1], "REGEXP_EXTRACT")
	if err != nil {
		return nil, err
	}
	group := 0
	if len(e.Args) == 3 {
		n, ok := e.Args[2].(*ast.Number)
		if !ok || !n.Integer || n.Int < 0 || n.Int > int64(re.re.NumSubexp()) {
			return nil, e.Args[2].Position().Errorf("the group must be a number from 0 to %d", re.re.NumSubexp())
		}
		group = int(n.Int)
	}
	return fold(&scalar{t: text, args: []node{x}, text: func(dst []byte, v []value) ([]byte, bool) {
		found := re.group(v[0].s, group)
		return append(dst, found...), found != nil
	}}, x), nil
}

// buildRegexpReplace is REGEXP_REPLACE(x, pattern, replacement): every match, \1 is a group.
func buildRegexpReplace(c *compiler, e *ast.Call) (node, error) {
	x, err := c.arg(e.Args[0], text, e.Name)
	if err != nil {
		return nil, err
	}
	re, err := regularExpression(e.Args[1], "REGEXP_REPLACE")
	if err != nil {
		return nil, err
	}
	s, ok := e.Args[2].(*ast.String)
	if !ok {
		return nil, e.Args[2].Position().Errorf("the replacement must be a text literal")
	}
	template, err := expansion(s, re.re.NumSubexp())
	if err != nil {
		return nil, err
	}
	return fold(&scalar{t: text, args: []node{x}, text: func(dst []byte, v []value) ([]byte, bool) {
		return append(dst, re.re.ReplaceAll(v[0].s, template)...), true
	}}, x), nil
}

// expansion turns \1 into the form of package regexp.
func expansion(s *ast.String, groups int) ([]byte, error) {
	var out []byte
	for i := 0; i < len(s.Value); i++ {
		switch c := s.Value[i]; {
		case c == '$':
			out = append(out, "$$"...)
		case c != '\\':
			out = append(out, c)
		case i+1 < len(s.Value) && s.Value[i+1] == '\\':
			out = append(out, '\\')
			i++
		case i+1 < len(s.Value) && s.Value[i+1] >= '0' && int(s.Value[i+1]-'0') <= groups:
			out = append(out, '$', '{', s.Value[i+1], '}')
			i++
		default:
			return nil, s.Errorf("a backslash stands before a group from 0 to %d, or before another one", groups)
		}
	}
	return out, nil
}
