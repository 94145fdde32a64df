package stream

import (
	"maps"
	"slices"

	"github.com/millrace-io/millrace/engine/record"
)

// Inherited says how far a producer's records are stored whose hash keys lie in a range.
type Inherited struct {
	Producer uint64
	// Range is record.AllKeys for what holds in the whole shard.
	Range    record.Range
	Position Position
}

// Producers is what a shard has of its producers. Two shards that are merged may be at different
// positions of one producer; until the producer is past both, each counts for its own part of the
// hash keys. It is not safe for concurrent use.
type Producers struct {
	whole map[uint64]Position
	parts map[uint64][]Inherited
}

// NewProducers is made of what Inherit or List returned.
func NewProducers(list []Inherited) *Producers {
	p := &Producers{whole: map[uint64]Position{}, parts: map[uint64][]Inherited{}}
	for _, i := range list {
		p.Add(i)
	}
	return p
}

// Add notes one more position, unless a higher one is known for the whole shard.
func (p *Producers) Add(i Inherited) {
	if i.Range == record.AllKeys() {
		p.Set(i.Producer, i.Position)
		return
	}
	if w, ok := p.whole[i.Producer]; !ok || w.Value < i.Position.Value {
		p.parts[i.Producer] = append(p.parts[i.Producer], i)
	}
}

// Set moves a producer's position in the whole shard, and forgets the parts that it overtakes.
func (p *Producers) Set(id uint64, to Position) {
	p.whole[id] = to
	parts, ok := p.parts[id]
	if !ok {
		return
	}
	parts = slices.DeleteFunc(slices.Clone(parts), func(i Inherited) bool { return i.Position.Value <= to.Value })
	if len(parts) == 0 {
		delete(p.parts, id)
		return
	}
	p.parts[id] = parts
}

// Get is the producer's position in the whole shard.
func (p *Producers) Get(id uint64) (Position, bool) {
	w, ok := p.whole[id]
	return w, ok
}

// Epoch is the highest that any part of the shard has seen of the producer.
func (p *Producers) Epoch(id uint64) uint32 {
	epoch := p.whole[id].Epoch
	for _, i := range p.parts[id] {
		epoch = max(epoch, i.Position.Epoch)
	}
	return epoch
}

// Knows reports whether anything is known of the producer.
func (p *Producers) Knows(id uint64) bool {
	_, ok := p.whole[id]
	return ok || len(p.parts[id]) > 0
}

// List is everything, the whole positions first, by producer.
func (p *Producers) List() []Inherited {
	list := make([]Inherited, 0, len(p.whole))
	for _, id := range slices.Sorted(maps.Keys(p.whole)) {
		list = append(list, Inherited{Producer: id, Range: record.AllKeys(), Position: p.whole[id]})
	}
	for _, id := range slices.Sorted(maps.Keys(p.parts)) {
		list = append(list, p.parts[id]...)
	}
	return list
}

// Fresh returns the records of a producer's batch that the shard does not have: those of the
// result from an index on. last is the producer's position in the whole shard, if known. The
// result is b, or a copy in kept.
func (p *Producers) Fresh(b, kept *record.Batch, last int64, known bool) (fresh *record.Batch, from int) {
	parts := p.parts[b.Producer.ID]
	stored := func(i int) bool {
		pos := b.Position(i)
		return known && pos <= last || len(parts) > 0 && inParts(parts, b, i)
	}
	for from < b.Len() && stored(from) {
		from++
	}
	for i := from; i < b.Len(); i++ {
		if !stored(i) {
			continue
		}
		// Positions rise, so what is stored stands in front unless parts of the keys differ.
		kept.Reset()
		kept.Producer, kept.End = b.Producer, b.End
		for i := from; i < b.Len(); i++ {
			if !stored(i) {
				kept.AddFrom(b, i)
			}
		}
		return kept, 0
	}
	return b, from
}

// inParts reports whether a part that holds record i's hash key is at its position. The hash is
// computed only if some part may be.
func inParts(parts []Inherited, b *record.Batch, i int) bool {
	pos := b.Position(i)
	if !slices.ContainsFunc(parts, func(p Inherited) bool { return pos <= p.Position.Value }) {
		return false
	}
	h := b.Hash(i)
	return slices.ContainsFunc(parts, func(p Inherited) bool { return pos <= p.Position.Value && p.Range.Contains(h) })
}

// parent is a shard that another one follows.
type parent struct {
	keys      record.Range
	producers []Inherited
}

// inherit is what a child of the parents begins with. For the whole child a producer is where the
// parent is that has least of it; what another has beyond counts for the keys they share.
func inherit(child record.Range, parents []parent) []Inherited {
	ids := map[uint64]bool{}
	held := make([]*Producers, len(parents))
	for i, p := range parents {
		held[i] = NewProducers(p.producers)
		for _, in := range p.producers {
			ids[in.Producer] = true
		}
	}
	all := NewProducers(nil)
	for id := range ids {
		inheritOne(all, id, child, parents, held)
	}
	return all.List()
}

func inheritOne(all *Producers, id uint64, child record.Range, parents []parent, held []*Producers) {
	var floor *Position
	var epoch uint32
	var parts []Inherited
	known := true
	for i, p := range parents {
		both, ok := child.Intersect(p.keys)
		if !ok {
			continue
		}
		epoch = max(epoch, held[i].Epoch(id))
		whole, ok := held[i].Get(id)
		known = known && ok
		if ok {
			parts = append(parts, Inherited{Producer: id, Range: both, Position: whole})
		}
		if ok && (floor == nil || whole.Value < floor.Value) {
			floor = &whole
		}
		for _, part := range held[i].parts[id] {
			if r, ok := both.Intersect(part.Range); ok {
				parts = append(parts, Inherited{Producer: id, Range: r, Position: part.Position})
			}
		}
	}
	if known && floor != nil {
		all.Set(id, Position{Epoch: epoch, Value: floor.Value})
	}
	for _, part := range parts {
		part.Position.Epoch = epoch
		all.Add(part)
	}
}

// Split is List in two: the positions of the whole shard, and those of parts of it.
func (p *Producers) Split() (whole, parts []Inherited) {
	list := p.List()
	return list[:len(p.whole):len(p.whole)], list[len(p.whole):]
}

// Clone is a copy that changes apart.
func (p *Producers) Clone() *Producers {
	return &Producers{whole: maps.Clone(p.whole), parts: maps.Clone(p.parts)}
}
