package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/vfs"
)

// Inspection says what of a data directory to look at.
type Inspection struct {
	// Stream is the only stream to look at; empty means all.
	Stream string
	// Shard is the only shard of it to look at; nil means all.
	Shard *record.ShardID
	// Segment is told of each segment before its frames, and Frame of each frame, in the order of
	// the file. Its Body is decompressed, and valid until the function returns; of an encrypted frame
	// it is nil. Both may be nil.
	Segment func(s *SegmentReport) error
	Frame   func(f *FrameReport) error
}

// Verify reads all of a data directory and reports what is damaged. It changes nothing and takes no
// lock: while a process uses the directory, what is being written just then may be missing or show
// as leftover.
func Verify(ctx context.Context, fsys vfs.FS, dir string) (*Report, error) {
	return Inspect(ctx, fsys, dir, Inspection{})
}

// Inspect is Verify for a part of the directory, and shows each frame. Error: stream.ErrNotFound when there is
// no such stream or shard.
func Inspect(ctx context.Context, fsys vfs.FS, dir string, o Inspection) (*Report, error) {
	i := &inspector{fs: fsys, o: o, report: &Report{Dir: dir}}
	if err := i.directory(ctx); err != nil {
		return i.report, fmt.Errorf("inspect data directory %s: %w", dir, err)
	}
	return i.report, nil
}

// inspector is one call of Inspect.
type inspector struct {
	fs     vfs.FS
	o      Inspection
	report *Report
}

func (i *inspector) directory(ctx context.Context) error {
	r := i.report
	text, err := readFile(i.fs, path.Join(r.Dir, "FORMAT"), 4096)
	if err != nil {
		return fmt.Errorf("this is no data directory: %w", err)
	}
	r.Format = strings.TrimSpace(string(text))
	if string(text) != formatText {
		r.Problems = append(r.Problems, Problem{Path: path.Join(r.Dir, "FORMAT"), Offset: -1, Text: "unknown format"})
	}
	if text, err := readFile(i.fs, path.Join(r.Dir, "LOCK"), 4096); err == nil {
		r.Owner = strings.Join(strings.Fields(string(text)), " ")
	}
	described, err := i.documents(ctx)
	if err != nil {
		return err
	}
	names, err := i.list(ctx, path.Join(r.Dir, "streams"))
	if err != nil {
		return err
	}
	for _, n := range names {
		if _, ok := described[keyOf(n)]; !ok {
			described[keyOf(n)] = stream.Description{Name: keyOf(n)}
		}
	}
	for _, name := range sortedKeys(described) {
		if i.o.Stream != "" && i.o.Stream != name {
			continue
		}
		if err := i.stream(ctx, described[name]); err != nil {
			return err
		}
	}
	return i.missing()
}

// missing is the error of a stream or shard that was asked for and is not there: nothing was looked at, so
// nothing can be said of its damage.
func (i *inspector) missing() error {
	if i.o.Stream != "" && len(i.report.Streams) == 0 {
		return fmt.Errorf("stream %q: %w", i.o.Stream, stream.ErrNotFound)
	}
	if i.o.Shard == nil {
		return nil
	}
	for _, s := range i.report.Streams {
		if s.has(*i.o.Shard) {
			return nil
		}
	}
	if i.o.Stream != "" {
		return fmt.Errorf("stream %q, %s: %w", i.o.Stream, *i.o.Shard, stream.ErrNotFound)
	}
	return fmt.Errorf("%s of any stream: %w", *i.o.Shard, stream.ErrNotFound)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// list is the names in a directory, none if there is no such directory.
func (i *inspector) list(ctx context.Context, dir string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	names, err := i.fs.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return names, err
}

// documents reads them all, and returns what those of streams say.
func (i *inspector) documents(ctx context.Context) (map[string]stream.Description, error) {
	r := i.report
	described := map[string]stream.Description{}
	dir := path.Join(r.Dir, "meta")
	names, err := i.list(ctx, dir)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		name, ok := strings.CutSuffix(n, docSuffix)
		if !ok {
			continue
		}
		key, file := keyOf(name), path.Join(dir, n)
		b, err := readFile(i.fs, file, docHeader+maxKey+maxDocument)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var value []byte
		var rev uint64
		if err == nil {
			value, rev, err = decodeDocument(key, b)
		}
		stem, isStream := strings.CutPrefix(key, "streams/")
		if err == nil && isStream {
			described[stem], err = stream.ParseDocument(stem, value)
		}
		if err != nil {
			r.Problems = append(r.Problems, Problem{Path: file, Offset: -1, Text: err.Error()})
			continue
		}
		r.Documents = append(r.Documents, DocumentReport{Key: key, Revision: rev, Bytes: len(value)})
	}
	return described, nil
}

