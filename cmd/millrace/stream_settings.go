package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/stream"
)

// settingsFlags are how a stream is stored and how much it takes. What is not said stays as it is.
type settingsFlags struct {
	Mode        string `help:"How many shards: provisioned (as many as you gave it) or on_demand (they split and merge by load while a pipeline runs)." enum:",provisioned,on_demand" default:"" placeholder:"MODE"`
	MaxShards   string `help:"How many shards on_demand makes at most: a number, or auto, 4 per core." placeholder:"N"`
	Limits      string `help:"What a shard takes and gives: none, or kinesis for the limits of Kinesis." enum:",none,kinesis" default:"" placeholder:"LIMITS"`
	Sync        string `help:"When a record counts as stored: always (it is synced to the disk), interval (written, and synced soon) or never (written)." enum:",always,interval,never" default:"" placeholder:"MODE"`
	SyncEvery   string `help:"How soon sync interval syncs; 100ms unless said." placeholder:"TIME"`
	Compression string `help:"How records are compressed on disk: none, zstd or snappy." enum:",none,zstd,snappy" default:"" placeholder:"CODEC"`
}

// settings are the flags as a change.
func (f settingsFlags) settings() (control.Settings, error) {
	s := control.Settings{
		Mode: stream.Mode(f.Mode), Limits: stream.Limits(f.Limits), Sync: stream.SyncMode(f.Sync), Compression: stream.Compression(f.Compression),
	}
	switch {
	case f.MaxShards == "auto":
		s.MaxShards = stream.AutoShards
	case f.MaxShards != "":
		n, err := strconv.Atoi(f.MaxShards)
		if err != nil || n < 1 {
			return s, usageError{fmt.Errorf("--max-shards %s: want a number from 1, or auto", f.MaxShards)}
		}
		s.MaxShards = n
	}
	if f.SyncEvery == "" {
		return s, nil
	}
	every, err := config.ParseDuration(f.SyncEvery)
	if err != nil || every.Std() < time.Millisecond {
		return s, usageError{fmt.Errorf("--sync-every %s: want a time of at least 1ms, such as 100ms", f.SyncEvery)}
	}
	s.SyncEveryMillis = every.Std().Milliseconds()
	return s, nil
}

type streamSettings struct {
	streamFlags
	settingsFlags
	Name string `arg:"" help:"Stream."`
}

// Help is printed below the usage.
func (streamSettings) Help() string {
	return `Changes hold at once, also while a pipeline uses the stream. At its next start a pipeline sets what its file
says. millrace stream retention and millrace stream encrypt change the rest.

Example: what are they; split and merge by load, up to 16 shards:
  millrace stream settings clicks
  millrace stream settings clicks --mode on_demand --max-shards 16`
}

// Run changes the settings that are said, and prints all.
func (c *streamSettings) Run(a *app) error {
	change, err := c.settings()
	if err != nil {
		return err
	}
	return c.with(a, openOptions{}, func(ctx context.Context, s *session) error {
		if change != (control.Settings{}) {
			if err := s.Configure(ctx, c.Name, change); err != nil {
				return err
			}
		}
		return c.describe(ctx, a, s, c.Name, settingsText)
	})
}

// settingsText is a line for each setting.
func settingsText(s control.Stream) string {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "mode\t%s\n", s.Mode)
	if s.Mode == stream.OnDemand {
		fmt.Fprintf(tw, "shards\tup to %s\n", maxShardsText(s.MaxShards))
	}
	fmt.Fprintf(tw, "limits\t%s\n", s.Limits)
	fmt.Fprintf(tw, "sync\t%s\n", syncText(s.Settings))
	fmt.Fprintf(tw, "compression\t%s\n", s.Compression)
	fmt.Fprintf(tw, "retention\t%s\n", retentionText(s.RetentionSeconds))
	key := "none"
	if s.Key != "" {
		key = s.Key
	}
	fmt.Fprintf(tw, "encryption\t%s\n", key)
	_ = tw.Flush() // a strings.Builder takes all
	return b.String()
}

func syncText(s control.Settings) string {
	if s.Sync != stream.SyncInterval {
		return string(s.Sync)
	}
	return fmt.Sprintf("every %s", config.Duration(time.Duration(s.SyncEveryMillis)*time.Millisecond))
}

func maxShardsText(n int) string {
	if n <= 0 {
		return "4 per core"
	}
	return fmt.Sprint(n)
}
