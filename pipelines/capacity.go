package pipelines

import (
	"cmp"
	"context"
	"time"

	streams "github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/governor"
)

// lookEvery is how often streams in mode on_demand are looked at.
const lookEvery = 5 * time.Second

// spec is what the stream should be.
func (s *Stream) spec() streams.Spec {
	spec := streams.Spec{Name: s.Name, Shards: s.Shards, Retention: s.Retention, MaxDisk: s.MaxDisk, Settings: s.Settings}
	if spec.MaxDisk == 0 {
		spec.MaxDisk = -1 // the stream may have had a limit before
	}
	return spec
}

// govern makes the settings of an open stream hold, and tells what they are.
func (r *Run) govern(s *Stream) {
	f := r.feeds[s.Name]
	f.governor = governor.New(f.stream, governor.Options{Now: r.o.Now, Log: r.o.Log, Shards: s.Shards, Rules: r.o.Capacity})
	d := f.stream.Describe()
	log := r.o.Log.With("stream", s.Name, "sync", d.Sync)
	switch d.Sync {
	case streams.SyncInterval:
		log.Warn("a power cut takes the records that came since the last sync", "sync_every", d.SyncEvery)
	case streams.SyncNever:
		log.Warn("a power cut takes the records that the operating system had not written yet, also some that were delivered")
	}
	log.Info("stream is open", "shards", d.OpenShards, "mode", d.Settings.Mode, "limits", d.Settings.Limits,
		"compression", d.Settings.Compression, "encryption", encryptionOf(d.Settings))
}

// encryptionOf is the master key of a stream, or none.
func encryptionOf(s streams.Settings) string {
	if s.Encryption == streams.NoEncryption {
		return ""
	}
	return s.KeyID
}

// scale lets the shards of streams in mode on_demand follow their load, until the pipeline has
// finished.
func (r *Run) scale(ctx context.Context, finished <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tick := time.NewTicker(cmp.Or(r.o.LookEvery, lookEvery))
	defer tick.Stop()
	for {
		select {
		case <-finished:
			return
		case <-r.halt:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, s := range r.pipeline.Streams {
			if err := r.feeds[s.Name].governor.Look(ctx); err != nil {
				r.o.Log.Warn("shards do not follow the load; it is tried again", "stream", s.Name, "error", err)
			}
		}
	}
}

// StreamCapacity is what a stream takes and how it is stored.
type StreamCapacity struct {
	// Open is how many shards take records.
	Open int `json:"open_shards"`
	// Sync is the durability of an append: always, interval or never. SyncEveryMillis is the
	// interval.
	Sync            streams.SyncMode `json:"sync"`
	SyncEveryMillis int64            `json:"sync_every_millis,omitempty"`
	Mode            streams.Mode     `json:"mode"`
	Limits          streams.Limits   `json:"limits"`
	// Encryption names the master key, empty when records are stored in clear.
	Encryption string `json:"encryption,omitempty"`
	// Throttled writes were refused or had to wait; Splits and Merges are those of mode on_demand. All
	// are of this run.
	Throttled int64 `json:"throttled_writes"`
	Splits    int64 `json:"splits"`
	Merges    int64 `json:"merges"`
	// Stuck shards are too hot, and a split would not help them.
	Stuck []StuckShard `json:"stuck,omitempty"`
}

// StuckShard is a hot shard that owes most of its load to one hash key.
type StuckShard struct {
	Shard string `json:"shard"`
	// Load as a share of what a shard is good for.
	Load float64 `json:"load"`
	// HashKey of the partition key, in decimal, and its part of the load.
	HashKey string  `json:"hash_key"`
	Part    float64 `json:"part"`
}

func capacityOf(d streams.Description) StreamCapacity {
	return StreamCapacity{
		Open: d.OpenShards, Sync: d.Sync, SyncEveryMillis: d.SyncEvery.Milliseconds(),
		Mode: d.Settings.Mode, Limits: d.Settings.Limits, Encryption: encryptionOf(d.Settings),
	}
}

// govern adds what a governor reports.
func (c *StreamCapacity) govern(r governor.Report) {
	c.Throttled, c.Splits, c.Merges = r.Throttled, r.Splits, r.Merges
	for _, s := range r.Stuck {
		c.Stuck = append(c.Stuck, StuckShard{Shard: s.Shard.String(), Load: s.Load, HashKey: s.Key.String(), Part: s.Part})
	}
}
