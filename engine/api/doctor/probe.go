package doctor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/millrace-io/millrace/engine/api/auth"
	"github.com/millrace-io/millrace/engine/api/wire"
)

const (
	// patience for a connection, and for an answer.
	patience = 5 * time.Second
	// maxAnswer of what is read of an answer.
	maxAnswer = 1 << 20
	// clocks that are further apart are refused (AWS: five minutes), and told of when they are so far apart.
	maxSkew  = 5 * time.Minute
	tellSkew = time.Minute
)

// connect tells whether the port is open and speaks what the endpoint says.
func (e *examination) connect(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", e.address())
	var unknown *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		e.wrong("port", "nothing listens on "+e.address(), "start `millrace serve --listen "+e.address()+"`, or take the address that it says at its start")
	case errors.As(err, &unknown):
		e.wrong("port", "there is no host "+quote(e.url.Hostname()), "write its name or address as this machine knows it; 127.0.0.1 is this machine")
	case err != nil:
		e.wrong("port", e.address()+" cannot be reached: "+err.Error(), "look whether a firewall or container is in between; a server for other machines listens on 0.0.0.0")
	default:
		e.well("port", e.address()+" is open")
		defer conn.Close()
		return e.url.Scheme == "http" || e.handshake(ctx, conn)
	}
	return false
}

// handshake tells whether the server speaks TLS that clients trust.
func (e *examination) handshake(ctx context.Context, conn net.Conn) bool {
	roots, ok := e.roots()
	if !ok {
		return false
	}
	// What the server shows is looked at also when it is not trusted.
	config := &tls.Config{ServerName: e.url.Hostname(), NextProtos: []string{"h2", "http/1.1"}, InsecureSkipVerify: true}
	c := tls.Client(conn, config)
	err := c.HandshakeContext(ctx)
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &plain):
		e.wrong("tls", "the server does not speak TLS", "write http://"+e.url.Host+", or start the server with --tls auto")
		return false
	case err != nil:
		e.wrong("tls", "no connection by TLS: "+err.Error(), "a server with --client-ca wants a certificate of its clients")
		return false
	}
	state := c.ConnectionState()
	leaf := state.PeerCertificates[0]
	others := x509.NewCertPool()
	for _, x := range state.PeerCertificates[1:] {
		others.AddCert(x)
	}
	_, err = leaf.Verify(x509.VerifyOptions{DNSName: e.url.Hostname(), Roots: roots, Intermediates: others, CurrentTime: e.o.Now()})
	if err != nil {
		e.distrust(leaf, err)
		return false
	}
	if state.NegotiatedProtocol != "h2" {
		e.doubt("tls", "the certificate is trusted, and the server offers no HTTP/2, which SubscribeToShard of Java and Node needs", "")
		return true
	}
	e.well("tls", "the certificate is trusted, and HTTP/2 is offered")
	return true
}

// roots are the certificates that clients trust; nil means those of the system.
func (e *examination) roots() (*x509.CertPool, bool) {
	file := e.o.Getenv("AWS_CA_BUNDLE")
	if file == "" {
		return nil, true
	}
	text, err := e.o.ReadFile(file)
	if err != nil {
		e.wrong("tls", "AWS_CA_BUNDLE cannot be read: "+err.Error(), "name the server's certificate, DIR/tls/cert.pem of `millrace serve --tls auto`")
		return nil, false
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		e.wrong("tls", "AWS_CA_BUNDLE names "+file+", which has no certificate in PEM", "name the server's certificate, DIR/tls/cert.pem of `millrace serve --tls auto`")
		return nil, false
	}
	return roots, true
}

// distrust tells why a certificate is not taken.
func (e *examination) distrust(leaf *x509.Certificate, err error) {
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &name):
		names := append([]string{}, leaf.DNSNames...)
		for _, ip := range leaf.IPAddresses {
			names = append(names, ip.String())
		}
		e.wrong("tls", "the certificate is for "+strings.Join(names, ", ")+", not for "+e.url.Hostname(), "use one of these names, or start the server with --tls-name "+e.url.Hostname())
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		e.wrong("tls", fmt.Sprintf("the certificate is valid from %s to %s, and it is %s", leaf.NotBefore.Format(time.DateOnly), leaf.NotAfter.Format(time.DateOnly), e.o.Now().UTC().Format(time.RFC3339)),
			"set this machine's clock, or renew the certificate")
	default:
		sum := sha256.Sum256(leaf.Raw)
		e.wrong("tls", "the certificate is not trusted (SHA-256 "+hex.EncodeToString(sum[:])+")",
			"copy the server's DIR/tls/cert.pem here and export AWS_CA_BUNDLE=cert.pem (Go, Python, CLI) NODE_EXTRA_CA_CERTS=cert.pem (Node); for Java keytool -importcert -file cert.pem -cacerts")
	}
}

