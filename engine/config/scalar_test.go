package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/config"
)

func TestSizesReadAndPrint(t *testing.T) {
	for _, c := range []struct {
		text  string
		want  config.Size
		text2 string
	}{
		{"0", 0, "0B"}, {"1", 1, "1B"}, {"1023", 1023, "1023B"}, {"1KiB", 1024, "1KiB"}, {"64MiB", 64 << 20, "64MiB"},
		{"1GB", 1e9, "1GB"}, {"512 kib", 512 << 10, "512KiB"}, {"1.5GiB", 3 << 29, "1536MiB"}, {"0.5KB", 500, "500B"},
		{"8388607TiB", 8388607 << 40, "8388607TiB"}, {" 3B ", 3, "3B"}, {"1TB", 1e12, "1TB"},
	} {
		got, err := config.ParseSize(c.text)
		if err != nil || got != c.want || got.String() != c.text2 {
			t.Errorf("%s: got %d, %q, %v", c.text, got, got, err)
		}
		again, err := config.ParseSize(got.String())
		if err != nil || again != got {
			t.Errorf("%s does not read back: %v", got, err)
		}
	}
	for _, text := range []string{"", "B", "-1", "1.", ".5", "1..5", "1e3", "8388608TiB", "9223372036854775808", "1 2", "1Ki", "0x10", "１"} {
		if got, err := config.ParseSize(text); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
}

func TestDurationsReadAndPrint(t *testing.T) {
	for _, c := range []struct {
		text  string
		want  time.Duration
		text2 string
	}{
		{"0", 0, "0s"}, {"60s", time.Minute, "1m"}, {"24h", 24 * time.Hour, "24h"}, {"7d", 168 * time.Hour, "168h"},
		{"1d12h", 36 * time.Hour, "36h"}, {"1.5d", 36 * time.Hour, "36h"}, {"90m", 90 * time.Minute, "1h30m"},
		{"100ms", 100 * time.Millisecond, "100ms"}, {"1h0m1s", time.Hour + time.Second, "1h0m1s"}, {"0d", 0, "0s"},
	} {
		got, err := config.ParseDuration(c.text)
		if err != nil || got.Std() != c.want || got.String() != c.text2 {
			t.Errorf("%s: got %v, %v", c.text, got, err)
		}
	}
	for _, text := range []string{"", "60", "d", "-1s", "-1d", "1d-1h", "1h1d", "1dd", "200000d", "106751d24h", "s", "1 d 1 h x"} {
		if got, err := config.ParseDuration(text); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	const text = "hunter2"
	type inner struct{ secret config.Secret }
	s := config.NewSecret(text)
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%p"} {
		for _, v := range []any{s, &s, inner{s}, &inner{s}, []config.Secret{s}, map[string]config.Secret{"a": s}, []inner{{s}}, struct{ Any any }{s}} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "secret", s, "inner", inner{s}, "struct", struct{ S config.Secret }{s})
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "secret", s, "inner", inner{s}, "struct", struct{ S config.Secret }{s})
	for _, v := range []any{s, &s, inner{s}, struct{ S config.Secret }{s}, map[string]any{"a": s}} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(text)
	}
	if hex := fmt.Sprintf("%x", text); strings.Contains(out.String(), text) || strings.Contains(out.String(), hex) {
		t.Errorf("printed: %s", out.String())
	}
	if s.Reveal() != text || s.Empty() || !(config.Secret{}).Empty() || !s.Equal(config.NewSecret(text)) {
		t.Error("the secret itself is lost")
	}
}

func TestSuggestionsAreCloseWords(t *testing.T) {
	known := []string{"bucket", "buffer", "format", "prefix", "s3"}
	for word, want := range map[string]string{
		"bufer": "buffer", "bukcet": "bucket", "Format": "format", "s4": "s3", "x": "", "completely": "", "": "",
		strings.Repeat("b", 1000): "",
	} {
		if got := config.Suggest(word, known); got != want {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
}
