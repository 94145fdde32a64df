package ast

import "strings"

// Query is a whole statement: a body, the queries it names and when its rows leave.
type Query struct {
	Pos
	// Into is the stream of INSERT INTO, or nil.
	Into *Target
	With []CTE
	Body Body
	// OrderBy and Limit order the rows of each window and keep the first.
	OrderBy []Order
	Limit   *Limit
	// Emit is nil without EMIT.
	Emit *Emit
	// Lateness is ALLOWED LATENESS, or nil.
	Lateness *Interval
	// Late is the stream of LATE ROWS INTO, or nil.
	Late *Target
}

// Target is a stream that rows go to.
type Target struct {
	Pos
	Name string
	// Columns are named behind INSERT INTO; empty is all, in the order of the select list.
	Columns []Name
}

// CTE is name [(columns)] AS (query) of a WITH clause.
type CTE struct {
	Pos
	Name    string
	Columns []Name
	Query   *Query
}

// Body is *Select, *Union or, in parentheses, *Query.
type Body interface{ Position() Pos }

// Union is two or more bodies joined by UNION ALL.
type Union struct {
	Pos
	Terms []Body
}

// Item is one entry of a select list.
type Item struct {
	Pos
	// Expr is nil for * and input.*.
	Expr Expr
	// Alias is empty when there is none.
	Alias string
	// Qualifier is the input in input.*.
	Qualifier *Ident
}

// Select is a SELECT core.
type Select struct {
	Pos
	// Stream is set for SELECT STREAM, which means the same: every query here is continuous.
	Stream   bool
	Distinct bool
	Items    []Item
	From     From
	Where    Expr
	// Window is the window among the entries of GROUP BY, or nil; GroupBy has the others.
	Window  *Window
	GroupBy []Expr
	Having  Expr
	// Windows are the entries of the WINDOW clause.
	Windows []NamedWindow
	// Qualify filters by window functions.
	Qualify Expr
}

// From is *Table, *Derived, *Join or *Unnest.
type From interface{ Position() Pos }

// Table is a stream, transform, query, CTE or reference table by name.
type Table struct {
	Pos
	Name  string
	Alias string
}

// Derived is a sub-query: (SELECT …) AS alias.
type Derived struct {
	Pos
	Query *Query
	Alias string
}

// JoinKind is how rows without a partner are treated.
type JoinKind uint8

// The kinds of joins. A cross join is written with UNNEST only.
const (
	InnerJoin JoinKind = iota
	LeftJoin
	CrossJoin
)

// Join is left [LEFT] JOIN right ON condition or USING (columns), or left CROSS JOIN UNNEST(…).
type Join struct {
	Pos
	Kind        JoinKind
	Left, Right From
	// On is nil in a cross join and with Using.
	On Expr
	// Using are columns that both sides have and that are equal; UsingPos is the place of the word.
	Using    []Name
	UsingPos Pos
}

// Unnest is UNNEST(list) [WITH ORDINALITY] AS alias(column [, ordinality]).
type Unnest struct {
	Pos
	X          Expr
	Alias      string
	Columns    []Name
	Ordinality bool
}

// WindowKind is the kind of a window in GROUP BY.
type WindowKind uint8

// The kinds of windows.
const (
	// Tumble cuts time, or rows, into pieces of one Size.
	Tumble WindowKind = iota
	// Hop starts a window of Size every Step.
	Hop
	// Session ends when a key had no row for Size.
	Session
	// Cumulate grows by Step until it reaches Size.
	Cumulate
	// Stagger begins with the first row of a key and lasts Size.
	Stagger
)

var windowNames = [...]string{"TUMBLE", "HOP", "SESSION", "CUMULATE", "STAGGER"}

// String is the name in a query.
func (k WindowKind) String() string { return windowNames[k] }

// WindowNames are the windows of GROUP BY as a call has them, in lower case.
func WindowNames() []string {
	names := make([]string, len(windowNames))
	for i, n := range windowNames {
		names[i] = strings.ToLower(n)
	}
	return names
}

// Window is the window in GROUP BY.
type Window struct {
	Pos
	Kind WindowKind
	// Time is the column that rows are placed by; nil for windows of rows.
	Time Expr
	// Size is the length or gap, Step the advance of HOP and CUMULATE. Offset may be nil.
	Size, Step, Offset *Interval
	// Rows and StepRows stand for Size and Step in windows of rows: TUMBLE(ROWS 100), HOP(ROWS 10, ROWS 100).
	Rows, StepRows int64
	// Zone is the time zone that windows are aligned in; empty is UTC. ZonePos is its place.
	Zone    string
	ZonePos Pos
}

// Order is one entry of ORDER BY.
type Order struct {
	Pos
	Expr Expr
	Desc bool
	// NullsFirst is as written, or else set for descending order.
	NullsFirst bool
}

// Limit is LIMIT count [OFFSET skip] or FETCH FIRST count ROWS ONLY.
type Limit struct {
	Pos
	Count, Offset int64
}

// NamedWindow is name AS (…) of a WINDOW clause.
type NamedWindow struct {
	Pos
	Name string
	Spec *Over
}

// Over is OVER (…) or OVER name.
type Over struct {
	Pos
	// Name is the window of the WINDOW clause, then nothing else is set.
	Name        string
	PartitionBy []Expr
	OrderBy     []Order
	// Frame is nil when none is written.
	Frame *Frame
}

// Frame is RANGE or ROWS [BETWEEN] … PRECEDING [AND CURRENT ROW]. Frames end at the current row.
type Frame struct {
	Pos
	// ByRows is set for ROWS.
	ByRows bool
	// Unbounded is UNBOUNDED PRECEDING. Else the frame begins at Rows or Range before the row;
	// zero and nil are the row itself.
	Unbounded bool
	Rows      int64
	Range     *Interval
}

// EmitKind is when the rows of a window leave.
type EmitKind uint8

// The kinds of EMIT.
const (
	// EmitOnClose is once, when the window is complete.
	EmitOnClose EmitKind = iota
	// EmitChanges is with every change.
	EmitChanges
	// EmitEvery is every so often.
	EmitEvery
)

// Emit is EMIT ON CLOSE, EMIT CHANGES or EMIT EVERY interval.
type Emit struct {
	Pos
	Kind EmitKind
	// Every is set for EmitEvery.
	Every *Interval
}
