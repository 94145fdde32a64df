package parse

import (
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
	case "DATE", "TIMESTAMP":
		if next.Kind == lex.String {
			return 2, r.dated(t, next, word == "DATE")
		}
	case "CAST", "TRY_CAST":
		if next.Sym("(") {
			return 2, r.open(t, "AS")
		}
	case "AS":
		if len(r.commas) > 0 && hasComma(r.commas[len(r.commas)-1], "AS") {
			return r.typeName(i)
		}
	case "SUBSTRING", "SUBSTR":
		if next.Sym("(") {
			return 2, r.open(t, "FROM", "FOR")
		}
	case "EXTRACT":
		if unit := r.at(i + 2); next.Sym("(") && unit.Kind == lex.Word && r.at(i+3).Is("FROM") {
			err := r.open(t)
			r.value(unit, leaf{expr: &ast.String{Pos: unit.Pos, Value: strings.ToLower(unit.Text)}})
			r.emit(r.at(i+3), ",")
			return 4, err
		}
	case "FOR":
		if len(r.commas) > 0 && hasComma(r.commas[len(r.commas)-1], "FOR") {
			r.emit(t, ",")
			return 1, nil
		}
	case "ESCAPE":
		if next.Kind == lex.String {
			r.emit(t, "escape")
			return 1, nil
		}
	}
	return 0, nil
}

func hasComma(words []string, word string) bool {
	for _, w := range words {
		if w == word {
			return true
		}
	}
	return false
}

// open writes a function's name and parenthesis; commas are the words that separate its arguments.
func (r *rewriter) open(t lex.Token, commas ...string) error {
	r.name(t, leaf{text: strings.ToLower(t.Text)})
	r.emit(t, "(")
	r.commas = append(r.commas, commas)
	return nil
}

// interval rewrites INTERVAL '5' MINUTE, INTERVAL 5 MINUTE and INTERVAL '5 minutes'.
func (r *rewriter) interval(i int) (int, error) {
	t, amount, unit := r.at(i), r.at(i+1), r.at(i+2)
	if amount.Kind != lex.String && amount.Kind != lex.Number {
		return 0, nil
	}
	n, word := 2, ""
	if _, _, ok := temporal.Unit(unit.Text); unit.Kind == lex.Word && ok {
		n, word = 3, unit.Text
		if r.at(i + 3).Is("TO") {
			return 0, unit.Errorf("INTERVAL … %s TO … is not supported; write INTERVAL '1 hour 30 minutes'", strings.ToUpper(unit.Text))
		}
	} else if amount.Kind == lex.Number {
		return 0, unit.Errorf("expected a unit such as MINUTE after INTERVAL %s, found %s", amount.Text, unit)
	}
	v, err := temporal.ParseInterval(amount.Text, word)
	if err != nil {
		return 0, amount.Errorf("%s", err)
	}
	r.value(t, leaf{expr: &ast.Interval{Pos: t.Pos, Value: v}})
	return n, nil
}

func (r *rewriter) dated(t, text lex.Token, day bool) error {
	if day {
		v, ok := temporal.ParseDate([]byte(text.Text))
		if !ok {
			return text.Errorf("%s is not a date; write DATE '2026-01-31'", text)
		}
		r.value(t, leaf{expr: &ast.Date{Pos: t.Pos, Days: v}})
		return nil
	}
	v, ok := temporal.ParseTimestamp([]byte(text.Text))
	if !ok {
		return text.Errorf("%s is not a timestamp; write TIMESTAMP '2026-01-31 12:00:00'", text)
	}
	r.value(t, leaf{expr: &ast.Timestamp{Pos: t.Pos, Micros: v}})
	return nil
}

// typeName rewrites AS type in a CAST to a second argument.
func (r *rewriter) typeName(i int) (int, error) {
	first := r.at(i + 1)
	name := &ast.TypeName{Pos: first.Pos}
	n := 1
	var words []string
	for ; r.at(i+n).Kind == lex.Word; n++ {
		words = append(words, strings.ToLower(r.at(i+n).Text))
	}
	if len(words) == 0 {
		return 0, first.Errorf("expected a type after AS, found %s", first)
	}
	name.Name = strings.Join(words, " ")
	if r.at(i + n).Sym("(") {
		for n++; ; n++ {
			p := r.at(i + n)
			v, err := strconv.Atoi(p.Text)
			if p.Kind != lex.Number || err != nil {
				return 0, p.Errorf("expected a number in the type, found %s", p)
			}
			name.Params = append(name.Params, v)
			n++
			if r.at(i + n).Sym(")") {
				n++
				break
			}
			if p := r.at(i + n); !p.Sym(",") {
				return 0, p.Errorf("expected , or ) in the type, found %s", p)
			}
		}
	}
	r.emit(r.at(i), ",")
	r.value(first, leaf{typ: name})
	return n, nil
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
