package objects

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"sync"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/sinks/encode"
)

// Settings of a Chunk.
type Settings struct {
	Layout Layout
	// Root is put before all keys.
	Root string
	// Segment is how many bytes a part of a key between slashes may have; 0 means any number.
	Segment int
	// HashInName ends names with the beginning of the hash of the rows, for stores that keep no
	// metadata beside an object.
	HashInName bool
	Identity   flow.Identity
	// Generation is the hash of the consumer's configuration, for the metadata.
	Generation string
	Writer     *encode.Writer
	// Open starts an object; nil is the Writer's. It is called from several goroutines.
	Open   func(io.Writer) encode.Encoder
	Schema *column.Schema
	// Dir is where objects are spooled.
	Dir string
	// Memory is how many bytes the chunk may hold before it must be cut; spooling comes before.
	Memory int64
	// Log is told when nothing can be spooled and when a chunk is crowded; nil for nobody.
	Log *slog.Logger
	// Crowded is done once Log is told of a crowded chunk. Chunks may share it; nil is one of its own.
	Crowded *sync.Once
}

// Chunk is the open chunk: one object for each partition that has rows. One goroutine uses it,
// except for Stats.
//
// Without partitions rows are encoded as they come. Otherwise they are staged, for an encoder in
// each of many partitions would hold more memory than the rows, and take most of its time for a
// few rows each: see stage.
type Chunk struct {
	settings Settings
	writer   *encode.Writer
	task     string
	names    names
	// partitioner is nil when all rows go to one object.
	partitioner *partitioner
	stage       stage
	// limit is how many bytes the open objects may take before the largest are flushed.
	limit int64
	// columns is how many the rows have, which decides what a flush costs.
	columns int

	// parts are the partitions by the values of their keys, paths by their spelling: a text that
	// is spelled like null is in the partition of null.
	parts, paths map[string]*part
	// list is all partitions in the order they came.
	list []*part
	// admitted counts the partitions that each shard brought.
	admitted map[record.ShardID]int
	// touched are the open objects with rows in the batch at hand.
	touched []*part
	rowKey  []byte
	rows    int64
	// encoded and memory are those of the open objects.
	encoded, memory int64
	// encoders is how many objects are open.
	encoders int
	// drained is set while no part is worth a flush, so that none is looked for.
	drained bool
	// finished is the objects of staged rows, one behind the other.
	finished spool
	// ratio is the encoded size of staged rows to their size in the stage, as it was in the last chunk.
	ratio float64
	// frozen are the objects of the planned chunk by key.
	frozen map[string]*part
	disk   disk
	stats  stats
	// rejected are the error objects, rejectMemory and rejectBytes what their lines take in memory and
	// in all.
	rejected                  []*errorPart
	rejectMemory, rejectBytes int64
}

// New makes an empty chunk. Errors name the mistake's place in the configuration.
func New(s Settings) (*Chunk, error) {
	if s.Open == nil {
		s.Open = s.Writer.Open
	}
	if s.Crowded == nil {
		s.Crowded = new(sync.Once)
	}
	names, problems := s.Layout.parse()
	if len(problems) > 0 {
		return nil, &config.PathError{Path: problems[0].Path, Err: errors.New(problems[0].Message)}
	}
	c := &Chunk{
		settings: s, writer: s.Writer, task: TaskName(s.Identity), names: names,
		limit: s.Memory / 4 * 3, columns: len(s.Schema.Fields), ratio: firstRatio(s.Writer.Options()),
	}
	c.disk.dir, c.disk.log = s.Dir, s.Log
	c.finished.disk, c.stage.disk = &c.disk, &c.disk
	if s.Memory > 0 {
		c.disk.memory = int(min(max(s.Memory/16, leastSpool), spoolMemory))
	}
	if len(s.Layout.PartitionBy) == 0 {
		return c, nil
	}
	var err error
	c.stage.init(s.Schema, &c.disk, stageMemory(s.Memory))
	c.limit = s.Memory / 2
	c.partitioner, err = newPartitioner(s.Layout.PartitionBy, s.Schema)
	return c, err
}

