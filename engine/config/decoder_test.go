package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/config"
)

const good = `
name: 007
motto: |
  two
  lines
size: 64MiB
age: 1d12h
pause: 250ms
token: ${env:WORD}
workers: "${env:NUMBER}"
small: 255
ratio: 1e-1
open: true
codec: zstd
since: 2026-01-31T00:00:00Z
limit: 3
paths: ["${file:key.txt}", plain, 5]
labels: {b: "$${env:X}", a: "${env:MISSING:-fall-back}"}
buffer: {size: 1KB}
doors: [{color: red}, {color: green}]
rooms:
  zoo: {tags: [x]}
  attic: {beds: 7, tags: [y]}
host: 127.0.0.1
`

func TestGoodFileFillsEveryField(t *testing.T) {
	var got shop
	d := decode(t, good, &got)
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	for i := range got.Rooms {
		got.Rooms[i].Node = nil
	}
	three := 3
	want := shop{
		Name: "007", Motto: "two\nlines\n", Size: 64 * config.MiB, Age: config.Duration(36 * time.Hour), Pause: 250 * time.Millisecond,
		Token: config.NewSecret("sesame"), Workers: 8, Small: 255, Ratio: 0.1, Open: true, Codec: "zstd",
		Since: time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC), Limit: &three, Paths: []string{"from a file", "plain", "5"},
		Labels: map[string]string{"b": "${env:X}", "a": "fall-back"}, Buffer: buffer{Size: 1000},
		Doors:  []door{{"red"}, {"green"}},
		Rooms:  config.Map[room]{{ID: "zoo", Value: room{2, []string{"x"}}}, {ID: "attic", Value: room{7, []string{"y"}}}},
		common: common{Host: "127.0.0.1"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(shop{}, config.Node{}), cmp.Comparer(func(a, b *config.Node) bool { return true })); diff != "" {
		t.Error(diff)
	}
	if w := d.Warnings(); len(w) != 0 {
		t.Error("warnings:", w)
	}
}

func TestKeysNotInTheFileKeepTheirDefaults(t *testing.T) {
	got := shop{Workers: 5, Paths: []string{"default"}, Buffer: buffer{Size: 7}}
	if err := decode(t, "name: a\nbuffer:\npaths:\nrooms:\nlabels:\ndoors:\n", &got).Err(); err != nil {
		t.Fatal(err)
	}
	if got.Workers != 5 || got.Buffer.Size != 7 || got.Paths[0] != "default" {
		t.Errorf("%+v", got)
	}
}

func TestStructsShareOneMapping(t *testing.T) {
	var head struct {
		Type string `yaml:"type" required:"true"`
	}
	var rest buffer
	if err := decode(t, "type: x\nrows: 3\n", &head, &rest).Err(); err != nil || head.Type != "x" || rest.Rows != 3 {
		t.Error(err, head, rest)
	}
	err := decode(t, "typ: x\nrow: 3\n", &head, &rest).Err()
	want := "shop.yaml:1:1: unknown key \"typ\"; did you mean \"type\"?\nshop.yaml:2:1: unknown key \"row\"; did you mean \"rows\"?"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestSecretWrittenInTheFileIsAWarning(t *testing.T) {
	d := decode(t, "name: a\ntoken: hunter2\n", &shop{})
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	want := "shop.yaml:2:1: token: a secret is written in the file; use ${env:NAME} or ${file:PATH}"
	if got := d.Warnings().Error(); got != want {
		t.Errorf("got %s", got)
	}
}

func TestFilesBeyondTheLimitsAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"size":   {"name: " + strings.Repeat("x", 1<<20), "the file is larger than 1MiB"},
		"depth":  {"motto: " + strings.Repeat("{a: ", 100_000), "nested too deeply"},
		"blocks": {nested(50), "nested too deeply"},
		"bomb":   {bomb(), "aliases"},
		"ids":    {"name: a\nrooms:\n" + numbered(1001), "more than 1000 entries"},
	} {
		err := decode(t, c.text, &shop{}).Err()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %.200v", name, err)
		}
	}
}

