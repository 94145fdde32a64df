package expr

import (
	"weak"

	"github.com/millrace-io/millrace/engine/column"
)

// value is one argument of one row, by the type that it was compiled to.
type value struct {
	// s is a text, binary or JSON.
	s []byte
	// i is a bigint or a time.
	i int64
	// f is a double.
	f float64
}

// scalar is a function whose result is NULL when an argument is. Exactly one of the functions is
// set, by the type of the result; ok false is NULL. When the only argument that is no literal is
// a dictionary column, the function runs once per value.
type scalar struct {
	t    column.Type
	args []node

	text   func(dst []byte, v []value) ([]byte, bool)
	whole  func(v []value) (int64, bool)
	double func(v []value) (float64, bool)
}

func (s *scalar) typ() column.Type { return s.t }

func (s *scalar) eval(x *exec) *column.Column {
	v := make([]value, len(s.args))
	cols := make([]*column.Column, len(s.args))
	var varying []int
	for k, a := range s.args {
		if c, ok := a.(*constant); ok && !c.null {
			v[k] = value{s: c.s, i: c.i, f: c.f}
			continue
		}
		cols[k] = a.eval(x)
		varying = append(varying, k)
	}
	t := x.temp(s.t)
	if x.err != nil {
		return &t.col
	}
	for _, k := range varying {
		t.nullsOf(cols[k])
	}
	if len(varying) == 1 && cols[varying[0]].Dict != nil {
		s.byValue(x, t, cols[varying[0]], v, varying[0])
	} else {
		s.byRow(x, t, cols, v, varying)
	}
	for _, k := range varying {
		x.release(cols[k])
	}
	return &t.col
}

// load sets the arguments of row i.
func load(v []value, cols []*column.Column, varying []int, i int32) {
	for _, k := range varying {
		switch c := cols[k]; c.Type.Kind {
		case column.String, column.Binary, column.JSON:
			v[k].s = c.Text(int(i))
		case column.UUID:
			v[k].s = c.Fixed[16*i : 16*i+16]
		case column.Double:
			v[k].f = c.Float64s[i]
		case column.Date:
			v[k].i = int64(c.Int32s[i])
		default:
			v[k].i = c.Int64s[i]
		}
	}
}

func (s *scalar) byRow(x *exec, t *temp, cols []*column.Column, v []value, varying []int) {
	switch {
	case s.text != nil:
		w := t.writer()
		for _, i := range x.sel {
			w.row(i)
			if t.col.IsNull(int(i)) {
				continue
			}
			load(v, cols, varying, i)
			from := len(w.buf)
			out, ok := s.text(w.buf, v)
			if w.buf = out; !ok {
				w.buf = out[:from]
				t.setNull(i)
			}
			if w.full(x) {
				break
			}
		}
		w.finish()
	case s.double != nil:
		out := t.float64s()
		for _, i := range x.sel {
			if t.col.IsNull(int(i)) {
				continue
			}
			load(v, cols, varying, i)
			f, ok := s.double(v)
			if out[i] = f; !ok || !finite(f) {
				t.setNull(i)
			}
		}
	default:
		set := t.wholes()
		for _, i := range x.sel {
			if t.col.IsNull(int(i)) {
				continue
			}
			load(v, cols, varying, i)
			n, ok := s.whole(v)
			if !ok {
				t.setNull(i)
				continue
			}
			set.put(i, n)
		}
	}
}

// wholes writes whole numbers in the form of the type of a temp.
type wholes struct {
	words []int64
	halfs []int32
	bits  []byte
}

func (t *temp) wholes() wholes {
	switch t.col.Type.Kind {
	case column.Boolean:
		return wholes{bits: t.bits()}
	case column.Date, column.Int:
		return wholes{halfs: t.int32s()}
	}
	return wholes{words: t.int64s()}
}

func (w *wholes) put(i int32, n int64) {
	switch {
	case w.words != nil:
		w.words[i] = n
	case w.halfs != nil:
		w.halfs[i] = int32(n)
	default:
		w.bits[i>>3] |= byte(n&1) << (i & 7)
	}
}