// stageMemory is how much of the memory the stage takes.
func stageMemory(memory int64) int64 {
	const least, most = 256 << 10, 32 << 20
	if memory <= 0 {
		return most
	}
	return min(max(memory/4, least), most)
}

// firstRatio guesses how much smaller rows get; a third is what click events become.
func firstRatio(o encode.Options) float64 {
	if o.Compression == encode.None {
		return 1
	}
	return 0.33
}

// Start removes what an earlier process left in the directory of spools.
func (c *Chunk) Start() error {
	if err := dropSpools(c.settings.Dir); err != nil {
		return fmt.Errorf("remove old spools: %w", err)
	}
	return nil
}

// Open describes the chunk.
func (c *Chunk) Open() flow.Open {
	o := flow.Open{
		Rows: c.rows, Encoded: c.encoded + int64(float64(c.stage.total)*c.ratio) + c.rejectBytes, Memory: c.held(),
	}
	if c.stage.grace > 0 {
		// The chunk has to be cut, whatever it holds.
		o.Memory = max(o.Memory, c.settings.Memory+1)
	}
	return o
}

// held is the memory of everything, in bytes.
func (c *Chunk) held() int64 {
	return c.memory + c.stage.memory() + int64(len(c.list))*partOverhead + int64(cap(c.finished.memory)) + c.rejectMemory
}

// Add routes the selected rows of b to their partitions. It does not keep b.
func (c *Chunk) Add(b *column.Batch) (flow.Outcome, error) {
	n := int64(b.Selected())
	if n == 0 {
		return flow.Outcome{}, nil
	}
	if c.parts == nil {
		c.parts, c.paths = make(map[string]*part), make(map[string]*part)
	}
	outcome := flow.Outcome{Counts: flow.Counts{In: n, Passed: n}}
	defer c.publishStats()
	if c.partitioner == nil {
		p := c.parts[""]
		if p == nil {
			p = c.join("", nil)
			c.parts[""] = p
		}
		p.arrived(b)
		c.rows += n
		return outcome, c.encode(p, b)
	}
	rejects, err := c.route(b)
	if err != nil {
		return flow.Outcome{}, err
	}
	outcome.Rejects = rejects
	outcome.Counts.Bad = int64(len(rejects))
	outcome.Counts.Passed -= outcome.Counts.Bad
	c.rows += outcome.Counts.Passed
	return outcome, nil
}

// route stages the selected rows of b for their partitions.
func (c *Chunk) route(b *column.Batch) ([]flow.Reject, error) {
	if err := c.partitioner.eval(b); err != nil {
		return nil, err
	}
	if err := c.stage.begin(b); err != nil {
		return nil, err
	}
	heavy := heavyColumns(b)
	var rejects []flow.Reject
	var last *part
	var lastKey []byte
	for i := range b.Selected() {
		row := i
		if b.Selection != nil {
			row = int(b.Selection[i])
		}
		c.rowKey = c.partitioner.appendKey(c.rowKey[:0], row)
		p := last
		if last == nil || string(c.rowKey) != string(lastKey) {
			var reject *flow.Reject
			if p, reject = c.partition(row, b.Origin.Shard); reject != nil {
				rejects = append(rejects, *reject)
				continue
			}
			last, lastKey = p, append(lastKey[:0], c.rowKey...)
		}
		if b.Origin.Arrivals != nil {
			p.oldest = min(p.oldest, b.Origin.Arrivals[row])
		}
		if len(heavy) > 0 && isHeavy(heavy, row) && c.roomFor(p) {
			p.heavy = true
		}
		if p.encoder == nil && !p.heavy {
			if err := c.put(b, row, p); err != nil {
				return nil, err
			}
			continue
		}
		if len(p.selection) == 0 {
			c.touched = append(c.touched, p)
		}
		p.selection = append(p.selection, int32(row))
	}
	return rejects, c.encodeTouched(b)
}

