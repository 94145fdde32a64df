package main

import (
	"os"
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
