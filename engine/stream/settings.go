package stream

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode/utf8"
)

// Compression names how the bodies of frames are compressed.
type Compression string

// The compressions. NoCompression is the default.
const (
	NoCompression Compression = "none"
	Zstd          Compression = "zstd"
	Snappy        Compression = "snappy"
)

// SyncMode says when an append is acknowledged, and what a power cut can take.
type SyncMode string

const (
	// SyncAlways: an append is acknowledged and shown once it is synced. Nothing is ever lost.
	SyncAlways SyncMode = "always"
	// SyncInterval: an append is acknowledged once it is written, and shown to readers once it is
	// synced, every ShardOptions.SyncEvery. A power cut takes what was acknowledged since the last
	// sync; readers have not seen it. Its sequence numbers are given again.
	SyncInterval SyncMode = "interval"
	// SyncNever: an append is acknowledged and shown once it is written. It outlives the process
	// but not the machine: a power cut takes what the operating system had not written back,
	// which consumers may have read. Their positions may then be behind the end of the log, and
	// sequence numbers are given again.
	SyncNever SyncMode = "never"
)

// Mode says how a stream's capacity is found (Kinesis API, StreamMode).
type Mode string

// The modes. Provisioned is the default.
const (
	Provisioned Mode = "provisioned"
	OnDemand    Mode = "on_demand"
)

// Limits say what the shards of a stream take and give.
type Limits string

// The limits. NoLimits is the default.
const (
	NoLimits Limits = "none"
	// KinesisLimits are those of a provisioned shard of Kinesis (capacity.Kinesis).
	KinesisLimits Limits = "kinesis"
)

// AutoShards as the largest number of shards lets it follow from the machine: 4 per core.
const AutoShards = -1

// DefaultSyncEvery is the interval of SyncInterval unless the settings name one.
const DefaultSyncEvery = 100 * time.Millisecond

// Encryption says whether records are encrypted on disk (Kinesis API, EncryptionType).
type Encryption string

// The encryptions.
const (
	NoEncryption Encryption = "none"
	AtRest       Encryption = "at_rest"
)

// Limits of records (Kinesis API, PutRecord and PutRecords).
const (
	// DefaultMaxRecord is what a record's data and key may have together, in bytes.
	DefaultMaxRecord = 1 << 20
	// HighestMaxRecord is what a stream may raise that to.
	HighestMaxRecord = 10 << 20
	// AnyRecord as a limit takes whatever the backend does, for streams that no client writes to.
	AnyRecord = -1
	// MaxKey is the length of a partition key in Unicode characters.
	MaxKey = 256
	// MaxPutRecords and MaxPutBytes bound one PutRecords.
	MaxPutRecords = 500
	MaxPutBytes   = 10 << 20
	// maxTags bounds the tags of a stream (Kinesis API, AddTagsToStream).
	maxTags = 50
)

// Forever as a retention keeps records until the stream is deleted.
const Forever time.Duration = -1

// Settings of a stream, which its document stores. The zero value of a field means "leave it" in
// a Spec, and the default in a new stream.
type Settings struct {
	// Retention is how long records stay; Forever, the default, means until the stream is deleted.
	Retention time.Duration `json:"retention,omitempty"`
	// MaxDisk is how many bytes may be held for consumers; -1, the default, means no limit.
	MaxDisk int64 `json:"max_disk,omitempty"`
	// MaxRecord is what a record's data and key may have together, in bytes: 1 to HighestMaxRecord, or
	// AnyRecord. The default is DefaultMaxRecord.
	MaxRecord int `json:"max_record,omitempty"`
	// Compression of frames.
	Compression Compression `json:"compression,omitempty"`
	// Sync is when an append is acknowledged; by default as the backend does.
	Sync SyncMode `json:"sync,omitempty"`
	// SyncEvery is the interval of SyncInterval, 100 ms by default.
	SyncEvery time.Duration `json:"sync_every,omitempty"`
	// Mode is how capacity is found.
	Mode Mode `json:"mode,omitempty"`
	// Limits of the shards.
	Limits Limits `json:"limits,omitempty"`
	// MaxShards is the largest number of open shards that OnDemand makes; AutoShards by default, and
	// always with Provisioned.
	MaxShards int `json:"max_shards,omitempty"`
	// KeyID names the master key of a stream that is encrypted at rest, or was, so that its older
	// records are.
	KeyID string `json:"key_id,omitempty"`
	// Encryption says whether what is written from now on is encrypted: by default if there is a
	// key.
	Encryption Encryption `json:"encryption,omitempty"`
}

