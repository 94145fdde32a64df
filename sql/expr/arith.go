package expr

import (
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/temporal"
)

// arithmetic is + - * / % of two BigInts or two Doubles; / is of Doubles only.
type arithmetic struct {
	op   byte
	t    column.Type
	l, r node
}

func (a *arithmetic) typ() column.Type { return a.t }

func (a *arithmetic) eval(x *exec) *column.Column {
	l := a.l.eval(x)
	r := a.r.eval(x)
	t := x.temp(a.t)
	if x.err != nil {
		return &t.col
	}
	t.nullsOf(l, r)
	if a.t.Kind == column.Double {
		floats(a.op, t, l.Float64s, r.Float64s, x.sel)
	} else {
		integers(a.op, t, l.Int64s, r.Int64s, x.sel)
	}
	if a.t.Kind == column.Timestamp {
		t.inYears(x.sel)
	}
	x.release(l, r)
	return &t.col
}

// floats leaves NULL where the result is no finite number.
func floats(op byte, t *temp, l, r []float64, sel []int32) {
	out := t.float64s()
	l, r = l[:len(out)], r[:len(out)]
	switch op {
	case '+':
		for _, i := range sel {
			if out[i] = l[i] + r[i]; out[i]-out[i] != 0 {
				t.setNull(i)
			}
		}
	case '-':
		for _, i := range sel {
			if out[i] = l[i] - r[i]; out[i]-out[i] != 0 {
				t.setNull(i)
			}
		}
	case '*':
		for _, i := range sel {
			if out[i] = l[i] * r[i]; out[i]-out[i] != 0 {
				t.setNull(i)
			}
		}
	case '/':
		for _, i := range sel {
			if out[i] = l[i] / r[i]; out[i]-out[i] != 0 {
				t.setNull(i)
			}
		}
	case '%':
		for _, i := range sel {
			if out[i] = remainder(l[i], r[i]); out[i]-out[i] != 0 {
				t.setNull(i)
			}
		}
	}
}

// integers leaves NULL where the result does not fit or the divisor is zero.
func integers(op byte, t *temp, l, r []int64, sel []int32) {
	out := t.int64s()
	l, r = l[:len(out)], r[:len(out)]
	switch op {
	case '+':
		for _, i := range sel {
			v, ok := temporal.AddInt(l[i], r[i])
			if out[i] = v; !ok {
				t.setNull(i)
			}
		}
	case '-':
		for _, i := range sel {
			v, ok := temporal.SubInt(l[i], r[i])
			if out[i] = v; !ok {
				t.setNull(i)
			}
		}
	case '*':
		for _, i := range sel {
			v, ok := temporal.MulInt(l[i], r[i])
			if out[i] = v; !ok {
				t.setNull(i)
			}
		}
	case '%':
		for _, i := range sel {
			if r[i] == 0 {
				t.setNull(i)
				continue
			}
			out[i] = l[i] % r[i]
		}
	}
}

// inYears leaves NULL for times that no timestamp has.
func (t *temp) inYears(sel []int32) {
	for _, i := range sel {
		if !temporal.InYears(t.col.Int64s[i]) {
			t.setNull(i)
		}
	}
}

// shift is timestamp ± interval.
type shift struct {
	x        node
	interval temporal.Interval
}

func (s *shift) typ() column.Type { return timestamp }

func (s *shift) eval(x *exec) *column.Column {
	c := s.x.eval(x)
	t := x.temp(timestamp)
	if x.err != nil {
		return &t.col
	}
	t.nullsOf(c)
	out := t.int64s()
	for _, i := range x.sel {
		if c.IsNull(int(i)) {
			continue
		}
		v, ok := s.interval.AddTo(c.Int64s[i])
		if out[i] = v; !ok || !temporal.InYears(v) {
			t.setNull(i)
		}
	}
	x.release(c)
	return &t.col
}

// unary applies a function to every number; it reports false for NULL.
type unary[T int64 | float64] struct {
	t  column.Type
	x  node
	fn func(T) (T, bool)
}

func (u *unary[T]) typ() column.Type { return u.t }

func (u *unary[T]) eval(x *exec) *column.Column {
	c := u.x.eval(x)
	t := x.temp(u.t)
	if x.err != nil {
		return &t.col
	}
	t.nullsOf(c)
	in, out := values[T](c), room[T](t)
	for _, i := range x.sel {
		v, ok := u.fn(in[i])
		if out[i] = v; !ok {
			t.setNull(i)
		}
	}
	x.release(c)
	return &t.col
}

// values are the Int64s or Float64s of c.
func values[T int64 | float64](c *column.Column) []T {
	var out []T
	switch p := any(&out).(type) {
	case *[]int64:
		*p = c.Int64s
	case *[]float64:
		*p = c.Float64s
	}
	return out
}

func room[T int64 | float64](t *temp) []T {
	var out []T
	switch p := any(&out).(type) {
	case *[]int64:
		*p = t.int64s()
	case *[]float64:
		*p = t.float64s()
	}
	return out
}

func finite(f float64) bool { return f-f == 0 }
