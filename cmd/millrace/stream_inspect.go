package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
)

// inspectFlags are what commands take that read the files of a data directory.
type inspectFlags struct {
	streamFlags
	Target string    `arg:"" optional:"" help:"Data directory, or a stream in the one of --data; all of that if left out." placeholder:"DIR|NAME"`
	Shard  *shardArg `help:"Only this shard." placeholder:"SHARD"`
}

// target is the directory and the stream to look at, which is empty for all.
func (f inspectFlags) target() (dir, name string) {
	if f.Target == "" {
		return f.Data, ""
	}
	if _, err := os.Stat(filepath.Join(f.Target, "FORMAT")); err == nil {
		return f.Target, ""
	}
	return f.Data, f.Target
}

// id is the shard to look at, nil for all.
func (f inspectFlags) id() *record.ShardID {
	if f.Shard == nil {
		return nil
	}
	return &f.Shard.ShardID
}

// failed explains an error of looking at the files.
func (f inspectFlags) failed(r *disk.Report, err error) error {
	dir, name := f.target()
	switch {
	case !errors.Is(err, stream.ErrNotFound):
		return err
	case name != "" && (r == nil || len(r.Streams) == 0):
		return usageError{fmt.Errorf("%s is no data directory, and %s has no stream of that name; `millrace stream list` shows those that there are", name, dir)}
	case name != "":
		return usageError{fmt.Errorf("stream %q has no shard %d; `millrace stream describe %s` shows those that there are", name, uint32(f.Shard.ShardID), name)}
	}
	return usageError{fmt.Errorf("no stream of %s has a shard %d", dir, uint32(f.Shard.ShardID))}
}

// found makes an error of damage.
func (f inspectFlags) found(r *disk.Report) error {
	dir, _ := f.target()
	if n := len(r.Damage()); n > 0 {
		return fmt.Errorf("%s: %d %s of damage", dir, n, plural(n, "place"))
	}
	return nil
}

// reading is what both commands say about how they work.
const reading = `
It reads the files, takes no lock and changes nothing, so it works on a directory that is too broken to be
opened. In one that is being written to, the last bytes of a log may look like leftovers.`

type streamVerify struct{ inspectFlags }

// Help is printed below the usage.
func (streamVerify) Help() string {
	return `Reads everything that is stored, checks it against its checksums and lists what is there and what is damaged:
which file, which byte, which records are lost. What comes before and after can be read. Exit code 1 means damage.
` + reading + `

Example: all streams; one of them; a copy of the directory:
  millrace stream verify
  millrace stream verify clicks
  millrace stream verify /backup/millrace-data`
}

// Run checks the files.
func (c *streamVerify) Run(a *app) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, name := c.target()
	r, err := disk.Inspect(ctx, vfs.OS{}, dir, disk.Inspection{Stream: name, Shard: c.id()})
	if err != nil {
		return c.failed(r, err)
	}
	if c.JSON {
		err = printJSON(a, verifiedOf(r))
	} else {
		err = r.WriteText(a.stdout)
	}
	return errors.Join(err, c.found(r))
}

type streamDump struct {
	inspectFlags
	Records bool `help:"Show the beginning of each record too."`
}

// Help is printed below the usage.
func (streamDump) Help() string {
	return `Prints what lies in the files, segment by segment and frame by frame: docs/formats/segment.md has the byte tables.
--json prints an object a line for each frame.
` + reading + `

Example: one shard with its records:
  millrace stream dump clicks --shard 2 --records`
}

// Run prints the files.
func (c *streamDump) Run(a *app) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, name := c.target()
	var r *disk.Report
	var err error
	if c.JSON {
		r, err = c.frames(ctx, a, dir, name)
	} else {
		r, err = disk.Dump(ctx, a.stdout, vfs.OS{}, dir, disk.DumpOptions{Stream: name, Shard: c.id(), Records: c.Records})
	}
	if err != nil {
		return c.failed(r, err)
	}
	return c.found(r)
}

