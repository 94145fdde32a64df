package flow

import (
	"cmp"
	"maps"
	"time"

	"github.com/millrace-io/millrace/engine/checkpoint"
)

// Figures are what a processor says of itself beside its open chunk's rows and bytes.
type Figures struct {
	// Partitions of the open chunk.
	Partitions int64 `json:"partitions"`
	// Memory is the bytes held, by what holds them.
	Memory map[string]int64 `json:"memory"`
	// Windows are those of a query, nil for a sink.
	Windows *Windows `json:"windows,omitempty"`
	// Spilled is the bytes written to local disk in this run because memory was short.
	Spilled int64 `json:"spilled"`
}

// Windows is what a query holds until the watermark lets it go.
type Windows struct {
	// Open windows, and Waiting rows that are behind no watermark yet.
	Open    int64 `json:"open"`
	Waiting int64 `json:"waiting_rows"`
	// Closes is the watermark at which the next window closes at the earliest, nil if none waits for one.
	Closes *time.Time `json:"closes,omitempty"`
}

// Figured is a Processor that has Figures; they may be asked for from any goroutine, at any time.
type Figured interface{ Figures() Figures }

// figures are those of a processor, nil if it has none.
func figures(p Processor) *Figures {
	if f, ok := p.(Figured); ok {
		x := f.Figures()
		return &x
	}
	return nil
}

// add returns the sum of two, either of which may be nil.
func (f *Figures) add(o *Figures) *Figures {
	if f == nil || o == nil {
		return cmp.Or(f, o)
	}
	sum := Figures{Partitions: f.Partitions + o.Partitions, Memory: maps.Clone(f.Memory), Spilled: f.Spilled + o.Spilled}
	if sum.Windows = f.Windows; o.Windows != nil {
		sum.Windows = o.Windows
	}
	for holder, n := range o.Memory {
		sum.Memory[holder] += n
	}
	return &sum
}

// delivered is what a plan delivers.
func delivered(p Plan) checkpoint.Delivered {
	var d checkpoint.Delivered
	for _, o := range p.Objects {
		d.Count(o)
	}
	return d
}
