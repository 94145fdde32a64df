package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFieldDocsAreUpToDate(t *testing.T) {
	want, err := Generate("../../..", "github.com/millrace-io/millrace", "pipelines")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../../pipelines/fielddocs_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("pipelines/fielddocs_gen.go is not up to date; run: go generate ./pipelines")
	}
}

func TestDocsAreTakenFromFieldsWithAYAMLTag(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a/a.go", "package a\n\n// T is\ntype T struct {\n\t// A is \"one\"\n\t// thing.\n\tA int `yaml:\"a\"`\n\t// B has no tag.\n\tB int\n\tC int `yaml:\"c\"` // C is beside.\n}\n")
	write("a/a_test.go", "package a\n\ntype U struct {\n\t// A.\n\tA int `yaml:\"a\"`\n}\n")
	write("other/go.mod", "module other\n")
	write("other/o.go", "package other\n\ntype V struct {\n\t// A.\n\tA int `yaml:\"a\"`\n}\n")
	text, err := Generate(root, "m", "p")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"package p\n", `"m/a.T.A": "A is \"one\" thing.",`, `"m/a.T.C": "C is beside.",`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if n := strings.Count(string(text), "m/"); n != 2 {
		t.Errorf("%d entries in\n%s", n, text)
	}
}
