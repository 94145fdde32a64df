package objects

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks/encode"
)

// Envelope is a rejected row in an error object, one a line. The fields before Stream are those of
// Firehose (Firehose developer guide, data delivery failure); times are in milliseconds since the epoch.
type Envelope struct {
	AttemptsMade int    `json:"attemptsMade"`
	Arrival      int64  `json:"arrivalTimestamp"`
	Code         string `json:"errorCode"`
	Message      string `json:"errorMessage"`
	Data         []byte `json:"rawData"`
	Stream       string `json:"stream"`
	Shard        string `json:"shard"`
	// Sequence is the record's ordinal in its shard, Sub that of a row within the record.
	Sequence int64 `json:"sequence"`
	Sub      int64 `json:"sub"`
	// Step that rejected the row: the stream, if it is no row of its schema, a transform or the sink.
	Step string `json:"step"`
	// Ending is when the chunk was planned.
	Ending int64 `json:"attemptEndingTimestamp"`
}

// What !{firehose:error-output-type} stands for (Firehose developer guide, custom prefixes).
const (
	errorsOfFormat     = "format-conversion-failed"
	errorsOfProcessing = "processing-failed"
)

// MetaErrors is the metadata of an error object: its error output type.
const MetaErrors = "millrace-errors"

// plainLines is how error objects are encoded, whatever the rows are.
var plainLines = encode.Options{Format: encode.NDJSON, Compression: encode.None}

// errorPart is an error object. Its lines are spooled without their ends: the time in them is that of
// the plan.
type errorPart struct {
	part
	kind   string
	staged spool
}

// KeepsRejects reports whether rejected rows go to error objects.
func (c *Chunk) KeepsRejects() bool { return len(c.names.errors) > 0 }

// Reject takes a rejected row.
func (c *Chunk) Reject(r flow.Rejected) error {
	kind := errorsOfProcessing
	if r.Undecoded {
		kind = errorsOfFormat
	}
	if r.Data == nil {
		r.Data = []byte{} // null would be no row
	}
	p := c.errorPart(kind)
	line, err := json.Marshal(Envelope{
		AttemptsMade: 1, Arrival: r.Arrival, Code: r.Code, Message: r.Reason, Data: r.Data,
		Stream: r.Stream, Shard: r.Shard.String(), Sequence: int64(r.Ordinal), Sub: r.Sub, Step: r.Step,
	})
	if err != nil {
		return fmt.Errorf("keep a rejected row: %w", err)
	}
	// The time of the ending comes last, as 0}.
	line = append(line[:len(line)-len("0}")], '\n')
	before := int64(cap(p.staged.memory))
	if _, err := p.staged.Write(line); err != nil {
		return err
	}
	c.rejectMemory += int64(cap(p.staged.memory)) - before
	c.rejectBytes += int64(len(line))
	p.rows++
	p.oldest = min(p.oldest, r.Arrival)
	p.hash.Add(hashReject(r))
	return nil
}

func (c *Chunk) errorPart(kind string) *errorPart {
	for _, p := range c.rejected {
		if p.kind == kind {
			return p
		}
	}
	p := &errorPart{kind: kind, staged: spool{disk: &c.disk}}
	p.oldest = math.MaxInt64
	c.rejected = append(c.rejected, p)
	return p
}

// hashReject depends on what was rejected and not on the words for it, which another version of the
// program may choose differently.
func hashReject(r flow.Rejected) column.RowHash {
	identity := fmt.Appendf(nil, "%s\x00%s\x00%d\x00%d\x00%s\x00%s\x00", r.Stream, r.Shard, r.Ordinal, r.Sub, r.Step, r.Code)
	h := xxh3.Hash128Seed(r.Data, xxh3.Hash(identity))
	return column.RowHash{Hi: h.Hi, Lo: h.Lo}
}

// planErrors completes the error objects and adds them to the plan.
func (c *Chunk) planErrors(plan *flow.Plan) error {
	for _, p := range c.rejected {
		if err := p.finish(&c.disk, plan.Cut.Now); err != nil {
			return fmt.Errorf("complete the object of rejected rows: %w", err)
		}
		o := p.describe(c.errorKey(p, plan.Cut))
		o.Rejects = true
		c.frozen[o.Key] = &p.part
		plan.Objects = append(plan.Objects, o)
	}
	return nil
}

// errorKey is that of an error object. The type is in its name too, since the prefix may have no
// expression for it.
func (c *Chunk) errorKey(p *errorPart, cut flow.Cut) string {
	stem := c.stem(cut.Chunk)
	dir := c.names.errors.append([]byte(c.settings.Root), values{
		time: time.UnixMilli(p.oldest), seed: stem + "/" + p.kind, errorType: p.kind,
	})
	return string(dir) + stem + "-" + p.kind + plainLines.Extension()
}

// finish writes the object: the lines with the time that they lack.
func (p *errorPart) finish(d *disk, now time.Time) error {
	p.kindOf, p.own = p.kind, &spool{disk: d}
	end := append(strconv.AppendInt(nil, now.UnixMilli(), 10), "}\n"...)
	out := bufio.NewWriterSize(p.own, 64<<10)
	in := bufio.NewReaderSize(io.NewSectionReader(&p.staged, 0, p.staged.size()), 64<<10)
	for {
		text, err := in.ReadSlice('\n')
		_, werr := out.Write(bytes.TrimSuffix(text, []byte{'\n'}))
		switch {
		case werr != nil:
			return werr
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			if err := out.Flush(); err != nil {
				return err
			}
			p.size, p.crc = p.own.size(), p.own.crc
			return p.staged.drop()
		case err != nil:
			return err
		}
		if _, err := out.Write(end); err != nil {
			return err
		}
	}
}

// dropErrors forgets the rejected rows.
func (c *Chunk) dropErrors() error {
	var errs []error
	for _, p := range c.rejected {
		errs = append(errs, p.staged.drop())
		if p.own != nil {
			errs = append(errs, p.own.drop())
		}
	}
	c.rejected, c.rejectMemory, c.rejectBytes = nil, 0, 0
	return errors.Join(errs...)
}
