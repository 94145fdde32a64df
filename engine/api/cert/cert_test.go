package cert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var now = time.Now()

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func auto(t *testing.T, dir string, at time.Time, names ...string) (Files, bool) {
	t.Helper()
	files, made, err := Auto(dir, names, at)
	must(t, err)
	return files, made
}

func open(t *testing.T, files Files, clock func() time.Time) *Server {
	t.Helper()
	s, err := Open(files, clock, slog.New(slog.DiscardHandler))
	must(t, err)
	return s
}

func clock() time.Time { return now }

func TestOwnCertificateStaysUntilItLacksANameOrEnds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	files, made := auto(t, dir, now, "localhost", "127.0.0.1")
	if !made {
		t.Error("the first one was there already")
	}
	first := open(t, files, clock).Fingerprint()
	if _, made := auto(t, dir, now.Add(time.Hour), "127.0.0.1"); made || open(t, files, clock).Fingerprint() != first {
		t.Error("another one was made without a reason")
	}
	if _, made := auto(t, dir, now, "stream.example.com"); !made {
		t.Error("a name is lacking, and no other one was made")
	}
	c, err := leaf(files.Certificate)
	must(t, err)
	if !covers(c, []string{"localhost", "127.0.0.1", "stream.example.com"}) || covers(c, []string{"other"}) {
		t.Errorf("names %v", namesOf(c))
	}
	if c.IsCA {
		t.Error("it may sign others")
	}
	if _, made := auto(t, dir, now.Add(autoLife-time.Hour), "localhost"); !made {
		t.Error("its end is near, and no other one was made")
	}
	for _, name := range []string{dir, files.Key} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestDamagedCertificateIsToldWithTheCure(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "cert.pem"), []byte("x"), 0o600))
	if _, _, err := Auto(dir, []string{"localhost"}, now); err == nil {
		t.Error("it was taken")
	}
}

func TestChangedFilesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	files, _ := auto(t, dir, now, "localhost")
	at := now
	s := open(t, files, func() time.Time { return at })
	first := s.Fingerprint()
	must(t, os.WriteFile(files.Certificate, []byte("half of it"), 0o600))
	at = at.Add(lookEvery)
	if s.Fingerprint() != first {
		t.Error("a certificate that is none replaced one")
	}
	must(t, makeAuto(files, []string{"localhost"}, now))
	if s.Fingerprint() != first {
		t.Error("files are looked at for every connection")
	}
	at = at.Add(lookEvery)
	if s.Fingerprint() == first {
		t.Error("the new certificate is not used")
	}
}

// authority signs certificates of clients.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	a := &authority{key: key, file: filepath.Join(t.TempDir(), "ca.pem")}
	a.cert, err = x509.ParseCertificate(der)
	must(t, err)
	must(t, os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return a
}

func (a *authority) client(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "alice"}, DNSNames: []string{"alice.example.com"},
		EmailAddresses: []string{"alice@example.com"}, URIs: []*url.URL{{Scheme: "spiffe", Host: "example.com", Path: "/alice"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestClientsAreKnownByTheirCertificates(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	files, _ := auto(t, t.TempDir(), now, "127.0.0.1")
	files.ClientCA = a.file
	var names []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { names = Names(r.TLS) }))
	server.TLS, server.EnableHTTP2 = open(t, files, clock).Config(), true
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	server.StartTLS()
	defer server.Close()
	text, err := os.ReadFile(files.Certificate)
	must(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	get := func(certificates ...tls.Certificate) (string, error) {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certificates}, ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Get("https://" + server.Listener.Addr().String())
		if err != nil {
			return "", err
		}
		return resp.Proto, resp.Body.Close()
	}
	proto, err := get(a.client(t))
	must(t, err)
	if want := []string{"alice.example.com", "alice@example.com", "spiffe://example.com/alice", "alice"}; proto != "HTTP/2.0" || !slices.Equal(names, want) {
		t.Errorf("%s, names %q", proto, names)
	}
	for what, certificates := range map[string][]tls.Certificate{"none": nil, "another authority's": {other.client(t)}} {
		if _, err := get(certificates...); err == nil {
			t.Errorf("%s was let in", what)
		}
	}
	if Names(nil) != nil || Names(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{a.cert}}) != nil {
		t.Error("a certificate that was not verified has names")
	}
}
