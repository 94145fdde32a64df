package parse

import (
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/sql/ast"
	"github.com/millrace-io/millrace/sql/lex"
	"github.com/millrace-io/millrace/sql/temporal"
)

// shapes are the windows of GROUP BY: how they are written and how many lengths they take.
var shapes = map[string]struct {
	kind    ast.WindowKind
	lengths int
	usage   string
}{
	"TUMBLE":   {ast.Tumble, 1, "TUMBLE takes the event time and a length: TUMBLE(event_time, INTERVAL '1' MINUTE)"},
	"HOP":      {ast.Hop, 2, "HOP takes the event time, the advance and the length: HOP(event_time, INTERVAL '1' MINUTE, INTERVAL '5' MINUTE)"},
	"SESSION":  {ast.Session, 1, "SESSION takes the event time and the gap that ends it: SESSION(event_time, INTERVAL '30' MINUTE)"},
	"CUMULATE": {ast.Cumulate, 2, "CUMULATE takes the event time, the step and the length: CUMULATE(event_time, INTERVAL '1' MINUTE, INTERVAL '1' HOUR)"},
	"STAGGER":  {ast.Stagger, 1, "STAGGER takes the event time and a length: STAGGER(event_time, INTERVAL '1' MINUTE)"},
}

// windowNames are the keys of shapes.
var windowNames = []string{"TUMBLE", "HOP", "SESSION", "CUMULATE", "STAGGER"}

// nearWindow is the window that the first word of an entry may mean.
func nearWindow(part []lex.Token) string {
	if len(part) == 0 {
		return ""
	}
	return config.Suggest(part[0].Text, windowNames)
}

// groupBy parses the entries of GROUP BY, one of which may be a window.
func groupBy(s *ast.Select, c clause) error {
	c, err := c.behind("BY")
	if err != nil {
		return err
	}
	var found ast.Found
	for _, part := range commas(c.tokens) {
		end := after(c.tokens, part, c.end)
		other := false
		if t, name := groupings(part); name != "" {
			found.Add(t.Errorf("%s is not supported; write one query per grouping", name))
			continue
		}
		if len(part) > 2 && part[0].Kind == lex.Word && part[1].Sym("(") {
			word := strings.ToUpper(part[0].Text)
			_, known := shapes[word]
			other = !known
			switch {
			case known && matching(part, 1) == len(part)-1:
				w, err := window(part, word, c.level)
				if found.Add(err); err == nil && s.Window != nil {
					found.Add(w.Errorf("GROUP BY has two windows; a query has one"))
				}
				s.Window = w
				continue
			}
		}
		e, err := clause{tokens: part, end: end, present: true, level: c.level}.one("GROUP BY")
		if meant := nearWindow(part); err != nil && other && meant != "" {
			// What it takes is not that of a function.
			err = part[0].Errorf("unknown window %s; did you mean %s?", part[0], meant)
		}
		found.Add(err)
		s.GroupBy = append(s.GroupBy, e)
	}
	return found.Err()
}

// groupings finds what makes several groupings of one query.
func groupings(part []lex.Token) (at lex.Token, name string) {
	n := len(part)
	switch {
	case n > 1 && part[1].Sym("(") && (part[0].Is("ROLLUP") || part[0].Is("CUBE")):
		return part[0], strings.ToUpper(part[0].Text)
	case n > 1 && part[0].Is("GROUPING") && part[1].Is("SETS"):
		return part[0], "GROUPING SETS"
	case n > 2 && part[n-2].Is("WITH") && (part[n-1].Is("ROLLUP") || part[n-1].Is("CUBE")):
		return part[n-2], "WITH " + strings.ToUpper(part[n-1].Text)
	}
	return lex.Token{}, ""
}

