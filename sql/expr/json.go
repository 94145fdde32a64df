package expr

import (
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/jsonscan"
	"github.com/millrace-io/millrace/sql/ast"
)

// step is a key of an object, or an element of an array when the key is not set.
type step struct {
	key   string
	index int
	array bool
}

// json compiles a chain of -> to one walk.
func (c *compiler) json(e *ast.JSON) (node, error) {
	var steps []step
	x := ast.Expr(e)
	for {
		j, ok := x.(*ast.JSON)
		if !ok || j != e && j.Text || j != e && c.replaced(j) {
			break
		}
		each, err := jsonSteps(j.Step)
		if err != nil {
			return nil, err
		}
		steps = append(each, steps...)
		x = j.X
	}
	return c.jsonWalk(x, steps, e.Text, anyJSON)
}

// jsonWalk is the value behind some steps, as a text or as JSON; NULL if keep does not want it.
func (c *compiler) jsonWalk(e ast.Expr, steps []step, asText bool, keep func(raw []byte) bool) (node, error) {
	x, err := c.jsonArg(e)
	if err != nil {
		return nil, err
	}
	// What is in a column of JSON was looked at when it came; a text may be anything behind what is asked for.
	unseen := x.typ().Kind == column.String
	s := &scalar{t: jsonText, args: []node{x}, text: func(dst []byte, v []value) ([]byte, bool) {
		if unseen && !isJSON(v[0].s) {
			return dst, false
		}
		raw, ok := walk(v[0].s, steps)
		switch {
		case !ok || !keep(raw):
			return dst, false
		case asText:
			return appendJSONText(dst, raw)
		}
		return append(dst, raw...), true
	}}
	if asText {
		s.t = text
	}
	return fold(s, x), nil
}

// jsonArg is a JSON, or a text that is read as some.
func (c *compiler) jsonArg(e ast.Expr) (node, error) {
	x, err := c.expr(e)
	if err != nil {
		return nil, err
	}
	switch {
	case untyped(x):
		return &constant{t: jsonText, null: true}, nil
	case x.typ().Kind != column.JSON && x.typ().Kind != column.String:
		cure := ""
		if x.typ().Kind == column.Struct {
			cure = "; its fields are x.name"
		}
		return nil, e.Position().Errorf("-> and JSON functions need JSON, but this is of type %s%s", typeName(x), cure)
	}
	return x, nil
}

// appendJSONText appends a JSON value without quotes; a JSON null is NULL.
func appendJSONText(dst, raw []byte) ([]byte, bool) {
	if len(raw) > 0 && raw[0] == '"' {
		from := len(dst)
		// Text writes to the room behind dst when there are escapes.
		out, err := jsonscan.Text(dst[from:from], raw)
		return append(dst, out...), err == nil
	}
	return append(dst, raw...), string(raw) != "null"
}

// isJSON reports whether b is one JSON value.
func isJSON(b []byte) bool {
	end, err := jsonscan.Skip(b, jsonscan.Space(b, 0))
	return err == nil && jsonscan.Space(b, end) == len(b)
}

// walk follows steps and reports whether there is a value.
func walk(b []byte, steps []step) ([]byte, bool) {
	at := jsonscan.Space(b, 0)
	if len(steps) == 0 {
		end, err := jsonscan.Skip(b, at)
		if err != nil || jsonscan.Space(b, end) != len(b) {
			return nil, false
		}
		return b[at:end], true
	}
	b = b[at:]
	for _, s := range steps {
		var ok bool
		if s.array {
			b, ok = elementAt(b, s.index)
		} else if len(b) > 0 && b[0] == '{' {
			var err error
			b, ok, err = jsonscan.Field(b, s.key)
			ok = ok && err == nil
		}
		if !ok {
			return nil, false
		}
	}
	return b, true
}

// elementAt is an element of an array, from 0; -1 is the last.
func elementAt(b []byte, index int) ([]byte, bool) {
	if index < 0 {
		n, ok := jsonLength(b)
		if index += n; !ok || index < 0 {
			return nil, false
		}
	}
	if len(b) == 0 || b[0] != '[' {
		return nil, false
	}
	i := jsonscan.Space(b, 1)
	for k := 0; i < len(b) && b[i] != ']'; k++ {
		end, err := jsonscan.Skip(b, i)
		if err != nil {
			return nil, false
		}
		if k == index {
			return b[i:end], true
		}
		if i = jsonscan.Space(b, end); i < len(b) && b[i] == ',' {
			i = jsonscan.Space(b, i+1)
		}
	}
	return nil, false
}

