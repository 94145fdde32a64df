package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// One request puts at most so much, so that progress is seen and a line costs little.
const (
	putRecords = 5000
	putBytes   = 2 << 20
)

type streamPut struct {
	streamFlags
	Name     string   `arg:"" help:"Stream."`
	Record   []string `arg:"" optional:"" help:"The data of a record each."`
	File     string   `help:"Put each line of this file, \"-\" for standard input, which is read too when there is no data." placeholder:"FILE"`
	Key      *string  `help:"Partition key of all records: those of one key are in order, in one shard." xor:"key"`
	KeyField string   `help:"The records are JSON objects, and this field is the key." placeholder:"FIELD" xor:"key"`
	HashKey  *hashArg `help:"Hash key, instead of the MD5 of the key: chooses the shard." placeholder:"HASHKEY"`
}

// Help is printed below the usage.
func (streamPut) Help() string {
	return `A record is durable when it is counted. Records without a key spread over all shards.

Example: two records; a file of JSON lines, by user; another program's output:
  millrace stream put clicks '{"user": "ann"}' '{"user": "bob"}'
  millrace stream put clicks --file clicks.ndjson --key-field user
  tail -F access.log | millrace stream put clicks --key web1`
}

// Run puts records.
func (c *streamPut) Run(a *app) error {
	lines, total, err := c.input()
	if err != nil {
		return usageError{err}
	}
	defer lines.Close()
	return c.with(a, openOptions{serve: true, abrupt: lines == os.Stdin}, func(ctx context.Context, s *session) error {
		// Before anything is read: a stream that is not there is the first thing to hear of.
		if _, err := s.Describe(ctx, c.Name); err != nil {
			return err
		}
		p := &putter{command: c, session: s, shards: map[record.ShardID]int64{}, bar: newPutBar(a.stderr, total)}
		err := p.run(ctx, lines)
		p.bar.finish()
		if err != nil {
			return fmt.Errorf("%w (%s)", err, p.before())
		}
		return p.report(a)
	})
}

// input is the lines to put, and how many bytes they have, 0 if that is not known.
func (c *streamPut) input() (io.ReadCloser, int64, error) {
	switch {
	case len(c.Record) > 0 && c.File != "":
		return nil, 0, errors.New("put either data or a --file")
	case len(c.Record) > 0:
		return io.NopCloser(bytes.NewReader(nil)), 0, nil
	case c.File == "" || c.File == "-":
		return os.Stdin, 0, nil
	}
	f, err := os.Open(c.File)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	if info.IsDir() {
		return nil, 0, errors.Join(fmt.Errorf("%s is a directory", c.File), f.Close())
	}
	return f, info.Size(), nil
}

// putter puts records batch by batch.
type putter struct {
	command *streamPut
	session *session
	batch   []control.Record
	// lines are where the records of the batch come from: lines of the input, or arguments.
	lines []int
	bytes int
	count int64
	// last is the line or argument up to which records were put.
	last int
	// read is how much of the input was read.
	read   int64
	shards map[record.ShardID]int64
	// placed are the places of records that came as arguments.
	placed []control.Placed
	bar    *putBar
}

func (p *putter) run(ctx context.Context, lines io.Reader) error {
	for i, data := range p.command.Record {
		if err := p.add(ctx, i+1, []byte(data)); err != nil {
			return err
		}
	}
	r := bufio.NewReaderSize(lines, 1<<16)
	for n := 1; ; n++ {
		line, err := readLine(r)
		if errors.Is(err, io.EOF) {
			return p.flush(ctx)
		}
		if err != nil {
			return p.at(n, err)
		}
		p.read += int64(len(line)) + 1
		if len(line) == 0 {
			continue
		}
		if err := p.add(ctx, n, line); err != nil {
			return err
		}
		// What a slow writer sends is put at once.
		if r.Buffered() == 0 {
			if err := p.flush(ctx); err != nil {
				return err
			}
		}
	}
}

// readLine returns the next line without its end. io.EOF means that there is none.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > stream.HighestMaxRecord {
			return nil, usageError{fmt.Errorf("is longer than the largest record, %s: split it in several, or leave it out", size(stream.HighestMaxRecord))}
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(line) > 0:
			return bytes.TrimRight(line, "\r\n"), nil
		case err != nil:
			return nil, err
		}
		return bytes.TrimRight(line, "\r\n"), nil
	}
}

// at names the line or argument that an error is about.
func (p *putter) at(n int, err error) error {
	switch c := p.command; {
	case len(c.Record) > 0:
		return fmt.Errorf("record %d: %w", n, err)
	case c.File != "" && c.File != "-":
		return fmt.Errorf("%s, line %d: %w", c.File, n, err)
	}
	return fmt.Errorf("line %d: %w", n, err)
}

