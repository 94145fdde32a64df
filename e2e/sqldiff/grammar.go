package sqldiff

import (
	"fmt"
	"math/rand/v2"
)

// Differences from DuckDB that are meant. The grammar leaves them out, or says them in DuckDB's way.
//
//   - What cannot be computed is NULL, not an error that ends the query: TRY(…) around each
//     operation. Infinities and NaN are NULL too: fin(…).
//   - Arithmetic of int is in bigint; DuckDB's int overflows at 32 bits: all whole numbers are cast.
//   - 1.5 is a double except next to a decimal; in DuckDB it is a decimal: literals are cast.
//   - SUBSTR counts from 1; what lies before the text uses up length. DuckDB counts a negative start from the end.
//   - SPLIT_PART with field 0 is NULL; in DuckDB it is the empty text.
//   - REGEXP_EXTRACT without a match is NULL; in DuckDB it is the empty text.
//   - REGEXP_REPLACE replaces every match; in DuckDB it does so with the option 'g'.
//   - A timestamp as text is RFC 3339 (T and Z); a double as text is as in JSON: casts of them to text are left out.
//   - A cast from text to boolean knows true, t, 1, false, f and 0; DuckDB knows yes, no, y and n too.
//   - A decimal as a divisor: / is in double in both; the last bit of a converted decimal may differ, so results are compared to 1e-9.
//   - A cast of a double to bigint rounds halves to even in both; of a decimal, away from zero in both.
//   - A text with a fraction becomes a whole number as a double does; in DuckDB as a decimal: wholetext(…).
//   - The sign of zero may differ, which ATAN2 shows: its operands are never zero.
//   - POWER squares again and again, so its result is off by as many last bits as the exponent is large: exponents are small.
//   - LN, EXP, POWER and the like may differ in the last bit: they stand at the root only.
//   - || of a value that is no text is left out, see casts to text.
//   - A result of decimals has the digits it needs, up to 38; DuckDB keeps those of operands of up to 18 digits within 18:
//     products are of columns whose digits fit, operands of sums are cast.
//   - EPOCH_MS of a time before 1970 is rounded down, as EPOCH is; DuckDB rounds towards zero: flooredms(…).
//   - The least bigint modulo -1 is 0; in DuckDB it overflows: remainder(…).
//   - DATE_DIFF counts the Mondays between two times; DuckDB counts whole sevens of days: weeks are left out.
//   - POSITION is written STRPOS in DuckDB; CARDINALITY of a list is len(…); a list's element outside of it is NULL in both.
//   - -> of a missing key is NULL; ->> of a JSON null is NULL in both.

// pair is an expression in both dialects.
type pair struct{ ours, duck string }

func same(format string, args ...any) pair {
	s := fmt.Sprintf(format, args...)
	return pair{s, s}
}

// grammar makes random expressions.
type grammar struct{ r *rand.Rand }

func (g *grammar) pick(list ...string) string { return list[g.r.IntN(len(list))] }

// build puts operands into two formats.
func build(ours, duck string, operands ...pair) pair {
	l, r := make([]any, len(operands)), make([]any, len(operands))
	for i, o := range operands {
		l[i], r[i] = o.ours, o.duck
	}
	return pair{fmt.Sprintf(ours, l...), fmt.Sprintf(duck, r...)}
}

func both(format string, operands ...pair) pair { return build(format, format, operands...) }

// choice is a conditional of any type.
func (g *grammar) choice(depth int, value func(int) pair) pair {
	switch g.r.IntN(6) {
	case 0:
		return both("COALESCE(%s, %s)", value(depth-1), value(depth-1))
	case 1:
		return both("NULLIF(%s, %s)", value(depth-1), value(depth-1))
	case 2:
		return both("CASE WHEN %s THEN %s WHEN %s THEN %s END", g.condition(depth-1), value(depth-1), g.condition(depth-1), value(depth-1))
	case 3:
		return both("GREATEST(%s, %s)", value(depth-1), value(depth-1))
	case 4:
		return both("LEAST(%s, %s)", value(depth-1), value(depth-1))
	}
	return both("CASE WHEN %s THEN %s ELSE %s END", g.condition(depth-1), value(depth-1), value(depth-1))
}

