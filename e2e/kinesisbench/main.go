// Command kinesisbench measures `millrace serve` with the bodies that SDKs send: PutRecords of 500 records of 1 KiB over
// a few connections, each answer durable, then the same records by GetRecords. The bodies are made before; what is
// measured is the server's share and that of a plain HTTP client.
//
// The invariant to remember: every answer is checked for its status and the number of records in it.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"
)

const recordSize = 1024

type bench struct {
	endpoint    string
	client      *http.Client
	connections int
	records     int
	calls       int
}

func main() {
	b := &bench{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	flag.StringVar(&b.endpoint, "endpoint", "http://127.0.0.1:4567", "where the server is")
	flag.IntVar(&b.connections, "connections", 4, "how many put at once")
	flag.IntVar(&b.records, "records", 500, "in one PutRecords")
	flag.IntVar(&b.calls, "calls", 100, "PutRecords of each connection")
	flag.Parse()
	if err := b.run(); err != nil {
		fmt.Fprintln(os.Stderr, "kinesisbench:", err)
		os.Exit(1)
	}
}

func (b *bench) run() error {
	name := "bench-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	if _, err := b.call("CreateStream", map[string]any{"StreamName": name, "ShardCount": 1}); err != nil {
		return err
	}
	body, err := b.body(name)
	if err != nil {
		return err
	}
	if err := b.waitFor(name); err != nil {
		return err
	}
	if err := b.put(body); err != nil {
		return err
	}
	return b.get(name)
}

// body is one PutRecords of records that no codec makes smaller.
func (b *bench) body(name string) ([]byte, error) {
	var list []map[string]any
	for i := range b.records {
		data := make([]byte, recordSize)
		if _, err := rand.Read(data); err != nil {
			return nil, err
		}
		list = append(list, map[string]any{"Data": base64.StdEncoding.EncodeToString(data), "PartitionKey": "key-" + strconv.Itoa(i)})
	}
	return json.Marshal(map[string]any{"StreamName": name, "Records": list})
}

func (b *bench) waitFor(name string) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 100 {
		answer, err := b.call("DescribeStreamSummary", map[string]any{"StreamName": name})
		if err != nil || bytes.Contains(answer, []byte(`"ACTIVE"`)) {
			return err
		}
		<-tick.C
	}
	return errors.New("the stream does not become ACTIVE")
}

// put measures PutRecords.
func (b *bench) put(body []byte) error {
	var wait sync.WaitGroup
	took := make([][]time.Duration, b.connections)
	errs := make([]error, b.connections)
	began := time.Now()
	for i := range b.connections {
		wait.Go(func() {
			for range b.calls {
				start := time.Now()
				answer, err := b.send("PutRecords", body)
				if err == nil && !bytes.Contains(answer, []byte(`"FailedRecordCount":0`)) {
					err = fmt.Errorf("records failed: %.200s", answer)
				}
				if err != nil {
					errs[i] = err
					return
				}
				took[i] = append(took[i], time.Since(start))
			}
		})
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	elapsed := time.Since(began)
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	n := len(all) * b.records
	fmt.Printf("PutRecords %d x %d B, %d connections: %.0f records/s, p50 %v, p99 %v\n",
		b.records, recordSize, b.connections, float64(n)/elapsed.Seconds(), all[len(all)/2].Round(time.Millisecond/10), all[len(all)*99/100].Round(time.Millisecond/10))
	return nil
}

// get measures GetRecords over all that was put.
func (b *bench) get(name string) error {
	answer, err := b.call("GetShardIterator", map[string]any{"StreamName": name, "ShardId": "0", "ShardIteratorType": "TRIM_HORIZON"})
	if err != nil {
		return err
	}
	var it struct{ ShardIterator, NextShardIterator string }
	if err := json.Unmarshal(answer, &it); err != nil {
		return err
	}
	it.NextShardIterator = it.ShardIterator
	want := b.connections * b.calls * b.records
	n, calls, began := 0, 0, time.Now()
	for n < want {
		answer, err := b.call("GetRecords", map[string]any{"ShardIterator": it.NextShardIterator})
		if err != nil {
			return err
		}
		// Decoding it all would measure this client.
		n += bytes.Count(answer, []byte(`"SequenceNumber"`))
		calls++
		tail := answer[bytes.LastIndex(answer, []byte(`"NextShardIterator"`)):]
		if err := json.Unmarshal(append([]byte("{"), tail...), &it); err != nil {
			return err
		}
	}
	if n != want {
		return fmt.Errorf("%d records were read, %d were put", n, want)
	}
	fmt.Printf("GetRecords of %d records in %d calls, 1 connection: %.0f records/s\n", n, calls, float64(n)/time.Since(began).Seconds())
	return nil
}

func (b *bench) call(operation string, in any) ([]byte, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	return b.send(operation, body)
}

// send asks a server in mode open, which looks at a signature's form only.
func (b *bench) send(operation string, body []byte) ([]byte, error) {
	r, err := http.NewRequest(http.MethodPost, b.endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("X-Amz-Target", "Kinesis_20131202."+operation)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Date", time.Now().UTC().Format("20060102T150405Z"))
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=00")
	answer, err := b.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.300s", operation, answer.Status, text)
	}
	return text, err
}
