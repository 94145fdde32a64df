package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/millrace-io/millrace/e2e/rig"
)

const (
	contentType = "application/x-amz-json-1.1"
	benchKey    = "AKIDBENCH"
	benchSecret = "secret"
)

// message is a request's body with its hash, which does not change from one call to the next.
type message struct {
	body []byte
	hash string
}

func newMessage(in any) (message, error) {
	body, err := json.Marshal(in)
	sum := sha256.Sum256(body)
	return message{body, hex.EncodeToString(sum[:])}, err
}

// connection asks a server, one request after the other.
type connection struct {
	*server
	answer []byte
}

// call asks for an operation. The answer is good until the next call.
func (c *connection) call(ctx context.Context, operation string, in any) ([]byte, error) {
	m, err := newMessage(in)
	if err != nil {
		return nil, err
	}
	return c.send(ctx, operation, m)
}

func (c *connection) send(ctx context.Context, operation string, m message) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint+"/", bytes.NewReader(m.body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("X-Amz-Target", "Kinesis_20131202."+operation)
	r.Header.Set("Content-Type", contentType)
	if err := c.authorize(ctx, r, m.hash); err != nil {
		return nil, err
	}
	answer, err := c.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	c.answer, err = appendAll(slices.Grow(c.answer[:0], int(max(answer.ContentLength, 0))), answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.300s", operation, answer.Status, c.answer)
	}
	return c.answer, err
}

// appendAll is io.ReadAll into memory that was used before.
func appendAll(b []byte, from io.Reader) ([]byte, error) {
	for {
		b = slices.Grow(b, 64<<10)
		n, err := from.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			return b, err
		}
	}
}

// authorize signs. Where signatures are not verified, one of the right form will do.
func (c *connection) authorize(ctx context.Context, r *http.Request, hash string) error {
	now := time.Now().UTC()
	if c.sign {
		return v4.NewSigner().SignHTTP(ctx, aws.Credentials{AccessKeyID: benchKey, SecretAccessKey: benchSecret}, r, hash, "kinesis", "us-east-1", now)
	}
	r.Header.Set("X-Amz-Date", now.Format("20060102T150405Z"))
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+benchKey+"/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=00")
	return nil
}

// create makes a stream of one shard and waits until it can be used.
func (b *bench) create(s *server) (name string, err error) {
	c := &connection{server: s}
	name = "bench-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	if _, err := c.call(b.ctx, "CreateStream", map[string]any{"StreamName": name, "ShardCount": 1}); err != nil {
		return "", err
	}
	until := rig.Until(b.ctx, "the stream", func() bool {
		var answer []byte
		answer, err = c.call(b.ctx, "DescribeStreamSummary", map[string]any{"StreamName": name})
		return err != nil || bytes.Contains(answer, []byte(`"ACTIVE"`))
	})
	return name, errors.Join(err, until)
}

// body is one PutRecords of records that no codec makes smaller.
func (b *bench) body(name string) (message, error) {
	var list []map[string]any
	for i := range b.records {
		data := make([]byte, recordSize)
		if _, err := rand.Read(data); err != nil {
			return message{}, err
		}
		list = append(list, map[string]any{"Data": base64.StdEncoding.EncodeToString(data), "PartitionKey": "key-" + strconv.Itoa(i)})
	}
	return newMessage(map[string]any{"StreamName": name, "Records": list})
}

// put measures PutRecords, so many calls on each connection, and returns the stream and the number of records.
func (b *bench) put(s *server, calls int) (name string, n int, err error) {
	if name, err = b.create(s); err != nil {
		return "", 0, err
	}
	m, err := b.body(name)
	if err != nil {
		return "", 0, err
	}
	n = b.connections * calls * b.records
	return name, n, b.measured("PutRecords", s, n, func() ([]time.Duration, error) {
		took := make([][]time.Duration, b.connections)
		errs := make([]error, b.connections)
		var wait sync.WaitGroup
		for i := range b.connections {
			wait.Go(func() { took[i], errs[i] = b.putMany(s, m, calls) })
		}
		wait.Wait()
		return slices.Concat(took...), errors.Join(errs...)
	})
}

func (b *bench) putMany(s *server, m message, calls int) (took []time.Duration, err error) {
	c := &connection{server: s}
	for range calls {
		start := time.Now()
		answer, err := c.send(b.ctx, "PutRecords", m)
		if err == nil && !bytes.Contains(answer, []byte(`"FailedRecordCount":0`)) {
			err = fmt.Errorf("records failed: %.200s", answer)
		}
		if err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
	}
	return took, nil
}

// reader reads a stream's only shard.
type reader struct {
	b        *bench
	from     *server
	c        connection
	iterator string
}

// reader stands at the first record.
func (b *bench) reader(s *server, name string) (*reader, error) {
	g := &reader{b: b, from: s, c: connection{server: s}}
	answer, err := g.c.call(b.ctx, "GetShardIterator", map[string]any{"StreamName": name, "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"})
	if err != nil {
		return nil, err
	}
	return g, g.follow(answer, `"ShardIterator"`)
}

// follow takes the iterator out of an answer, near the end of which it is. Decoding it all would measure this client.
func (g *reader) follow(answer []byte, field string) error {
	at := bytes.LastIndex(answer, []byte(field))
	if at < 0 {
		return fmt.Errorf("no %s in %.200s", field, answer)
	}
	parts := bytes.SplitN(answer[at:], []byte(`"`), 5)
	if len(parts) < 5 {
		return fmt.Errorf("no %s in %.200s", field, answer[at:])
	}
	g.iterator = string(parts[3])
	return nil
}

// next is one more answer, good until the next call.
func (g *reader) next() ([]byte, error) {
	g.c.server = g.from
	answer, err := g.c.call(g.b.ctx, "GetRecords", map[string]any{"ShardIterator": g.iterator})
	if err != nil {
		return nil, err
	}
	return answer, g.follow(answer, `"NextShardIterator"`)
}

// read reads n records or a few more.
func (g *reader) read(n int) (took []time.Duration, err error) {
	for got := 0; got < n; {
		start := time.Now()
		answer, err := g.next()
		if err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
		records := bytes.Count(answer, []byte(`"SequenceNumber"`))
		if records == 0 {
			return nil, fmt.Errorf("%d of %d records can be read", got, n)
		}
		got += records
	}
	return took, nil
}
