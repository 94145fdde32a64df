package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"sync/atomic"
)

// ledger is what the writers of a stream were told, to be held against what is read.
type ledger struct {
	seed     maphash.Seed
	accounts []account // by writer
	// answered counts the records acknowledged so far.
	answered atomic.Int64
	// sights are the records that readers have seen before a kill, by number.
	sights map[slot]uint64
}

// account is one writer's. Only that writer touches it while it writes.
type account struct{ notes []note }

// note is one record: what was sent, and what became of it.
type note struct {
	sum         uint64
	acked, read bool
}

// slot is a record's sequence number in its shard.
type slot struct {
	shard    uint32
	sequence string
}

// line is a record as `millrace stream get --json` prints it.
type line struct {
	Shard    uint32 `json:"shard"`
	Sequence string `json:"sequence_number"`
	Data     string `json:"data"`
}

func (l line) slot() slot { return slot{l.Shard, l.Sequence} }

func newLedger(writers int) *ledger {
	return &ledger{seed: maphash.MakeSeed(), accounts: make([]account, writers), sights: map[slot]uint64{}}
}

func (l *ledger) sum(text string) uint64 { return maphash.String(l.seed, text) }

// send notes the next record of a writer and returns its text.
func (l *ledger) send(writer int, padding string) string {
	a := &l.accounts[writer]
	text := fmt.Sprintf(`{"w":"writer-%d","n":%d,"pad":"%s"}`, writer, len(a.notes), padding)
	a.notes = append(a.notes, note{sum: l.sum(text)})
	return text
}

// acknowledge notes that a writer's records from one on were answered.
func (l *ledger) acknowledge(writer, from int) {
	notes := l.accounts[writer].notes[from:]
	for i := range notes {
		notes[i].acked = true
	}
	l.answered.Add(int64(len(notes)))
}

// saw notes what a reader printed until it was killed, perhaps in the middle of a line. It returns
// how many records contradict what another reader saw under the same number.
func (l *ledger) saw(printed []byte) (contradictions int, err error) {
	for text := range bytes.Lines(printed) {
		if !bytes.HasSuffix(text, []byte("\n")) {
			break
		}
		var x line
		if err := json.Unmarshal(text, &x); err != nil {
			return contradictions, fmt.Errorf("a reader printed %q: %w", text, err)
		}
		sum := l.sum(x.Data)
		if before, ok := l.sights[x.slot()]; ok && before != sum {
			contradictions++
		}
		l.sights[x.slot()] = sum
	}
	return contradictions, nil
}
