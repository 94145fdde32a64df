// Package expr compiles expressions of sql/ast to kernels over columns.
//
// The invariant to remember: a kernel computes the selected rows and never fails on one. What has
// no value of its type (overflow, division by zero, a text that is no number) is NULL.
package expr

import (
	"slices"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
)

// node is a compiled expression.
type node interface {
	typ() column.Type
	// eval returns a column of x.n rows of which those in x.sel are meaningful. It belongs to x
	// or to the batch and must not be changed.
	eval(x *exec) *column.Column
}

// filterer is a condition that can select rows without making a column. dst may be x.sel[:0]:
// it is never written ahead of what is read.
type filterer interface {
	filter(x *exec, dst []int32) []int32
}

// Scope is what names in an expression mean.
type Scope struct {
	Schema *column.Schema
	// Qualifiers are the names that the input itself goes by: "s" in s.price.
	Qualifiers []string
	// Parts are the inputs of a join; with them Qualifiers are of no concern.
	Parts []Part
	// Alias is asked first about every name. It returns what the name stands for, or nil; names in that
	// are not asked about.
	Alias func(*ast.Ident) ast.Expr
	// Hint ends the message about a name that is no column; empty for nothing to say.
	Hint func(*ast.Ident) string
	// Replace is asked about every node, before anything else but Alias. It returns the index of the schema's field that
	// stands for the node, or -1 to compile it in the usual way.
	Replace func(ast.Expr) (int, error)
	// Shared finds what the expressions over this input have in common; it may be nil.
	Shared *Shared
}

// Program is a compiled expression. One goroutine uses it.
type Program struct {
	root  node
	x     exec
	needs []int
	// read are the places of what is read, in columns and within them.
	read [][]int
	// memos is set if a call in it may be shared with other programs.
	memos bool
}

// Compile compiles e. Errors are *ast.Error.
func Compile(e ast.Expr, s *Scope) (*Program, error) {
	c := &compiler{scope: s}
	root, err := c.expr(e)
	if err != nil {
		return nil, err
	}
	if untyped(root) {
		root = &constant{t: text, null: true}
	}
	if isInterval(root) {
		return nil, e.Position().Errorf("an INTERVAL cannot be a result; write EPOCH(…) for its seconds, or EPOCH_MS or EPOCH_US")
	}
	return c.program(root), nil
}

// program is what was compiled.
func (c *compiler) program(root node) *Program {
	p := &Program{root: root, read: c.read, memos: c.memos}
	for _, place := range c.read {
		p.needs = append(p.needs, place[0])
	}
	slices.Sort(p.needs)
	p.needs = slices.Compact(p.needs)
	return p
}

// Condition compiles e, which must be boolean; name is what messages call it.
func Condition(e ast.Expr, s *Scope, name string) (*Program, error) {
	p, err := Compile(e, s)
	if err != nil {
		return nil, err
	}
	if k := p.root.typ().Kind; k != column.Boolean {
		if c, ok := p.root.(*constant); ok && c.null {
			p.root = &constant{t: boolean, null: true}
			return p, nil
		}
		return nil, e.Position().Errorf("%s must be a condition, but this is of type %s; compare it with something", name, p.root.typ())
	}
	return p, nil
}

// Clone is the same program for another goroutine.
func (p *Program) Clone() *Program {
	return &Program{root: p.root, needs: p.needs, read: p.read, memos: p.memos}
}

// Numeric makes the values BigInt or Double, whichever holds them; false if they are no numbers.
func (p *Program) Numeric() bool {
	t := p.root.typ()
	if !isNumber(t) {
		return false
	}
	to := double
	if isInteger(t) {
		to = bigint
	}
	return p.coerce(to)
}

// Comparable makes the values BigInt, Double, Timestamp or text, in the same order; false if they have none.
func (p *Program) Comparable() bool {
	to, ok := comparableType(p.root.typ())
	return ok && p.coerce(to)
}

func (p *Program) coerce(to column.Type) bool {
	n, err := coerce(p.root, to, ast.Pos{})
	if err == nil {
		p.root = n
	}
	return err == nil
}

// Type of the values.
func (p *Program) Type() column.Type { return p.root.typ() }

// Needs is the indices of the fields that are read, ascending.
func (p *Program) Needs() []int { return p.needs }

// Reads is the places of what is read: the index of a field, and of those within it that lead to what is read. Some
// may occur twice.
func (p *Program) Reads() [][]int { return p.read }

// Field is the index of the field that the expression merely passes on, or -1.
func (p *Program) Field() int {
	if r, ok := p.root.(*reference); ok && len(r.path) == 0 {
		return r.index
	}
	return -1
}

// Eval computes the selected rows of b. The column is b.Rows long; only selected rows are
// meaningful. It is valid until the next Eval or Select.
func (p *Program) Eval(b *column.Batch) (*column.Column, error) {
	p.x.begin(b)
	c := p.root.eval(&p.x)
	if p.x.err != nil {
		return nil, p.x.err
	}
	if p.x.owns(c) {
		count(c)
	}
	return c, nil
}

// Select appends the selected rows of b for which the condition is true. The result is never
// nil, which as a selection would mean all rows.
func (p *Program) Select(b *column.Batch, dst []int32) ([]int32, error) {
	p.x.begin(b)
	if dst == nil {
		dst = []int32{}
	}
	from := len(dst)
	dst = filter(p.root, &p.x, dst)
	if p.x.err != nil {
		return dst[:from], p.x.err
	}
	return dst, nil
}

func (x *exec) owns(c *column.Column) bool {
	for _, t := range x.live {
		if &t.col == c {
			return true
		}
	}
	return false
}

// filter appends the rows of x.sel for which n is true.
func filter(n node, x *exec, dst []int32) []int32 {
	if f, ok := n.(filterer); ok {
		return f.filter(x, dst)
	}
	c := n.eval(x)
	if x.err != nil {
		return dst
	}
	defer x.release(c)
	return trueRows(c, x.sel, dst)
}

// reserve makes room for n more elements, so that a kernel may write without branches.
func reserve(dst []int32, n int) []int32 {
	if cap(dst)-len(dst) < n {
		dst = append(make([]int32, 0, len(dst)+n), dst...)
	}
	return dst
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func trueRows(c *column.Column, sel, dst []int32) []int32 {
	k := len(dst)
	dst = reserve(dst, len(sel))
	out := dst[:k+len(sel)]
	if c.Valid == nil {
		for _, r := range sel {
			out[k] = r
			k += int(c.Bools[r>>3]>>(r&7)) & 1
		}
		return out[:k]
	}
	for _, r := range sel {
		out[k] = r
		k += int((c.Bools[r>>3]&c.Valid[r>>3])>>(r&7)) & 1
	}
	return out[:k]
}
