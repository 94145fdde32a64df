package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/seal/master"
)

type streamCreate struct {
	streamFlags
	Name      string  `arg:"" help:"Stream: 1 to 128 of a-z, A-Z, 0-9, '_', '-' and '.'."`
	Shards    int     `help:"How many shards it begins with." default:"1" placeholder:"N"`
	Retention keepFor `help:"How long records stay, such as 24h or 7d, or forever." default:"24h" placeholder:"TIME"`
	settingsFlags
	Key []string `help:"Encrypt records with this master key, see millrace stream encrypt." sep:"none" placeholder:"KEY"`
}

// Help is printed below the usage.
func (streamCreate) Help() string {
	return `A pipeline creates the streams that its file declares; this is for streams that have none. The data directory
is made if it is not there.

Example: a stream of four shards that keeps a week:
  millrace stream create clicks --shards 4 --retention 7d`
}

// Run creates a stream.
func (c *streamCreate) Run(a *app) error {
	settings, err := c.settings()
	if err != nil {
		return err
	}
	if c.Shards < 1 {
		return usageError{fmt.Errorf("--shards %d: want 1 at least", c.Shards)}
	}
	return c.with(a, openOptions{create: true}, func(ctx context.Context, s *session) error {
		err := s.Create(ctx, control.Spec{
			Name: c.Name, Shards: c.Shards, RetentionSeconds: int64(time.Duration(c.Retention) / time.Second),
			Settings: settings, Key: master.AbsoluteSpec(c.Key...),
		})
		if err != nil {
			return err
		}
		return c.describe(ctx, a, s, c.Name, func(now control.Stream) string {
			return fmt.Sprintf("%s is created with %d %s; records stay: %s\nPut a record: %s\n", c.Name, len(now.Shards), plural(len(now.Shards), "shard"),
				retentionText(now.RetentionSeconds), c.next("put", c.Name, `'{"hello": "world"}'`))
		})
	})
}

type streamList struct{ streamFlags }

// Help is printed below the usage.
func (streamList) Help() string {
	return `Streams with a dot in their names belong to a pipeline: the output of its queries, its dead letters.

Example:
  millrace stream list`
}

// Run prints all streams.
func (c *streamList) Run(a *app) error {
	return c.with(a, openOptions{}, func(ctx context.Context, s *session) error {
		all, err := s.List(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(a, all)
		}
		if len(all) == 0 {
			fmt.Fprintf(a.stdout, "no streams in %s; make one with `millrace stream create NAME`\n", c.Data)
			return nil
		}
		tw := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "stream\tstatus\topen shards\trecords\tsize\tretention")
		for _, x := range all {
			if x.Error != "" {
				fmt.Fprintf(tw, "%s\tunusable: %s\n", x.Name, x.Error)
				continue
			}
			fmt.Fprintf(tw, "%s\t%s\t%d of %d\t%s\t%s\t%s\n", x.Name, x.Status, x.Open(), len(x.Shards), count(x.Records()), size(x.Bytes()), retentionText(x.RetentionSeconds))
		}
		return tw.Flush()
	})
}

type streamDescribe struct {
	streamFlags
	Name string `arg:"" help:"Stream."`
}

// Help is printed below the usage.
func (streamDescribe) Help() string {
	return `Shows each shard's part of the hash keys as a bar, what it holds and got within the last minute, and which
shard came from which.

Example:
  millrace stream describe clicks`
}

// Run prints a stream.
func (c *streamDescribe) Run(a *app) error {
	return c.with(a, openOptions{}, func(ctx context.Context, s *session) error {
		return c.describe(ctx, a, s, c.Name, func(now control.Stream) string { return picture(now) + advice(now, c.streamFlags) })
	})
}

type streamSplit struct {
	streamFlags
	Name  string   `arg:"" help:"Stream."`
	Shard shardArg `arg:"" help:"Shard to split: 1 or shardId-000000000001."`
	At    *hashArg `help:"First hash key of the upper half (default: the middle)." placeholder:"HASHKEY"`
}

// Help is printed below the usage.
func (streamSplit) Help() string {
	return `Closes the shard and opens two that share its hash keys. What the shard holds stays readable until its
retention is over; consumers read it to its end before they begin with the children, so the records of a
key stay in order. Writers wait for a moment and go on with the children; nothing they write is lost.

A single key that is hot stays whole: it goes to one of the children.

Example: split shard 1, look at the result, read parent and children in order:
  millrace stream split clicks 1
  millrace stream describe clicks
  millrace stream get clicks`
}

// Run splits a shard.
func (c *streamSplit) Run(a *app) error {
	return c.with(a, openOptions{}, func(ctx context.Context, s *session) error {
		var at *record.HashKey
		if c.At != nil {
			at = &c.At.HashKey
		}
		if err := s.Split(ctx, c.Name, c.Shard.ShardID, at); err != nil {
			return err
		}
		return c.describe(ctx, a, s, c.Name, func(now control.Stream) string {
			return fmt.Sprintf("shard %d is closed, its hash keys go to shards %s\n\n", uint32(c.Shard.ShardID), shardNames(children(now, c.Shard.ShardID))) +
				shardMap(now) +
				"\nRead parent and children in order: " + c.next("get", c.Name) + "\n"
		})
	})
}

type streamMerge struct {
	streamFlags
	Name string   `arg:"" help:"Stream."`
	A    shardArg `arg:"" help:"Shard: 2 or shardId-000000000002."`
	B    shardArg `arg:"" help:"Its neighbour in the hash keys."`
}

// Help is printed below the usage.
func (streamMerge) Help() string {
	return `Closes two open shards whose hash keys are next to each other, and opens one that takes the keys of both. It
is read after both of them.

Example:
  millrace stream merge clicks 2 3`
}