func jsonLength(b []byte) (int, bool) {
	if len(b) == 0 || b[0] != '[' {
		return 0, false
	}
	n, i := 0, jsonscan.Space(b, 1)
	for i < len(b) && b[i] != ']' {
		end, err := jsonscan.Skip(b, i)
		if err != nil {
			return 0, false
		}
		n++
		if i = jsonscan.Space(b, end); i < len(b) && b[i] == ',' {
			i = jsonscan.Space(b, i+1)
		}
	}
	return n, i < len(b)
}

// jsonSteps reads the right side of ->: a key, an element from 0, or a path that begins with $.
func jsonSteps(e ast.Expr) ([]step, error) {
	switch e := e.(type) {
	case *ast.Number:
		if e.Integer && e.Int > -1<<31 && e.Int < 1<<31 {
			return []step{{index: int(e.Int), array: true}}, nil
		}
	case *ast.String:
		if strings.HasPrefix(e.Value, "$") {
			return jsonPath(e)
		}
		return []step{{key: e.Value}}, nil
	}
	return nil, e.Position().Errorf("expected a key, the place of an element or a path such as '$.a[0]'")
}

// jsonPath reads $.key."other key"[0]['key'].
func jsonPath(e *ast.String) ([]step, error) {
	var out []step
	rest := e.Value[1:]
	bad := func() ([]step, error) {
		return nil, e.Errorf("%q is no path that is supported; write $, .key, .\"key\", [0] and ['key'], for example '$.a[0].b'", e.Value)
	}
	for rest != "" {
		switch {
		case strings.HasPrefix(rest, `."`):
			end := strings.IndexByte(rest[2:], '"')
			if end < 0 {
				return bad()
			}
			out, rest = append(out, step{key: rest[2 : 2+end]}), rest[end+3:]
		case rest[0] == '.':
			end := strings.IndexAny(rest[1:], ".[")
			if end < 0 {
				end = len(rest) - 1
			}
			if end == 0 || strings.ContainsAny(rest[1:1+end], `*"'?@ `) {
				return bad()
			}
			out, rest = append(out, step{key: rest[1 : 1+end]}), rest[1+end:]
		case strings.HasPrefix(rest, "['") || strings.HasPrefix(rest, `["`):
			end := strings.Index(rest[2:], rest[1:2]+"]")
			if end < 0 {
				return bad()
			}
			out, rest = append(out, step{key: rest[2 : 2+end]}), rest[end+4:]
		case rest[0] == '[':
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return bad()
			}
			n, err := strconv.ParseInt(rest[1:end], 10, 32)
			if err != nil {
				return bad()
			}
			out, rest = append(out, step{index: int(n), array: true}), rest[end+1:]
		default:
			return bad()
		}
	}
	return out, nil
}

// buildJSON is JSON_VALUE, JSON_QUERY, JSON_EXTRACT, JSON_EXTRACT_STRING: a walk along a literal path.
func buildJSON(asText bool, keep func(raw []byte) bool) func(*compiler, *ast.Call) (node, error) {
	return func(c *compiler, e *ast.Call) (node, error) {
		steps, err := jsonSteps(e.Args[1])
		if err != nil {
			return nil, err
		}
		return c.jsonWalk(e.Args[0], steps, asText, keep)
	}
}

func anyJSON([]byte) bool { return true }

func nested(raw []byte) bool { return len(raw) > 0 && (raw[0] == '{' || raw[0] == '[') }

func buildJSONLength(c *compiler, e *ast.Call) (node, error) {
	x, err := c.jsonArg(e.Args[0])
	if err != nil {
		return nil, err
	}
	unseen := x.typ().Kind == column.String
	return fold(&scalar{t: bigint, args: []node{x}, whole: func(v []value) (int64, bool) {
		if unseen && !isJSON(v[0].s) {
			return 0, false
		}
		n, ok := jsonLength(v[0].s[jsonscan.Space(v[0].s, 0):])
		return int64(n), ok
	}}, x), nil
}

// appendCompact appends JSON without white space; false if b is none.
func appendCompact(dst, b []byte) ([]byte, bool) {
	at := jsonscan.Space(b, 0)
	end, err := jsonscan.Skip(b, at)
	if err != nil || jsonscan.Space(b, end) != len(b) {
		return dst, false
	}
	for i := at; i < end; {
		switch b[i] {
		case ' ', '\t', '\r', '\n':
			i++
		case '"':
			stop, _, err := jsonscan.String(b, i)
			if err != nil {
				return dst, false
			}
			dst, i = append(dst, b[i:stop]...), stop
		default:
			dst, i = append(dst, b[i]), i+1
		}
	}
	return dst, true
}
