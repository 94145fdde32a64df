package disk

import (
	"context"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/vfs"
)

// DumpOptions say what Dump shows.
type DumpOptions struct {
	// Stream and Shard are as in Inspection.
	Stream string
	Shard  *record.ShardID
	// Records shows each record's key and the beginning of its data, too.
	Records bool
}

// Dump writes what lies in a data directory as text, segment by segment and frame by frame. It reads as
// Verify does, and returns the report.
func Dump(ctx context.Context, w io.Writer, fsys vfs.FS, dir string, o DumpOptions) (*Report, error) {
	p := &printer{w: w}
	r, err := Inspect(ctx, fsys, dir, Inspection{
		Stream: o.Stream,
		Shard:  o.Shard,
		Segment: func(s *SegmentReport) error {
			p.line("%s  %d bytes, incarnation %016x, index %s", s.Path, s.Size, s.Incarnation, s.Index)
			return p.err
		},
		Frame: func(f *FrameReport) error {
			p.frame(f)
			if o.Records {
				p.records(f)
			}
			return p.err
		},
	})
	if err == nil {
		p.line("")
		err = p.err
	}
	if err == nil {
		err = r.WriteText(w)
	}
	return r, err
}

// printer writes lines until one fails.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) frame(f *FrameReport) {
	var b strings.Builder
	fmt.Fprintf(&b, "  byte %d  %s", f.Offset, f.Kind)
	if f.Count > 0 {
		fmt.Fprintf(&b, " %d up to %d", f.First, f.Next())
	}
	fmt.Fprintf(&b, "  %s", when(time.UnixMilli(f.Arrival)))
	if f.Producer.ID != 0 {
		fmt.Fprintf(&b, "  producer %016x epoch %d at %d", f.Producer.ID, f.Producer.Epoch, f.Position)
	}
	fmt.Fprintf(&b, "  %d bytes", f.Stored)
	if f.Codec != codecNone.String() {
		fmt.Fprintf(&b, " %s of %d", f.Codec, f.Raw)
	}
	if f.Encrypted {
		b.WriteString(" encrypted")
	}
	fmt.Fprintf(&b, "  group %d", f.Group)
	p.line("%s", b.String())
}

func (p *printer) records(f *FrameReport) {
	at := f.First
	for body := f.Body; len(body) > 0; at++ {
		r, rest, err := record.Next(body)
		if err != nil {
			p.line("    record %d: %s", at, err)
			return
		}
		explicit := ""
		if r.HasExplicit {
			explicit = "  hash key " + r.Explicit.String()
		}
		p.line("    record %d  key %.60q%s  %d bytes %.100q", at, r.Key, explicit, len(r.Data), r.Data)
		body = rest
	}
}

func when(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// WriteText writes the report: what is there, then what is wrong with it.
func (r *Report) WriteText(w io.Writer) error {
	p := &printer{w: w}
	p.line("%s: %s", r.Dir, r.Format)
	if r.Owner != "" {
		p.line("last opened by process %s", r.Owner)
	}
	p.line("%d documents", len(r.Documents))
	for _, d := range r.Documents {
		p.line("  %s  revision %d, %d bytes", d.Key, d.Revision, d.Bytes)
	}
	p.problems(r.Problems)
	for i := range r.Streams {
		p.stream(&r.Streams[i])
	}
	switch n := len(r.Damage()); n {
	case 0:
		p.line("no damage found")
	case 1:
		p.line("1 problem")
	default:
		p.line("%d problems", n)
	}
	return p.err
}

func (p *printer) problems(problems []Problem) {
	for _, b := range problems {
		mark := "DAMAGED"
		if b.Harmless {
			mark = "note"
		}
		p.line("    %s  %s", mark, b)
	}
}

func (p *printer) stream(s *StreamReport) {
	p.line("stream %s: incarnation %s, %s, %d open of %d shards", s.Name, s.Description.Incarnation,
		s.Description.Status, s.Description.OpenShards, len(s.Description.Shards))
	p.problems(s.Problems)
	for _, sh := range s.Shards {
		state := "no document"
		for _, d := range s.Description.Shards {
			if d.ID == sh.ID {
				state = fmt.Sprintf("%s, hash keys %s", d.State, d.Range)
			}
		}
		p.line("  %s  %s", sh.ID, state)
		p.problems(sh.Problems)
		for i := range sh.Segments {
			p.segment(&sh.Segments[i])
		}
	}
}

func (p *printer) segment(s *SegmentReport) {
	frames := 0
	var codecs []string
	for _, c := range sortedKeys(s.Frames) {
		frames += s.Frames[c]
		if c != codecNone.String() {
			codecs = append(codecs, fmt.Sprintf("%d %s", s.Frames[c], c))
		}
	}
	text := fmt.Sprintf("%s  records %d up to %d in %d frames, %d bytes", path.Base(s.Path), s.First, s.Next, frames, s.Size)
	if len(codecs) > 0 {
		text += fmt.Sprintf(" (%s: %d for %d)", strings.Join(codecs, ", "), s.Stored, s.Raw)
	}
	if !s.Oldest.IsZero() {
		text += "  " + when(s.Oldest) + " to " + when(s.Newest)
	}
	if s.Encrypted {
		text += fmt.Sprintf("  encrypted by master key %q", s.Key)
	}
	if s.Producers > 0 {
		text += fmt.Sprintf("  %d producers", s.Producers)
	}
	p.line("    %s  index %s", text, s.Index)
	if s.Leftover > 0 {
		p.line("      the last %d bytes are no part of the log", s.Leftover)
	}
	p.problems(s.Problems)
}
