package kinesis

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/api/audit"
	"github.com/millrace-io/millrace/engine/api/auth"
	"github.com/millrace-io/millrace/engine/api/users"
)

// authority signs certificates of clients.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, file: filepath.Join(t.TempDir(), "ca.pem")}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	c := a.sign(template)
	var err error
	if a.cert, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// sign signs a certificate for a new key; the first one is the authority's own.
func (a *authority) sign(template *x509.Certificate) *tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent := a.cert
	if parent == nil {
		a.key, parent = key, template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) client(name string) *tls.Certificate {
	a.t.Helper()
	return a.sign(&x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

// trusting waits for the certificate that the source makes, and lets the client trust it, and it alone.
func (r *running) trusting(show *tls.Certificate) {
	r.t.Helper()
	var text []byte
	for deadline := time.Now().Add(time.Minute); ; <-time.After(10 * time.Millisecond) {
		var err error
		if text, err = os.ReadFile(filepath.Join(r.data, "tls", "cert.pem")); err == nil {
			break
		}
		if time.Now().After(deadline) {
			r.t.Fatal(err)
		}
	}
	r.trust = &tls.Config{RootCAs: x509.NewCertPool()}
	if !r.trust.RootCAs.AppendCertsFromPEM(text) {
		r.t.Fatal("no certificate")
	}
	if show != nil {
		r.trust.Certificates = []tls.Certificate{*show}
	}
}

var anyKey = auth.Credentials{AccessKey: "AK", Secret: "SK"}

func TestClientsAreKnownByTheirCertificates(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	r := run(t, func(c *Config) { c.TLS, c.ClientCA = "auto", a.file }, 0,
		users.Fixed{Name: "ingest", Policy: "producer", Certificates: []string{"ingest.example.com"}})
	r.trusting(a.client("ingest.example.com"))
	if status, text := r.ask("PutRecords", put, anyKey); status != 200 || r.stored.Load() != 2 {
		t.Errorf("%d %s", status, text)
	}
	if _, text := r.ask("DeleteStream", `{"StreamName":"s"}`, anyKey); !strings.Contains(text, "user/ingest is not authorized") {
		t.Error(text)
	}
	r.trusting(a.client("nobody"))
	if _, text := r.ask("PutRecords", put, anyKey); !strings.Contains(text, "UnrecognizedClientException") {
		t.Error(text)
	}
	for what, show := range map[string]*tls.Certificate{"no certificate": nil, "another authority's": stranger.client("ingest")} {
		r.trusting(show)
		if status, text, err := r.send("PutRecords", put, anyKey); err == nil {
			t.Errorf("%s: %d %s", what, status, text)
		}
	}
	r.trust = nil
	if status, text, err := r.send("PutRecords", put, anyKey); err == nil && status == 200 {
		t.Errorf("without TLS: %d %s", status, text)
	}
}

func TestCertificatesAndKeysMayBothBeAskedFor(t *testing.T) {
	a := newAuthority(t)
	r := run(t, func(c *Config) { c.TLS, c.ClientCA, c.Auth = "auto", a.file, "keys" }, 0,
		users.Fixed{Name: "ingest", Policy: "producer", Keys: map[string]string{"AK": "SK"}})
	r.trusting(a.client("whoever"))
	if status, text := r.ask("PutRecords", put, anyKey); status != 200 {
		t.Errorf("%d %s", status, text)
	}
	if _, text := r.ask("PutRecords", put, auth.Credentials{AccessKey: "AK", Secret: "other"}); !strings.Contains(text, "InvalidSignatureException") {
		t.Error(text)
	}
	r.trusting(nil)
	if status, text, err := r.send("PutRecords", put, anyKey); err == nil {
		t.Errorf("without a certificate: %d %s", status, text)
	}
}

// audited are the lines of the audit log, without what is another each time.
func (r *running) audited() (lines []audit.Entry) {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.data, "audit", "audit.log"))
	if err != nil {
		r.t.Fatal(err)
	}
	for in := bufio.NewScanner(bytes.NewReader(text)); in.Scan(); {
		var e audit.Entry
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			r.t.Fatal(err)
		}
		e.Time, e.RequestID = time.Time{}, ""
		lines = append(lines, e)
	}
	return lines
}

// What a reader does is in the audit log but for reading itself, as with AWS, whose trail leaves out data events. What it
// had no right to is there.
func TestAuditLogTellsWhatAReaderDid(t *testing.T) {
	a := newAuthority(t)
	r := run(t, func(c *Config) { c.TLS, c.ClientCA, c.Instant = "auto", a.file, true }, 0,
		users.Fixed{Name: "reader", Policy: "consumer"}, users.Fixed{Name: "writer", Policy: "producer"})
	r.trusting(a.client("reader"))
	must := func(operation, body string) map[string]any {
		t.Helper()
		var fields map[string]any
		status, text := r.ask(operation, body, anyKey)
		if status != 200 || text != "" && json.Unmarshal([]byte(text), &fields) != nil {
			t.Fatalf("%s: %d %s", operation, status, text)
		}
		return fields
	}
	const arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
	must("ListShards", `{"StreamName":"s"}`)
	c := must("RegisterStreamConsumer", `{"StreamARN":"`+arn+`","ConsumerName":"c"}`)["Consumer"].(map[string]any)["ConsumerARN"].(string)
	it := must("GetShardIterator", `{"StreamName":"s","ShardId":"0","ShardIteratorType":"TRIM_HORIZON"}`)["ShardIterator"].(string)
	must("GetRecords", `{"ShardIterator":"`+it+`"}`)
	must("DeregisterStreamConsumer", `{"ConsumerARN":"`+c+`"}`)
	r.trusting(a.client("writer"))
	if _, text := r.ask("GetRecords", `{"ShardIterator":"`+it+`"}`, anyKey); !strings.Contains(text, "AccessDeniedException") {
		t.Error(text)
	}
	want := []audit.Entry{
		{User: "reader", Action: "kinesis:ListShards", Resource: arn, Outcome: "ok"},
		{User: "reader", Action: "kinesis:RegisterStreamConsumer", Resource: arn, Change: true, Outcome: "ok"},
		{User: "reader", Action: "kinesis:DeregisterStreamConsumer", Resource: c, Change: true, Outcome: "ok"},
		{User: "writer", Action: "kinesis:GetRecords", Resource: arn, Outcome: "AccessDeniedException"},
	}
	got := r.audited()
	for i := range want {
		want[i].Verified, want[i].TLS, want[i].From = true, true, "127.0.0.1"
		if i >= len(got) || got[i] != want[i] {
			t.Fatalf("line %d is not %+v:\n%+v", i, want[i], got)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d lines, want %d: %+v", len(got), len(want), got)
	}
}
