package file

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/sinks"
	"github.com/millrace-io/millrace/sinks/encode"
)

// chunk is the open chunk: its rows as the bytes of one file, or of a stretch of one.
type chunk struct {
	sink   string
	writer *encode.Writer
	// encoder is nil until there is a row.
	encoder encode.Encoder
	// memory is what the encoder may hold before it is told to write.
	memory int64
	spool  spool
	rows   int64
	hash   column.RowHash
}

// spoolLimit is how many encoded bytes stay in memory, unless the sink's share of it is small.
const spoolLimit int64 = 4 << 20

func newChunk(w *encode.Writer, env sinks.Env) chunk {
	// A buffer that grows may be twice as large as what is in it.
	limit, memory := min(spoolLimit, env.Memory/4), env.Memory/2
	return chunk{
		sink: env.Identity.Name, writer: w, memory: memory,
		spool: spool{path: filepath.Join(env.Dir, "chunk.spool"), limit: int(limit)},
	}
}

// add encodes the selected rows of b.
func (c *chunk) add(b *column.Batch) (flow.Outcome, error) {
	if c.encoder == nil {
		c.encoder = c.writer.Open(&c.spool)
	}
	if err := c.encoder.Add(b); err != nil {
		return flow.Outcome{}, err
	}
	if c.encoder.Memory() > c.memory {
		if err := c.encoder.Flush(); err != nil {
			return flow.Outcome{}, err
		}
	}
	n := int64(b.Selected())
	c.rows += n
	c.hash.Add(column.HashRows(b))
	return flow.Outcome{Counts: flow.Counts{In: n, Passed: n}}, nil
}

func (c *chunk) open() flow.Open {
	o := flow.Open{Rows: c.rows, Memory: int64(cap(c.spool.buf))}
	if c.encoder != nil {
		o.Encoded = c.encoder.Size()
		o.Memory += c.encoder.Memory()
	}
	return o
}

// freeze completes the bytes. Nothing is added afterwards.
func (c *chunk) freeze() error {
	if c.encoder == nil {
		return nil
	}
	err := c.encoder.Finish()
	c.encoder = nil
	return err
}

// object describes the frozen chunk.
func (c *chunk) object(key string) flow.Object {
	return flow.Object{Key: filepath.ToSlash(key), Rows: c.rows, Hash: c.hash.String(), Bytes: c.spool.size()}
}

func (c *chunk) reset() {
	c.encoder, c.rows, c.hash = nil, 0, column.RowHash{}
	c.spool.reset()
}

// fail names the sink in an error that names the file.
func (c *chunk) fail(err error) error { return fmt.Errorf("file sink %q: %w", c.sink, err) }

// name is a file name for the consumer that nobody else uses.
func name(id flow.Identity) string {
	parts := []string{id.Pipeline, id.Name, id.Incarnation}
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return fmt.Sprintf("%s-%d", strings.Join(parts, "-"), id.Task)
}
