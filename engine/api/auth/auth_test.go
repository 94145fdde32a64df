package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 22, 1, 2, 3, 0, time.UTC)

func verifier() *Verifier {
	return &Verifier{
		Mode: Keys, Service: "kinesis", Now: func() time.Time { return now },
		Users: Static{"AK1": "secret/AK1", "AK2": "secret/AK2"},
	}
}

const body = `{"StreamName":"clicks"}`

// signed is a request that somebody signed at a time.
func signed(t *testing.T, at time.Time, change func(*http.Request)) *http.Request {
	t.Helper()
	return signedOver(t, at, change, "content-length", "content-type", "host", "x-amz-date", "x-amz-target")
}

// signedOver is signed with these headers.
func signedOver(t *testing.T, at time.Time, change func(*http.Request), headers ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequest("POST", "http://localhost:4567/a%20b?x=1&b=%2F+", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", "Kinesis_20131202.DescribeStream")
	r.Header.Set("X-Amz-Date", at.Format(timeLayout))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	if change != nil {
		change(r)
	}
	s := &signature{accessKey: "AK1", date: at.Format(dateLayout), region: "eu-west-1", service: "kinesis", at: at,
		headers: headers}
	sum := sha256.Sum256([]byte(body))
	text, err := canonical(r, s, hex.EncodeToString(sum[:]))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", algorithm+" Credential=AK1/"+s.date+"/eu-west-1/kinesis/aws4_request, SignedHeaders="+
		strings.Join(s.headers, ";")+", Signature="+hex.EncodeToString(s.sign(text, "secret/AK1")))
	return r
}

func check(t *testing.T, v *Verifier, r *http.Request) (Identity, string) {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	id, wrong := v.Check(r, b)
	if wrong == nil {
		return id, ""
	}
	return id, wrong.Type
}

func TestSignedRequestIsItsSenders(t *testing.T) {
	for _, at := range []time.Time{now, now.Add(-4 * time.Minute), now.Add(4 * time.Minute)} {
		if id, wrong := check(t, verifier(), signed(t, at, nil)); wrong != "" || id.AccessKey != "AK1" || id.Region != "eu-west-1" {
			t.Errorf("signed at %s: %+v, %s", at, id, wrong)
		}
	}
}

// TestKnownSignature is an example of AWS's documentation (GET of IAM's ListUsers).
func TestKnownSignature(t *testing.T) {
	r := httptest.NewRequest("GET", "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", nil)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Header.Set("X-Amz-Date", "20150830T123600Z")
	r.Header.Set("Authorization", algorithm+" Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, "+
		"Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7")
	v := &Verifier{
		Mode: Keys, Service: "iam", Now: func() time.Time { return time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC) },
		Users: Static{"AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"},
	}
	if _, wrong := v.Check(r, nil); wrong != nil {
		t.Error(wrong)
	}
}

func TestWhatWasChangedIsRefused(t *testing.T) {
	authorization := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
		}
	}
	for what, change := range map[string]func(*http.Request){
		"method":         func(r *http.Request) { r.Method = "PUT" },
		"path":           func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/other", "" },
		"query":          func(r *http.Request) { r.URL.RawQuery = "x=2&b=%2F+" },
		"more query":     func(r *http.Request) { r.URL.RawQuery += "&y" },
		"host":           func(r *http.Request) { r.Host = "elsewhere" },
		"target":         func(r *http.Request) { r.Header.Set("X-Amz-Target", "Kinesis_20131202.DeleteStream") },
		"second target":  func(r *http.Request) { r.Header.Add("X-Amz-Target", "Kinesis_20131202.DeleteStream") },
		"type":           func(r *http.Request) { r.Header.Set("Content-Type", "application/x-amz-cbor-1.1") },
		"date":           func(r *http.Request) { r.Header.Set("X-Amz-Date", now.Add(time.Second).Format(timeLayout)) },
		"body":           func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(body + " ")) },
		"length":         func(r *http.Request) { r.ContentLength++ },
		"claimed hash":   func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", strings.Repeat("0", 64)) },
		"access key":     authorization("AK1", "AK2"),
		"region":         authorization("eu-west-1", "eu-west-2"),
		"service":        authorization("/kinesis/", "/firehose/"),
		"scope's date":   authorization("20261122", "20261121"),
		"signed headers": authorization("content-type;", ""),
		"without target": authorization(";x-amz-target", ""),
		"without host":   authorization("host;", ""),
		"signature":      authorization("Signature=", "Signature=00"),
		"no signature":   authorization("Signature=", "Signature="+strings.Repeat("0", 64)+",x="),
		"session token":  func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "x") },
	} {
		r := signed(t, now, nil)
		change(r)
		if id, wrong := check(t, verifier(), r); wrong != "InvalidSignatureException" || id.User != nil {
			t.Errorf("%s changed: %+v, %q", what, id, wrong)
		}
	}
	for _, at := range []time.Time{now.Add(-6 * time.Minute), now.Add(6 * time.Minute)} {
		if _, wrong := check(t, verifier(), signed(t, at, nil)); wrong != "InvalidSignatureException" {
			t.Errorf("signed at %s: %q", at, wrong)
		}
	}
	unknown := verifier()
	unknown.Users = Static{}
	if _, wrong := check(t, unknown, signed(t, now, nil)); wrong != "UnrecognizedClientException" {
		t.Errorf("an unknown access key: %q", wrong)
	}
}

