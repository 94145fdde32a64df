package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/millrace-io/millrace/engine/api/auth"
)

const (
	signingKey    = "MRAKSIGNER"
	signingSecret = "a secret/with+characters"
	signedBody    = `{"StreamName":"clicks"}`
)

// gate answers who signed a request, over a real connection.
type gate struct {
	*httptest.Server
	t  *testing.T
	at time.Time // the server's clock
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{t: t, at: time.Now()}
	v := &auth.Verifier{Mode: auth.Keys, Service: "kinesis", Users: auth.Static{signingKey: signingSecret, "MRAKOTHER": "another"}, Now: func() time.Time { return g.at }}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		id, wrong := v.Check(r, body)
		if wrong != nil {
			fmt.Fprint(w, wrong.Type)
			return
		}
		fmt.Fprint(w, "ok "+id.User.Name)
	}))
	t.Cleanup(g.Close)
	return g
}

// request is one that is not signed yet.
func (g *gate) request() *http.Request {
	r, err := http.NewRequest("POST", g.URL+"/some%20path/x?b=2&a=%2F1", strings.NewReader(signedBody))
	must(g.t, err)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "Kinesis_20131202.DescribeStream")
	r.Header.Set("X-Amz-User-Agent", "two  spaces")
	return r
}

func sum(body string) string {
	h := sha256.Sum256([]byte(body))
	return hex.EncodeToString(h[:])
}

var signingCredentials = aws.Credentials{AccessKeyID: signingKey, SecretAccessKey: signingSecret}

func (g *gate) signed(at time.Time) *http.Request {
	r := g.request()
	must(g.t, v4.NewSigner().SignHTTP(g.t.Context(), signingCredentials, r, sum(signedBody), "kinesis", "eu-west-1", at))
	return r
}

func (g *gate) presigned(at time.Time, seconds string) *http.Request {
	r := g.request()
	if seconds != "" {
		q := r.URL.Query()
		q.Set("X-Amz-Expires", seconds)
		r.URL.RawQuery = q.Encode()
	}
	to, headers, err := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableHeaderHoisting = true }).PresignHTTP(
		g.t.Context(), signingCredentials, r, sum(signedBody), "kinesis", "eu-west-1", at)
	must(g.t, err)
	signed, err := http.NewRequest("POST", to, strings.NewReader(signedBody))
	must(g.t, err)
	signed.Header = headers
	return signed
}

func (g *gate) ask(r *http.Request) string {
	g.t.Helper()
	resp, err := g.Client().Do(r)
	must(g.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(g.t, err)
	return string(text)
}

// asked is ask of a request that was changed after it was signed.
func (g *gate) asked(r *http.Request, change func(*http.Request)) string {
	g.t.Helper()
	change(r)
	return g.ask(r)
}

// mutations are what can be changed in a request, whatever the form of its signature.
func mutations() map[string]func(*http.Request) {
	m := map[string]func(*http.Request){
		"method": func(r *http.Request) { r.Method = "PUT" },
		"path":   func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/other", "" },
		"host":   func(r *http.Request) { r.Host = "elsewhere:1" },
		"body": func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(`{"StreamName":"clacks"}`)), int64(len(signedBody))
		},
		"longer body": func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(signedBody+" ")), int64(len(signedBody)+1)
		},
		"no body":             func(r *http.Request) { r.Body, r.ContentLength = http.NoBody, 0 },
		"a parameter":         func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "b=2", "b=3", 1) },
		"one more parameter":  func(r *http.Request) { r.URL.RawQuery += "&c=3" },
		"one parameter twice": func(r *http.Request) { r.URL.RawQuery += "&b=2" },
		"one parameter less":  func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "b=2", "", 1) },
		"payload not signed":  func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") },
		"payload in chunks":   func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD") },
		"one more target":     func(r *http.Request) { r.Header.Add("X-Amz-Target", "Kinesis_20131202.DeleteStream") },
		"a session":           func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "x") },
		"both forms": func(r *http.Request) {
			r.URL.RawQuery += "&X-Amz-Algorithm=AWS4-HMAC-SHA256"
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 x")
		},
		"two of the same form": func(r *http.Request) {
			r.Header.Add("Authorization", "AWS4-HMAC-SHA256 x")
			r.URL.RawQuery += "&X-Amz-Signature=00"
		},
	}
	for _, name := range []string{"Content-Type", "X-Amz-Target", "X-Amz-User-Agent"} {
		m["header "+name] = func(r *http.Request) { r.Header.Set(name, r.Header.Get(name)+"x") }
		m["no header "+name] = func(r *http.Request) { r.Header.Del(name) }
	}
	return m
}

