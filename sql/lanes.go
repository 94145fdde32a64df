package sql

import (
	"sync"
	"sync/atomic"

	"github.com/millrace-io/millrace/engine/column"
)

// Adder takes rows for an operator, as Operator.Add does.
type Adder interface {
	Add(b *column.Batch) (Taken, error)
}

// Adders returns n ways to add rows to an operator from n goroutines at once. It comes after Keep. The
// rows of one shard come through one of them at a time, but may come through another one later. While any
// of them is at work nothing else of the operator is called, nor Use of it. Emit uses up to n goroutines
// from then on, and what it returns does not depend on n. Another call takes the place of this one.
func Adders(o Operator, n int) []Adder {
	if n <= 1 {
		return []Adder{o}
	}
	return divide(o, &lanes{n: n})
}

// divisible is an Operator that several goroutines can add rows to. Each adder that divide returns is for
// one of them, and the first may be the operator itself.
type divisible interface{ divide(l *lanes) []Adder }

// divide makes the adders of an operator. They take turns if it has no other way.
func divide(o Operator, l *lanes) []Adder {
	if d, ok := o.(divisible); ok {
		return d.divide(l)
	}
	out := make([]Adder, l.n)
	turn := &inTurn{to: o}
	for i := range out {
		out[i] = turn
	}
	return out
}

// inTurn adds one batch after the other.
type inTurn struct {
	mu sync.Mutex
	to Adder
}

// Add folds in the selected rows of b.
func (t *inTurn) Add(b *column.Batch) (Taken, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.to.Add(b)
}

// adders makes as many of what takes rows for an operator as there are lanes. The first one stays: it is
// what the operator itself adds with.
func adders[A Adder](l *lanes, all *[]A, fresh func() A) []Adder {
	*all = (*all)[:1:1]
	out := []Adder{(*all)[0]}
	for range l.n - 1 {
		a := fresh()
		*all, out = append(*all, a), append(out, a)
	}
	return out
}

// lanes are the goroutines that the operators of a query may use. Nil is the one that calls.
type lanes struct {
	n int
	// parts guards what all operators keep their state in, shards what they have of each shard.
	parts, shards sync.Mutex
}

// count is how many goroutines there may be.
func (l *lanes) count() int {
	if l == nil {
		return 1
	}
	return l.n
}

// lock guards maps by shard while rows are added.
func (l *lanes) lock() {
	if l != nil {
		l.shards.Lock()
	}
}

func (l *lanes) unlock() {
	if l != nil {
		l.shards.Unlock()
	}
}

// guard is Parts for the goroutines of l.
func (l *lanes) guard(in Parts) Parts {
	if l == nil || in == nil {
		return in
	}
	return &guarded{mu: &l.parts, in: in}
}

// guarded is Parts that any goroutine may use.
type guarded struct {
	mu *sync.Mutex
	in Parts
}

func (g *guarded) Write(piece []byte) (Part, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.in.Write(piece)
}

func (g *guarded) Read(p Part) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.in.Read(p)
}

// each calls do with 0, 1, … n-1 and the number of the goroutine that it is called from, and returns when
// all have returned. They begin in their order. The error is that of the first one that has one.
func (l *lanes) each(n int, do func(lane, i int) error) error {
	k := min(l.count(), n)
	if k <= 1 {
		for i := range n {
			if err := do(0, i); err != nil {
				return err
			}
		}
		return nil
	}
	var next atomic.Int64
	errs := make([]error, n)
	work := func(lane int) {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			errs[i] = do(lane, i)
		}
	}
	var wg sync.WaitGroup
	for lane := 1; lane < k; lane++ {
		wg.Go(func() { work(lane) })
	}
	work(0)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// inOrder calls do with the numbers from one on up to another, some ahead, and take with what it made, in
// their order, until take has enough. What was made ahead by then is dropped, so do must change nothing.
func inOrder[T any](l *lanes, from, to int, do func(i int) (T, error), take func(i int, made T) (more bool)) error {
	type result struct {
		made T
		err  error
	}
	var ahead []chan result
	defer func() {
		for _, c := range ahead {
			<-c
		}
	}()
	next := from
	for i := from; i < to; i++ {
		var r result
		if l.count() <= 1 {
			r.made, r.err = do(i)
		} else {
			for ; next < to && next < i+l.n; next++ {
				c := make(chan result, 1)
				ahead = append(ahead, c)
				go func(i int) {
					made, err := do(i)
					c <- result{made, err}
				}(next)
			}
			r = <-ahead[0]
			ahead = ahead[1:]
		}
		if r.err != nil {
			return r.err
		}
		if !take(i, r.made) {
			return nil
		}
	}
	return nil
}
