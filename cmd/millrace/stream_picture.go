package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// barWidth is how many characters all hash keys take.
const barWidth = 40

// picture is a stream in text: its shards' parts of the hash keys, their lineage, their ranges.
func picture(s control.Stream) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, %d %s open", s.Name, s.Status, s.Open(), plural(s.Open(), "shard"))
	if closed := len(s.Shards) - s.Open(); closed > 0 {
		fmt.Fprintf(&b, " and %d closed", closed)
	}
	fmt.Fprintf(&b, ", %s, %s on disk\n", records(s.Records()), size(s.Bytes()))
	fmt.Fprintf(&b, "records stay: %s · appends synced: %s · compression: %s", retentionText(s.RetentionSeconds), syncText(s.Settings), s.Compression)
	if s.Mode == stream.OnDemand {
		fmt.Fprintf(&b, " · on demand, up to %s", maxShardsText(s.MaxShards))
	}
	if s.Limits == stream.KinesisLimits {
		b.WriteString(" · limits of Kinesis")
	}
	if s.Key != "" {
		fmt.Fprintf(&b, " · encrypted with %s", s.Key)
	}
	b.WriteString("\n\n")
	b.WriteString(shardMap(s))
	b.WriteString(lineage(s))
	if s.Schema != nil {
		b.WriteString(schemaPicture(*s.Schema))
	}
	b.WriteString("\nhash keys\n")
	for _, sh := range s.Shards {
		fmt.Fprintf(&b, "%7d  %39s to %s\n", uint32(sh.ID), sh.Range.Start, sh.Range.End)
	}
	return b.String()
}

// shardMap is a line for each shard, with its part of the hash keys as a bar.
func shardMap(s control.Stream) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  shard  state      records        size  last minute   keys  0 %s 2^128\n", strings.Repeat("─", barWidth-8))
	for _, sh := range s.Shards {
		fmt.Fprintf(&b, "%7d  %-7s %10s %11s %12s  %5s  %s\n", uint32(sh.ID), strings.ToLower(string(sh.State)), count(sh.Records), size(sh.Bytes), count(sh.Recent),
			percent(share(sh.Range)), bar(sh))
	}
	return b.String()
}

// fraction is a hash key as a part of all: 0 up to 1.
func fraction(h record.HashKey) float64 {
	return math.Ldexp(float64(h.Hi), -64) + math.Ldexp(float64(h.Lo), -128)
}

func share(r record.Range) float64 { return fraction(r.End) - fraction(r.Start) }

func percent(part float64) string {
	if part > 0 && part < 0.01 {
		return "<1%"
	}
	return fmt.Sprintf("%.0f%%", 100*part)
}

// bar draws a shard's range: full if it takes records, light if it is closed.
func bar(sh control.Shard) string {
	from := int(math.Round(fraction(sh.Range.Start) * barWidth))
	to := int(math.Round(fraction(sh.Range.End) * barWidth))
	from = min(from, barWidth-1)
	to = max(to, from+1)
	fill := "█"
	if sh.State != stream.ShardOpen {
		fill = "░"
	}
	return strings.Repeat("·", from) + strings.Repeat(fill, to-from) + strings.Repeat("·", barWidth-to)
}

// children are the shards that a shard was split or merged into.
func children(s control.Stream, parent record.ShardID) []record.ShardID {
	var ids []record.ShardID
	for _, sh := range s.Shards {
		if slices.Contains(sh.Parents, parent) {
			ids = append(ids, sh.ID)
		}
	}
	return ids
}

// lineage is a tree of parents and children, empty when no shard has a parent. A merged shard
// stands below its first parent, and is referred to below the other.
func lineage(s control.Stream) string {
	if !slices.ContainsFunc(s.Shards, func(sh control.Shard) bool { return len(sh.Parents) > 0 }) {
		return ""
	}
	t := tree{stream: s}
	t.WriteString("\nlineage: a shard is read after those it came from\n")
	for _, sh := range s.Shards {
		if _, known := s.Shard(firstParent(s, sh)); !known {
			t.draw(sh, "      ", "")
		}
	}
	return t.String()
}

// noShard is no shard's id.
const noShard = record.ShardID(math.MaxUint32)

// firstParent is the first of a shard's parents that is still there.
func firstParent(s control.Stream, sh control.Shard) record.ShardID {
	for _, id := range sh.Parents {
		if _, ok := s.Shard(id); ok {
			return id
		}
	}
	return noShard
}

type tree struct {
	strings.Builder
	stream control.Stream
}

// draw writes a shard and what came from it. indent stands before its line and those below,
// branch before its line alone.
func (t *tree) draw(sh control.Shard, indent, branch string) {
	fmt.Fprintf(t, "%s%s%d %s", indent, branch, uint32(sh.ID), strings.ToLower(string(sh.State)))
	if len(sh.Parents) > 1 {
		fmt.Fprintf(t, ", merged of %s", shardNames(sh.Parents))
	}
	t.WriteByte('\n')
	switch branch {
	case "├─ ":
		indent += "│  "
	case "└─ ":
		indent += "   "
	}
	ids := children(t.stream, sh.ID)
	for i, id := range ids {
		branch := "├─ "
		if i == len(ids)-1 {
			branch = "└─ "
		}
		child, _ := t.stream.Shard(id)
		if first := firstParent(t.stream, child); first != sh.ID {
			fmt.Fprintf(t, "%s%s%d, shown under %d\n", indent, branch, uint32(id), uint32(first))
			continue
		}
		t.draw(child, indent, branch)
	}
}

// A shard is hot when it got this many times its fair part of the last minute's records, and
// these were enough to tell.
const (
	hotFactor  = 1.5
	hotRecords = 100
)

// advice names a hot shard and the cure, or is empty.
func advice(s control.Stream, f streamFlags) string {
	var all int64
	var hot control.Shard
	for _, sh := range s.Shards {
		if sh.State != stream.ShardOpen {
			continue
		}
		all += sh.Recent
		if sh.Recent > hot.Recent {
			hot = sh
		}
	}
	part := float64(hot.Recent) / float64(max(all, 1))
	if all < hotRecords || part*float64(s.Open()) < hotFactor {
		return ""
	}
	return fmt.Sprintf("\nShard %d got %s of the last minute's records. To share its keys between two shards: %s\n",
		uint32(hot.ID), percent(part), f.next("split", s.Name, fmt.Sprint(uint32(hot.ID))))
}