func (g *grammar) whole(depth int) pair {
	if depth <= 0 {
		if g.r.IntN(4) == 0 {
			n := g.pick("0", "1", "2", "-3", "10", "100")
			return pair{n, "(" + n + ")::BIGINT"}
		}
		return build("%s", "%s::BIGINT", same("%s", g.pick("a", "b", "i", "a", "b")))
	}
	if g.r.IntN(4) == 0 {
		return g.restWhole(depth)
	}
	switch g.r.IntN(20) {
	case 0, 1, 2, 3:
		op := g.pick("+", "-", "*")
		return build("(%s "+op+" %s)", "TRY(%s "+op+" %s)", g.whole(depth-1), g.whole(depth-1))
	case 4:
		return build("(%s %% %s)", "remainder(%s, %s)", g.whole(depth-1), g.whole(depth-1))
	case 5:
		return build("LENGTH(%s)", "length(%s)::BIGINT", g.text(depth-1))
	case 6:
		return build("CAST(%s AS BIGINT)", "TRY_CAST(%s AS BIGINT)", g.anyNumber(depth-1))
	case 7:
		return build("CAST(%s AS BIGINT)", "(%s)::BIGINT", g.condition(depth-1))
	case 8:
		return build("ABS(%s)", "TRY(abs(%s))", g.whole(depth-1))
	case 9:
		return build("SIGN(%s)", "sign(%s)::BIGINT", g.whole(depth-1))
	case 10:
		part := g.pick("YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND", "QUARTER", "WEEK", "DOW", "DOY", "MILLISECOND", "MICROSECOND")
		return build("EXTRACT("+part+" FROM %s)", "extract("+part+" FROM %s)::BIGINT", g.time(depth-1))
	case 11:
		unit := g.pick("year", "quarter", "month", "day", "hour", "minute", "second", "millisecond")
		return build("DATE_DIFF('"+unit+"', %s, %s)", "TRY(date_diff('"+unit+"', %s, %s))", g.time(depth-1), g.time(depth-1))
	case 12:
		return build("STRPOS(%s, %s)", "strpos(%s, %s)::BIGINT", g.text(depth-1), g.text(depth-1))
	case 13:
		return build("CARDINALITY(%s)", "len(%s)::BIGINT", same("%s", g.pick("li", "lt")))
	case 14:
		n := g.pick("1", "2", "3", "-1")
		return build("li["+n+"]", "li["+n+"]")
	case 15:
		f := g.pick("bitand|&", "bitor||", "bitxor")
		switch f {
		case "bitand|&":
			return build("BITAND(%s, %s)", "(%s & %s)", g.whole(depth-1), g.whole(depth-1))
		case "bitor||":
			return build("BITOR(%s, %s)", "(%s | %s)", g.whole(depth-1), g.whole(depth-1))
		}
		return build("BITXOR(%s, %s)", "xor(%s, %s)", g.whole(depth-1), g.whole(depth-1))
	case 16:
		return build("(%s - %s)", "TRY(%s - %s)", g.day(depth-1), g.day(depth-1))
	case 17:
		path := g.pick("'$.a'", "'$.b.c[0]'", "'$[0]'", "'$[1].a'")
		return build("CAST(j ->> "+path+" AS BIGINT)", "TRY_CAST((j ->> "+path+") AS BIGINT)")
	case 18:
		return build("EPOCH_MS(%s)", "flooredms(%s)", g.time(depth-1))
	}
	return g.choice(depth, g.whole)
}

func (g *grammar) anyNumber(depth int) pair {
	switch g.r.IntN(4) {
	case 0:
		return g.double(depth)
	case 1:
		return g.decimal(min(depth, 2))
	case 2:
		return same("k")
	}
	return g.whole(depth)
}

