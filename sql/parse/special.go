package parse

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/lex"
	"github.com/millrace-io/millrace/sql/temporal"
)

// special rewrites forms with a grammar of their own. It returns 0 when token i begins none.
func (r *rewriter) special(i int) (int, error) {
	t, next := r.at(i), r.at(i+1)
	if message, ok := infix[strings.ToUpper(t.Text)]; ok && i > 0 && endsOperand(r.in, i-1) && !r.at(i-1).Sym("*") {
		if next.Kind != lex.End && !next.Sym(",") && !next.Sym(")") {
			return 0, t.Errorf("%s", message)
		}
	}
	switch word := strings.ToUpper(t.Text); word {
	case "INTERVAL":
		return r.interval(i)
	case "DATE", "TIMESTAMP", "TIME", "X":
		if next.Kind == lex.String && (word != "X" || next.Line == t.Line && next.Column == t.Column+1) {
			return 2, r.dated(t, next, word)
		}
	case "ARRAY":
		if next.Sym("[") {
			return 2, r.array(t, next)
		}
	case "CAST", "TRY_CAST":
		if next.Sym("(") {
			return 2, r.call(t, leaf{text: strings.ToLower(word), form: castForm}, "AS")
		}
	case "AS":
		if r.comma("AS") {
			return r.castType(i)
		}
	case "SUBSTRING", "SUBSTR":
		if next.Sym("(") {
			return 2, r.call(t, leaf{text: strings.ToLower(t.Text)}, "FROM", "FOR")
		}
	case "STEP":
		if end := matching(r.in, i+1); next.Sym("(") && end > 0 {
			for _, p := range r.in[i:end] {
				if p.Is("BY") {
					return 0, t.Errorf("STEP(… BY …) is not available yet; write GROUP BY TUMBLE(event_time, INTERVAL …)")
				}
			}
		}
	case "TRIM":
		if next.Sym("(") {
			return r.trim(i)
		}
	case "POSITION":
		if next.Sym("(") {
			return 2, r.call(t, leaf{text: "position"}, "IN")
		}
	case "EXTRACT":
		if unit := r.at(i + 2); next.Sym("(") && unit.Kind == lex.Word && r.at(i+3).Is("FROM") {
			err := r.call(t, leaf{text: "extract"})
			r.value(unit, leaf{expr: &ast.String{Pos: unit.Pos, Value: strings.ToLower(unit.Text)}})
			r.emit(r.at(i+3), ",")
			return 4, err
		}
	case "FOR":
		if r.comma("FOR") {
			return 1, r.length(i)
		}
	case "ORDER":
		if next.Is("BY") && len(r.open) > 0 {
			return 0, t.Errorf("ORDER BY within a call is not supported: values come in the order of the event time; MIN_BY(x, y, n) and MAX_BY(x, y, n) order by another one")
		}
	case "SYMMETRIC":
		if r.at(i-1).Is("BETWEEN") && !next.Is("AND") && !next.Sym(".") {
			return 0, t.Errorf("BETWEEN SYMMETRIC is not supported; write BETWEEN LEAST(a, b) AND GREATEST(a, b)")
		}
	case "ESCAPE":
		if next.Kind == lex.String {
			r.emit(t, "escape")
			return 1, nil
		}
	}
	return 0, nil
}

// length rewrites the FOR of SUBSTRING at token i. Without FROM before it the part begins with the text.
func (r *rewriter) length(i int) error {
	t, depth := r.at(i), 0
	for k := i - 1; depth >= 0; k-- {
		switch p := r.at(k); {
		case p.Kind == lex.End:
			depth = -1
		case p.Sym(")"), p.Sym("]"):
			depth++
		case p.Sym("("), p.Sym("["):
			depth--
		case depth == 0 && (p.Is("FROM") || p.Sym(",")):
			r.emit(t, ",")
			return nil
		}
	}
	r.emit(t, ",")
	r.value(t, leaf{expr: &ast.Number{Pos: t.Pos, Text: "1", Integer: true, Int: 1, Float: 1}})
	r.emit(t, ",")
	return nil
}

// call writes a function's name and parenthesis; commas are the words that separate its arguments.
func (r *rewriter) call(t lex.Token, l leaf, commas ...string) error {
	r.name(t, l)
	r.begin(t, "(", ")", r.operand, commas...)
	return nil
}