// before says what of the input was put when an error ended it.
func (p *putter) before() string {
	text := records(p.count) + " put before"
	if p.last == 0 || len(p.command.Record) > 0 {
		return text
	}
	return fmt.Sprintf("%s, up to line %d", text, p.last)
}

// add puts the record of a line, or of an argument, into the batch.
func (p *putter) add(ctx context.Context, n int, data []byte) error {
	r, err := p.command.record(data)
	if err != nil {
		return p.at(n, usageError{err})
	}
	length := len(r.Key) + len(r.Data)
	switch {
	case length > control.MaxPutBytes:
		return p.at(n, usageError{fmt.Errorf("%d bytes of data and key, and %d are put at most: shorten it, split it in several, or leave it out", length, control.MaxPutBytes)})
	case p.bytes+length > control.MaxPutBytes:
		if err := p.flush(ctx); err != nil {
			return err
		}
	}
	p.batch, p.lines = append(p.batch, r), append(p.lines, n)
	p.bytes += length
	if len(p.batch) < putRecords && p.bytes < putBytes {
		return nil
	}
	return p.flush(ctx)
}

// record is the record of data, as the flags say.
func (c *streamPut) record(data []byte) (control.Record, error) {
	r := control.Record{Data: data}
	switch {
	case c.KeyField != "":
		key, err := field(data, c.KeyField)
		if err != nil {
			return r, err
		}
		r.Key = key
	case c.Key != nil:
		r.Key = *c.Key
	case c.HashKey == nil:
		r.HashKey = &record.HashKey{Hi: rand.Uint64(), Lo: rand.Uint64()}
	}
	if c.HashKey != nil {
		r.HashKey = &c.HashKey.HashKey
	}
	return r, nil
}

// field is a field of a JSON object as a key.
func field(data []byte, name string) (string, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil {
		return "", fmt.Errorf("is no JSON object: %w", err)
	}
	value, ok := object[name]
	if !ok {
		return "", fmt.Errorf("has no field %q", name)
	}
	if !utf8.Valid(value) {
		// Decoding would make the same key of several.
		return "", fmt.Errorf("has a field %q that is not UTF-8, so it is no key; use --key", name)
	}
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text, nil
	}
	return string(value), nil
}

func (p *putter) flush(ctx context.Context) error {
	if len(p.batch) == 0 {
		return nil
	}
	placed, err := p.session.Put(ctx, p.command.Name, p.batch)
	var refused *control.RecordError
	if errors.As(err, &refused) && refused.Index >= 0 && refused.Index < len(p.lines) {
		// The record's number in the batch says nothing to who reads this.
		return p.at(p.lines[refused.Index], usageError{errors.New(refused.Reason)})
	}
	if err != nil {
		return err
	}
	for _, at := range placed {
		p.shards[at.Shard]++
	}
	if len(p.command.Record) > 0 {
		p.placed = append(p.placed, placed...)
	}
	p.count += int64(len(placed))
	p.last = p.lines[len(p.lines)-1]
	p.batch, p.lines, p.bytes = p.batch[:0], p.lines[:0], 0
	p.bar.draw(p.count, p.read)
	return nil
}

// put is what put --json prints.
type put struct {
	Stream  string  `json:"stream"`
	Records int64   `json:"records"`
	Seconds float64 `json:"seconds"`
	// Shards are the records that each got.
	Shards map[record.ShardID]int64 `json:"shards"`
	// Placed says where each record is, if they came as arguments.
	Placed []control.Placed `json:"placed,omitempty"`
}

func (p *putter) report(a *app) error {
	seconds := time.Since(p.bar.began).Seconds()
	if p.command.JSON {
		return printJSON(a, put{Stream: p.command.Name, Records: p.count, Seconds: seconds, Shards: p.shards, Placed: p.placed})
	}
	if len(p.placed) > 0 && len(p.placed) <= shownLast {
		for _, at := range p.placed {
			fmt.Fprintf(a.stdout, "shard %d, sequence number %s\n", uint32(at.Shard), at.SequenceNumber)
		}
		return nil
	}
	fmt.Fprintf(a.stdout, "%s put in %.1f s\n", records(p.count), seconds)
	for _, id := range slices.Sorted(maps.Keys(p.shards)) {
		fmt.Fprintf(a.stdout, "%7d  %10s  %s\n", uint32(id), count(p.shards[id]), percent(float64(p.shards[id])/float64(p.count)))
	}
	return nil
}