// put stages a row.
func (c *Chunk) put(b *column.Batch, row int, p *part) error {
	c.stage.add(b, row, p)
	p.staged++
	if !c.stage.full() {
		return nil
	}
	return c.drain()
}

// fewRows are not worth a call of an encoder.
const fewRows = 32

// encodeTouched takes the rows of b for the objects that are open. Many at once need no stage, nor do very
// large ones.
func (c *Chunk) encodeTouched(b *column.Batch) error {
	for _, p := range c.touched {
		if len(p.selection) >= fewRows || p.heavy {
			if err := c.encode(p, b.With(p.selection)); err != nil {
				return err
			}
		} else {
			for _, row := range p.selection {
				if err := c.put(b, int(row), p); err != nil {
					return err
				}
			}
		}
		p.selection, p.heavy = p.selection[:0], false
	}
	c.touched = c.touched[:0]
	return nil
}

// partition is that of a row, whose key is in rowKey.
func (c *Chunk) partition(row int, shard record.ShardID) (*part, *flow.Reject) {
	p := c.parts[string(c.rowKey)]
	if p != nil && c.settings.Layout.MaxPartitions == 0 {
		return p, nil
	}
	var values []string
	var path string
	if p == nil {
		var err error
		if values, err = c.partitioner.values(row); err == nil {
			path = c.partitioner.path(values)
			err = c.checkKey(values)
		}
		if err != nil {
			return nil, &flow.Reject{Row: row, Code: "partition-value", Reason: err.Error()}
		}
		p = c.paths[path]
	}
	if !c.admit(p, shard) {
		return nil, &flow.Reject{Row: row, Code: "partition-overflow", Reason: fmt.Sprintf(
			"the chunk has max_partitions (%d) partitions of this shard already", c.settings.Layout.MaxPartitions)}
	}
	if p == nil {
		p = c.join(path, values)
	}
	if c.settings.Layout.MaxPartitions > 0 && !slices.Contains(p.shards, shard) {
		p.shards = append(p.shards, shard)
	}
	c.parts[string(c.rowKey)] = p
	return p, nil
}

// admit reports whether rows of a shard may go to p, nil for a new one. Each shard counts for
// itself, because rows come in the same order again only within a shard: a redone chunk must
// reject the same ones.
func (c *Chunk) admit(p *part, shard record.ShardID) bool {
	most := c.settings.Layout.MaxPartitions
	if most == 0 || p != nil && slices.Contains(p.shards, shard) {
		return true
	}
	if c.admitted[shard] >= most {
		return false
	}
	if c.admitted == nil {
		c.admitted = make(map[record.ShardID]int)
	}
	c.admitted[shard]++
	return true
}

// join makes a new partition.
func (c *Chunk) join(path string, values []string) *part {
	p := &part{index: int32(len(c.list)), path: path, values: values, oldest: math.MaxInt64}
	c.list = append(c.list, p)
	c.paths[path] = p
	return p
}

// Drop forgets everything; the chunk is empty and open again.
func (c *Chunk) Drop() error {
	err := errors.Join(c.stage.drop(), c.finished.drop(), c.dropErrors())
	for _, p := range c.list {
		if p.own != nil {
			err = errors.Join(err, p.own.drop())
		}
	}
	c.parts, c.paths, c.list, c.admitted, c.touched, c.frozen = nil, nil, nil, nil, nil, nil
	c.rows, c.encoded, c.memory, c.encoders, c.drained = 0, 0, 0, 0, false
	c.publishStats()
	return err
}

// learn takes the ratio of sizes for the next chunk.
func (c *Chunk) learn(all []*part) {
	if c.stage.total < 1<<20 {
		return
	}
	var n int64
	for _, p := range all {
		if p.own == nil {
			n += p.size
		}
	}
	if n > 0 {
		c.ratio = float64(n) / float64(c.stage.total)
	}
}
