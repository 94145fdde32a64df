package pipelines

import (
	"cmp"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/table"
)

// collector turns snapshots into metrics when they are scraped; nothing is counted twice.
type collector struct {
	status func() Status
	// expose sends what sinks make of their rows, nil for nothing.
	expose func(ch chan<- prometheus.Metric)
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("millrace_"+name, help, labels, nil)
}

var (
	descReady        = desc("ready", "1 while no component is at fault.", "pipeline")
	descDurability   = desc("durability_info", "How an append to a stream is made durable: always, interval or never.", "stream", "sync")
	descOpen         = desc("stream_open_shards", "Shards of a stream that take records.", "stream")
	descThrottled    = desc("stream_throttled_writes_total", "Writes in this run that the limits of a stream refused or made wait.", "stream")
	descSplits       = desc("stream_splits_total", "Splits in this run that mode on_demand made.", "stream")
	descMerges       = desc("stream_merges_total", "Merges in this run that mode on_demand made.", "stream")
	descStuck        = desc("stream_stuck_shard_load", "Load, as a share of its capacity, of a shard that is too hot and that a split would not help.", "stream", "shard")
	descRecords      = desc("stream_records_total", "Records ever stored in a stream.", "stream")
	descBytes        = desc("stream_bytes", "Size of a stream on disk in bytes.", "stream")
	descWritten      = desc("source_records_total", "Records a source wrote durably in this run.", "source", "stream")
	descRejected     = desc("source_rejected_total", "Pieces of input that could not become records in this run.", "source")
	descSourceUp     = desc("source_up", "1 while a source works, 0 while it retries or has failed.", "source")
	descRows         = desc("step_rows_total", "Rows of a step by what became of them.", "task", "step", "outcome")
	descUp           = desc("task_up", "1 while a sink or query works, 0 while it retries or has failed.", "task")
	descDiskFull     = desc("task_disk_full", "1 while a sink or query waits for room on a disk.", "task")
	descLag          = desc("task_lag_records", "Records a task has yet to read in a shard.", "task", "stream", "shard")
	descLagTime      = desc("task_lag_seconds", "Age of the first record a task has yet to read in a shard; 0 when there is none.", "task", "stream", "shard")
	descUndelivered  = desc("oldest_undelivered_seconds", "Age of the oldest record a sink or query has yet to deliver; 0 when there is none.", "task")
	descWatermark    = desc("task_watermark_seconds", "Watermark of a task's input in seconds since the epoch.", "task")
	descObjects      = desc("sink_objects_total", "Objects a task has delivered.", "task")
	descRowsOut      = desc("sink_rows_total", "Rows a task has delivered.", "task")
	descBytesOut     = desc("sink_bytes_total", "Encoded bytes a task has delivered.", "task")
	descErrorObjects = desc("sink_error_objects_total", "Objects with rejected rows that a task has put under its error prefix.", "task")
	descErrorRows    = desc("sink_error_rows_total", "Rejected rows that a task has put under its error prefix.", "task")
	descObjectsBy    = desc("sink_objects_by_reason_total", "Objects of this run by the reason their chunk was cut.", "task", "reason")
	descRowsBy       = desc("sink_rows_by_reason_total", "Rows delivered in this run by the reason their chunk was cut.", "task", "reason")
	descBytesBy      = desc("sink_bytes_by_reason_total", "Encoded bytes delivered in this run by the reason their chunk was cut.", "task", "reason")
	descRetries      = desc("task_retries_total", "Attempts of this run that failed and were made again.", "task")
	descPartitions   = desc("sink_open_partitions", "Partitions of a sink's open chunk.", "task")
	descMemory       = desc("sink_memory_bytes", "Memory of a sink by what holds it.", "task", "holder")
	descSpilled      = desc("sink_spilled_bytes_total", "Bytes a sink wrote to local disk in this run because memory was short.", "task")
	descChunks       = desc("task_chunks_total", "Chunks of this run by the reason they were cut.", "task", "reason")
	descCommitted    = desc("task_committed_seconds", "When a task last committed, in seconds since the epoch.", "task")
	descTableAge     = desc("table_age_seconds", "Time since the source of a reference table was last seen with the content in use.", "table")
	descTableVersion = desc("table_version", "Number of the version of a reference table in use.", "table")
	descTableRows    = desc("table_rows", "Rows of a reference table.", "table")
	descTableMemory  = desc("table_memory_bytes", "Memory of the rows of a reference table.", "table")
	descTableUp      = desc("table_up", "1 while the last look at the source of a reference table succeeded.", "table")
	descTableFailed  = desc("table_refresh_failures_total", "Looks at the source of a reference table in this run that failed.", "table")
	descDeadLetters  = desc("dead_letters_total", "Rejected rows kept in the dead-letter stream.", "stream")
)