func TestWhatDecidesMustBeSigned(t *testing.T) {
	for what, c := range map[string]struct {
		change  func(*http.Request)
		headers []string
		want    string
	}{
		"enough":             {nil, []string{"host", "x-amz-date", "x-amz-target"}, ""},
		"not the host":       {nil, []string{"x-amz-date", "x-amz-target"}, "InvalidSignatureException"},
		"not the date":       {nil, []string{"host", "x-amz-target"}, "InvalidSignatureException"},
		"not the target":     {nil, []string{"host", "x-amz-date"}, "InvalidSignatureException"},
		"not the session":    {func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "x") }, []string{"host", "x-amz-date", "x-amz-target"}, "InvalidSignatureException"},
		"a header not there": {nil, []string{"host", "x-amz-date", "x-amz-target", "x-none"}, ""},
		"another body's hash": {func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") },
			[]string{"host", "x-amz-content-sha256", "x-amz-date", "x-amz-target"}, "InvalidSignatureException"},
	} {
		if _, wrong := check(t, verifier(), signedOver(t, now, c.change, c.headers...)); wrong != c.want {
			t.Errorf("signed is %s: %q, want %q", what, wrong, c.want)
		}
	}
}

func TestMissingAndMalformedSignaturesAreToldAlsoWhenOpen(t *testing.T) {
	open := &Verifier{Mode: Open, Now: func() time.Time { return now }}
	for header, want := range map[string]string{
		"": "MissingAuthenticationTokenException",
		"AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request, SignedHeaders=host, Signature=00": "",
		"AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request,SignedHeaders=host,Signature=00":   "",
		"AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=00":                    "IncompleteSignatureException",
		"AWS4-HMAC-SHA256": "IncompleteSignatureException",
		"Basic eDp5":       "IncompleteSignatureException",
		"AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request, SignedHeaders=host, Signature=zz": "IncompleteSignatureException",
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("X-Amz-Date", now.Format(timeLayout))
		r.Header.Set("Authorization", header)
		if _, wrong := check(t, open, r); wrong != want {
			t.Errorf("%q: %q, want %q", header, wrong, want)
		}
	}
	both := signed(t, now, func(r *http.Request) { r.URL.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256" })
	if _, wrong := check(t, open, both); wrong != "InvalidSignatureException" {
		t.Errorf("in header and query: %q", wrong)
	}
	if _, wrong := check(t, open, httptest.NewRequest("POST", "/?X-Amz-Algorithm=AWS4-HMAC-SHA256", nil)); wrong != "IncompleteSignatureException" {
		t.Errorf("half of it in the query: %q", wrong)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AK1/20261122/r/kinesis/aws4_request, SignedHeaders=host;x-amz-date, Signature=00", "a=b", "20261122T010203Z")
	f.Add("", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK/20261122/r/kinesis/aws4_request&X-Amz-Signature=00&X-Amz-SignedHeaders=host&X-Amz-Date=20261122T010203Z&X-Amz-Expires=9", "")
	f.Fuzz(func(t *testing.T, header, query, date string) {
		r := httptest.NewRequest("POST", "/", bytes.NewReader(nil))
		r.URL.RawQuery = query
		r.Header["Authorization"], r.Header["X-Amz-Date"] = []string{header}, []string{date}
		if id, wrong := verifier().Check(r, nil); wrong == nil {
			t.Errorf("%+v signed %q %q %q", id, header, query, date)
		}
	})
}

func TestKeyThatIsGoneIsNotGoodAgain(t *testing.T) {
	v := verifier()
	id, wrong := v.Check(signed(t, now, nil), []byte(body))
	if wrong != nil {
		t.Fatal(wrong)
	}
	later := func() string {
		t.Helper()
		if _, wrong := v.Again(httptest.NewRequest("POST", "/", nil), id); wrong != nil {
			return wrong.Type
		}
		return ""
	}
	if got := later(); got != "" {
		t.Error(got)
	}
	v.Users = Static{"AK2": "secret/AK2"}
	if got := later(); got != "UnrecognizedClientException" {
		t.Errorf("%q", got)
	}
	id = Identity{}
	if v.Mode = Auto; later() == "" {
		t.Error("who was not asked may go on when there are users")
	}
	if v.Users = (Static{}); later() != "" {
		t.Error("there are no users, and somebody is refused")
	}
}

func TestModeAutoIsOpenUntilThereAreUsers(t *testing.T) {
	v := verifier()
	v.Mode, v.Users = Auto, Static{}
	forged := signed(t, now, func(r *http.Request) { r.Header.Set("X-Amz-Target", "other") })
	forged.Header.Set("X-Amz-Target", "another")
	if id, wrong := check(t, v, forged); wrong != "" || id.User != nil || id.AccessKey != "AK1" {
		t.Errorf("%+v, %s", id, wrong)
	}
	v.Users = Static{"AK1": "secret/AK1"}
	if id, wrong := check(t, v, forged); wrong == "" {
		t.Errorf("%+v", id)
	}
	if everything == nil {
		t.Error("those with keys alone may do nothing")
	}
}

func TestWhatIsSignedHereIsVerified(t *testing.T) {
	for _, token := range []string{"", "session"} {
		r := httptest.NewRequest("POST", "http://localhost:4567/", strings.NewReader(body))
		r.Header.Set("X-Amz-Target", "Kinesis_20131202.DescribeStream")
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		if err := Sign(r, []byte(body), Credentials{"AK1", "secret/AK1", token}, "eu-west-1", "kinesis", now); err != nil {
			t.Fatal(err)
		}
		if id, wrong := check(t, verifier(), r); wrong != "" || id.AccessKey != "AK1" {
			t.Errorf("%+v, %s", id, wrong)
		}
	}
}
