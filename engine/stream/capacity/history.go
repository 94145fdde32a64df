package capacity

// maxKept bounds the keys of a shard's step.
const maxKept = 16 * keysPerTake

// history is what was seen of a shard.
type history struct {
	// since is the first step that was seen whole.
	since int64
	// bytes, records and fresh are the current step's.
	bytes, records int64
	fresh          []Key
	// load and keys are those of the step that ended last.
	load float64
	keys []Key
	// past are the loads of ended steps, the last one at the end; no more than a cool-down.
	past []float64
}

func (h *history) add(l Load) {
	h.bytes += l.Bytes
	h.records += l.Records
	h.fresh = append(h.fresh, l.Keys[:min(len(l.Keys), maxKept-len(h.fresh))]...)
}

// end closes the current step; next is the one that begins. Steps between them, when nobody
// looked, share what was counted.
func (h *history) end(o Options, current, next int64) {
	steps := max(next-current, 1)
	seconds := o.Step.Seconds() * float64(steps)
	h.load = max(float64(h.bytes)/float64(o.ShardBytes), float64(h.records)/float64(o.ShardRecords)) / seconds
	h.keys, h.fresh = h.fresh, h.keys[:0]
	h.bytes, h.records = 0, 0
	if current < h.since {
		return
	}
	for range min(steps, int64(o.CoolDown)) {
		h.past = append(h.past, h.load)
	}
	h.past = h.past[max(0, len(h.past)-o.CoolDown):]
}

// together is the highest load that two shards had at the same time in the last n steps; ok is false
// when they were not seen that long.
func together(a, b *history, n int) (load float64, ok bool) {
	if len(a.past) < n || len(b.past) < n {
		return 0, false
	}
	for i := range n {
		load = max(load, a.past[len(a.past)-n+i]+b.past[len(b.past)-n+i])
	}
	return load, true
}
