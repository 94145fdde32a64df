package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestServeRefusesFlagsThatClientsCouldNotWorkWith(t *testing.T) {
	for flag, cure := range map[string]string{
		"--account=12":        "write twelve digits",
		"--account=":          "write twelve digits",
		"--region=us east":    "write one like us-east-1",
		"--region=":           "write one like us-east-1",
		"--shard-quota=0":     "at least 1",
		"--shard-quota=-1":    "at least 1",
		"--tls-cert=cert.pem": "give both",
	} {
		c := newCLI(t)
		// A listener that is no address ends a server that takes the flag.
		code, _, errs := c.try("serve", "--listen=x", flag)
		if code != exitUsage {
			t.Errorf("%s: exit code %d", flag, code)
		}
		want(t, errs, cure)
		if _, err := os.Stat(c.data); err == nil {
			t.Errorf("%s: a data directory was made", flag)
		}
	}
}

func TestAFileOfUsersIsCheckedAndNotRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nusers:\n  ingest: {policy: producer, access_keys: {AK: SK}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs screen
	if code := run([]string{"check", file}, &out, &errs); code != exitOK {
		t.Errorf("check: %d %s", code, errs.text.String())
	}
	want(t, out.text.String(), "no mistakes", "user", "ingest", "may do: producer")
	if code := run([]string{"check", "--json", file}, &out, &errs); code != exitOK {
		t.Errorf("check --json: %d %s", code, errs.text.String())
	}
	c := newCLI(t)
	code, _, text := c.try("run", file)
	if code != exitUsage {
		t.Errorf("run: %d", code)
	}
	want(t, text, "a file with users alone is for `millrace serve`")
	// The listener that is no address is what it fails with.
	code, _, text = c.try("serve", "--listen=x", file)
	if code != exitUsage {
		t.Errorf("serve: %d", code)
	}
	want(t, text, "--listen")
}