// window parses TUMBLE(ts, INTERVAL …[, OFFSET INTERVAL …][, TIME ZONE '…']) and its like.
func window(part []lex.Token, word string, level int) (*ast.Window, error) {
	shape := shapes[word]
	w := &ast.Window{Pos: part[0].Pos, Kind: shape.kind}
	inner, close := part[2:len(part)-1], part[len(part)-1]
	args := commas(inner)
	var lengths []*ast.Interval
	var counts []int64
	for n, arg := range args {
		end := after(inner, arg, close)
		if len(arg) == 0 {
			return nil, end.Errorf("%s", shape.usage)
		}
		switch first := arg[0]; {
		case first.Is("ROWS") && len(arg) == 2 && arg[1].Kind == lex.Number:
			v, err := strconv.ParseInt(arg[1].Text, 10, 32)
			if err != nil || v < 1 {
				return nil, arg[1].Errorf("expected a number of rows from 1 on, found %s", arg[1])
			}
			counts = append(counts, v)
		case n == 0:
			e, err := clause{tokens: arg, end: end, present: true, level: level}.one(word)
			if err != nil {
				return nil, err
			}
			w.Time = e
		case first.Is("TIME") && len(arg) > 1 && arg[1].Is("ZONE"):
			if err := zone(w, arg, end); err != nil {
				return nil, err
			}
		case len(arg) == 3 && arg[2].Kind == lex.String && (first.Is("TIME") || arg[1].Is("ZONE")):
			wrong := first
			if first.Is("TIME") {
				wrong = arg[1]
			}
			return nil, wrong.Errorf("expected TIME ZONE 'name', found %s", wrong)
		default:
			offset := first.Is("OFFSET")
			if offset {
				arg = arg[1:]
			}
			i, rest, err := length(arg, end, level, word)
			if err != nil {
				return nil, err
			}
			if len(rest) > 0 {
				if err := zone(w, rest, end); err != nil {
					return nil, err
				}
			}
			if offset || len(lengths) == shape.lengths && w.Offset == nil && shape.kind != ast.Session && shape.kind != ast.Stagger {
				w.Offset = i
			} else {
				lengths = append(lengths, i)
			}
		}
	}
	return w, sizes(w, word, lengths, counts)
}

// length parses an interval, with TIME ZONE '…' behind it left over.
func length(arg []lex.Token, end lex.Token, level int, word string) (*ast.Interval, []lex.Token, error) {
	rest := []lex.Token(nil)
	for i := range arg {
		if i > 0 && arg[i].Is("TIME") && i+1 < len(arg) && arg[i+1].Is("ZONE") {
			rest, end, arg = arg[i:], arg[i], arg[:i]
			break
		}
	}
	e, err := clause{tokens: arg, end: end, present: true, level: level}.one(word)
	if err != nil {
		return nil, nil, err
	}
	i, ok := e.(*ast.Interval)
	if !ok {
		return nil, nil, e.Position().Errorf("the length of a window is an interval such as INTERVAL '1' MINUTE")
	}
	return i, rest, nil
}

func zone(w *ast.Window, arg []lex.Token, end lex.Token) error {
	if len(arg) < 2 || !arg[1].Is("ZONE") {
		return arg[0].Errorf("expected TIME ZONE 'name', found %s", arg[0])
	}
	if len(arg) < 3 {
		return end.Errorf("expected a time zone such as 'Europe/Berlin', found %s", end)
	}
	if arg[2].Kind != lex.String || len(arg) > 3 {
		return arg[len(arg)-1].Errorf("expected a time zone such as 'Europe/Berlin', found %s", arg[len(arg)-1])
	}
	w.Zone, w.ZonePos = arg[2].Text, arg[2].Pos
	return nil
}

// sizes checks and sets the lengths of a window.
func sizes(w *ast.Window, word string, lengths []*ast.Interval, counts []int64) error {
	shape := shapes[word]
	if len(counts) > 0 {
		if w.Kind != ast.Tumble && w.Kind != ast.Hop || len(lengths) > 0 || w.Offset != nil || w.Zone != "" || len(counts) != shape.lengths {
			return w.Errorf("windows of rows are TUMBLE(ROWS 100) and HOP(ROWS 10, ROWS 100)")
		}
		w.Rows = counts[len(counts)-1]
		if w.Kind == ast.Hop {
			w.StepRows = counts[0]
		}
		return nil
	}
	if w.Time == nil || len(lengths) != shape.lengths {
		return w.Errorf("%s", shape.usage)
	}
	w.Size = lengths[len(lengths)-1]
	if shape.lengths == 2 {
		w.Step = lengths[0]
	}
	for _, l := range lengths {
		switch v := l.Value; {
		case v.Micros < 0 || v.Months < 0 || v.Micros == 0 && v.Months == 0:
			return l.Errorf("the length of a window must be more than zero")
		case v.Micros > temporal.MaxInterval || v.Months > temporal.MaxMonths:
			return l.Errorf("a window is at most 10000 years long")
		}
	}
	return multiple(w)
}

// multiple checks that CUMULATE fills its window with whole steps and that HOP leaves no gap.
func multiple(w *ast.Window) error {
	if w.Step == nil || w.Step.Value.Months != 0 || w.Size.Value.Months != 0 {
		return nil
	}
	step, size := w.Step.Value.Micros, w.Size.Value.Micros
	switch {
	case w.Kind == ast.Cumulate && size%step != 0:
		return w.Size.Errorf("the length of CUMULATE must be a whole number of steps")
	case w.Kind == ast.Hop && step > size:
		return w.Step.Errorf("the advance of HOP comes first and is not longer than the window; HOP(event_time, advance, length)")
	}
	return nil
}