// mapped is what a function made of the values of a dictionary so far.
type mapped struct {
	// ids is per value of the dictionary what became of it: todo, none, or, for texts, an id of out.
	ids  []int32
	nums []int64
	dbls []float64
	out  *column.Dict
	seen map[string]int32
}

const (
	todo = -2
	none = -1
)

// mapping is a function and a dictionary, which it does not keep alive: that of a decoder takes the place of a
// smaller one, and is given up once it does not pay.
type mapping struct {
	fn   *scalar
	dict weak.Pointer[column.Dict]
}

// mapped is what x remembers of s and a dictionary.
func (x *exec) mapped(s *scalar, c *column.Column) *mapped {
	key := mapping{s, weak.Make(c.Dict)}
	m := x.mappings[key]
	if m == nil {
		x.tidy()
		m = &mapped{out: &column.Dict{Offsets: []int32{0}}, seen: make(map[string]int32)}
		x.mappings[key] = m
	}
	for len(m.ids) < c.DictLen {
		m.ids = append(m.ids, todo)
		if s.double != nil {
			m.dbls = append(m.dbls, 0)
		} else if s.text == nil {
			m.nums = append(m.nums, 0)
		}
	}
	return m
}

// mostMapped is how many bytes of texts that functions made an exec remembers, beside those in use.
const mostMapped = 4 << 20

// tidy forgets what was made of dictionaries that are no more, or all if it is too much.
func (x *exec) tidy() {
	texts := 0
	for key, m := range x.mappings {
		if key.dict.Value() == nil {
			delete(x.mappings, key)
		} else {
			texts += cap(m.out.Bytes)
		}
	}
	if x.mappings == nil || len(x.mappings) >= maxTables || texts > mostMapped {
		x.mappings = make(map[mapping]*mapped)
	}
}

// byValue computes each value of the dictionary when it is met first. The result of a text
// function is a dictionary again, in which every text is there once.
func (s *scalar) byValue(x *exec, t *temp, c *column.Column, v []value, k int) {
	m := x.mapped(s, c)
	var ids []int32
	var dbls []float64
	var nums wholes
	switch {
	case s.text != nil:
		ids = t.int32s()
	case s.double != nil:
		dbls = t.float64s()
	default:
		nums = t.wholes()
	}
	for _, i := range x.sel {
		if t.col.IsNull(int(i)) {
			if ids != nil {
				ids[i] = 0
			}
			continue
		}
		id := c.IDs[i]
		if m.ids[id] == todo {
			v[k].s = c.Dict.Bytes[c.Dict.Offsets[id]:c.Dict.Offsets[id+1]]
			s.learn(m, id, v)
		}
		to := m.ids[id]
		if to == none {
			t.setNull(i)
			to = 0
		}
		switch {
		case ids != nil:
			ids[i] = to
		case dbls != nil:
			dbls[i] = m.dbls[id]
		default:
			nums.put(i, m.nums[id])
		}
	}
	if ids == nil {
		return
	}
	if len(m.out.Bytes) > maxText {
		x.fail("an expression makes more than %d MiB of text of one dictionary", maxText>>20)
	}
	if len(m.out.Offsets) == 1 {
		// Every row is null, but an id must mean something.
		m.out.Offsets = append(m.out.Offsets, 0)
		m.seen[""] = 0
	}
	t.col.Int32s, t.col.IDs = nil, ids
	t.col.Dict, t.col.DictLen = m.out, len(m.out.Offsets)-1
}

// learn computes the function for one value.
func (s *scalar) learn(m *mapped, id int32, v []value) {
	ok := false
	switch {
	case s.double != nil:
		m.dbls[id], ok = s.double(v)
		ok = ok && finite(m.dbls[id])
	case s.text == nil:
		m.nums[id], ok = s.whole(v)
	default:
		from := len(m.out.Bytes)
		var out []byte
		if out, ok = s.text(m.out.Bytes, v); !ok {
			break
		}
		to, known := m.seen[string(out[from:])]
		if !known {
			to = int32(len(m.out.Offsets) - 1)
			m.seen[string(out[from:])] = to
			m.out.Bytes = out
			m.out.Offsets = append(m.out.Offsets, int32(len(out)))
		}
		m.ids[id] = to
		return
	}
	if m.ids[id] = 0; !ok {
		m.ids[id] = none
	}
}
