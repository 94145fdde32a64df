package e2e

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/millrace-io/millrace/e2e/rig"
)

// key is an access key as `millrace user` prints it.
type key struct{ id, secret string }

// user runs `millrace user` on the server's data directory and returns the key that it printed, if any.
func (s *server) user(args ...string) (k key) {
	s.t.Helper()
	process, err := rig.Command{Path: binary, Args: append(append([]string{"user"}, args...), "--data", s.data)}.Start()
	must(s.t, err)
	exit, err := process.Wait(within(s.t, patience))
	must(s.t, err)
	if exit.Code != 0 {
		s.t.Fatalf("user %v: %s", args, exit.Stderr)
	}
	for lines := bufio.NewScanner(strings.NewReader(exit.Stdout)); lines.Scan(); {
		if _, value, ok := strings.Cut(lines.Text(), "AWS_ACCESS_KEY_ID="); ok {
			k.id = value
		}
		if _, value, ok := strings.Cut(lines.Text(), "AWS_SECRET_ACCESS_KEY="); ok {
			k.secret = value
		}
	}
	return k
}

// secure is a client by TLS that trusts the certificate which the server made, and shows certificates.
func (s *server) secure(k key, certificates ...tls.Certificate) *kinesis.Client {
	s.t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots(), Certificates: certificates}, ForceAttemptHTTP2: true}
	s.t.Cleanup(transport.CloseIdleConnections)
	return kinesis.New(kinesis.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("https://" + s.address), RetryMaxAttempts: 1,
		HTTPClient: &http.Client{Transport: overHTTP2{s.t, transport}},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: k.id, SecretAccessKey: k.secret}, nil
		}),
	})
}

// overHTTP2 demands that answers come by HTTP/2.
type overHTTP2 struct {
	t *testing.T
	http.RoundTripper
}

func (o overHTTP2) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := o.RoundTripper.RoundTrip(r)
	if err == nil && resp.ProtoMajor != 2 {
		o.t.Errorf("answered by %s", resp.Proto)
	}
	return resp, err
}

func putOne(ctx context.Context, c *kinesis.Client, name string) error {
	_, err := c.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: &name, Data: []byte("x"), PartitionKey: aws.String("k")})
	return err
}

// readable reads a stream's first shard from its start.
func readable(ctx context.Context, c *kinesis.Client, name string) (int, error) {
	it, err := c.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: &name, ShardId: aws.String("0"), ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	if err != nil {
		return 0, err
	}
	out, err := c.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator})
	if err != nil {
		return 0, err
	}
	return len(out.Records), nil
}

// soon waits until an error is of a type, empty for none.
func soon(t *testing.T, what, code string, ask func() error) {
	t.Helper()
	must(t, rig.Until(within(t, patience), what, func() bool {
		err := ask()
		return err == nil && code == "" || code != "" && err != nil && strings.Contains(err.Error(), code)
	}))
}