func (g *grammar) double(depth int) pair {
	if depth <= 0 {
		if g.r.IntN(4) == 0 {
			n := g.pick("0.5", "-1.25", "3.0", "100.75")
			return pair{n, "(" + n + ")::DOUBLE"}
		}
		return same("%s", g.pick("d", "e"))
	}
	switch g.r.IntN(11) {
	case 0, 1, 2:
		op := g.pick("+", "-", "*", "/")
		return build("(%s "+op+" %s)", "fin(TRY(%s "+op+" %s))", g.double(depth-1), g.double(depth-1))
	case 3:
		return build("(%s / %s)", "fin(TRY((%s)::DOUBLE / (%s)::DOUBLE))", g.whole(depth-1), g.whole(depth-1))
	case 4:
		f := g.pick("FLOOR", "CEIL", "ABS", "ROUND", "TRUNC")
		return build(f+"(%s)", f+"(%s)", g.double(depth-1))
	case 5:
		return build("SQRT(%s)", "fin(TRY(sqrt(%s)))", g.double(depth-1))
	case 6:
		return build("CAST(%s AS DOUBLE)", "(%s)::DOUBLE", g.whole(depth-1))
	case 7:
		return build("CAST(%s AS DOUBLE)", "fin(TRY_CAST(%s AS DOUBLE))", same("k"))
	case 8:
		return build("(%s + %s)", "fin(%s + (%s)::DOUBLE)", g.double(depth-1), g.whole(depth-1))
	case 9:
		return build("(- %s)", "(- %s)", g.double(depth-1))
	}
	return g.choice(depth, g.double)
}

// inexact is a double that may differ in its last bits.
func (g *grammar) inexact(depth int) pair {
	if g.r.IntN(4) == 0 {
		return g.restInexact(depth)
	}
	switch g.r.IntN(5) {
	case 0:
		f := g.pick("LN", "EXP", "LOG10", "LOG2", "CBRT", "SIN", "COS", "ATAN")
		return build(f+"(%s)", "fin(TRY("+f+"(%s)))", g.double(depth-1))
	case 1:
		exponent := g.pick("2", "-1", "0.5", "-3", "17")
		return build("POWER(%s, "+exponent+")", "fin(TRY(pow(%s, "+exponent+")))", g.double(depth-1))
	case 2:
		return build("CAST(%s AS DOUBLE)", "(%s)::DOUBLE", g.decimal(min(depth-1, 2)))
	case 3:
		return build("(%s + CAST(%s AS DOUBLE))", "fin(%s + (%s)::DOUBLE)", g.double(depth-1), g.decimal(min(depth-1, 2)))
	}
	return build("(%s / %s)", "fin(TRY((%s)::DOUBLE / (%s)::DOUBLE))", g.decimal(min(depth-1, 2)), g.decimal(min(depth-1, 2)))
}

func (g *grammar) decimal(depth int) pair {
	if depth <= 0 {
		if g.r.IntN(5) == 0 {
			return same("CAST(%s AS DECIMAL(5,2))", g.pick("1.25", "-0.5", "100"))
		}
		return same("%s", g.pick("p", "q", "p", "q", "w"))
	}
	switch g.r.IntN(10) {
	case 0, 1:
		op := g.pick("+", "-")
		return build("(%s "+op+" %s)", "TRY((%s)::DECIMAL(38,7) "+op+" (%s)::DECIMAL(38,7))", g.decimal(depth-1), g.decimal(depth-1))
	case 2:
		return same("(%s)", g.pick("p * q", "q * q", "w * q", "q * 1.5 * p", "q * i", "p * b"))
	case 3:
		return build("ABS(%s)", "abs(%s)", g.decimal(depth-1))
	case 4:
		return build("(- %s)", "(- %s)", g.decimal(depth-1))
	case 5:
		n := g.pick("0", "1", "2")
		return build("ROUND(%s, "+n+")", "round(%s, "+n+")", same("%s", g.pick("p", "q", "w")))
	case 6:
		f := g.pick("FLOOR", "CEIL")
		return build(f+"(%s)", f+"(%s)", same("%s", g.pick("p", "q")))
	case 7:
		t := g.pick("DECIMAL(8,1)", "DECIMAL(20,5)", "DECIMAL(4,2)", "DECIMAL(38,3)")
		return build("CAST(%s AS "+t+")", "TRY_CAST(%s AS "+t+")", g.decimal(depth-1))
	case 8:
		t := g.pick("DECIMAL(8,1)", "DECIMAL(22,3)")
		return build("CAST(%s AS "+t+")", "TRY_CAST(%s AS "+t+")", g.pickPair(g.whole(depth-1), same("k")))
	}
	return build("(%s + %s)", "TRY((%s)::DECIMAL(38,7) + %s)", g.decimal(depth-1), g.whole(0))
}

func (g *grammar) pickPair(list ...pair) pair { return list[g.r.IntN(len(list))] }