func nested(depth int) string {
	var b strings.Builder
	for i := range depth {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("  r" + strings.Repeat("x", i) + ": {tags: [a]}\n")
	}
	return b.String()
}

// bomb would be 9^9 elements long if aliases were followed.
func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x]\n")
	for i := range 9 {
		prev := "*a" + string(rune('0'+i))
		name := "a" + string(rune('1'+i))
		b.WriteString(name + ": &" + name + " [" + strings.TrimSuffix(strings.Repeat(prev+",", 9), ",") + "]\n")
	}
	return b.String()
}

func TestInterpolatedTextsTogetherAreBounded(t *testing.T) {
	var text strings.Builder
	text.WriteString("name: a\nlabels:\n")
	for i := range 50 {
		text.WriteString("  l" + strings.Repeat("x", i) + ": ${env:BIG}\n")
	}
	big := strings.Repeat("x", 100_000)
	d := config.NewDecoder("shop.yaml", config.Options{Getenv: func(string) (string, bool) { return big, true }})
	d.Decode(d.Parse([]byte(text.String())), &shop{})
	if err := d.Err(); err == nil || !strings.Contains(err.Error(), "all ${…} together are larger than 4MiB") {
		t.Errorf("got %.300v", err)
	}
}

func TestReferencedFilesAreReadRelativeToTheFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("open sesame\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := config.NewDecoder(filepath.Join(dir, "shop.yaml"), config.Options{})
	var got shop
	d.Decode(d.Parse([]byte("name: a\ntoken: ${file:token}\n")), &got)
	if err := d.Err(); err != nil || got.Token.Reveal() != "open sesame" {
		t.Errorf("got %q, %v", got.Token.Reveal(), err)
	}
	d = config.NewDecoder(filepath.Join(dir, "shop.yaml"), config.Options{})
	d.Decode(d.Parse([]byte("name: ${file:/dev/zero}\nmotto: ${file:.}\n")), &got)
	if err := d.Err(); err == nil || strings.Count(err.Error(), "not a regular file") != 2 {
		t.Errorf("got %v", err)
	}
}

func TestReadFileRefusesWhatIsTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "big.yaml")
	if err := os.WriteFile(path, make([]byte, 1<<20+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.ReadFile(path); err == nil || !strings.Contains(err.Error(), "larger than 1MiB") {
		t.Errorf("got %v", err)
	}
}

// Hostile files must not cost more than a moment, whatever they are full of.
func TestHostileFilesAreCheap(t *testing.T) {
	long := strings.Repeat("x", 60)
	for name, text := range map[string]string{
		"unknown keys":  manyKeys(4_000),
		"references":    "name: \"" + strings.Repeat("${env:NUMBER}", 20_000) + "\"",
		"unset":         "paths: [" + strings.Repeat("\"${env:X}\",", 4_000) + "]",
		"wrong items":   "doors: [" + strings.Repeat(long+",", 3_000) + "]",
		"spaces":        "name: a" + strings.Repeat(" ", 300_000) + "b",
		"empty doors":   "doors: [" + strings.Repeat("{},", 10_000) + "]",
		"long one line": "name: a\nmotto: >\n  " + strings.Repeat("y ", 150_000),
	} {
		began := used(t)
		d := decode(t, text, &shop{})
		_ = d.Err()
		if root := d.Parse([]byte(text)); root != nil && root.Get("motto") != nil {
			root.Get("motto").Position(1, 250_000)
		}
		if spent := used(t) - began; spent > time.Minute {
			t.Errorf("%s: %v", name, spent)
		} else {
			t.Logf("%s: %v", name, spent)
		}
	}
}

// used is the time that processors worked for this process: others have a share of the clock's.
func used(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("k" + strings.Repeat("y", i%40) + string(rune('a'+i%26)) + time.Duration(i).String() + ": 1\n")
	}
	return b.String()
}
