package pipelines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/record"
	streams "github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
)

// deadLetters is the id of a pipeline's dead-letter stream.
const deadLetters = "dead-letters"

// DeadLetters visits the dead letters kept in a data directory, of one pipeline or, with an empty
// name, of all. It takes the directory's lock, so no pipeline may be running on it.
func DeadLetters(ctx context.Context, data, pipeline string, now func() time.Time, visit func(letter []byte) error) (err error) {
	if _, err := os.Stat(data); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	b, err := disk.Open(vfs.OS{}, data, disk.Options{Now: now, Keys: Keyring})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	keys, err := b.Meta().List(ctx, "streams/")
	if err != nil {
		return err
	}
	for _, key := range keys {
		name := strings.TrimPrefix(key, "streams/")
		owner, found := strings.CutSuffix(name, "."+deadLetters)
		if !found || pipeline != "" && owner != pipeline {
			continue
		}
		if err := visitStream(ctx, b, name, visit); err != nil {
			return fmt.Errorf("stream %q: %w", name, err)
		}
	}
	return nil
}

func visitStream(ctx context.Context, b streams.Backend, name string, visit func(data []byte) error) error {
	s, err := streams.Open(ctx, b, streams.Spec{Name: name})
	if err != nil {
		return err
	}
	for _, sh := range s.Shards() {
		if err := visitShard(ctx, s.Log(sh.ID), visit); err != nil {
			return err
		}
	}
	return s.Close()
}

func visitShard(ctx context.Context, log streams.Log, visit func(data []byte) error) error {
	return visitRecords(ctx, log, func(_ record.Ordinal, data []byte) error { return visit(data) })
}

// visitRecords calls visit with all records of a shard; data is valid during the call.
func visitRecords(ctx context.Context, log streams.Log, visit func(ordinal record.Ordinal, data []byte) error) error {
	var buf streams.Buffer
	for next := log.Bounds().Oldest; ; {
		frames, err := log.Read(ctx, next, &buf)
		if err != nil || len(frames) == 0 {
			return err
		}
		for _, f := range frames {
			body := f.Body
			for i := range f.Count {
				var r record.Record
				if r, body, err = record.Next(body); err != nil {
					return err
				}
				if err := visit(f.First+record.Ordinal(i), r.Data); err != nil {
					return err
				}
			}
			next = f.Next()
		}
	}
}
