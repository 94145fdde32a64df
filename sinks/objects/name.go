package objects

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/flow"
)

// TaskName is a task in names and metadata. Nobody else's begins with it and a dash.
func TaskName(id flow.Identity) string {
	return strings.Join([]string{url.PathEscape(id.Pipeline), url.PathEscape(id.Name), id.Incarnation, strconv.Itoa(id.Task)}, "-")
}

// chunkDigits is how many digits a chunk's number has at least, so that names sort in their order.
const chunkDigits = 10

// maxKey is how many bytes a key may have (S3 user guide, object keys).
const maxKey = 1024

// stem begins the last part of a key.
func (c *Chunk) stem(chunk int64) string { return fmt.Sprintf("%s-%0*d", c.task, chunkDigits, chunk) }

// key is that of a part's object. Two partitions whose values are spelled alike where the prefix
// has them side by side get different ones; parts come in the same order whenever a chunk is redone.
func (c *Chunk) key(p *part, cut flow.Cut) string {
	at := cut.Now
	if p.oldest != math.MaxInt64 {
		at = time.UnixMilli(p.oldest)
	}
	stem := c.stem(cut.Chunk)
	dir := c.directory(values{time: at, keys: p.values, seed: stem + "/" + p.path})
	end := c.writer.Options().Extension()
	if c.settings.HashInName {
		end = "-" + p.hash.String()[:8] + end
	}
	key := dir + stem + end
	for n := 2; c.frozen[key] != nil; n++ {
		key = fmt.Sprintf("%s%s-p%d%s", dir, stem, n, end)
	}
	return key
}

// directory is a key without its last part.
func (c *Chunk) directory(v values) string {
	dir := c.names.prefix.append([]byte(c.settings.Root), v)
	for i, name := range c.names.keys {
		if !c.names.prefix.hasKey(i) {
			dir = append(append(append(append(dir, name...), '='), v.keys[i]...), '/')
		}
	}
	return string(dir)
}

// checkKey reports partition values that together are too long for a key or a part of one.
func (c *Chunk) checkKey(keys []string) error {
	// Of all times this one has the longest spelling, roughly.
	longest := time.Date(2026, 9, 30, 23, 59, 59, 999_999_999, time.UTC)
	dir := c.directory(values{time: longest, keys: keys})[len(c.settings.Root):]
	if n := len(dir) + len(c.stem(1)) + 64; n > maxKey {
		return fmt.Errorf("the values of partition_by make a key of about %d bytes; the limit is %d", n, maxKey)
	}
	if c.settings.Segment == 0 {
		return nil
	}
	for s := range strings.SplitSeq(dir, "/") {
		if len(s) > c.settings.Segment {
			return fmt.Errorf("the values of partition_by make a directory's name of %d bytes; the limit is %d", len(s), c.settings.Segment)
		}
	}
	return nil
}

// Static is the beginning of all keys up to the first expression, without the root.
func (l *Layout) Static() string {
	names, _ := l.parse()
	return static(names.prefix)
}

func static(p prefix) string {
	if len(p) == 0 || p[0].kind != pieceText {
		return ""
	}
	text := p[0].text
	return text[:strings.LastIndexByte(text, '/')+1]
}

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
	// MetaConfig is the generation of the configuration, MetaSchema the version of the stream's
	// schema if it has versions.
	MetaConfig = "millrace-config"
	MetaSchema = "millrace-schema"
)

// maxRanges bounds the ranges in the metadata, which S3 limits to 2 KiB in all. The checkpoint has
// them in any case.
const maxRanges = 1 << 10

func (c *Chunk) metadata(cut flow.Cut, o flow.Object) map[string]string {
	m := map[string]string{
		MetaTask:   c.task,
		MetaChunk:  strconv.FormatInt(cut.Chunk, 10),
		MetaRows:   strconv.FormatInt(o.Rows, 10),
		MetaHash:   o.Hash,
		MetaReason: cut.Reason,
	}
	if c.settings.Generation != "" {
		m[MetaConfig] = c.settings.Generation
	}
	if cut.Schema > 0 {
		m[MetaSchema] = strconv.FormatInt(cut.Schema, 10)
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
