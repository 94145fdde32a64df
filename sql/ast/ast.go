// Package ast is the syntax tree of the dialect. It knows nothing of the parser that made it, and
// every stage behind sql/parse sees only this.
//
// The invariant to remember: a tree is immutable, and no path through it is longer than the depth
// that sql/parse allows, so walking it recursively is safe.
package ast

import "github.com/millrace-io/millrace/sql/temporal"

// Expr is a node of an expression.
type Expr interface{ Position() Pos }

// Name is one part of an identifier. A quoted name matches exactly, another one may differ in case.
type Name struct {
	Text   string
	Quoted bool
}

// Ident is a possibly qualified column, field or stream: a, a.b, a.b.c.
type Ident struct {
	Pos
	Parts []Name
	// Meant is the keyword that the name may be a misspelling of where it stands, mostly none.
	Meant string
}

// Hint ends the message about a name that means nothing: with the keyword that was meant.
func (id *Ident) Hint() string {
	if id.Meant == "" {
		return ""
	}
	return "; did you mean " + id.Meant + " instead of " + id.Parts[0].Text + "?"
}

// Number is a numeric literal with its sign.
type Number struct {
	Pos
	// Text is the literal as written.
	Text string
	// Integer is set when Int holds the value exactly; Float holds it in any case.
	Integer bool
	Int     int64
	Float   float64
}

// String is a text literal.
type String struct {
	Pos
	Value string
}

// Bool is TRUE or FALSE.
type Bool struct {
	Pos
	Value bool
}

// Null is the NULL literal.
type Null struct{ Pos }

// Interval is INTERVAL '5' MINUTE or INTERVAL '5 minutes'.
type Interval struct {
	Pos
	Value temporal.Interval
}

// Date is DATE '2026-01-31', in days since the epoch.
type Date struct {
	Pos
	Days int32
}

// Timestamp is TIMESTAMP '2026-01-31 12:00:00', in microseconds since the epoch, UTC.
type Timestamp struct {
	Pos
	Micros int64
}

// Clock is TIME '12:00:00', in microseconds since midnight.
type Clock struct {
	Pos
	Micros int64
}

// Bytes is X'0AFF'.
type Bytes struct {
	Pos
	Value []byte
}

// Array is ARRAY[a, b].
type Array struct {
	Pos
	Items []Expr
}

// Index is x[i], counting from 1.
type Index struct {
	Pos
	X, I Expr
}

// Member is the field of a struct that is not a plain column: x[1].name, (x).name.
type Member struct {
	Pos
	X    Expr
	Name Name
}

// JSON is x -> step or x ->> step. A step is a key, an element counting from 0, or a path from $.
type JSON struct {
	Pos
	X Expr
	// Text is set for ->>, which gives a text without quotes.
	Text bool
	// Step is a String, or a Number.
	Step Expr
}

// Zoned is x AT TIME ZONE 'name'.
type Zoned struct {
	Pos
	X    Expr
	Zone string
}

// Negate is -x.
type Negate struct {
	Pos
	X Expr
}

// Distinct is x IS [NOT] DISTINCT FROM y: a comparison in which NULL equals NULL.
type Distinct struct {
	Pos
	L, R Expr
	Not  bool
}

// Binary is an operator between two operands: + - * / % || = <> < <= > >=.
type Binary struct {
	Pos
	Op   string
	L, R Expr
}

// Logic is AND or OR between two or more terms. A chain is one node, however long it is.
type Logic struct {
	Pos
	And   bool
	Terms []Expr
}

// Not is NOT x.
type Not struct {
	Pos
	X Expr
}

// IsNull is x IS [NOT] NULL.
type IsNull struct {
	Pos
	X   Expr
	Not bool
}

// IsBool is x IS [NOT] TRUE or FALSE.
type IsBool struct {
	Pos
	X          Expr
	Value, Not bool
}

// Between is x [NOT] BETWEEN low AND high.
type Between struct {
	Pos
	X, Low, High Expr
	Not          bool
}

// In is x [NOT] IN (list).
type In struct {
	Pos
	X    Expr
	List []Expr
	Not  bool
}

// Like is x [NOT] LIKE pattern [ESCAPE escape], or ILIKE, which folds case.
type Like struct {
	Pos
	X, Pattern Expr
	// Escape is nil when there is none.
	Escape    Expr
	Not, Fold bool
}

// Regexp is x [NOT] REGEXP pattern.
type Regexp struct {
	Pos
	X, Pattern Expr
	Not        bool
}

// When is one branch of a Case.
type When struct{ Cond, Value Expr }

// Case is CASE [operand] WHEN … THEN … ELSE … END.
type Case struct {
	Pos
	// Operand is nil in the searched form.
	Operand Expr
	Whens   []When
	// Else is nil when there is none.
	Else Expr
}

// Call is a function call, with the clauses that aggregates may have.
type Call struct {
	Pos
	// Name is in lower case.
	Name string
	// Star is set for f(*).
	Star     bool
	Distinct bool
	Args     []Expr
	// Filter is the condition of FILTER (WHERE …), or nil.
	Filter Expr
	// Within is the order of WITHIN GROUP (ORDER BY …).
	Within []Order
	// Over is nil for a call without OVER.
	Over *Over
}

// TypeName is the type of a CAST as written, in lower case: "bigint", "double precision",
// "decimal" with Params 10, 2. With Elem set it is a list: bigint[].
type TypeName struct {
	Pos
	Name   string
	Params []int
	Elem   *TypeName
}

// Cast is CAST(x AS type), TRY_CAST(x AS type) or x::type.
type Cast struct {
	Pos
	X  Expr
	To TypeName
}
