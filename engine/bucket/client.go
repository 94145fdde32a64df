package bucket

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Client talks to a store.
type Client struct {
	Core      *minio.Core
	Transport *http.Transport
	// HashPayload says to sign bodies too, where neither TLS nor the machine protects them.
	HashPayload bool
}

// Keys are the credentials.
func (c *Access) Keys() credentials.Value {
	return credentials.Value{AccessKeyID: c.AccessKey.Reveal(), SecretAccessKey: c.SecretKey.Reveal(), SessionToken: c.SessionToken.Reveal()}
}

// Connect makes a client; it does not ask the store for anything. Close must follow.
func (c *Access) Connect(keys credentials.Value) (*Client, error) {
	u, wrong := parseEndpoint(c.Endpoint)
	if wrong != "" {
		return nil, errors.New("endpoint " + wrong)
	}
	s := &Client{
		HashPayload: u.Scheme == "http" && !loopback(u),
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: time.Minute,
			ExpectContinueTimeout: 10 * time.Second,
			IdleConnTimeout:       time.Minute,
			MaxIdleConnsPerHost:   4,
			ForceAttemptHTTP2:     true,
			// A small object goes out with its header in one piece, instead of through a buffer of its own.
			WriteBufferSize: 64 << 10,
			// Objects are compressed already.
			DisableCompression: true,
		},
	}
	region := c.Region
	if region == "" && !strings.HasSuffix(u.Hostname(), ".amazonaws.com") {
		// Any region does, and naming one saves asking for it.
		region = "us-east-1"
	}
	var err error
	s.Core, err = minio.NewCore(u.Host, &minio.Options{
		Creds:  credentials.NewStaticV4(keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken),
		Secure: u.Scheme == "https", Region: region, Transport: s.Transport,
		// A checksum of our own is accepted only by clients that could send trailing ones.
		TrailingHeaders: true,
		// Callers have back-offs of their own; one more try hides a connection that was closed while idle.
		MaxRetries: 2,
	})
	return s, err
}

// Close lets go of connections.
func (s *Client) Close() { s.Transport.CloseIdleConnections() }

// loopback reports whether requests never leave the machine.
func loopback(u *url.URL) bool {
	if u.Hostname() == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(u.Hostname())
	return err == nil && a.IsLoopback()
}