func (i *inspector) stream(ctx context.Context, d stream.Description) error {
	s := StreamReport{Name: d.Name, Description: d}
	dir := path.Join(i.report.Dir, "streams", fileName(d.Name))
	names, err := i.list(ctx, dir)
	if err != nil {
		return err
	}
	found := map[record.ShardID]bool{}
	for _, n := range names {
		id, err := strconv.ParseUint(n, 10, 32)
		if err != nil || len(n) != 12 {
			continue
		}
		found[record.ShardID(id)] = true
		if i.o.Shard != nil && *i.o.Shard != record.ShardID(id) {
			continue
		}
		sh := ShardReport{ID: record.ShardID(id), Dir: path.Join(dir, n)}
		if err := i.shard(ctx, &sh); err != nil {
			return err
		}
		s.Shards = append(s.Shards, sh)
	}
	s.compare(dir, found)
	i.report.Streams = append(i.report.Streams, s)
	return nil
}

// has reports whether the stream has a shard: a log of it, or a mention in the document.
func (s *StreamReport) has(id record.ShardID) bool {
	return slices.ContainsFunc(s.Shards, func(sh ShardReport) bool { return sh.ID == id }) ||
		slices.ContainsFunc(s.Description.Shards, func(sh stream.Shard) bool { return sh.ID == id })
}

// compare checks the logs against the stream's document.
func (s *StreamReport) compare(dir string, found map[record.ShardID]bool) {
	d := s.Description
	bad := func(harmless bool, format string, args ...any) {
		s.Problems = append(s.Problems, Problem{Path: dir, Offset: -1, Text: fmt.Sprintf(format, args...), Harmless: harmless})
	}
	if d.Incarnation == "" {
		bad(false, "the stream has no document that can be read, without which it cannot be opened")
		return
	}
	states := map[record.ShardID]stream.ShardState{}
	for _, sh := range d.Shards {
		states[sh.ID] = sh.State
		if !found[sh.ID] && (sh.State == stream.ShardOpen || sh.State == stream.ShardClosed) && d.Status != stream.Deleting && d.Status != stream.Creating {
			bad(false, "the log of %s is missing", sh.ID)
		}
	}
	for _, sh := range s.Shards {
		state, known := states[sh.ID]
		switch {
		case !known:
			bad(true, "the document does not have %s", sh.ID)
		case state == stream.ShardClosed && !sh.Sealed:
			bad(false, "%s is closed, but its log does not end with the mark of that: its last records may be lost", sh.ID)
		case state == stream.ShardOpen && sh.Sealed:
			bad(false, "%s is open, but its log ends with the mark of a closed shard", sh.ID)
		}
		for _, seg := range sh.Segments {
			if seg.Incarnation != 0 && fmt.Sprintf("%016x", seg.Incarnation) != d.Incarnation {
				bad(false, "%s is of incarnation %016x, the document says %s", path.Base(seg.Path), seg.Incarnation, d.Incarnation)
			}
		}
	}
	if d.Status != stream.Active {
		bad(true, "the stream is %s; the next start finishes that", d.Status)
	}
}

// shard goes through a log's segments.
func (i *inspector) shard(ctx context.Context, sh *ShardReport) error {
	names, err := i.list(ctx, sh.Dir)
	if err != nil {
		return err
	}
	var firsts []record.Ordinal
	for _, n := range names {
		if first, ok := parseSegmentName(n); ok {
			firsts = append(firsts, first)
		}
		if strings.HasSuffix(n, tmpSuffix) {
			sh.Problems = append(sh.Problems, Problem{Path: path.Join(sh.Dir, n), Offset: -1, Harmless: true, Text: "a file that was not finished; the next start removes it"})
		}
	}
	if len(firsts) == 0 {
		sh.Problems = append(sh.Problems, Problem{Path: sh.Dir, Offset: -1, Text: "there are no segments"})
	}
	for at, first := range firsts {
		if err := ctx.Err(); err != nil {
			return err
		}
		limit := unsealed
		if at+1 < len(firsts) {
			limit = firsts[at+1]
		}
		seg := SegmentReport{Path: path.Join(sh.Dir, segmentName(first)), First: first, Next: first, Frames: map[string]int{}}
		ended, err := i.segment(sh, &seg, limit)
		if errors.Is(err, fs.ErrNotExist) {
			continue // retention took it meanwhile
		}
		if err != nil {
			return err
		}
		sh.Segments = append(sh.Segments, seg)
		sh.Sealed = ended && limit == unsealed
	}
	return nil
}
