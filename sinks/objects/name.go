package objects

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/engine/flow"
)

// TaskName is a task in names and metadata. Nobody else's begins with it and a dash.
func TaskName(id flow.Identity) string {
	return strings.Join([]string{url.PathEscape(id.Pipeline), url.PathEscape(id.Name), id.Incarnation, strconv.Itoa(id.Task)}, "-")
}

// chunkDigits is how many digits a chunk's number has at least, so that names sort in their order.
const chunkDigits = 10

func stem(task string, chunk int64) string { return fmt.Sprintf("%s-%0*d", task, chunkDigits, chunk) }

// ChunkOf is the number of the chunk in the last part of a name that begins with the task's.
func ChunkOf(name string, id flow.Identity) (chunk int64, ok bool) {
	rest, ok := strings.CutPrefix(name, TaskName(id)+"-")
	if !ok || len(rest) < chunkDigits {
		return 0, false
	}
	chunk, err := strconv.ParseInt(rest[:chunkDigits], 10, 64)
	return chunk, err == nil && chunk > 0
}

// The metadata of an object. The first four are compared when an object exists.
const (
	MetaTask   = "millrace-task"
	MetaChunk  = "millrace-chunk"
	MetaRows   = "millrace-rows"
	MetaHash   = "millrace-hash"
	MetaReason = "millrace-reason"
	MetaRanges = "millrace-ranges"
)

// maxRanges bounds the ranges in the metadata, which S3 limits to 2 KiB in all. The checkpoint has
// them in any case.
const maxRanges = 1 << 10

func metadata(task string, cut flow.Cut, o flow.Object) map[string]string {
	m := map[string]string{
		MetaTask:   task,
		MetaChunk:  strconv.FormatInt(cut.Chunk, 10),
		MetaRows:   strconv.FormatInt(o.Rows, 10),
		MetaHash:   o.Hash,
		MetaReason: cut.Reason,
	}
	var ranges []string
	for shard, r := range cut.Ranges {
		ranges = append(ranges, fmt.Sprintf("%s:%d-%d", shard, r.From, r.To))
	}
	slices.Sort(ranges)
	if text := strings.Join(ranges, " "); len(text) <= maxRanges {
		m[MetaRanges] = text
	}
	return m
}

// Differs says how the metadata of an existing object shows that it is another one than o; empty
// if it is the same.
func (o *Object) Differs(have map[string]string) string {
	for _, k := range []string{MetaTask, MetaChunk, MetaRows, MetaHash} {
		if have[k] != o.Metadata[k] {
			return fmt.Sprintf("its %s is %q instead of %q", k, have[k], o.Metadata[k])
		}
	}
	return ""
}
