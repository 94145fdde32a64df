package disk

import (
	"fmt"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// Report is what Inspect found in a data directory.
type Report struct {
	Dir string
	// Format is the text of the file FORMAT.
	Format string
	// Owner is the process that opened the directory last; it may be running.
	Owner string
	// Documents by key.
	Documents []DocumentReport
	// Streams by name.
	Streams []StreamReport
	// Problems that belong to no stream.
	Problems []Problem
}

// Problem is something that should not be.
type Problem struct {
	Path string
	// Offset in the file, -1 when it is about the file as a whole.
	Offset int64
	// From up to Next are the records that are lost.
	From, Next record.Ordinal
	Text       string
	// Harmless is set for what a crash leaves, and the next start repairs.
	Harmless bool
}

func (p Problem) String() string {
	text := p.Path
	if p.Offset >= 0 {
		text += fmt.Sprintf(", byte %d", p.Offset)
	}
	text += ": " + p.Text
	if p.Next > p.From {
		text += fmt.Sprintf(" (records %d up to %d are lost)", p.From, p.Next)
	}
	return text
}

// DocumentReport is one document.
type DocumentReport struct {
	Key      string
	Revision uint64
	Bytes    int
}

// StreamReport is one stream.
type StreamReport struct {
	Name string
	// Description is from the stream's document; its Incarnation is empty when there is none that can
	// be read.
	Description stream.Description
	Shards      []ShardReport
	Problems    []Problem
}

// ShardReport is one shard's log.
type ShardReport struct {
	ID       record.ShardID
	Dir      string
	Segments []SegmentReport
	// Sealed is set when the log ends with the mark of a closed shard.
	Sealed   bool
	Problems []Problem
}

// SegmentReport is one segment file.
type SegmentReport struct {
	Path string
	Size int64
	// First up to Next are the records in it.
	First, Next record.Ordinal
	Incarnation uint64
	// Encrypted segments show no records. Key names the master key that they need.
	Encrypted bool
	Key       string
	// Oldest and Newest are when the first and the last record arrived; zero without records.
	Oldest, Newest time.Time
	// Frames with records, by the name of their codec.
	Frames map[string]int
	// Stored are the bytes of those frames' bodies in the file, Raw those without the codec.
	Stored, Raw int64
	// Producers is how many positions of producers stand at the beginning.
	Producers int
	// Index says how the index file is: "ok", "missing", "partial" when it ends before the segment, or what
	// is wrong with it. Segments work without.
	Index string
	// Leftover bytes at the end are no part of the log: a write that was not finished, or is just
	// being done.
	Leftover int64
	Problems []Problem
}

// FrameReport is one frame of a segment.
type FrameReport struct {
	Offset, Group int64
	Kind          string
	stream.Frame
	Codec       string
	Encrypted   bool
	Stored, Raw int
}

// Damage are the problems that are not harmless.
func (r *Report) Damage() []Problem {
	var damage []Problem
	add := func(problems []Problem) {
		for _, p := range problems {
			if !p.Harmless {
				damage = append(damage, p)
			}
		}
	}
	add(r.Problems)
	for _, s := range r.Streams {
		add(s.Problems)
		for _, sh := range s.Shards {
			add(sh.Problems)
			for _, seg := range sh.Segments {
				add(seg.Problems)
			}
		}
	}
	return damage
}