// merge returns s with the fields that o sets.
func (s Settings) merge(o Settings) Settings {
	set(&s.Retention, o.Retention)
	set(&s.MaxDisk, o.MaxDisk)
	set(&s.MaxRecord, o.MaxRecord)
	set(&s.Compression, o.Compression)
	set(&s.Sync, o.Sync)
	set(&s.SyncEvery, o.SyncEvery)
	set(&s.Mode, o.Mode)
	set(&s.Limits, o.Limits)
	set(&s.MaxShards, o.MaxShards)
	set(&s.KeyID, o.KeyID)
	set(&s.Encryption, o.Encryption)
	return s
}

func set[T comparable](to *T, v T) {
	if v != *new(T) {
		*to = v
	}
}

// withDefaults fills what is not set.
func (s Settings) withDefaults() Settings {
	d := Settings{
		Retention: Forever, MaxDisk: -1, MaxRecord: DefaultMaxRecord, Compression: NoCompression,
		Mode: Provisioned, Limits: NoLimits, MaxShards: AutoShards,
	}
	return d.merge(s)
}

// check returns all that is wrong. Errors wrap ErrInvalid.
func (s Settings) check() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...))
	}
	if s.Retention < 0 && s.Retention != Forever {
		bad("retention %s is negative", s.Retention)
	}
	if s.MaxRecord < AnyRecord || s.MaxRecord > HighestMaxRecord {
		bad("records of %d bytes: want 1 to %d", s.MaxRecord, HighestMaxRecord)
	}
	switch s.Compression {
	case "", NoCompression, Zstd, Snappy:
	default:
		bad("compression %q: want none, zstd or snappy", s.Compression)
	}
	switch s.Sync {
	case "", SyncAlways, SyncInterval, SyncNever:
	default:
		bad("sync %q: want always, interval or never", s.Sync)
	}
	if s.SyncEvery < 0 {
		bad("sync interval %s is negative", s.SyncEvery)
	}
	switch s.Mode {
	case "", Provisioned, OnDemand:
	default:
		bad("mode %q: want provisioned or on_demand", s.Mode)
	}
	switch s.Limits {
	case "", NoLimits, KinesisLimits:
	default:
		bad("limits %q: want none or kinesis", s.Limits)
	}
	if s.MaxShards < AutoShards || s.MaxShards > maxShards {
		bad("at most %d shards: want 1 to %d", s.MaxShards, maxShards)
	}
	switch s.Encryption {
	case "", AtRest, NoEncryption:
	default:
		bad("encryption %q: want at_rest or none", s.Encryption)
	}
	return errors.Join(errs...)
}

// fits refuses what was asked for and means nothing beside the other settings.
func (s Settings) fits(asked Settings) error {
	if asked.MaxShards > 0 && s.Mode != OnDemand {
		return fmt.Errorf("%w: the largest number of shards is for mode %s, this stream is %s", ErrInvalid, OnDemand, s.Mode)
	}
	if asked.SyncEvery > 0 && s.Sync != SyncInterval {
		return fmt.Errorf("%w: an interval between syncs is for sync %s", ErrInvalid, SyncInterval)
	}
	return nil
}

// ChangeTags returns the tags of a stream or of a consumer with some set and some removed, if they obey the rules of
// the Kinesis API, AddTagsToStream and TagResource. Errors: ErrInvalid, ErrLimit.
func ChangeTags(tags, set map[string]string, remove []string) (map[string]string, error) {
	tags = maps.Clone(tags)
	if tags == nil {
		tags = map[string]string{}
	}
	for _, k := range remove {
		delete(tags, k)
	}
	for k, v := range set {
		n := utf8.RuneCountInString(k)
		if n < 1 || n > 128 || utf8.RuneCountInString(v) > 256 || strings.HasPrefix(strings.ToLower(k), "aws:") {
			return nil, fmt.Errorf("%w: tag %q: want a key of 1 to 128 characters that does not begin with aws:, and a value of at most 256", ErrInvalid, k)
		}
		tags[k] = v
	}
	if len(tags) > maxTags {
		return nil, fmt.Errorf("%w: %d tags are more than %d", ErrLimit, len(tags), maxTags)
	}
	return tags, nil
}
