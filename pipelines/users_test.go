package pipelines_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/api/policy"
	"github.com/millrace-io/millrace/engine/api/users"
	"github.com/millrace-io/millrace/pipelines"
	"github.com/millrace-io/millrace/sources"
)

func TestUsersOfAFileHaveTheirPoliciesAndKeys(t *testing.T) {
	c := fakes()
	door := c.Sources[0]
	door.Type, door.AnyStream = "door", true
	c.Sources = []sources.Component{c.Sources[0], door}
	file := filepath.Join(t.TempDir(), "p.yaml")
	text := `version: 1
streams: {clicks: }
sources: {aws: {type: door, paths: [a]}}
users:
  alice: {policy: read-only, certificates: [a.example.com]}
  bob:
    access_keys: {AK1: "${env:PASSWORD}"}
    policy:
      Version: "2012-10-17"
      Statement:
        Effect: Allow
        Action: [kinesis:Put*]
        Resource: arn:aws:kinesis:*:*:stream/$${aws:username}
        Condition: {Bool: {"aws:SecureTransport": false}}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := pipelines.Load(file, c, pipelines.LoadOptions{Getenv: func(string) (string, bool) { return "hunter2", true }})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Users) != 2 || p.Users[0].Policy != "read-only" || p.Users[0].Certificates[0] != "a.example.com" || p.Users[1].Keys["AK1"] != "hunter2" {
		t.Fatalf("%d users", len(p.Users))
	}
	d, err := users.ParsePolicy(p.Users[1].Policy)
	if err != nil {
		t.Fatal(err)
	}
	for stream, want := range map[string]policy.Decision{"bob": policy.Allowed, "clicks": policy.NotAllowed} {
		r := &policy.Request{Caller: policy.Caller{User: "bob", Account: "000000000000"}, Action: "kinesis:PutRecord", Resource: "arn:aws:kinesis:us-east-1:000000000000:stream/" + stream}
		if got := policy.Decide(r, d, nil); got != want {
			t.Errorf("bob on %s: %d", stream, got)
		}
	}
}

func TestUsersAloneAreForThoseWhoServe(t *testing.T) {
	load := func(text string, usersAlone bool) (*pipelines.Pipeline, error) {
		file := filepath.Join(t.TempDir(), "p.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return pipelines.Load(file, fakes(), pipelines.LoadOptions{UsersAlone: usersAlone})
	}
	const alone = "version: 1\nusers:\n  alice: {policy: read-only}\n"
	if p, err := load(alone, true); err != nil || len(p.Users) != 1 || len(p.Streams) != 0 {
		t.Error(err)
	}
	if err := validator(t, fakes()).Validate(instance(t, alone)); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		text       string
		usersAlone bool
		want       string
	}{
		{alone, false, "a file with users alone is for `millrace serve`"},
		{"version: 1\n", true, `1:1: missing key "streams"`},
		{"version: 1\nusers:\n", true, `1:1: missing key "streams"`},
		{alone + "streams:\n", true, "4:1: streams: there are no streams"},
		{alone + "stream: {a: }\n", true, "did you mean \"streams\"?"},
		{alone + "sinks: {out: {type: store, from: a, url: x}}\n", true, `unknown input "a"`},
		{strings.Replace(alone, "version: 1\n", "", 1), true, `missing key "version"`},
	} {
		if _, err := load(c.text, c.usersAlone); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.text, err, c.want)
		}
	}
}