// trim rewrites TRIM([BOTH | LEADING | TRAILING] [characters] FROM x); TRIM(x) and TRIM(x, characters) pass.
func (r *rewriter) trim(i int) (int, error) {
	t, n, name := r.at(i), 2, "trim"
	switch side := strings.ToUpper(r.at(i + 2).Text); side {
	case "BOTH", "LEADING", "TRAILING":
		// They are names too: TRIM(both).
		if p := r.at(i + 3); !p.Sym(")") && !p.Sym(",") && !p.Sym(".") {
			name = map[string]string{"BOTH": "trim", "LEADING": "ltrim", "TRAILING": "rtrim"}[side]
			n++
		}
	}
	if r.at(i + n).Is("FROM") {
		return n + 1, r.call(t, leaf{text: name})
	}
	depth := 0
	for k := i + n; r.at(k).Kind != lex.End && depth >= 0; k++ {
		switch p := r.at(k); {
		case p.Sym("("):
			depth++
		case p.Sym(")"):
			depth--
		case depth == 0 && p.Is("FROM"):
			return n, r.call(t, leaf{text: name, form: swappedForm}, "FROM")
		}
	}
	return n, r.call(t, leaf{text: name})
}

func (r *rewriter) array(t, bracket lex.Token) error {
	r.name(t, leaf{form: arrayForm, text: "array"})
	r.begin(bracket, "(", "]", r.operand)
	return nil
}

// is rewrites IS [NOT] DISTINCT FROM and IS [NOT] UNKNOWN, which the library does not have.
func (r *rewriter) is(i int) (int, error) {
	n, not := 1, false
	if r.at(i + 1).Is("NOT") {
		n, not = 2, true
	}
	t := r.at(i)
	switch p := r.at(i + n); {
	case p.Is("DISTINCT") && r.at(i+n+1).Is("FROM"):
		op := distinctOp
		if not {
			op = notDistinctOp
		}
		r.operator(t, op)
		return n + 2, nil
	case p.Is("UNKNOWN"):
		r.emit(t, "is")
		if not {
			r.emit(t, "not")
		}
		r.emit(p, "null")
		r.operand = -1
		return n + 1, nil
	}
	r.emit(t, "is")
	return 1, nil
}

// operator writes a comparison that the library does not have. The marker binds tighter than a
// comparison and looser than everything else, so it ends up leftmost in the right operand.
func (r *rewriter) operator(t lex.Token, op form) {
	if op == ilikeOp {
		r.emit(t, "like") // for the sake of ESCAPE
	} else {
		r.emit(t, "regexp")
	}
	r.value(t, leaf{form: op})
	r.emit(t, "|")
}

// interval rewrites INTERVAL '5' MINUTE, INTERVAL 5 MINUTE and INTERVAL '5 minutes'.
func (r *rewriter) interval(i int) (int, error) {
	t, amount, unit := r.at(i), r.at(i+1), r.at(i+2)
	if amount.Kind != lex.String && amount.Kind != lex.Number {
		return 0, nil
	}
	n, word := 2, ""
	_, isUnit := strconv.ParseFloat(strings.TrimSpace(amount.Text), 64)
	if _, _, ok := temporal.Unit(unit.Text); unit.Kind == lex.Word && ok {
		n, word = 3, unit.Text
		if r.at(i + 3).Is("TO") {
			return 0, unit.Errorf("INTERVAL … %s TO … is not supported; write INTERVAL '1 hour 30 minutes'", strings.ToUpper(unit.Text))
		}
	} else if isUnit == nil {
		if meant := temporal.NearUnit(unit.Text); unit.Kind == lex.Word && meant != "" {
			return 0, unit.Errorf("unknown unit %s; did you mean %s?", unit, strings.ToUpper(meant))
		}
		return 0, unit.Errorf("expected a unit such as MINUTE after INTERVAL %s, found %s", amount, unit)
	}
	v, err := temporal.ParseInterval(amount.Text, word)
	if err != nil {
		return 0, amount.Errorf("%s", err)
	}
	r.value(t, leaf{expr: &ast.Interval{Pos: t.Pos, Value: v}})
	return n, nil
}