// listed is what is looked at in an answer of ListStreams, or of an error.
type listed struct {
	StreamSummaries []struct{ StreamARN string }
	Type            string `json:"__type"`
	Message         string `json:"message"`
}

// ask sends ListStreams as a client would.
func (e *examination) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	response, answer, err := e.send(ctx)
	if err != nil {
		e.wrong("answer", "the server gives no answer: "+err.Error(), "look into its log")
		return
	}
	if strings.Contains(string(answer), "HTTP request to an HTTPS server") {
		e.wrong("answer", "the server speaks TLS", "write https://"+e.url.Host)
		return
	}
	if response.Header.Get("x-amzn-RequestId") == "" {
		e.wrong("answer", "what answers is no Kinesis API (HTTP "+response.Status+")", "take the address that `millrace serve` says at its start; admin and http sources have others")
		return
	}
	e.clock(response.Header.Get("Date"))
	var list listed
	if err := json.Unmarshal(answer, &list); err != nil {
		e.wrong("answer", "the answer is no JSON (HTTP "+response.Status+")", "look whether a proxy is in between")
		return
	}
	if response.StatusCode != http.StatusOK {
		e.refused(list)
		return
	}
	e.well("answer", "ListStreams is answered")
	e.place(list)
}

func (e *examination) send(ctx context.Context) (*http.Response, []byte, error) {
	const body = `{"Limit":1}`
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url.Scheme+"://"+e.address()+"/", strings.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Content-Type", wire.TypeJSON)
	r.Header.Set("X-Amz-Target", "Kinesis_20131202.ListStreams")
	keys := e.settings.credentials
	if keys.AccessKey == "" || keys.Secret == "" {
		keys = auth.Credentials{AccessKey: "none", Secret: "none"}
	}
	if err := auth.Sign(r, []byte(body), keys, firstOf(e.settings.region, "us-east-1"), "kinesis", e.o.Now()); err != nil {
		return nil, nil, err
	}
	roots, _ := e.roots()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}
	response, err := transport.RoundTrip(r)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return response, bytes.TrimSpace(answer), err
}

// clock compares this machine's with the server's.
func (e *examination) clock(date string) {
	there, err := http.ParseTime(date)
	if err != nil {
		return
	}
	ahead := e.o.Now().Sub(there).Round(time.Second)
	text := fmt.Sprintf("this machine's clock is %v ahead of the server's", ahead)
	if ahead < 0 {
		text = fmt.Sprintf("this machine's clock is %v behind the server's", -ahead)
	}
	const cure = "set the clocks of both machines by NTP"
	switch {
	case ahead.Abs() > maxSkew:
		e.wrong("clock", text+": signatures are refused from 5 minutes on", cure)
	case ahead.Abs() > tellSkew:
		e.doubt("clock", text, cure)
	default:
		e.well("clock", "the clocks agree")
	}
}

// refused tells why the server did not do it.
func (e *examination) refused(x listed) {
	key := quote(e.settings.credentials.AccessKey)
	skewed := strings.HasPrefix(x.Message, "Signature expired") || strings.HasPrefix(x.Message, "Signature not yet current")
	switch {
	case e.settings.credentials.AccessKey == "" || e.settings.credentials.Secret == "":
		e.wrong("answer", "the server wants a signature of a key that it knows", "`millrace user add NAME` on its data directory makes one")
	case x.Type == "UnrecognizedClientException":
		e.wrong("answer", "the server does not know the access key "+key, "`millrace user list` shows those that it knows, `millrace user add NAME` makes one")
	case x.Type == "InvalidSignatureException" && skewed:
		e.wrong("answer", "the server refuses the time of the signature", "set the clocks of both machines by NTP")
	case x.Type == "InvalidSignatureException":
		e.wrong("answer", "the secret is not that of the access key "+key, "copy it again, without blanks; `millrace user rotate` makes another")
	case x.Type == "AccessDeniedException":
		e.doubt("answer", "the key is right, and its user may not list streams", "allow kinesis:ListStreams if programs need it: `millrace user policy`")
	default:
		e.wrong("answer", strings.TrimSuffix(x.Type+": "+x.Message, ": "), "look into the server's log")
	}
}

// place compares the region and the ARNs of the server.
func (e *examination) place(x listed) {
	if len(x.StreamSummaries) == 0 {
		e.well("streams", "there is none yet")
		return
	}
	parts := strings.SplitN(x.StreamSummaries[0].StreamARN, ":", 6)
	if len(parts) < 6 || e.settings.region == "" {
		return
	}
	if parts[3] != e.settings.region {
		e.doubt("streams", "their ARNs are of region "+parts[3]+", and clients are set to "+e.settings.region+", which matters to programs that make or compare ARNs, and to policies",
			"start the server with --region "+e.settings.region+", or export AWS_REGION="+parts[3])
		return
	}
	e.well("streams", "their ARNs are of region "+parts[3]+" and account "+parts[4])
}