func (g *grammar) text(depth int) pair {
	if depth <= 0 {
		if g.r.IntN(4) == 0 {
			return same("%s", g.pick("''", "'abc'", "'b'", "'it''s'", "'ä'"))
		}
		return same("%s", g.pick("k", "l"))
	}
	if g.r.IntN(4) == 0 {
		return g.restText(depth)
	}
	switch g.r.IntN(22) {
	case 0:
		return both("(%s || %s)", g.text(depth-1), g.text(depth-1))
	case 1:
		f := g.pick("UPPER", "LOWER", "TRIM", "LTRIM", "RTRIM", "REVERSE", "MD5", "SHA256")
		return both(f+"(%s)", g.text(depth-1))
	case 2:
		return both("SUBSTR(%s, "+g.pick("1", "2", "5")+", "+g.pick("0", "1", "3")+")", g.text(depth-1))
	case 3:
		return both(g.pick("LTRIM", "RTRIM", "TRIM")+"(%s, 'ab ')", g.text(depth-1))
	case 4:
		return both("REPLACE(%s, %s, %s)", g.text(depth-1), g.text(0), g.text(0))
	case 5:
		return both(g.pick("LPAD", "RPAD")+"(%s, "+g.pick("0", "3", "12")+", 'xy')", g.text(depth-1))
	case 6:
		return both(g.pick("LEFT", "RIGHT")+"(%s, "+g.pick("0", "2", "-1", "-9", "99")+")", g.text(depth-1))
	case 7:
		return both("REPEAT(%s, "+g.pick("0", "1", "3")+")", g.text(depth-1))
	case 8:
		return both("SPLIT_PART(%s, "+g.pick("','", "'X'", "'bc'")+", "+g.pick("1", "2", "-1", "7", "-9")+")", g.text(depth-1))
	case 9:
		return both("CONCAT(%s, %s, %s)", g.text(depth-1), g.text(depth-1), g.text(0))
	case 10:
		return both("CONCAT_WS('-', %s, %s)", g.text(depth-1), g.text(depth-1))
	case 11:
		return build("CAST(%s AS VARCHAR)", "(%s)::VARCHAR", g.whole(depth-1))
	case 12:
		return build("CAST(%s AS VARCHAR)", "(%s)::VARCHAR", g.condition(depth-1))
	case 13:
		return build("CAST(%s AS VARCHAR)", "(%s)::VARCHAR", same("%s", g.pick("y", "g", "p", "q", "w")))
	case 14:
		pattern := g.pick("'[a-c]+'", "'[0-9]+'", "'^.'", "'(?i)L+'")
		return build("REGEXP_EXTRACT(%s, "+pattern+")", "nullif(regexp_extract(%s, "+pattern+"), '')", g.text(depth-1))
	case 15:
		return build("REGEXP_EXTRACT(%s, '([a-z])=([0-9]+)', 2)", "nullif(regexp_extract(%s, '([a-z])=([0-9]+)', 2), '')", g.text(depth-1))
	case 16:
		pattern := g.pick("'[a-c]', '<\\0>'", "'(l)(.)', '\\2\\1'", "'[0-9]+', '#'")
		return build("REGEXP_REPLACE(%s, "+pattern+")", "regexp_replace(%s, "+pattern+", 'g')", g.text(depth-1))
	case 17:
		path := g.pick("'s'", "'$.s'", "'$.b.c[1]'", "'$.b.c[3]'", "'n'", "'$[2]'", "'missing'")
		return pair{"(j ->> " + path + ")", "(j ->> " + path + ")"}
	case 18:
		return same("lt[%s]", g.pick("1", "2", "-1", "9"))
	case 19:
		return build("ENCODE(%s, 'base64')", "base64(encode(%s))", g.text(depth-1))
	case 20:
		pattern := g.pick("'%Y-%m-%d %H:%M:%S'", "'%d.%m.%y'", "'%H:%M:%S.%f'", "'%j %p %I'", "'%B %b %A %a'")
		return build("FORMAT_TIMESTAMP(%s, "+escape(pattern)+")", "strftime(%s, "+escape(pattern)+")", g.time(depth-1))
	}
	return g.choice(depth, g.text)
}

// escape doubles % for formats.
func escape(s string) string {
	out := ""
	for _, c := range s {
		if out += string(c); c == '%' {
			out += "%"
		}
	}
	return out
}