// frames prints each frame as a line of JSON.
func (c *streamDump) frames(ctx context.Context, a *app, dir, name string) (*disk.Report, error) {
	enc := json.NewEncoder(a.stdout)
	path := ""
	return disk.Inspect(ctx, vfs.OS{}, dir, disk.Inspection{
		Stream: name, Shard: c.id(),
		Segment: func(s *disk.SegmentReport) error {
			path = s.Path
			return nil
		},
		Frame: func(f *disk.FrameReport) error {
			out, err := c.frame(path, f)
			if err != nil {
				return err
			}
			return enc.Encode(out)
		},
	})
}

// dumpedFrame is a frame as dump --json prints it.
type dumpedFrame struct {
	Path     string         `json:"path"`
	Offset   int64          `json:"offset"`
	Kind     string         `json:"kind"`
	First    record.Ordinal `json:"first"`
	Count    int            `json:"count"`
	Arrival  time.Time      `json:"arrival"`
	Producer string         `json:"producer,omitempty"`
	Epoch    uint32         `json:"epoch,omitempty"`
	Position int64          `json:"position,omitempty"`
	Codec    string         `json:"codec"`
	// Stored bytes of the body in the file, Raw without the codec.
	Stored  int            `json:"stored"`
	Raw     int            `json:"raw"`
	Records []dumpedRecord `json:"records,omitempty"`
}

type dumpedRecord struct {
	Key  []byte `json:"key_base64"`
	Data []byte `json:"data_base64"`
}

func (c *streamDump) frame(path string, f *disk.FrameReport) (dumpedFrame, error) {
	out := dumpedFrame{
		Path: path, Offset: f.Offset, Kind: f.Kind, First: f.First, Count: f.Count, Arrival: time.UnixMilli(f.Arrival).UTC(),
		Epoch: f.Producer.Epoch, Position: f.Position, Codec: f.Codec, Stored: f.Stored, Raw: f.Raw,
	}
	if f.Producer.ID != 0 {
		out.Producer = fmt.Sprintf("%016x", f.Producer.ID)
	}
	for body := f.Body; c.Records && len(body) > 0; {
		r, rest, err := record.Next(body)
		if err != nil {
			return out, fmt.Errorf("%s, byte %d: %w", path, f.Offset, err)
		}
		out.Records = append(out.Records, dumpedRecord{r.Key, r.Data})
		body = rest
	}
	return out, nil
}

// verified is what verify --json prints.
type verified struct {
	Dir     string            `json:"dir"`
	OK      bool              `json:"ok"`
	Damage  []verifiedProblem `json:"damage"`
	Streams []verifiedStream  `json:"streams"`
}

type verifiedProblem struct {
	Path string `json:"path"`
	// Offset is -1 when it is about the file as a whole.
	Offset int64 `json:"offset"`
	// From up to Next are the records that are lost.
	From record.Ordinal `json:"from"`
	Next record.Ordinal `json:"next"`
	Text string         `json:"text"`
}

type verifiedStream struct {
	Name   string          `json:"name"`
	Status stream.Status   `json:"status"`
	Shards []verifiedShard `json:"shards"`
}

type verifiedShard struct {
	ID       record.ShardID `json:"id"`
	Sealed   bool           `json:"sealed"`
	Segments int            `json:"segments"`
	Bytes    int64          `json:"bytes"`
	First    record.Ordinal `json:"first"`
	Next     record.Ordinal `json:"next"`
}

func verifiedOf(r *disk.Report) verified {
	damage := r.Damage()
	out := verified{Dir: r.Dir, OK: len(damage) == 0, Damage: []verifiedProblem{}, Streams: []verifiedStream{}}
	for _, p := range damage {
		out.Damage = append(out.Damage, verifiedProblem{p.Path, p.Offset, p.From, p.Next, p.Text})
	}
	for _, s := range r.Streams {
		vs := verifiedStream{Name: s.Name, Status: s.Description.Status, Shards: []verifiedShard{}}
		for _, sh := range s.Shards {
			v := verifiedShard{ID: sh.ID, Sealed: sh.Sealed, Segments: len(sh.Segments)}
			for i, seg := range sh.Segments {
				if i == 0 {
					v.First = seg.First
				}
				v.Next = seg.Next
				v.Bytes += seg.Size
			}
			vs.Shards = append(vs.Shards, v)
		}
		out.Streams = append(out.Streams, vs)
	}
	return out
}
