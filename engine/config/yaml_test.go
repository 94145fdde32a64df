package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/config"
)

type written struct {
	Texts  []string          `yaml:"texts"`
	Number int               `yaml:"number"`
	Below  float64           `yaml:"below"`
	On     bool              `yaml:"on"`
	Size   config.Size       `yaml:"size"`
	Age    config.Duration   `yaml:"age"`
	Map    map[string]string `yaml:"map"`
	Empty  map[string]string `yaml:"empty"`
	Inner  struct {
		Token config.Secret `yaml:"token"`
		List  []string      `yaml:"list"`
	} `yaml:"inner"`
	Key  config.Secret `yaml:"key"`
	Open config.Secret `yaml:"open"`
}

func TestWrittenNodeDecodesToTheSame(t *testing.T) {
	env := func(name string) (string, bool) {
		v, ok := map[string]string{"TEXT": "a: b # \"c\"\n${x} \u0085", "NUMBER": "-7", "NULL": "null", "TOKEN": "sesame", "EMPTY": ""}[name]
		return v, ok
	}
	const text = `
texts: [plain, "quo\ted", "true", "5", "${env:TEXT}", "${env:NULL}", "${env:EMPTY}", "$${kept}", ` + "'é: \"x\"'" + `, "- a", "{}", '<<', "a\x7fb"]
number: ${env:NUMBER}
below: -1.5e3
on: true
size: 64MiB
age: 1.5s
map: {"null": n, "a b": "", "yes": "no", k.v: "w"}
empty: {}
inner: {token: "${env:TOKEN}", list: []}
key: written-in-the-file
open: pre-${env:TOKEN}
`
	read := func(text string) (written, *config.Node) {
		t.Helper()
		d := config.NewDecoder("f.yaml", config.Options{Getenv: env})
		var w written
		n := d.Parse([]byte(text))
		d.Decode(n, &w)
		if err := d.Err(); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		return w, n
	}
	want, node := read(text)
	again := string(node.AppendYAML(nil, 0))
	for _, secret := range []string{"sesame", "written-in-the-file", "pre-"} {
		if strings.Contains(again, secret) {
			t.Errorf("a secret is in\n%s", again)
		}
	}
	got, _ := read(again)
	if got.Inner.Token.Reveal() != "sesame" {
		t.Errorf("the reference to a secret is gone:\n%s", again)
	}
	want.Key, want.Open = config.Secret{}, config.Secret{}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s\n%s", d, again)
	}
}