func TestKinesisUsersMayDoWhatTheirPoliciesAllow(t *testing.T) {
	s := serving(t, "--tls", "auto", "--instant")
	ctx := t.Context()
	stranger := s.secure(key{"AKIDSTRANGER", "x"})
	_, err := stranger.ListStreams(ctx, &kinesis.ListStreamsInput{})
	must(t, err) // nobody is asked before the first user

	admin := s.secure(s.user("add", "admin", "--policy", "full-access"))
	soon(t, "the first user", "UnrecognizedClientException", func() error { _, err := stranger.ListStreams(ctx, &kinesis.ListStreamsInput{}); return err })
	_, err = admin.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("s"), ShardCount: aws.Int32(1)})
	must(t, err)
	must(t, putOne(ctx, admin, "s"))

	first := s.user("add", "alice", "--policy", "read-only")
	alice := s.secure(first)
	soon(t, "alice", "", func() error { _, err := readable(ctx, alice, "s"); return err })
	if n, err := readable(ctx, alice, "s"); n != 1 || err != nil {
		t.Errorf("%d records, %v", n, err)
	}
	err = putOne(ctx, alice, "s")
	refused(t, err, "AccessDeniedException")
	if want := "User: arn:aws:iam::000000000000:user/alice is not authorized to perform: kinesis:PutRecord on resource: arn:aws:kinesis:us-east-1:000000000000:stream/s " +
		"because no identity-based policy allows the kinesis:PutRecord action"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	_, err = alice.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: aws.String("s")})
	refused(t, err, "AccessDeniedException")

	// The stream lets her in, and its owner shuts her out again.
	arn := aws.String("arn:aws:kinesis:us-east-1:000000000000:stream/s")
	_, err = admin.PutResourcePolicy(ctx, &kinesis.PutResourcePolicyInput{ResourceARN: arn, Policy: aws.String(`{"Version":"2012-10-17","Statement":{
		"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/alice"},"Action":"kinesis:PutRecord","Resource":"` + *arn + `","Condition":{"Bool":{"aws:SecureTransport":"true"}}}}`)})
	must(t, err)
	must(t, putOne(ctx, alice, "s"))
	_, err = admin.DeleteResourcePolicy(ctx, &kinesis.DeleteResourcePolicyInput{ResourceARN: arn})
	must(t, err)
	refused(t, putOne(ctx, alice, "s"), "AccessDeniedException")

	// A policy that locks out everybody is not for ever.
	_, err = admin.PutResourcePolicy(ctx, &kinesis.PutResourcePolicyInput{ResourceARN: arn, Policy: aws.String(`{"Version":"2012-10-17","Statement":{
		"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}`)})
	must(t, err)
	refused(t, putOne(ctx, admin, "s"), "AccessDeniedException")
	_, err = admin.DeleteResourcePolicy(ctx, &kinesis.DeleteResourcePolicyInput{ResourceARN: arn})
	must(t, err)
	must(t, putOne(ctx, admin, "s"))

	// A document of her own, from the command line.
	s.user("policy", "alice", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kinesis:Put*","Resource":"arn:aws:kinesis:*:*:stream/s"}}`)
	soon(t, "alice's policy", "", func() error { return putOne(ctx, alice, "s") })
	_, err = readable(ctx, alice, "s")
	refused(t, err, "AccessDeniedException")

	// Both keys are good after a rotation, until one is removed, and then until she is.
	second := s.secure(s.user("rotate", "alice"))
	soon(t, "the second key", "", func() error { return putOne(ctx, second, "s") })
	must(t, putOne(ctx, alice, "s"))
	s.user("remove", "alice", "--key", first.id)
	soon(t, "the first key's end", "UnrecognizedClientException", func() error { return putOne(ctx, alice, "s") })
	must(t, putOne(ctx, second, "s"))
	s.user("remove", "alice")
	soon(t, "alice's end", "UnrecognizedClientException", func() error { return putOne(ctx, second, "s") })

	// Killed and started again: the same certificate, the same users.
	s.process.Kill()
	s.start()
	must(t, putOne(ctx, admin, "s"))
	if text := s.process.Stderr(); !strings.Contains(text, "as before") || !strings.Contains(text, "open to those with an access key") {
		t.Error(text)
	}
	s.audited("alice", "kinesis:DeleteStream", "AccessDeniedException")
	s.audited("admin", "kinesis:PutResourcePolicy", "ok")
}

func TestServeTakesAFileOfUsers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users.yaml")
	must(t, os.WriteFile(file+".secret", []byte("secret"), 0o600))
	must(t, os.WriteFile(file, []byte("version: 1\nusers:\n  ingest: {policy: full-access, access_keys: {AKIDFILE: \"${file:"+file+".secret}\"}}\n"), 0o600))
	s := serving(t, "--instant", file)
	ingest := s.client("AKIDFILE", "secret")
	_, err := ingest.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("s"), ShardCount: aws.Int32(1)})
	must(t, err)
	must(t, putOne(t.Context(), ingest, "s"))
	refused(t, putOne(t.Context(), s.client("AKIDSTRANGER", "secret"), "s"), "UnrecognizedClientException")
	if text := s.process.Stderr(); !strings.Contains(text, "open to those with an access key") || strings.Contains(text, "warning") {
		t.Error(text)
	}
	s.audited("ingest", "kinesis:CreateStream", "ok")
}

