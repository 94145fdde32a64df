package linear

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// Verdict counts what was checked.
type Verdict struct {
	// Puts that were answered, Unknown ones that were not and are in the log all the same, Reads, and iterators of type
	// LATEST.
	Puts, Unknown, Reads, Latest int
}

// Plus adds up.
func (v Verdict) Plus(w Verdict) Verdict {
	return Verdict{v.Puts + w.Puts, v.Unknown + w.Unknown, v.Reads + w.Reads, v.Latest + w.Latest}
}

func (v Verdict) String() string {
	return fmt.Sprintf("%d puts, %d without an answer that are stored, %d reads, %d iterators at the tip", v.Puts, v.Unknown, v.Reads, v.Latest)
}

// ErrUndecided says that no verdict was found in time.
var ErrUndecided = errors.New("undecided")

// Check looks for a story that fits, for as long as patience for each shard. The error says what does not fit.
func (h *History) Check(patience time.Duration) (Verdict, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var v Verdict
	var errs []error
	for _, shard := range h.shards() {
		s := &story{shard: shard, place: map[string]int{}, log: h.end[shard]}
		s.tell(h)
		v = v.Plus(s.Verdict)
		if err := s.check(patience); err != nil {
			errs = append(errs, err)
		}
	}
	return v, errors.Join(errs...)
}

// story is what is told of one shard.
type story struct {
	Verdict
	shard string
	log   []Stored
	// place of a number in the log.
	place    map[string]int
	ops      []porcupine.Operation
	findings []error
}

// Inputs of the model, whose state is how many records the log has.
type (
	// putAt puts the record with that place.
	putAt struct{ place int }
	// readAt reads the records from a place up to another one, and there was nothing more if tip is set.
	readAt struct {
		from, to int
		tip      bool
	}
	// tipAt is an iterator that begins there.
	tipAt struct{ place int }
)

// model of a shard.
func model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return 0 },
		Step: func(state, input, _ any) (bool, any) {
			n := state.(int)
			switch in := input.(type) {
			case putAt:
				return in.place == n, n + 1
			case readAt:
				return n >= in.to && (!in.tip || n == in.to), n
			case tipAt:
				return in.place == n, n
			}
			return false, n
		},
		DescribeOperation: func(input, _ any) string { return fmt.Sprintf("%T%+v", input, input) },
	}
}

func (s *story) find(format string, args ...any) {
	s.findings = append(s.findings, fmt.Errorf(s.shard+": "+format, args...))
}

// tell turns what clients did into operations of the model.
func (s *story) tell(h *History) {
	values := map[string][]string{}
	for i, r := range s.log {
		if i > 0 && !less(s.log[i-1].Number, r.Number) {
			s.find("record %d has the number %s, behind %s", i, r.Number, s.log[i-1].Number)
		}
		s.place[r.Number] = i
		values[r.Value] = append(values[r.Value], r.Number)
	}
	for _, p := range h.puts {
		if p.shard == s.shard {
			s.put(p, values[p.value])
			delete(values, p.value)
		}
	}
	for value := range values {
		s.find("nobody put %.40q", value)
	}
	for _, r := range h.reads {
		if r.shard == s.shard {
			s.read(r)
		}
	}
	for _, a := range h.anchors {
		if a.shard == s.shard {
			s.latest(a)
		}
	}
}

// put tells of a record that was sent once, or by a client that tries again any number of times.
func (s *story) put(p *Put, numbers []string) {
	if len(numbers) > 1 && !p.again {
		s.find("%.40q was sent once and is stored as %v", p.value, numbers)
	}
	if p.number != "" {
		s.Puts++
		if !slices.Contains(numbers, p.number) {
			s.find("%.40q was acknowledged as %s and is not stored there", p.value, p.number)
		}
	}
	if p.after != nil && p.number != "" && !less(p.after.number, p.number) {
		s.find("%.40q was put behind another record of its request, and has %s and the other one %s", p.value, p.number, p.after.number)
	}
	for _, n := range numbers {
		ret := p.ret
		if n != p.number {
			// Of what was not answered nobody knows when it happened.
			s.Unknown++
			ret = never
		}
		s.ops = append(s.ops, porcupine.Operation{ClientId: p.client, Input: putAt{s.place[n]}, Call: p.call, Return: ret})
	}
}

// from is the place that an anchor stands for.
func (s *story) from(a *anchor) (place int, known bool) {
	switch {
	case a.latest:
		place, known = s.place[a.next]
	case a.number == "":
		known = true
	default:
		place, known = s.place[a.number]
		if !a.at {
			place++
		}
	}
	return place, known
}

func (s *story) read(r *read) {
	from, known := s.from(r.at)
	if !known {
		if r.at.next != "" || !r.at.latest {
			s.find("a position is %s, which is not stored", r.at.number+r.at.next)
		}
		return // nothing was read from there
	}
	s.Reads++
	for i, got := range r.records {
		if from+i >= len(s.log) || s.log[from+i] != got {
			s.find("%d records were read from place %d; what stands at %d was %s %.40q", len(r.records), from, from+i, got.Number, got.Value)
			return
		}
	}
	s.ops = append(s.ops, porcupine.Operation{ClientId: r.client, Input: readAt{from, from + len(r.records), r.tip}, Call: r.call, Return: r.ret})
}

func (s *story) latest(a *anchor) {
	if at, known := s.from(a); known {
		s.Latest++
		s.ops = append(s.ops, porcupine.Operation{ClientId: a.client, Input: tipAt{at}, Call: a.call, Return: a.ret})
	}
}

func (s *story) check(patience time.Duration) error {
	if len(s.findings) > 0 {
		return errors.Join(s.findings[:min(len(s.findings), 10)]...)
	}
	switch porcupine.CheckOperationsTimeout(model(), s.ops, patience) {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		return fmt.Errorf("%s: %w after %v with %d operations", s.shard, ErrUndecided, patience, len(s.ops))
	}
	return fmt.Errorf("%s: no order of its %d operations fits with what their callers were told and when", s.shard, len(s.ops))
}
