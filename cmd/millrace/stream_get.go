package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/record"
)

// readFlags are what commands take that print records.
type readFlags struct {
	streamFlags
	Name   string    `arg:"" help:"Stream."`
	From   string    `help:"Where to begin: earliest, latest, a time (2026-03-01T12:00:00Z, 2026-03-01), how long ago (10m) or a sequence number." placeholder:"WHERE"`
	Shard  *shardArg `help:"Read this shard alone." placeholder:"SHARD"`
	Limit  int       `short:"n" help:"Print at most so many records; 0 is as if it were left out." placeholder:"N"`
	Follow bool      `short:"f" help:"Wait for more at the end, until interrupted."`
	Raw    bool      `help:"Print the data only, as it is, and a line break." xor:"form"`
	Pretty bool      `help:"Print JSON data over several lines." xor:"form"`

	UserRecords bool `help:"Print the user records of records that the Kinesis Producer Library packed several into; those that belong to another shard are left out. --limit counts records as they are stored."`

	users *userRecords
}

// check refuses flags that can never be.
func (c *readFlags) check() error {
	if c.Limit < 0 {
		return usageError{fmt.Errorf("--limit %d: want a number of records, or 0 for no limit", c.Limit)}
	}
	return nil
}

// decoding is the part of the help that both commands share.
const decoding = `
A line has the shard, when the record arrived, its key and its data: as text if it is UTF-8, else in
hexadecimal. --json prints an object a line, with the sequence number.
`

type streamGet struct{ readFlags }

// Help is printed below the usage.
func (streamGet) Help() string {
	return `Prints every record, oldest first within its shard. A shard that was split or merged comes before the shards
that follow it, so the records of a key are in order.
` + decoding + `
Example: everything; one shard from a time on; ten records of the last hour as JSON:
  millrace stream get clicks
  millrace stream get clicks --shard 2 --from 2026-03-01T12:00:00Z
  millrace stream get clicks --from 1h --limit 10 --json`
}

// Run prints records.
func (c *streamGet) Run(a *app) error {
	if err := c.check(); err != nil {
		return err
	}
	from, err := parseFrom(c.From, time.Now())
	if err != nil {
		return usageError{err}
	}
	return c.with(a, openOptions{serve: c.Follow}, func(ctx context.Context, s *session) error {
		return c.read(ctx, a, s, control.ReadRequest{From: from}, c.Limit)
	})
}

// shownLast is how many records tail prints.
const shownLast = 10

type streamTail struct{ readFlags }

// Help is printed below the usage.
func (streamTail) Help() string {
	return `Prints the last 10 records, or --limit, and with --follow those that arrive from then on, also in shards that
are split or merged meanwhile. Another terminal can put records at the same time.
` + decoding + `
Example:
  millrace stream tail clicks --follow`
}

// Run prints the newest records.
func (c *streamTail) Run(a *app) error {
	if err := c.check(); err != nil {
		return err
	}
	if c.From != "" {
		return (&streamGet{c.readFlags}).Run(a)
	}
	return c.with(a, openOptions{serve: c.Follow}, func(ctx context.Context, s *session) error {
		n := c.Limit
		if n == 0 {
			n = shownLast
		}
		cursor, err := c.last(ctx, a, s, n)
		if err != nil || !c.Follow {
			return err
		}
		return c.read(ctx, a, s, control.ReadRequest{Cursor: cursor}, 0)
	})
}

// last prints the newest n records by arrival and returns where reading goes on.
func (c *readFlags) last(ctx context.Context, a *app, s *session, n int) (cursor string, err error) {
	request := control.ReadRequest{Stream: c.Name, From: control.From{Last: n}}
	if c.UserRecords {
		c.users = &userRecords{describe: func() (control.Stream, error) { return s.Describe(ctx, c.Name) }}
	}
	if c.Shard != nil {
		request.Shard = &c.Shard.ShardID
	}
	var newest []control.Stored
	for {
		page, err := s.Read(ctx, request)
		if err != nil {
			return "", err
		}
		newest = append(newest, page.Records...)
		slices.SortStableFunc(newest, func(a, b control.Stored) int { return a.Arrival.Compare(b.Arrival) })
		newest = newest[max(0, len(newest)-n):]
		request.Cursor = page.Cursor
		if page.CaughtUp {
			return page.Cursor, c.print(a, newest)
		}
	}
}

// followWait is how long one request waits for records.
const followWait = 20 * time.Second

