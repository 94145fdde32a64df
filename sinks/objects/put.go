package objects

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/millrace-io/millrace/engine/flow"
)

// Object is one to be created.
type Object struct {
	Key, ContentType string
	// Metadata has lower-case keys.
	Metadata map[string]string
	// Content has Size bytes and may be read as often as need be.
	Content io.ReaderAt
	Size    int64
	// CRC is the CRC-32C of the content.
	CRC uint32
}

// CopyTo writes the content.
func (o *Object) CopyTo(w io.Writer) error {
	n, err := io.Copy(w, io.NewSectionReader(o.Content, 0, o.Size))
	if err == nil && n < o.Size {
		err = fmt.Errorf("the spool has %d bytes instead of %d: %w", n, o.Size, io.ErrUnexpectedEOF)
	}
	return err
}

// uploads is how many objects are put at once.
const uploads = 4

// crowded is how many partitions of a chunk are hardly meant: each is an object, and so many small
// ones are slow to put and slow to read.
const crowded = 5000

// warnOfCrowd tells the log of a chunk with a partition for each user, or for each second.
func (c *Chunk) warnOfCrowd() {
	if len(c.list) <= crowded || c.settings.Log == nil {
		return
	}
	c.settings.Crowded.Do(func() {
		c.settings.Log.Warn("a chunk has very many partitions, and each becomes an object; choose fewer or coarser values in partition_by, or limit them with max_partitions",
			"partitions", len(c.list), "rows", c.rows)
	})
}

// Plan completes the objects of the chunk and says what they are called.
func (c *Chunk) Plan(cut flow.Cut) (flow.Plan, error) {
	c.warnOfCrowd()
	parts, err := c.freeze()
	if err != nil {
		return flow.Plan{}, err
	}
	plan := flow.Plan{Cut: cut}
	c.frozen = make(map[string]*part, len(parts))
	for _, p := range parts {
		o := p.describe(c.key(p, cut))
		c.frozen[o.Key] = p
		plan.Objects = append(plan.Objects, o)
	}
	if err := c.planErrors(&plan); err != nil {
		return flow.Plan{}, err
	}
	slices.SortFunc(plan.Objects, func(a, b flow.Object) int { return strings.Compare(a.Key, b.Key) })
	return plan, nil
}

// Put calls create for each object of the planned chunk, from several goroutines. Objects that it
// returned nil for are not created again when Put is repeated. Error: permanent, if the plan is not that of this
// chunk.
func (c *Chunk) Put(ctx context.Context, plan flow.Plan, create func(context.Context, Object) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(uploads)
	for _, planned := range plan.Objects {
		p := c.frozen[planned.Key]
		if p == nil {
			group.Go(func() error {
				return flow.Permanent(fmt.Errorf("chunk %d was planned with object %s, which it does not have now", plan.Cut.Chunk, planned.Key))
			})
			break
		}
		if p.done {
			continue
		}
		group.Go(func() error {
			// Whoever leaves objects out must say so, or the chunk is published without them.
			if err := ctx.Err(); err != nil {
				return err
			}
			err := create(ctx, c.object(plan.Cut, planned, p))
			p.done = err == nil
			return err
		})
	}
	return group.Wait()
}

func (c *Chunk) object(cut flow.Cut, planned flow.Object, p *part) Object {
	o := Object{
		Key: planned.Key, ContentType: c.writer.Options().ContentType(),
		Metadata: c.metadata(cut, planned), Content: c.content(p), Size: p.size, CRC: p.crc,
	}
	if p.kindOf != "" {
		o.ContentType, o.Metadata[MetaErrors] = plainLines.ContentType(), p.kindOf
	}
	return o
}

// Whole completes the one object of a chunk without partitions, for a sink that has names of its
// own; nil if the chunk has no rows. The second result describes it in the plan, but for the key.
func (c *Chunk) Whole() (*Object, flow.Object, error) {
	parts, err := c.freeze()
	if err != nil || len(parts) == 0 {
		return nil, flow.Object{}, err
	}
	planned := parts[0].describe("")
	o := c.object(flow.Cut{}, planned, parts[0])
	return &o, planned, nil
}

// describe is the part in a plan.
func (p *part) describe(key string) flow.Object {
	return flow.Object{Key: key, Rows: p.rows, Hash: p.hash.String(), Bytes: p.size}
}
