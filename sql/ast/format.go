package ast

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/sql/temporal"
)

// Format is e in one canonical spelling: operators in parentheses, names in double quotes where
// they were. What it writes parses to the same tree.
func Format(e Expr) string {
	f := &formatter{}
	f.expr(e)
	return f.out.String()
}

// FormatQuery is q in one canonical spelling.
func FormatQuery(q *Query) string {
	f := &formatter{}
	f.query(q)
	return f.out.String()
}

type formatter struct{ out strings.Builder }

// put writes texts, names, expressions and lists of them.
func (f *formatter) put(parts ...any) {
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			f.out.WriteString(p)
		case Name:
			f.name(p)
		case Expr:
			f.expr(p)
		case []Expr:
			for i, e := range p {
				if i > 0 {
					f.put(", ")
				}
				f.expr(e)
			}
		}
	}
}

func (f *formatter) name(n Name) {
	if n.Quoted {
		f.put(`"`, strings.ReplaceAll(n.Text, `"`, `""`), `"`)
		return
	}
	f.put(n.Text)
}

func quoted(name string) Name { return Name{Text: name, Quoted: true} }

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func not(yes bool) string {
	if yes {
		return "NOT "
	}
	return ""
}

func (f *formatter) expr(e Expr) {
	switch e := e.(type) {
	case *Ident:
		for i, p := range e.Parts {
			if i > 0 {
				f.put(".")
			}
			f.name(p)
		}
	case *Negate:
		f.put("(- ", e.X, ")")
	case *Binary:
		f.put("(", e.L, " "+e.Op+" ", e.R, ")")
	case *Distinct:
		f.put("(", e.L, " IS "+not(e.Not)+"DISTINCT FROM ", e.R, ")")
	case *Logic:
		f.logic(e)
	case *Not:
		f.put("(NOT ", e.X, ")")
	case *IsNull:
		f.put("(", e.X, " IS "+not(e.Not)+"NULL)")
	case *IsBool:
		f.put("(", e.X, " IS "+not(e.Not)+strings.ToUpper(strconv.FormatBool(e.Value))+")")
	case *Between:
		f.put("(", e.X, " "+not(e.Not)+"BETWEEN ", e.Low, " AND ", e.High, ")")
	case *In:
		f.put("(", e.X, " "+not(e.Not)+"IN (", e.List, "))")
	case *Like:
		f.like(e)
	case *Regexp:
		f.put("(", e.X, " "+not(e.Not)+"REGEXP ", e.Pattern, ")")
	case *Case:
		f.switchCase(e)
	case *Call:
		f.call(e)
	case *Cast:
		f.put("CAST(", e.X, " AS "+e.To.String()+")")
	case *Array:
		f.put("ARRAY[", e.Items, "]")
	case *Index:
		f.put(e.X, "[", e.I, "]")
	case *Member:
		f.put("(", e.X, ").", e.Name)
	case *JSON:
		f.put("(", e.X, map[bool]string{false: " -> ", true: " ->> "}[e.Text], e.Step, ")")
	case *Zoned:
		f.put("(", e.X, " AT TIME ZONE "+literal(e.Zone)+")")
	default:
		f.literal(e)
	}
}

func (f *formatter) literal(e Expr) {
	switch e := e.(type) {
	case *Number:
		f.put(e.Text)
	case *String:
		f.put(literal(e.Value))
	case *Bool:
		f.put(strings.ToUpper(strconv.FormatBool(e.Value)))
	case *Null:
		f.put("NULL")
	case *Interval:
		f.put("INTERVAL " + literal(e.Value.String()))
	case *Date:
		f.put("DATE " + literal(string(temporal.AppendDate(nil, e.Days))))
	case *Timestamp:
		f.put("TIMESTAMP " + literal(string(temporal.AppendTimestamp(nil, e.Micros))))
	case *Clock:
		f.put("TIME " + literal(string(temporal.AppendClock(nil, e.Micros))))
	case *Bytes:
		f.put("X" + literal(hex.EncodeToString(e.Value)))
	}
}

func (f *formatter) logic(e *Logic) {
	word := " OR "
	if e.And {
		word = " AND "
	}
	f.put("(")
	for i, t := range e.Terms {
		if i > 0 {
			f.put(word)
		}
		f.expr(t)
	}
	f.put(")")
}

func (f *formatter) like(e *Like) {
	word := "LIKE "
	if e.Fold {
		word = "ILIKE "
	}
	f.put("(", e.X, " "+not(e.Not)+word, e.Pattern)
	if e.Escape != nil {
		f.put(" ESCAPE ", e.Escape)
	}
	f.put(")")
}

func (f *formatter) switchCase(e *Case) {
	f.put("CASE")
	if e.Operand != nil {
		f.put(" ", e.Operand)
	}
	for _, w := range e.Whens {
		f.put(" WHEN ", w.Cond, " THEN ", w.Value)
	}
	if e.Else != nil {
		f.put(" ELSE ", e.Else)
	}
	f.put(" END")
}

func (f *formatter) call(e *Call) {
	f.put(strings.ToUpper(e.Name), "(")
	if e.Distinct {
		f.put("DISTINCT ")
	}
	if e.Star {
		f.put("*")
	}
	f.put(e.Args, ")")
	if e.Within != nil {
		f.put(" WITHIN GROUP (ORDER BY ")
		f.orders(e.Within)
		f.put(")")
	}
	if e.Filter != nil {
		f.put(" FILTER (WHERE ", e.Filter, ")")
	}
	if e.Over != nil {
		f.put(" OVER ")
		f.over(e.Over)
	}
}

func (f *formatter) orders(list []Order) {
	for i, o := range list {
		if i > 0 {
			f.put(", ")
		}
		f.put(o.Expr, map[bool]string{false: " ASC", true: " DESC"}[o.Desc], map[bool]string{false: " NULLS LAST", true: " NULLS FIRST"}[o.NullsFirst])
	}
}

func (f *formatter) over(o *Over) {
	if o.Name != "" {
		f.put(quoted(o.Name))
		return
	}
	blank := ""
	f.put("(")
	if len(o.PartitionBy) > 0 {
		f.put("PARTITION BY ", o.PartitionBy)
		blank = " "
	}
	if len(o.OrderBy) > 0 {
		f.put(blank + "ORDER BY ")
		f.orders(o.OrderBy)
		blank = " "
	}
	if o.Frame != nil {
		f.put(blank)
		f.frame(o.Frame)
	}
	f.put(")")
}

func (f *formatter) frame(r *Frame) {
	switch {
	case r.Unbounded:
		f.put(map[bool]string{false: "RANGE ", true: "ROWS "}[r.ByRows] + "UNBOUNDED PRECEDING")
	case r.ByRows:
		f.put("ROWS " + strconv.FormatInt(r.Rows, 10) + " PRECEDING")
	case r.Range == nil:
		f.put("RANGE CURRENT ROW")
	default:
		f.put("RANGE ", r.Range, " PRECEDING")
	}
}

// String is the type as it may stand in a CAST.
func (t TypeName) String() string {
	if len(t.Params) == 0 {
		return t.Name
	}
	params := make([]string, len(t.Params))
	for i, p := range t.Params {
		params[i] = strconv.Itoa(p)
	}
	return t.Name + "(" + strings.Join(params, ", ") + ")"
}
