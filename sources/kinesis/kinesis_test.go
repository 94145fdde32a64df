package kinesis

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace-io/millrace/engine/api/auth"
	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/api/users"
	"github.com/millrace-io/millrace/engine/loopback"
	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/disk"
	"github.com/millrace-io/millrace/engine/vfs"
	"github.com/millrace-io/millrace/sources"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// directory is a data directory with a stream s, which is as full as maxDisk says.
func directory(t *testing.T, maxDisk int64) (data string, local *control.Local) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	backend, err := disk.Open(vfs.OS{}, data, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	local = control.NewLocal(backend, time.Now)
	t.Cleanup(func() {
		if err := local.Close(); err != nil {
			t.Error(err)
		}
		if err := backend.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := local.New(t.Context(), stream.Spec{Name: "s", Shards: 1, Retention: time.Hour, MaxDisk: maxDisk}); err != nil {
		t.Fatal(err)
	}
	st, err := local.Open(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	// A consumer needs everything.
	st.Log(0).SetHold(0)
	return data, local
}

// running is a source at work.
type running struct {
	t       *testing.T
	address string
	data    string
	stored  atomic.Int64
	// trust is what a client speaks TLS with; nil without.
	trust *tls.Config
}

func run(t *testing.T, change func(*Config), maxDisk int64, declared ...users.Fixed) *running {
	t.Helper()
	address, err := loopback.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, address: address}
	data, local := directory(t, maxDisk)
	r.data = data
	cfg := defaults()
	cfg.Listen = r.address
	if change != nil {
		change(&cfg)
	}
	s, err := open(cfg, sources.Env{
		Log: slog.New(slog.DiscardHandler), Now: time.Now, Streams: local, Stored: func(n int) { r.stored.Add(int64(n)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.(*source).Guard(data, declared)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, nil) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

// ask sends a request, once the source is there.
func (r *running) ask(operation, body string, keys auth.Credentials) (status int, answer string) {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		status, answer, err := r.send(operation, body, keys)
		if err == nil {
			return status, answer
		}
		if time.Now().After(deadline) {
			r.t.Fatal(err)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// send sends a request once.
func (r *running) send(operation, body string, keys auth.Credentials) (status int, answer string, err error) {
	r.t.Helper()
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: r.trust}}
	scheme := "http://"
	if r.trust != nil {
		scheme = "https://"
	}
	q, err := http.NewRequest("POST", scheme+r.address, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/x-amz-json-1.1")
	q.Header.Set("X-Amz-Target", "Kinesis_20131202."+operation)
	if err := auth.Sign(q, []byte(body), keys, "us-east-1", "kinesis", time.Now()); err != nil {
		r.t.Fatal(err)
	}
	a, err := client.Do(q)
	if err != nil {
		return 0, "", err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	return a.StatusCode, string(text), err
}

const put = `{"StreamName":"s","Records":[{"Data":"eA==","PartitionKey":"k"},{"Data":"eQ==","PartitionKey":"k"}]}`

func TestRecordsOfClientsAreStoredAndCounted(t *testing.T) {
	r := run(t, nil, 0)
	anybody := auth.Credentials{AccessKey: "x", Secret: "y"}
	if status, text := r.ask("PutRecords", put, anybody); status != 200 || r.stored.Load() != 2 {
		t.Errorf("%d %s, %d stored", status, text, r.stored.Load())
	}
	if status, text := r.ask("PutRecord", `{"StreamName":"s","Data":"eA==","PartitionKey":"k"}`, anybody); status != 200 || r.stored.Load() != 3 {
		t.Errorf("%d %s, %d stored", status, text, r.stored.Load())
	}
}

func TestUsersOfTheFileMayDoWhatItSays(t *testing.T) {
	r := run(t, nil, 0, users.Fixed{Name: "ingest", Policy: "producer", Keys: map[string]string{"AK": "SK"}})
	for _, c := range []struct {
		operation, body string
		keys            auth.Credentials
		want            string
	}{
		{"PutRecords", put, auth.Credentials{AccessKey: "AK", Secret: "SK"}, "SequenceNumber"},
		{"PutRecords", put, auth.Credentials{AccessKey: "AK", Secret: "other"}, "InvalidSignatureException"},
		{"PutRecords", put, auth.Credentials{AccessKey: "x", Secret: "y"}, "UnrecognizedClientException"},
		{"DeleteStream", `{"StreamName":"s"}`, auth.Credentials{AccessKey: "AK", Secret: "SK"}, "AccessDeniedException"},
	} {
		if status, text := r.ask(c.operation, c.body, c.keys); !strings.Contains(text, c.want) {
			t.Errorf("%s: %d %s, want %s", c.operation, status, text, c.want)
		}
	}
}

// A client of a full stream is told what AWS tells one that is too fast: it waits and tries again.
func TestFullStreamsTellClientsToWait(t *testing.T) {
	r := run(t, nil, 1)
	keys := auth.Credentials{AccessKey: "x", Secret: "y"}
	for range 3 {
		status, text := r.ask("PutRecord", `{"StreamName":"s","Data":"`+strings.Repeat("AAAA", 10_000)+`","PartitionKey":"k"}`, keys)
		if status == 400 && strings.Contains(text, "ProvisionedThroughputExceededException") {
			status, text = r.ask("PutRecords", put, keys)
			if status != 200 || !strings.Contains(text, `"FailedRecordCount":2`) || !strings.Contains(text, "ProvisionedThroughputExceededException") {
				t.Errorf("PutRecords: %d %s", status, text)
			}
			return
		}
	}
	t.Error("it never is full")
}

func TestMistakesAreFoundBeforeItRuns(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"is no address":                      func(c *Config) { c.Listen = "4567" },
		`"80000"`:                            func(c *Config) { c.Listen = "127.0.0.1:80000"; c.Account = "80000" },
		"twelve digits":                      func(c *Config) { c.Account = "1" },
		"is no region":                       func(c *Config) { c.Region = "us east" },
		"add tls_key":                        func(c *Config) { c.TLSCert = "x" },
		"add tls_cert":                       func(c *Config) { c.TLSKey = "x" },
		"tls: tls: auto makes a certificate": func(c *Config) { c.TLS, c.TLSCert, c.TLSKey = "auto", "x", "y" },
		"tls_names are for tls: auto":        func(c *Config) { c.TLSCert, c.TLSKey, c.TLSNames = "x", "y", []string{"z"} },
		"client_ca: client_ca is about TLS":  func(c *Config) { c.ClientCA = "x" },
		"auth: auth: mtls needs client_ca":   func(c *Config) { c.Auth, c.TLS = "mtls", "auto" },
	} {
		c := defaults()
		change(&c)
		text := ""
		for _, p := range c.Validate() {
			text += p.Path + ": " + p.Message + "\n"
		}
		if !strings.Contains(text, want) {
			t.Errorf("found %q, want %q", text, want)
		}
	}
	c := defaults()
	if found := c.Validate(); len(found) > 0 || c.Exposed() {
		t.Errorf("the defaults: %v", found)
	}
	c.Listen = "0.0.0.0:4567"
	if !c.Exposed() {
		t.Error("an address that others reach is not exposed")
	}
	if c.Insecure = true; c.Exposed() {
		t.Error("insecure is not taken at its word")
	}
	c.Insecure, c.TLS, c.ClientCA = false, "auto", "x"
	if c.Exposed() {
		t.Error("one that asks for certificates is exposed")
	}
}
