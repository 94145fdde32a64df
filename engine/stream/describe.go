package stream

import (
	"cmp"
	"fmt"
	"maps"
	"time"
)

// Description is a stream as its document tells, at one moment (Kinesis API, DescribeStream).
type Description struct {
	Name        string
	Incarnation string
	Created     time.Time
	Status      Status
	// Shards by id, with their lineage.
	Shards     []Shard
	OpenShards int
	// Initial is how many shards the stream was created with.
	Initial  int
	Settings Settings
	// Sync is the durability of an append: what the settings say, or the backend's.
	Sync SyncMode
	// SyncEvery is the interval of SyncInterval, zero with the other modes.
	SyncEvery time.Duration
	Tags      map[string]string
}

// Describe tells what the stream is. Status is Updating while a change is under way.
func (s *Stream) Describe() Description {
	m := s.shards.Load()
	d := Description{
		Name: s.name, Incarnation: s.incarnation, Created: m.doc.Created, Status: m.doc.State,
		Shards: m.listed, OpenShards: len(m.open), Initial: m.doc.Initial, Settings: m.doc.Settings,
		Sync: m.doc.Settings.Sync, Tags: maps.Clone(m.doc.Tags),
	}
	if d.Sync == "" {
		d.Sync = SyncMode(s.backend.Sync())
	}
	if d.Sync == SyncInterval {
		d.SyncEvery = cmp.Or(d.Settings.SyncEvery, DefaultSyncEvery)
	}
	if s.reshaping.Load() {
		d.Status = Updating
	}
	return d
}

// ParseDocument describes a stream by its document alone, as it lies under "streams/<name>".
func ParseDocument(name string, value []byte) (Description, error) {
	d, err := decodeDocument(value)
	if err != nil {
		return Description{Name: name}, fmt.Errorf("document %s: %w", key(name), err)
	}
	return Description{
		Name: name, Incarnation: d.Incarnation, Created: d.Created, Status: d.State, Shards: d.Shards,
		OpenShards: len(d.open()), Initial: d.Initial, Settings: d.Settings, Sync: d.Settings.Sync, Tags: d.Tags,
	}, nil
}
