package sql

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/sql/agg"
)

// unionVersion is the first byte of the snapshot of a union over several inputs.
const unionVersion = 0x82

// several reports whether terms read different inputs, which tell them apart.
func (o *union) several() bool {
	return slices.ContainsFunc(o.names, func(n string) bool { return n != o.names[0] })
}

// Snapshot encodes the states of the terms, each with its length before it. Terms over different inputs also
// have the names of these, so that one can be added and they can change places.
func (o *union) Snapshot() ([]byte, error) {
	several := o.several()
	out := []byte{chainVersion}
	if several {
		out = binary.AppendVarint([]byte{unionVersion}, o.left)
		out = binary.AppendUvarint(out, uint64(len(o.terms)))
	}
	empty := true
	for i, t := range o.terms {
		state, err := t.Snapshot()
		if err != nil {
			return nil, err
		}
		empty = empty && len(state) == 0
		if several {
			out = append(binary.AppendUvarint(out, uint64(len(o.names[i]))), o.names[i]...)
		}
		if several || i < len(o.terms)-1 {
			out = binary.AppendUvarint(out, uint64(len(state)))
		}
		out = append(out, state...)
	}
	if empty {
		return nil, nil
	}
	return out, nil
}

// Restore sets the states of the terms. Those over different inputs find theirs by the names of the inputs,
// several over the same by their order; one that is new there begins empty.
func (o *union) Restore(snapshot []byte) error {
	if len(snapshot) > 0 && snapshot[0] == unionVersion {
		return o.restoreByName(snapshot)
	}
	parts, err := split(snapshot, len(o.terms))
	if err != nil {
		return err
	}
	for i, t := range o.terms {
		if err := t.Restore(parts[i]); err != nil {
			return err
		}
	}
	return nil
}

// namedState is the state of a term over inputs.
type namedState struct {
	inputs string
	state  []byte
}

func (o *union) restoreByName(snapshot []byte) error {
	left, states, err := readUnion(snapshot)
	if err != nil {
		return err
	}
	for i, t := range o.terms {
		at := slices.IndexFunc(states, func(s namedState) bool { return s.inputs == o.names[i] })
		if at < 0 {
			// What is above counts on rows before that to be late.
			if f := frontierOf(t); f != nil {
				f.leave(left)
			}
			continue
		}
		if err := t.Restore(states[at].state); err != nil {
			return err
		}
		states = slices.Delete(states, at, at+1)
	}
	for _, s := range states {
		if len(s.state) > 0 {
			return fmt.Errorf("restore a query with UNION ALL: a term over %s is not in it any more, so that its windows would be lost: %w", s.inputs, agg.ErrSnapshot)
		}
	}
	o.left = left
	return nil
}

// readUnion takes a snapshot of a union over several inputs apart.
func readUnion(snapshot []byte) (left int64, states []namedState, err error) {
	r := agg.NewReader(snapshot[1:])
	left = r.Varint("watermark")
	for range r.Count("terms") {
		s := namedState{inputs: string(r.Bytes(r.Count("inputs"), "inputs"))}
		s.state = r.Bytes(r.Count("state"), "state")
		states = append(states, s)
		if r.Err() != nil {
			break
		}
	}
	if err := r.Err(); err != nil {
		return 0, nil, fmt.Errorf("restore a query with UNION ALL: %w", err)
	}
	if r.Rest() > 0 {
		return 0, nil, fmt.Errorf("restore a query with UNION ALL: %d bytes are left over: %w", r.Rest(), agg.ErrSnapshot)
	}
	return left, states, nil
}
