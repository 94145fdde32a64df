package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/config"
)

// Whatever the file: no panic, every place is within it, and what a variable holds is not printed.
func FuzzDecode(f *testing.F) {
	f.Add(good)
	f.Add("motto: \"${env:SECRET} \\\n x\"\nworkers: ${env:SECRET}\nhost: http${env:SECRET}\n")
	files, err := filepath.Glob("testdata/bad/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, c := range strings.Split("\n"+string(data), "\n=== ")[1:] {
			_, rest, _ := strings.Cut(c, "\n")
			text, _, _ := strings.Cut(rest, "\n--- want\n")
			f.Add(text)
		}
	}
	const secret = "Ž5ecret-Ž"
	f.Fuzz(func(t *testing.T, text string) {
		d := config.NewDecoder("f.yaml", config.Options{
			Getenv:   func(string) (string, bool) { return secret, true },
			ReadFile: func(string) ([]byte, error) { return []byte(secret), nil },
		})
		var s shop
		root := d.Parse([]byte(text))
		d.Decode(root, &s)
		lines := strings.Split(strings.ReplaceAll(strings.ReplaceAll(strings.TrimPrefix(text, "\uFEFF"), "\r\n", "\n"), "\r", "\n"), "\n")
		for _, e := range append(d.Errors(), d.Warnings()...) {
			if e.Line < 1 || e.Line > len(lines) || e.Column < 1 || e.Column > utf8.RuneCountInString(lines[e.Line-1])+1 {
				t.Errorf("%v is outside of %q", e, text)
			}
			if strings.Contains(e.Message, secret) && !strings.Contains(text, secret) {
				t.Errorf("%v prints a value", e)
			}
		}
		walk(t, root, lines)
		_ = fmt.Sprintf("%+v", s)
	})
}

func walk(t *testing.T, n *config.Node, lines []string) {
	if n == nil {
		return
	}
	if at, exact := n.Find(""); at != n || !exact {
		t.Errorf("%s does not find itself", n.Path)
	}
	for i := range 40 {
		if line, column := n.Position(i/10, i%10); line < 1 || line > len(lines) || column < 1 {
			t.Errorf("%s: %d:%d", n.Path, line, column)
		}
	}
	for _, child := range append(n.Values, n.Items...) {
		walk(t, child, lines)
	}
}
