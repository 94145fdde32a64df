package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// verdict is the outcome of an audit.
type verdict struct {
	acknowledged, read, lost, altered, reordered, reused int
}

func (v verdict) String() string {
	return fmt.Sprintf("acknowledged %d / read %d / lost %d / altered %d / reordered %d / reused %d",
		v.acknowledged, v.read, v.lost, v.altered, v.reordered, v.reused)
}

// good reports whether the stream kept its promises.
func (v verdict) good() bool {
	return v.acknowledged > 0 && v.lost == 0 && v.altered == 0 && v.reordered == 0 && v.reused == 0
}

// audit reads the lines of a whole stream, one Write after the other.
type audit struct {
	*ledger
	verdict
	// last is the last record of each writer and where it stood, highest the last number of each shard.
	last    []int
	stood   []slot
	highest map[uint32]string
	// findings are the first few things that are wrong.
	findings []string
	partial  []byte
	bad      error
}

func (l *ledger) audit() *audit {
	a := &audit{ledger: l, last: make([]int, len(l.accounts)), stood: make([]slot, len(l.accounts)), highest: map[uint32]string{}}
	for i := range a.last {
		a.last[i] = -1
	}
	return a
}

// Write takes what the program prints.
func (a *audit) Write(p []byte) (int, error) {
	a.partial = append(a.partial, p...)
	for {
		text, rest, ok := bytes.Cut(a.partial, []byte("\n"))
		if !ok {
			// What is left begins anew, so that the buffer does not grow with the stream.
			a.partial = append(a.partial[:0:0], a.partial...)
			return len(p), nil
		}
		a.partial = rest
		var x line
		if err := json.Unmarshal(text, &x); err != nil {
			a.bad = fmt.Errorf("line %d is %q: %w", a.read+1, text, err)
			return 0, a.bad
		}
		a.take(x)
	}
}

func (a *audit) take(x line) {
	a.read++
	before := a.highest[x.Shard]
	if len(x.Sequence) < len(before) || len(x.Sequence) == len(before) && x.Sequence <= before {
		a.reused++
		a.find("%v stands behind %s", x.slot(), before)
	}
	a.highest[x.Shard] = x.Sequence
	sum := a.sum(x.Data)
	if seen, ok := a.sights[x.slot()]; ok && seen != sum {
		a.reused++
		a.find("%v is another record than before a kill: %.60q", x.slot(), x.Data)
	}
	delete(a.sights, x.slot())

	var id struct {
		W string
		N int
	}
	var writer int
	if json.Unmarshal([]byte(x.Data), &id) != nil {
		a.altered++
		return
	}
	if _, err := fmt.Sscanf(id.W, "writer-%d", &writer); err != nil || writer < 0 || writer >= len(a.accounts) {
		a.altered++
		return
	}
	notes := a.accounts[writer].notes
	if id.N < 0 || id.N >= len(notes) || notes[id.N].sum != sum {
		a.altered++
		return
	}
	if id.N <= a.last[writer] {
		a.reordered++
		a.find("record %d of writer %d at %v stands behind record %d at %v", id.N, writer, x.slot(), a.last[writer], a.stood[writer])
	}
	a.last[writer], a.stood[writer] = id.N, x.slot()
	notes[id.N].read = true
}

// find keeps the first findings.
func (a *audit) find(format string, args ...any) {
	if len(a.findings) < 20 {
		a.findings = append(a.findings, fmt.Sprintf(format, args...))
	}
}

// end counts what is missing. A record that a reader has seen must not vanish either, acknowledged
// or not.
func (a *audit) end() verdict {
	a.lost += len(a.sights)
	for writer, account := range a.accounts {
		for i, n := range account.notes {
			if n.acked {
				a.acknowledged++
				if !n.read {
					a.lost++
					a.find("record %d of writer %d is lost", i, writer)
				}
			}
		}
	}
	return a.verdict
}

// The audit must see each kind of damage, or the kill loop proves nothing.
func TestAuditSeesEveryKindOfDamage(t *testing.T) {
	type printed struct {
		sequence int
		text     string
	}
	for name, c := range map[string]struct {
		damage func(p []printed) []printed
		want   verdict
	}{
		"none":               {func(p []printed) []printed { return p }, verdict{acknowledged: 3, read: 4}},
		"a lost record":      {func(p []printed) []printed { return append(p[:1], p[2:]...) }, verdict{acknowledged: 3, read: 3, lost: 1}},
		"one never answered": {func(p []printed) []printed { return p[:3] }, verdict{acknowledged: 3, read: 3}},
		"a changed record": {func(p []printed) []printed {
			p[2].text = strings.Replace(p[2].text, "c", "x", 1)
			return p
		}, verdict{acknowledged: 3, read: 4, lost: 1, altered: 1}},
		"two in another order": {func(p []printed) []printed {
			p[1].text, p[2].text = p[2].text, p[1].text
			return p
		}, verdict{acknowledged: 3, read: 4, reordered: 1}},
		"a number twice":                 {func(p []printed) []printed { p[2].sequence = p[1].sequence; return p }, verdict{acknowledged: 3, read: 4, reused: 1}},
		"a record that was seen is gone": {func(p []printed) []printed { return p[1:] }, verdict{acknowledged: 3, read: 3, lost: 2}},
		"another under a number that was seen": {func(p []printed) []printed {
			p[0].sequence, p[1].sequence, p[2].sequence, p[3].sequence = 99, 100, 101, 102
			return p
		}, verdict{acknowledged: 3, read: 4, reused: 1, lost: 0}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger(1)
			var all []printed
			for i, pad := range []string{"a", "b", "c", "d"} {
				all = append(all, printed{sequence: 100 + i, text: l.send(0, pad)})
			}
			l.acknowledge(0, 0)
			l.accounts[0].notes[3].acked = false
			show := func(p printed) string {
				return fmt.Sprintf("{\"shard\":0,\"sequence_number\":\"%d\",\"data\":%q}\n", p.sequence, p.text)
			}
			if n, err := l.saw([]byte(show(all[0]) + `{"shard":0,"sequ`)); n != 0 || err != nil {
				t.Fatal(n, err)
			}
			a := l.audit()
			for _, p := range c.damage(all) {
				text := show(p)
				for _, piece := range []string{text[:5], text[5:]} {
					if _, err := a.Write([]byte(piece)); err != nil {
						t.Fatal(err)
					}
				}
			}
			if got := a.end(); got != c.want || got.good() != (name == "none" || name == "one never answered") {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