// read prints page by page, up to limit records if it is not 0.
func (c *readFlags) read(ctx context.Context, a *app, s *session, request control.ReadRequest, limit int) error {
	request.Stream = c.Name
	if c.Shard != nil {
		request.Shard = &c.Shard.ShardID
	}
	if c.UserRecords {
		c.users = &userRecords{describe: func() (control.Stream, error) { return s.Describe(ctx, c.Name) }}
	}
	if c.Follow {
		request.WaitMillis = followWait.Milliseconds()
	}
	left, lost := limit, int64(0)
	for {
		if limit > 0 {
			request.Limit = min(left, control.MaxRead)
		}
		page, err := s.Read(ctx, request)
		if ctx.Err() != nil {
			return nil // interrupted: the user has seen enough
		}
		if err != nil {
			return err
		}
		if page.Expired > 0 {
			fmt.Fprintf(a.stderr, "retention took %s that had not been read\n", records(page.Expired))
		}
		if err := c.print(a, page.Records); err != nil {
			return err
		}
		for _, d := range page.Damaged {
			fmt.Fprintf(a.stderr, "shard %d: %s\n", uint32(d.Shard), d.Text)
			lost += d.Records
		}
		request.Cursor = page.Cursor
		left -= len(page.Records)
		if limit > 0 && left <= 0 || page.CaughtUp && !c.Follow {
			return damaged(lost)
		}
		if page.Ended {
			return c.ended(ctx, a, s)
		}
	}
}

// damaged is the error of a reader that passed damaged places.
func damaged(lost int64) error {
	if lost == 0 {
		return nil
	}
	return fmt.Errorf("%s could not be read because of damage; `millrace stream verify` says more", records(lost))
}

// ended says why following ends.
func (c *readFlags) ended(ctx context.Context, a *app, s *session) error {
	if c.Shard == nil {
		return nil
	}
	now, err := s.Describe(ctx, c.Name)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "shard %d was closed and is read to its end; its keys go on in shards %s\n", uint32(c.Shard.ShardID), shardNames(children(now, c.Shard.ShardID)))
	return nil
}

// parseFrom reads where to begin.
func parseFrom(text string, now time.Time) (control.From, error) {
	switch text {
	case "", "earliest":
		return control.From{}, nil
	case "latest":
		return control.From{Latest: true}, nil
	}
	if len(text) >= 40 && strings.Trim(text, "0123456789") == "" {
		return control.From{Sequence: text}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return control.From{Time: t}, nil
		}
	}
	if d, err := config.ParseDuration(text); err == nil && d > 0 {
		return control.From{Time: now.Add(-d.Std())}, nil
	}
	return control.From{}, fmt.Errorf("--from %s: want earliest, latest, a time such as 2026-03-01T12:00:00Z, a duration such as 10m, or a sequence number", text)
}

// print prints records as the flags say.
func (c *readFlags) print(a *app, records []control.Stored) error {
	var b bytes.Buffer
	for _, r := range records {
		emit := func(r control.Stored, sub *int) error {
			if b.Len() >= printedAtOnce {
				if _, err := b.WriteTo(a.stdout); err != nil {
					return err
				}
			}
			return c.one(&b, r, sub)
		}
		var err error
		if c.users == nil {
			err = emit(r, nil)
		} else {
			err = c.users.each(r, emit)
		}
		if err != nil {
			return err
		}
	}
	_, err := b.WriteTo(a.stdout)
	return err
}

// printedAtOnce is about how much is gathered before it is printed.
const printedAtOnce = 1 << 20

// one prints a record. sub is the number of a user record in it, nil for the record itself.
func (c *readFlags) one(b *bytes.Buffer, r control.Stored, sub *int) error {
	switch {
	case c.JSON:
		p := printedOf(r)
		p.Sub = sub
		return json.NewEncoder(b).Encode(p)
	case c.Raw:
		b.Write(r.Data)
		b.WriteByte('\n')
	default:
		c.line(b, r)
	}
	return nil
}

func (c *readFlags) line(b *bytes.Buffer, r control.Stored) {
	fmt.Fprintf(b, "%d  %s  %s  ", uint32(r.Shard), r.Arrival.Format("2006-01-02T15:04:05.000Z"), printable([]byte(r.Key)))
	if c.Pretty && json.Valid(r.Data) {
		b.WriteString("\n  ")
		// It is valid, so it can be indented.
		_ = json.Indent(b, r.Data, "  ", "  ")
		b.WriteByte('\n')
		return
	}
	b.WriteString(printable(r.Data))
	b.WriteByte('\n')
}

// printable is data as one line that cannot command a terminal.
func printable(data []byte) string {
	if !utf8.Valid(data) {
		return "hex:" + hex.EncodeToString(data)
	}
	text := string(data)
	if !strings.ContainsFunc(text, unprintable) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if unprintable(r) {
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) && r != ' ' }

// printed is a record as --json prints it.
type printed struct {
	Shard          record.ShardID `json:"shard"`
	SequenceNumber string         `json:"sequence_number"`
	// Sub is the number of a user record in its record.
	Sub     *int      `json:"sub_sequence_number,omitempty"`
	Arrival time.Time `json:"arrival"`
	Key     string    `json:"key"`
	// Data is text, or Base64 bytes that are none.
	Data   *string `json:"data,omitempty"`
	Base64 []byte  `json:"data_base64,omitempty"`
}

func printedOf(r control.Stored) printed {
	p := printed{Shard: r.Shard, SequenceNumber: r.SequenceNumber, Arrival: r.Arrival, Key: r.Key}
	if utf8.Valid(r.Data) {
		text := string(r.Data)
		p.Data = &text
	} else {
		p.Base64 = r.Data
	}
	return p
}
