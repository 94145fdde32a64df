package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/record"
)

// streamCommand are the commands on the streams of a data directory.
type streamCommand struct {
	Create    streamCreate    `cmd:"" help:"Create a stream."`
	List      streamList      `cmd:"" help:"List the streams."`
	Describe  streamDescribe  `cmd:"" help:"Show a stream's shards: their hash keys, their load and where they come from."`
	Consumers streamConsumers `cmd:"" help:"Show who reads a stream and how far they are behind."`
	Put       streamPut       `cmd:"" help:"Put records into a stream: arguments, a file or standard input."`
	Get       streamGet       `cmd:"" help:"Print the records of a stream, oldest first."`
	Tail      streamTail      `cmd:"" help:"Print the newest records of a stream, and with --follow those to come."`
	Split     streamSplit     `cmd:"" help:"Split a shard in two."`
	Merge     streamMerge     `cmd:"" help:"Merge two neighbouring shards."`
	Reshard   streamReshard   `cmd:"" help:"Split and merge until a number of shards is open."`
	Retention streamRetention `cmd:"" help:"Change how long records stay."`
	Settings  streamSettings  `cmd:"" help:"Show or change how a stream is stored and how much it takes."`
	Encrypt   streamEncrypt   `cmd:"" help:"Encrypt at rest what is written from now on, or change the key."`
	Delete    streamDelete    `cmd:"" help:"Delete a stream with all its records."`
	Verify    streamVerify    `cmd:"" help:"Check what is stored and say what is damaged."`
	Dump      streamDump      `cmd:"" help:"Print what lies in the files, frame by frame."`
}

// Help is printed below the usage.
func (streamCommand) Help() string {
	return `A stream is a durable log in shards. Each record goes to the shard whose range of hash keys holds the
MD5 of its key, and stays in order there. The commands work on a running pipeline's streams (it is asked
through the socket in its data directory) and on a directory that nobody uses.

A shard gets more than its share, so you split it, and read what was before and after, in order:

  millrace stream describe clicks          which shard is hot?
  millrace stream split clicks 1           its keys now go to two new shards
  millrace stream get clicks               the parent's records, then the children's

docs/streams.md goes through all of it.`
}

// streamFlags are what all commands on streams take.
type streamFlags struct {
	Data string `help:"Data directory." default:"millrace-data" placeholder:"DIR"`
	JSON bool   `name:"json" help:"Print JSON."`
}

// next is a command line to try next.
func (f streamFlags) next(verb, stream string, rest ...string) string {
	words := append([]string{"millrace stream", verb, stream}, rest...)
	if f.Data != defaultData {
		words = append(words, "--data", f.Data)
	}
	return strings.Join(words, " ")
}

// with runs a command on the streams of the data directory, until it ends or is interrupted.
func (f streamFlags) with(a *app, o openOptions, command func(ctx context.Context, s *session) error) error {
	ctx := context.Background()
	if !o.abrupt {
		caught, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer stop()
		ctx = caught
	}
	o.data, o.log = f.Data, a.log
	s, err := openSession(ctx, o)
	if err != nil {
		return err
	}
	err = command(ctx, s)
	if cerr := s.Close(); err == nil {
		err = cerr
	}
	return mistake(err)
}

// describe is what commands that changed a stream print about it.
func (f streamFlags) describe(ctx context.Context, a *app, s control.Admin, name string, text func(control.Stream) string) error {
	now, err := s.Describe(ctx, name)
	if err != nil {
		return err
	}
	if f.JSON {
		return printJSON(a, now)
	}
	_, err = fmt.Fprint(a.stdout, text(now))
	return err
}

// shardArg is a shard on the command line: shardId-000000000002, shard-2 or 2.
type shardArg struct{ record.ShardID }

// UnmarshalText reads a shard as leniently as the Kinesis API does.
func (s *shardArg) UnmarshalText(text []byte) error {
	digits := string(text)
	for _, prefix := range []string{"shardId-", "shard-"} {
		digits = strings.TrimPrefix(digits, prefix)
	}
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil {
		return fmt.Errorf("shard %q: want a number such as 2, or shardId-000000000002", text)
	}
	s.ShardID = record.ShardID(n)
	return nil
}

// hashArg is a hash key on the command line.
type hashArg struct{ record.HashKey }

// shardNames lists shards: "0", "0 and 2", "0, 1 and 2".
func shardNames(ids []record.ShardID) string {
	var b strings.Builder
	for i, id := range ids {
		switch {
		case i > 0 && i == len(ids)-1:
			b.WriteString(" and ")
		case i > 0:
			b.WriteString(", ")
		}
		fmt.Fprint(&b, uint32(id))
	}
	return b.String()
}

// records counts them: "1 record", "12,002 records".
func records(n int64) string { return count(n) + " " + plural(int(n), "record") }