// audited demands a line in the audit log.
func (s *server) audited(user, action, outcome string) {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.data, "audit", "audit.log"))
	must(s.t, err)
	for lines := bufio.NewScanner(strings.NewReader(string(text))); lines.Scan(); {
		var e struct{ User, Action, Outcome string }
		must(s.t, json.Unmarshal(lines.Bytes(), &e))
		if e.User == user && e.Action == action && e.Outcome == outcome {
			return
		}
	}
	s.t.Errorf("the audit log lacks %s of %s by %s:\n%s", outcome, action, user, text)
}

// authority signs certificates of clients.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(t.TempDir(), "ca.pem")}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	must(t, err)
	a.cert, err = x509.ParseCertificate(der)
	must(t, err)
	must(t, os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return a
}

// client is a certificate with a common name and DNS names.
func (a *authority) client(t *testing.T, name string, dns ...string) tls.Certificate {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: dns,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &k.PublicKey, a.key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}
}

func TestKinesisClientsAreKnownByTheirCertificates(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	s := serving(t, "--tls", "auto", "--instant", "--client-ca", a.file)
	ctx := t.Context()
	s.user("add", "admin", "--policy", "full-access", "--no-key")
	s.user("add", "alice", "--policy", "read-only", "--no-key", "--certificate", "alice.example.com")
	nobody := key{"any", "thing"}
	admin := s.secure(nobody, a.client(t, "admin"))
	soon(t, "the users", "", func() error { _, err := admin.ListStreams(ctx, &kinesis.ListStreamsInput{}); return err })
	_, err := admin.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("s"), ShardCount: aws.Int32(1)})
	must(t, err)
	must(t, putOne(ctx, admin, "s"))
	alice := s.secure(nobody, a.client(t, "something else", "alice.example.com"))
	if n, err := readable(ctx, alice, "s"); n != 1 || err != nil {
		t.Errorf("%d records, %v", n, err)
	}
	refused(t, putOne(ctx, alice, "s"), "AccessDeniedException")
	refused(t, putOne(ctx, s.secure(nobody, a.client(t, "mallory")), "s"), "UnrecognizedClientException")
	refused(t, putOne(ctx, s.secure(nobody, a.client(t, "admin", "alice.example.com")), "s"), "UnrecognizedClientException")
	for what, certificates := range map[string][]tls.Certificate{"no certificate": nil, "another authority's": {other.client(t, "admin")}} {
		// The refusal may be overtaken by the end of the connection, so its text is not sure to arrive.
		if err := putOne(ctx, s.secure(nobody, certificates...), "s"); err == nil {
			t.Errorf("%s: the record was taken", what)
		}
	}
	if n, err := readable(ctx, alice, "s"); n != 1 || err != nil {
		t.Errorf("%d records in the end, %v", n, err)
	}
	s.audited("admin", "kinesis:CreateStream", "ok")
}

func TestKinesisServerBeyondLoopbackNeedsUsers(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	for what, c := range map[string]struct {
		args []string
		want string
	}{
		"no users":           {[]string{"--listen", "0.0.0.0:0"}, "millrace user add NAME --policy full-access --data " + data},
		"open":               {[]string{"--listen", "[::]:0", "--auth", "open"}, "or spell out --insecure"},
		"mtls without CA":    {[]string{"--auth", "mtls"}, "--client-ca FILE"},
		"CA without TLS":     {[]string{"--client-ca", "ca.pem"}, "--tls auto"},
		"half a certificate": {[]string{"--tls-cert", "c.pem"}, "--tls-key"},
		"no certificate":     {[]string{"--tls-cert", "c.pem", "--tls-key", "k.pem"}, "c.pem"},
		"open with keys":     {[]string{"--auth", "open", "--access-key", "a:b"}, "--auth open verifies no signatures"},
	} {
		process, err := rig.Command{Path: binary, Args: append([]string{"serve", "--data", data}, c.args...)}.Start()
		must(t, err)
		exit, err := process.Wait(within(t, patience))
		must(t, err)
		if exit.Code != 2 || !strings.Contains(exit.Stderr, c.want) {
			t.Errorf("%s: exit code %d, %s", what, exit.Code, exit.Stderr)
		}
	}
}