// parts replaces each part of a credential and each character of a signature.
func parts(r *http.Request, text string, replace func(old, new string)) {
	date := time.Now().UTC()
	for old, new := range map[string]string{
		signingKey: "MRAKOTHER", date.Format("20060102") + "/": date.AddDate(0, 0, -1).Format("20060102") + "/", "eu-west-1": "eu-west-2", "/kinesis/": "/firehose/",
		"aws4_request": "aws4_requesT", "host;": "", ";x-amz-target": "", "content-type;": "", "AWS4-HMAC-SHA256": "AWS4-HMAC-SHA1",
	} {
		if strings.Contains(text, old) {
			replace(old, new)
		}
	}
	_, mac, _ := strings.Cut(text, "Signature=")
	for i := range mac {
		replace("Signature="+mac[:i+1], "Signature="+mac[:i]+string("0123456789abcdef"[(strings.IndexByte("0123456789abcdef", mac[i])+1)%16]))
	}
	replace("Signature="+mac, "Signature="+mac[:62])
	replace("Signature="+mac, "Signature="+mac+"00")
}

func TestKinesisRequestsThatWereChangedAfterSigningAreRefused(t *testing.T) {
	g := newGate(t)
	at := g.at
	if got := g.ask(g.signed(at)); got != "ok "+signingKey {
		t.Fatalf("unchanged: %s", got)
	}
	refused := func(what, got string) {
		t.Helper()
		if !strings.HasSuffix(got, "Exception") {
			t.Errorf("%s changed: %s", what, got)
		}
	}
	for what, change := range mutations() {
		refused(what, g.asked(g.signed(at), change))
	}
	refused("date", g.asked(g.signed(at), func(r *http.Request) {
		r.Header.Set("X-Amz-Date", at.Add(time.Second).UTC().Format("20060102T150405Z"))
	}))
	authorization := g.signed(at).Header.Get("Authorization")
	parts(g.signed(at), authorization, func(old, new string) {
		refused(old, g.asked(g.signed(at), func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
		}))
	})
	for shift, want := range map[time.Duration]bool{
		-4*time.Minute - 50*time.Second: true, 4*time.Minute + 50*time.Second: true, -5*time.Minute - 10*time.Second: false, 5*time.Minute + 10*time.Second: false,
	} {
		if got := g.ask(g.signed(at.Add(shift))); strings.HasPrefix(got, "ok") != want {
			t.Errorf("signed %v from now: %s", shift, got)
		}
	}
}

func TestKinesisPresignedRequestsThatWereChangedAreRefused(t *testing.T) {
	g := newGate(t)
	at := g.at
	if got := g.ask(g.presigned(at, "60")); got != "ok "+signingKey {
		t.Fatalf("unchanged: %s", got)
	}
	refused := func(what, got string) {
		t.Helper()
		if !strings.HasSuffix(got, "Exception") {
			t.Errorf("%s changed: %s", what, got)
		}
	}
	for what, change := range mutations() {
		refused(what, g.asked(g.presigned(at, "60"), change))
	}
	for _, name := range []string{"X-Amz-Expires", "X-Amz-Date", "X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Algorithm"} {
		for what, edit := range map[string]func(url.Values){
			"another": func(q url.Values) { q.Set(name, strings.Replace(q.Get(name), q.Get(name)[:1], "7", 1)) },
			"no":      func(q url.Values) { q.Del(name) },
			"two":     func(q url.Values) { q.Add(name, q.Get(name)) },
		} {
			refused(what+" "+name, g.asked(g.presigned(at, "60"), func(r *http.Request) {
				q := r.URL.Query()
				edit(q)
				r.URL.RawQuery = q.Encode()
			}))
		}
	}
	query, err := url.QueryUnescape(g.presigned(at, "60").URL.RawQuery)
	must(t, err)
	parts(nil, query, func(old, new string) {
		refused(old, g.asked(g.presigned(at, "60"), func(r *http.Request) {
			raw, err := url.QueryUnescape(r.URL.RawQuery)
			must(t, err)
			r.URL.RawQuery = (&url.URL{RawQuery: strings.Replace(raw, old, new, 1)}).Query().Encode()
		}))
	})
	for _, c := range []struct {
		seconds string
		age     time.Duration
		want    bool
	}{
		{"60", 50 * time.Second, true}, {"60", 70 * time.Second, false}, {"", 14 * time.Minute, true}, {"", 16 * time.Minute, false},
		{"86400", 14 * time.Minute, true}, {"86400", 16 * time.Minute, false}, {"60", -6 * time.Minute, false}, {"-1", 0, false}, {"9999999", 0, false},
	} {
		if got := g.ask(g.presigned(at.Add(-c.age), c.seconds)); strings.HasPrefix(got, "ok") != c.want {
			t.Errorf("good for %q seconds, %v ago: %s", c.seconds, c.age, got)
		}
	}
}