// Describe sends nothing: which series there are follows from the pipeline.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends the metrics of one snapshot.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	if c.expose != nil {
		c.expose(ch)
	}
	s := c.status()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge(descReady, truth(s.Ready), s.Pipeline)
	for _, x := range s.Streams {
		counter(descRecords, x.Records, x.Name)
		gauge(descBytes, float64(x.Bytes), x.Name)
		gauge(descOpen, float64(x.Open), x.Name)
		gauge(descDurability, 1, x.Name, string(x.Sync))
		counter(descThrottled, x.Throttled, x.Name)
		counter(descSplits, x.Splits, x.Name)
		counter(descMerges, x.Merges, x.Name)
		for _, hot := range x.Stuck {
			gauge(descStuck, hot.Load, x.Name, hot.Shard)
		}
	}
	counter(descDeadLetters, s.DeadLetters.Records, s.DeadLetters.Name)
	for _, x := range s.Sources {
		counter(descWritten, x.Written, x.Name, x.To)
		counter(descRejected, x.Rejected, x.Name)
		gauge(descSourceUp, truth(x.Error == ""), x.Name)
	}
	for _, t := range s.Tables {
		collectTable(t, gauge, counter)
	}
	for _, t := range s.Tasks {
		collectTask(t, gauge, counter)
	}
}

func collectTable(t table.Status, gauge func(*prometheus.Desc, float64, ...string), counter func(*prometheus.Desc, int64, ...string)) {
	gauge(descTableVersion, float64(t.Version), t.Name)
	gauge(descTableRows, float64(t.Rows), t.Name)
	gauge(descTableMemory, float64(t.Memory), t.Name)
	gauge(descTableUp, truth(t.Version > 0 && t.Error == ""), t.Name)
	counter(descTableFailed, t.Failures, t.Name)
	if t.Seen != nil {
		gauge(descTableAge, t.Age, t.Name)
	}
}

// furthest is the shards of a task, which are in order, each once: of one that is read more than once, the place
// that is further behind.
func furthest(shards []flow.ShardStatus) []flow.ShardStatus {
	out := make([]flow.ShardStatus, 0, len(shards))
	for _, sh := range shards {
		n := len(out) - 1
		if n < 0 || out[n].Stream != sh.Stream || out[n].Shard != sh.Shard {
			out = append(out, sh)
			continue
		}
		out[n].Lag, out[n].Behind = max(out[n].Lag, sh.Lag), max(out[n].Behind, sh.Behind)
	}
	return out
}

func collectTask(t flow.Status, gauge func(*prometheus.Desc, float64, ...string), counter func(*prometheus.Desc, int64, ...string)) {
	gauge(descUp, truth(t.Error == ""), t.Name)
	gauge(descDiskFull, truth(t.DiskFull), t.Name)
	gauge(descUndelivered, t.OldestUndelivered, t.Name)
	for _, step := range t.Steps {
		for _, o := range outcomes(step.Counts) {
			counter(descRows, o.rows, t.Name, step.Name, o.name)
		}
	}
	for _, sh := range furthest(t.Shards) {
		gauge(descLag, float64(sh.Lag), t.Name, cmp.Or(sh.Stream, t.From), sh.Shard)
		gauge(descLagTime, sh.Behind, t.Name, cmp.Or(sh.Stream, t.From), sh.Shard)
	}
	if t.Watermark != nil {
		gauge(descWatermark, float64(t.Watermark.UnixMicro())/1e6, t.Name)
	}
	if t.Committed != nil {
		gauge(descCommitted, float64(t.Committed.UnixMicro())/1e6, t.Name)
	}
	counter(descObjects, t.Delivered.Objects, t.Name)
	counter(descRowsOut, t.Delivered.Rows, t.Name)
	counter(descBytesOut, t.Delivered.Bytes, t.Name)
	counter(descErrorObjects, t.Delivered.ErrorObjects, t.Name)
	counter(descErrorRows, t.Delivered.ErrorRows, t.Name)
	for reason, n := range t.Cuts {
		counter(descChunks, n, t.Name, reason)
	}
	for reason, d := range t.DeliveredBy {
		counter(descObjectsBy, d.Objects, t.Name, reason)
		counter(descRowsBy, d.Rows, t.Name, reason)
		counter(descBytesBy, d.Bytes, t.Name, reason)
	}
	counter(descRetries, t.Retries, t.Name)
	if t.Figures == nil {
		return
	}
	gauge(descPartitions, float64(t.Figures.Partitions), t.Name)
	for holder, n := range t.Figures.Memory {
		gauge(descMemory, float64(n), t.Name, holder)
	}
	counter(descSpilled, t.Figures.Spilled, t.Name)
}

type outcome struct {
	name string
	rows int64
}

// outcomes lists the counts by the names that metrics and reports use.
func outcomes(c checkpoint.Counts) []outcome {
	return []outcome{
		{"in", c.In},
		{"passed", c.Passed},
		{"aggregated", c.Aggregated},
		{"filtered", c.Filtered},
		{"dropped", c.Dropped},
		{"late", c.Late},
		{"bad", c.Bad},
		{"expired", c.Expired},
		{"in_flight", c.InFlight()},
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
