package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// drips is a client that sends a request a byte at a time, and returns how long the server bore with it.
func drips(t *testing.T, conn net.Conn, text string) time.Duration {
	defer conn.Close()
	began := time.Now()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	if err := conn.SetDeadline(began.Add(2 * time.Minute)); err != nil {
		t.Error(err)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, conn)
	}()
	for i := 0; ; i++ {
		select {
		case <-gone:
			return time.Since(began)
		case <-tick.C:
			// The server may be gone meanwhile, which the reader notices.
			_, _ = conn.Write([]byte{text[i%len(text)]})
		}
	}
}

func TestKinesisSlowClientsAreLetGo(t *testing.T) {
	const each = 100
	s := serving(t, "--tls", "auto", "--instant")
	admin := s.secure(s.user("add", "admin", "--policy", "full-access"))
	soon(t, "the user", "", func() error { _, err := admin.ListStreams(t.Context(), &kinesis.ListStreamsInput{}); return err })
	var wait sync.WaitGroup
	slow := func(what string, dial func() (net.Conn, error), text string) {
		for range each {
			conn, err := dial()
			must(t, err)
			wait.Go(func() {
				// The server bears with it for 10 s, and with a whole request for a minute.
				if d := drips(t, conn, text); d > 40*time.Second {
					t.Errorf("%s: after %v", what, d)
				}
			})
		}
	}
	slow("in the handshake", func() (net.Conn, error) { return net.Dial("tcp", s.address) }, "\x16\x03\x01\x40\x00")
	slow("in the header", func() (net.Conn, error) {
		return tls.Dial("tcp", s.address, &tls.Config{RootCAs: s.roots(), NextProtos: []string{"http/1.1"}})
	}, "POST / HTTP/1.1\r\nX-A: b\r\nX-C: d\r\n")
	for range 20 {
		began := time.Now()
		_, err := admin.ListStreams(t.Context(), &kinesis.ListStreamsInput{})
		must(t, err)
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("a client that is not slow waited %v", took)
		}
	}
	wait.Wait()
	if exit := s.process.Kill(); exit.PeakRSS > 192<<20 {
		t.Errorf("%d MiB", exit.PeakRSS>>20)
	}
}

// roots trust the certificate that the server made.
func (s *server) roots() *x509.CertPool {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.data, "tls", "cert.pem"))
	must(s.t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	return roots
}

// Strangers send what is large: it is refused, and takes the memory that it may.
func TestKinesisLargeRequestsOfStrangersAreRefused(t *testing.T) {
	s := serving(t, "--access-key", "AKIDMILLRACE:secret")
	ask := func(size int, chunked bool, change func(*http.Request)) (status int, kind string) {
		body := bytes.Repeat([]byte("x"), size)
		r, err := http.NewRequest("POST", "http://"+s.address, bytes.NewReader(body))
		must(t, err)
		if chunked {
			r.ContentLength = -1
		}
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", "Kinesis_20131202.PutRecords")
		r.Header.Set("X-Amz-Date", time.Now().UTC().Format("20060102T150405Z"))
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDMILLRACE/"+time.Now().UTC().Format("20060102")+
			"/us-east-1/kinesis/aws4_request, SignedHeaders=host;x-amz-date;x-amz-target, Signature="+strings.Repeat("0", 64))
		change(r)
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
		if err != nil {
			// The server may answer and close before all was sent.
			var broken *net.OpError
			if errors.As(err, &broken) {
				return 0, ""
			}
			t.Error(err)
			return 0, ""
		}
		defer resp.Body.Close()
		return resp.StatusCode, resp.Header.Get("x-amzn-ErrorType")
	}
	same := func(*http.Request) {}
	for _, chunked := range []bool{false, true} {
		if status, kind := ask(17<<20, chunked, same); status != 0 && (status != http.StatusRequestEntityTooLarge || kind != "RequestEntityTooLargeException") {
			t.Errorf("17 MiB, chunked %v: %d %s", chunked, status, kind)
		}
	}
	if status, _ := ask(10, false, func(r *http.Request) { r.Header.Set("X-Large", strings.Repeat("x", 64<<10)) }); status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header of 64 KiB: %d", status)
	}
	if status, kind := ask(10, false, func(r *http.Request) { r.Header.Set("Authorization", strings.Repeat("x", 9<<10)) }); status != http.StatusBadRequest || kind != "IncompleteSignatureException" {
		t.Errorf("an Authorization header of 9 KiB: %d %s", status, kind)
	}
	var wait sync.WaitGroup
	for range 12 {
		wait.Go(func() {
			if status, kind := ask(15<<20, true, same); status != http.StatusBadRequest || kind != "InvalidSignatureException" {
				t.Errorf("15 MiB: %d %s", status, kind)
			}
		})
	}
	wait.Wait()
	if exit := s.process.Kill(); exit.PeakRSS > 192<<20 {
		t.Errorf("%d MiB", exit.PeakRSS>>20)
	}
}
