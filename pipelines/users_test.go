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
	if w := p.Warnings.Error(); !strings.Contains(w, "users are asked for by `millrace serve`, not by this source") {
		t.Error(w)
	}
}
