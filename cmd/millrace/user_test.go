package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// userRun is `millrace user` on a directory.
func userRun(t *testing.T, data string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return (&cli{t, data}).try(append([]string{"user"}, args...)...)
}

var printedSecret = regexp.MustCompile(`AWS_SECRET_ACCESS_KEY=(\S{40})\n`)

func TestUserCommandsTellASecretOnce(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	code, out, errs := userRun(t, data, "add", "alice", "--policy", "read-only", "--certificate", "alice.example.com")
	m := printedSecret.FindStringSubmatch(out)
	if code != 0 || m == nil || !strings.HasPrefix(out, "user alice may do: read-only\n") || errs != "" {
		t.Fatalf("%d %q %q", code, out, errs)
	}
	for _, args := range [][]string{{"list"}, {"list", "--json"}, {"policy", "alice"}} {
		code, out, errs := userRun(t, data, args...)
		if code != 0 || strings.Contains(out+errs, m[1]) || !strings.Contains(out, "alice") && !strings.Contains(out, "kinesis:Get*") {
			t.Errorf("%v: %d %q %q", args, code, out, errs)
		}
	}
	text, err := os.ReadFile(filepath.Join(data, "access", "users.json"))
	if err != nil || bytes.Contains(text, []byte(m[1])) {
		t.Errorf("the file has the secret, or cannot be read: %v", err)
	}
	_, out, _ = userRun(t, data, "list", "--json")
	if !regexp.MustCompile(`^\[\s*\{\s*"name": "alice",\s*"created": "[^"]+",\s*"policy": "read-only",\s*"certificates": \[\s*"alice.example.com"\s*\],\s*` +
		`"keys": \[\s*\{\s*"id": "MRAK[A-Z2-7]{16}",\s*"created": "[^"]+"\s*\}\s*\]\s*\}\s*\]\s*$`).MatchString(out) {
		t.Errorf("as JSON: %s", out)
	}
	if code, out, _ := userRun(t, data, "rotate", "alice", "--grace", "1h"); code != 0 || printedSecret.FindStringSubmatch(out) == nil {
		t.Errorf("rotate: %d %q", code, out)
	}
	if code, out, _ := userRun(t, data, "add", "bob", "--no-key"); code != 0 || strings.Contains(out, "SECRET") {
		t.Errorf("without a key: %d %q", code, out)
	}
	if _, out, _ := userRun(t, data, "list", "--json"); !regexp.MustCompile(`"policy": "",\s*"certificates": \[\],\s*"keys": \[\]`).MatchString(out) {
		t.Errorf("one with nothing, as JSON: %s", out)
	}
	if code, _, _ := userRun(t, data, "certificate", "bob", "b.example.com"); code != 0 {
		t.Errorf("certificate: %d", code)
	}
	if code, out, _ := userRun(t, data, "remove", "alice"); code != 0 || out != "user alice is removed\n" {
		t.Errorf("remove: %d %q", code, out)
	}
}

func TestMistakesWithUsersNameTheCure(t *testing.T) {
	dir := t.TempDir()
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "p.json")
	if err := os.WriteFile(file, []byte("{\"Statement\": {\n  \"Effect\": \"Alow\", \"Action\": \"*\", \"Resource\": \"*\"}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := userRun(t, data, "add", "alice", "--policy", `{"Statement":{"Effect":"Allow","Action":["kinesis:PutRecrod","kinesis:Get*"],"Resource":"*"}}`); code != 0 ||
		errs != "warning: policy: there is no action that matches kinesis:PutRecrod\n" {
		t.Errorf("%d %q", code, errs)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"add", "alice"}, "user alice: there is such a user already"},
		{[]string{"add", "a/b"}, "want 1 to 64 letters, digits"},
		{[]string{"add", "bob", "--policy", "readonly"}, `policy "readonly" is not known: want a document in JSON or one of full-access`},
		{[]string{"add", "bob", "--policy", "@" + file}, file + `:2:13: Effect must be "Allow" or "Deny"`},
		{[]string{"policy", "alice", "@" + file + "x"}, "no such file"},
		{[]string{"policy", "bob"}, "user bob: there is no such user"},
		{[]string{"policy", "bob", "none"}, "user bob: there is no such user"},
		{[]string{"rotate", "alice", "--grace=-1h"}, "--grace -1h0m0s is before now"},
		{[]string{"remove", "alice", "--key", "x"}, "user alice, access key x: there is no such user or key"},
		{[]string{"certificate", "bob"}, "there is no such user"},
	} {
		if code, _, errs := userRun(t, data, c.args...); code != exitUsage || !strings.Contains(errs, c.want) {
			t.Errorf("%v: %d %q, want %s", c.args, code, errs, c.want)
		}
	}
}

func TestNoKeyFileIsMadeInPlaceOfALostOne(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	if code, _, errs := userRun(t, data, "add", "alice"); code != 0 {
		t.Fatal(errs)
	}
	if err := os.Rename(data+".key", data+".away"); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"add", "bob"}, {"rotate", "alice"}, {"rewrap"}} {
		code, _, errs := userRun(t, data, args...)
		if code == 0 || !strings.Contains(errs, "data.key is gone: bring it back") {
			t.Errorf("%v: %d %q", args, code, errs)
		}
	}
	if code, _, errs := userRun(t, data, "remove", "alice"); code != 0 {
		t.Errorf("remove: %s", errs)
	}
	if code, _, errs := userRun(t, data, "add", "carol"); code != 0 {
		t.Errorf("when nothing is sealed: %s", errs)
	}
}
