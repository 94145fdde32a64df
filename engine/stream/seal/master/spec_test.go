package master

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestSpecsAreMadeAbsolute(t *testing.T) {
	here, err := filepath.Abs("a.key")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := AbsoluteSpec("file:a.key  env:K", "file:///etc/b.key"), "file:"+here+" env:K file:/etc/b.key"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSpecsThatCanBeNoKeyAreRefusedWithoutRepeatingThem(t *testing.T) {
	for _, good := range []string{"file:x", "env:K", "aws-kms://arn:aws:kms:eu:1:key/2", "hcvault://h/k file:/x"} {
		if err := CheckSpec(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", " ", "file:", "SECRETSECRET", "env:K SECRETSECRET", "x:SECRETSECRET"} {
		if err := CheckSpec(bad); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
