package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/millrace-io/millrace/engine/record"
)

// maxResponse bounds an answer: a page's data in base64 with one large record, or the shards of
// many streams.
const maxResponse = 256 << 20

// Client is the Admin of a process that holds the data directory.
type Client struct{ http *http.Client }

var _ Admin = (*Client)(nil)

// NewClient makes a client of the process that listens on a unix socket. Close must follow.
func NewClient(socket string) *Client {
	var d net.Dialer
	return &Client{http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", socket) },
	}}}
}

// Close lets go of idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// List implements Streams.
func (c *Client) List(ctx context.Context) ([]Stream, error) {
	return call[[]Stream](ctx, c, "list", "", none{})
}

// Describe implements Streams.
func (c *Client) Describe(ctx context.Context, name string) (Stream, error) {
	return call[Stream](ctx, c, "describe", name, none{})
}

// Create implements Streams.
func (c *Client) Create(ctx context.Context, spec Spec) error {
	_, err := call[none](ctx, c, "create", "", spec)
	return err
}

// Delete implements Streams.
func (c *Client) Delete(ctx context.Context, name string) error {
	_, err := call[none](ctx, c, "delete", name, none{})
	return err
}

// Consumers implements Streams.
func (c *Client) Consumers(ctx context.Context, name string) ([]Consumer, error) {
	return call[[]Consumer](ctx, c, "consumers", name, none{})
}

// Split implements Shards.
func (c *Client) Split(ctx context.Context, name string, shard record.ShardID, at *record.HashKey) error {
	_, err := call[none](ctx, c, "split", name, splitRequest{shard, at})
	return err
}

// Merge implements Shards.
func (c *Client) Merge(ctx context.Context, name string, a, b record.ShardID) error {
	_, err := call[none](ctx, c, "merge", name, mergeRequest{a, b})
	return err
}

// Reshard implements Shards.
func (c *Client) Reshard(ctx context.Context, name string, n int) error {
	_, err := call[none](ctx, c, "reshard", name, reshardRequest{n})
	return err
}

// SetRetention implements Shards.
func (c *Client) SetRetention(ctx context.Context, name string, d time.Duration) error {
	_, err := call[none](ctx, c, "retention", name, retentionRequest{int64(d)})
	return err
}

// Configure implements Shards.
func (c *Client) Configure(ctx context.Context, name string, s Settings) error {
	_, err := call[none](ctx, c, "configure", name, s)
	return err
}

// Encrypt implements Encryption.
func (c *Client) Encrypt(ctx context.Context, name, key string) error {
	_, err := call[none](ctx, c, "encrypt", name, encryptRequest{key})
	return err
}

// Decrypt implements Encryption.
func (c *Client) Decrypt(ctx context.Context, name string) error {
	_, err := call[none](ctx, c, "decrypt", name, none{})
	return err
}

// Rewrap implements Encryption.
func (c *Client) Rewrap(ctx context.Context, name string) (segments int, err error) {
	r, err := call[rewrapResponse](ctx, c, "rewrap", name, none{})
	return r.Segments, err
}

// Put implements Records.
func (c *Client) Put(ctx context.Context, name string, records []Record) ([]Placed, error) {
	if err := checkPut(records); err != nil {
		return nil, err
	}
	r, err := call[putResponse](ctx, c, "put", name, putRequest{records})
	return r.Records, err
}

// Read implements Records.
func (c *Client) Read(ctx context.Context, r ReadRequest) (Page, error) {
	return call[Page](ctx, c, "read", r.Stream, r)
}

// call sends a request and reads its answer.
func call[Response any](ctx context.Context, c *Client, verb, stream string, request any) (response Response, err error) {
	body, err := json.Marshal(request)
	if err != nil {
		return response, fmt.Errorf("encode request: %w", err)
	}
	// The host is not looked up: the transport dials the socket.
	to := "http://control/v1/" + verb + "?" + url.Values{"stream": {stream}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return response, err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return response, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxResponse+1))
	switch {
	case err != nil:
		return response, fmt.Errorf("%w: read its answer: %w", ErrUnreachable, err)
	case len(text) > maxResponse:
		return response, fmt.Errorf("the running process's answer is longer than %d bytes", maxResponse)
	case answer.StatusCode != http.StatusOK:
		return response, faultIn(answer.Status, text)
	}
	if err := json.Unmarshal(text, &response); err != nil {
		return response, fmt.Errorf("decode the running process's answer: %w", err)
	}
	return response, nil
}