func (r *rewriter) dated(t, text lex.Token, word string) error {
	b := []byte(text.Text)
	var e ast.Expr
	switch word {
	case "DATE":
		v, ok := temporal.ParseDate(b)
		if !ok {
			return text.Errorf("%s is not a date; write DATE '2026-01-31'", text)
		}
		e = &ast.Date{Pos: t.Pos, Days: v}
	case "TIME":
		v, ok := temporal.ParseClock(b)
		if !ok {
			return text.Errorf("%s is not a time; write TIME '12:00:00'", text)
		}
		e = &ast.Clock{Pos: t.Pos, Micros: v}
	case "X":
		v, err := hex.DecodeString(text.Text)
		if err != nil {
			return text.Errorf("%s is not hexadecimal; write X'0AFF'", text)
		}
		e = &ast.Bytes{Pos: t.Pos, Value: v}
	default:
		v, ok := temporal.ParseTimestamp(b)
		if !ok {
			return text.Errorf("%s is not a timestamp; write TIMESTAMP '2026-01-31 12:00:00'", text)
		}
		e = &ast.Timestamp{Pos: t.Pos, Micros: v}
	}
	r.value(t, leaf{expr: e})
	return nil
}

// castType rewrites AS type in a CAST to a second argument.
func (r *rewriter) castType(i int) (int, error) {
	typ, n, err := r.typeName(i + 1)
	if err != nil {
		return 0, err
	}
	r.emit(r.at(i), ",")
	r.value(r.at(i+1), leaf{typ: typ})
	return n + 1, nil
}

// wordsOf are the types of several words, by their first.
var wordsOf = map[string][][]string{
	"double":    {{"precision"}},
	"character": {{"varying"}},
	"timestamp": {{"with", "time", "zone"}, {"without", "time", "zone"}},
	"time":      {{"with", "time", "zone"}, {"without", "time", "zone"}},
}

// typeName reads a type at token i and returns how many tokens it takes.
func (r *rewriter) typeName(i int) (*ast.TypeName, int, error) {
	first := r.at(i)
	if first.Kind != lex.Word || keywords[strings.ToUpper(first.Text)] {
		return nil, 0, first.Errorf("expected a type, found %s", first)
	}
	if next := r.at(i + 1); (next.Is("WITH") || next.Is("WITHOUT")) && wordsOf[strings.ToLower(first.Text)] == nil {
		return nil, 0, first.Errorf("unknown type %s%s", first, near(first, "TIMESTAMP", "TIME"))
	}
	name, n := &ast.TypeName{Pos: first.Pos, Name: strings.ToLower(first.Text)}, 1
	for _, more := range wordsOf[name.Name] {
		k := 0
		for k < len(more) && r.at(i+n+k).Is(strings.ToUpper(more[k])) {
			k++
		}
		if k == len(more) {
			name.Name += " " + strings.Join(more, " ")
			n += k
			break
		}
	}
	if r.at(i + n).Sym("(") {
		for n++; ; n++ {
			p := r.at(i + n)
			v, err := strconv.Atoi(p.Text)
			if p.Kind != lex.Number || err != nil {
				return nil, 0, p.Errorf("expected a number in the type, found %s", p)
			}
			name.Params = append(name.Params, v)
			n++
			if r.at(i + n).Sym(")") {
				n++
				break
			}
			if p := r.at(i + n); !p.Sym(",") {
				return nil, 0, p.Errorf("expected , or ) in the type, found %s", p)
			}
		}
	}
	for r.at(i+n).Sym("[") && r.at(i+n+1).Sym("]") {
		elem := *name
		name, n = &ast.TypeName{Pos: first.Pos, Name: elem.Name + "[]", Elem: &elem}, n+2
		if len(name.Name) > 2*64+len(first.Text) {
			return nil, 0, first.Errorf("the type nests too deep")
		}
	}
	return name, n, nil
}

func number(pos ast.Pos, text string) (*ast.Number, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, pos.Errorf("the number %s is out of range", text)
	}
	n := &ast.Number{Pos: pos, Text: text, Float: f}
	if v, err := strconv.ParseInt(text, 10, 64); err == nil {
		n.Integer, n.Int = true, v
	}
	return n, nil
}