// Run merges two shards.
func (c *streamMerge) Run(a *app) error {
	return c.with(a, openOptions{}, func(ctx context.Context, s *session) error {
		if err := s.Merge(ctx, c.Name, c.A.ShardID, c.B.ShardID); err != nil {
			return err
		}
		return c.describe(ctx, a, s, c.Name, func(now control.Stream) string {
			return fmt.Sprintf("shards %d and %d are closed, their hash keys go to shard %s\n\n", uint32(c.A.ShardID), uint32(c.B.ShardID),
				shardNames(children(now, c.A.ShardID))) + shardMap(now)
		})
	})
}

type streamReshard struct {
	streamFlags
	Name   string `arg:"" help:"Stream."`
	Shards int    `arg:"" help:"How many shards shall be open."`
}

// Help is printed below the usage.
func (streamReshard) Help() string {
	return `Splits and merges until so many shards are open, with about equal parts of the hash keys. Every shard keeps
its lineage, so that nothing is read out of order.

Example:
  millrace stream reshard clicks 8`
}

// Run changes the number of shards.
func (c *streamReshard) Run(a *app) error {
	return c.with(a, openOptions{}, func(ctx context.Context, s *session) error {
		if err := s.Reshard(ctx, c.Name, c.Shards); err != nil {
			return err
		}
		return c.describe(ctx, a, s, c.Name, func(now control.Stream) string {
			return fmt.Sprintf("%d %s open\n\n", now.Open(), plural(now.Open(), "shard")) + shardMap(now)
		})
	})
}

// keepFor is a retention on the command line.
type keepFor time.Duration

// UnmarshalText reads a duration, or "forever".
func (k *keepFor) UnmarshalText(text []byte) error {
	if string(text) == "forever" {
		*k = 0
		return nil
	}
	d, err := config.ParseDuration(string(text))
	switch {
	case err != nil:
		return err
	case d.Std() < time.Second:
		return fmt.Errorf("retention %s: want a second at least, or forever", text)
	}
	*k = keepFor(d)
	return nil
}

func retentionText(seconds int64) string {
	if seconds <= 0 {
		return "forever"
	}
	d := time.Duration(seconds) * time.Second
	if days := d / (24 * time.Hour); days > 1 && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", days)
	}
	return config.Duration(d).String()
}

type streamRetention struct {
	streamFlags
	Name string  `arg:"" help:"Stream."`
	Keep keepFor `arg:"" help:"How long records stay, such as 24h or 7d, or forever."`
}

// Help is printed below the usage.
func (streamRetention) Help() string {
	return `It counts at once for the records that are there: what is older can no longer be read, and does not come
back when the retention is raised again. What a consumer of a running pipeline has not read yet is kept for it.

Example:
  millrace stream retention clicks 7d`
}

// Run changes the retention.
func (c *streamRetention) Run(a *app) error {
	return c.with(a, openOptions{}, func(ctx context.Context, s *session) error {
		before, err := s.Describe(ctx, c.Name)
		if err != nil {
			return err
		}
		if err := s.SetRetention(ctx, c.Name, time.Duration(c.Keep)); err != nil {
			return err
		}
		return c.describe(ctx, a, s, c.Name, func(now control.Stream) string {
			text := fmt.Sprintf("records of %s stay: %s; %s are held now\n", c.Name, retentionText(now.RetentionSeconds), count(now.Records()))
			if n := hidden(before, now); n > 0 {
				text += fmt.Sprintf("older, and no longer to be read: %s\n", records(n))
			}
			return text
		})
	})
}

// hidden is how many records could be read before and cannot be now, whatever was put meanwhile.
func hidden(before, now control.Stream) (n int64) {
	for _, was := range before.Shards {
		is, there := now.Shard(was.ID)
		if !there {
			n += was.Records
			continue
		}
		n += min(int64(is.Oldest-was.Oldest), was.Records)
	}
	return n
}

type streamDelete struct {
	streamFlags
	Name string `arg:"" help:"Stream."`
	Yes  bool   `help:"Do not ask."`
}

// Help is printed below the usage.
func (streamDelete) Help() string {
	return `The records are gone for good, and so is where their consumers stood. A stream that a running pipeline uses is not deleted.

Example:
  millrace stream delete clicks --yes`
}

// Run deletes a stream.
func (c *streamDelete) Run(a *app) error {
	return c.with(a, openOptions{}, func(ctx context.Context, s *session) error {
		now, err := s.Describe(ctx, c.Name)
		switch {
		case err == nil:
		case c.Yes && !errors.Is(err, stream.ErrNotFound) && ctx.Err() == nil:
			// It cannot be opened, such as after the loss of its key. Deleting it is what is left to do.
			now = control.Stream{Name: c.Name, Shards: []control.Shard{}, Error: err.Error()}
		default:
			return err
		}
		if !c.Yes {
			if err := c.ask(a, now); err != nil {
				return err
			}
		}
		if err := s.Delete(ctx, c.Name); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(a, now)
		}
		if now.Error != "" {
			_, err = fmt.Fprintf(a.stdout, "%s is deleted; it could not be opened: %s\n", c.Name, now.Error)
			return err
		}
		_, err = fmt.Fprintf(a.stdout, "%s is deleted, with %s\n", c.Name, records(now.Records()))
		return err
	})
}

// ask lets the user type the name.
func (c *streamDelete) ask(a *app, now control.Stream) error {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return usageError{fmt.Errorf("stream %q has %s; say --yes to delete it with them", c.Name, records(now.Records()))}
	}
	fmt.Fprintf(a.stderr, "%s will be gone for good. Type the stream's name to delete it: ", records(now.Records()))
	answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil || strings.TrimSpace(answer) != c.Name {
		return errors.New("nothing was deleted")
	}
	return nil
}
