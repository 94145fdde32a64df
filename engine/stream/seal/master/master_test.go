package master

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/stream/seal"
)

const raw = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// TestMain plays the helper program when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && (os.Args[1] == "wrap" || os.Args[1] == "unwrap") {
		os.Exit(playHelper(os.Args[1], os.Args[2]))
	}
	os.Exit(m.Run())
}

// playHelper wraps by appending the associated data.
func playHelper(verb, uri string) int {
	switch uri {
	case "toy://down":
		fmt.Fprintln(os.Stderr, "cannot reach the service")
		return 1
	case "toy://noise":
		fmt.Println(strings.Repeat("x", 1<<20))
		return 0
	}
	var m Message
	if err := json.NewDecoder(os.Stdin).Decode(&m); err != nil {
		return 1
	}
	reply := Message{Wrapped: append(m.Key, m.AAD...)}
	if verb == "unwrap" {
		key, ok := strings.CutSuffix(string(m.Wrapped), string(m.AAD))
		if !ok {
			fmt.Fprintln(os.Stderr, "access denied")
			return ExitRefused
		}
		reply = Message{Key: []byte(key)}
	}
	_ = json.NewEncoder(os.Stdout).Encode(reply)
	return 0
}

func helper(t *testing.T, uri string) seal.MasterKey {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(uri, Options{Helper: self})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestHelperWrapsAndUnwraps(t *testing.T) {
	m := helper(t, "toy://key")
	wrapped, err := m.Wrap(context.Background(), []byte("a key"), []byte("segment"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := m.Unwrap(context.Background(), m.ID(), wrapped, []byte("segment"))
	if err != nil || string(key) != "a key" {
		t.Fatalf("unwrapped %q, %v", key, err)
	}
	_, err = m.Unwrap(context.Background(), m.ID(), wrapped, []byte("other"))
	if !errors.Is(err, seal.ErrRefused) || !strings.Contains(err.Error(), "access denied") {
		t.Errorf("other segment: %v", err)
	}
}

func TestHelperThatFailsSaysWhy(t *testing.T) {
	_, err := helper(t, "toy://down").Wrap(context.Background(), []byte("a secret key"), nil)
	if err == nil || errors.Is(err, seal.ErrRefused) || !strings.Contains(err.Error(), "cannot reach the service") {
		t.Errorf("service down: %v", err)
	}
	if _, err = helper(t, "toy://noise").Wrap(context.Background(), nil, nil); err == nil || len(err.Error()) > 500 {
		t.Errorf("noise: %v", err)
	}
	m, err := Open("aws-kms://arn:aws:kms:eu-west-1:1:key/x", Options{Helper: "no-such-program"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = m.Wrap(context.Background(), nil, nil); err == nil || !strings.Contains(err.Error(), "docs/encryption.md") {
		t.Errorf("missing program: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err = helper(t, "toy://key").Wrap(ctx, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func wraps(t *testing.T, m seal.MasterKey) []byte {
	t.Helper()
	wrapped, err := m.Wrap(context.Background(), []byte("a key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return wrapped
}

func opened(t *testing.T, spec string) seal.MasterKey {
	t.Helper()
	m, err := Open(spec, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestGeneratedKeyFileIsPrivateAndReplacesNothing(t *testing.T) {
	name := filepath.Join(t.TempDir(), "orders.key")
	id, err := GenerateKeyFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if m := opened(t, "file:"+name); m.ID() != id || !m.Opens(id) {
		t.Errorf("the file holds %s, not %s", m.ID(), id)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	before, _ := os.ReadFile(name)
	if _, err := GenerateKeyFile(name); !errors.Is(err, os.ErrExist) {
		t.Errorf("second time: %v", err)
	}
	if after, _ := os.ReadFile(name); string(after) != string(before) {
		t.Error("the key file was replaced")
	}
}

func TestRotatedKeyFileOpensWhatTheOldKeyWrapped(t *testing.T) {
	for _, kind := range []string{"keyset", "raw"} {
		t.Run(kind, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "orders.key")
			if kind == "raw" {
				if err := os.WriteFile(name, []byte("# made by hand\n"+raw+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if _, err := GenerateKeyFile(name); err != nil {
				t.Fatal(err)
			}
			old := opened(t, "file:"+name)
			wrapped := wraps(t, old)
			id, err := RotateKeyFile(name)
			if err != nil {
				t.Fatal(err)
			}
			m := opened(t, "file:"+name)
			if m.ID() != id || id == old.ID() {
				t.Errorf("current key %s, want %s, was %s", m.ID(), id, old.ID())
			}
			if key, err := m.Unwrap(context.Background(), old.ID(), wrapped, nil); err != nil || string(key) != "a key" {
				t.Errorf("unwrapped %q, %v", key, err)
			}
			if old.Opens(id) {
				t.Error("the old file opens the new key's")
			}
		})
	}
}

func TestEnvironmentHoldsTheText(t *testing.T) {
	env := map[string]string{"KEY": raw}
	m, err := Open("env:KEY", Options{Getenv: func(n string) string { return env[n] }})
	if err != nil || !strings.HasPrefix(m.ID(), "raw:") {
		t.Fatalf("%v, %v", m, err)
	}
	_, err = Open("env:OTHER", Options{Getenv: func(n string) string { return env[n] }})
	if err == nil || !strings.Contains(err.Error(), "OTHER") {
		t.Errorf("missing variable: %v", err)
	}
}

func TestBadKeysAreRefusedWithoutQuotingThem(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "no key",
		"# only\n# comments":            "every line is a comment",
		"sesame-sesame":                 "line 1 is not base64",
		"# mine\n\nc2VzYW1lc2VzYW1l":    "line 3 holds 12 bytes",
		`{"sesame": 1}`:                 "not a Tink keyset",
		`{"primaryKeyId":1,"key":[]}`:   "Tink keyset",
		strings.Repeat("sesame", 20000): "too much",
	} {
		_, err := Parse([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: error %v, want %q", text, err, want)
		} else if strings.Contains(err.Error(), "sesame") || strings.Contains(err.Error(), "c2VzYW1l") {
			t.Errorf("the error quotes the key: %v", err)
		}
	}
	for _, spec := range []string{"", "sesame", "file:", raw, "hcvault://sesame@vault/transit/keys/x"} {
		if m, err := Open(spec, Options{}); err == nil || strings.Contains(err.Error(), "sesame") || strings.Contains(err.Error(), raw) {
			t.Errorf("%.20q: %v, %v", spec, m, err)
		}
	}
	if _, err := Open("file:"+filepath.Join(t.TempDir(), "none.key"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(raw))
	f.Add([]byte("# x\n" + raw + "\n" + raw))
	f.Add([]byte(`{"primaryKeyId":1,"key":[{"keyData":{"typeUrl":"x","value":"","keyMaterialType":"SYMMETRIC"},"status":"ENABLED","keyId":1,"outputPrefixType":"TINK"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := Parse(text)
		if err == nil && (l.ID() == "" || !l.Opens(l.ID())) {
			t.Errorf("%q was accepted and has no current key", text)
		}
	})
}

func TestRingOpensWithAllKeysOfItsSetting(t *testing.T) {
	dir := t.TempDir()
	var specs []string
	for _, n := range []string{"old", "new"} {
		name := filepath.Join(dir, n)
		if _, err := GenerateKeyFile(name); err != nil {
			t.Fatal(err)
		}
		specs = append(specs, "file:"+name)
	}
	ring := func(spec string) *seal.Ring {
		t.Helper()
		r, err := Ring("orders", spec, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	ctx := context.Background()
	_, wrapped, err := ring(specs[0]).NewSegmentKey(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if wrapped, err = ring(specs[1]+" "+specs[0]).Rewrap(ctx, wrapped, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := ring(specs[1]).OpenSegmentKey(ctx, wrapped, nil); err != nil {
		t.Error(err)
	}
	for _, spec := range []string{"", " ", specs[0] + " file:" + filepath.Join(dir, "none")} {
		if _, err := Ring("orders", spec, Options{}); err == nil {
			t.Errorf("%q was accepted", spec)
		}
	}
}
