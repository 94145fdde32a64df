package users

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/api/policy"
	"github.com/millrace-io/millrace/engine/stream/seal"
	"github.com/millrace-io/millrace/engine/stream/seal/master"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rig is a store and a directory of the same users, on a clock that a test moves.
type rig struct {
	*Store
	t   *testing.T
	at  time.Time
	log bytes.Buffer
	key string
}

func (r *rig) now() time.Time { return r.at }

func (r *rig) masters() ([]seal.MasterKey, error) {
	k, err := master.Open("file:"+r.key, master.Options{})
	return []seal.MasterKey{k}, err
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{t: t, at: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), key: filepath.Join(dir, "data.key")}
	_, err := master.GenerateKeyFile(r.key)
	must(t, err)
	r.Store = &Store{Data: filepath.Join(dir, "data"), Now: r.now, Master: func() (seal.MasterKey, error) { return master.Open("file:"+r.key, master.Options{}) }}
	return r
}

func (r *rig) directory(fixed ...Fixed) *Directory {
	r.t.Helper()
	d, err := Open(r.t.Context(), r.Data, Options{Masters: r.masters, Fixed: fixed, Now: r.now, Log: slog.New(slog.NewTextHandler(&r.log, nil))})
	must(r.t, err)
	return d
}

func (r *rig) add(name, policy string, certificates ...string) Made {
	r.t.Helper()
	made, err := r.Add(r.t.Context(), User{Name: name, Policy: policy, Certificates: certificates}, true)
	must(r.t, err)
	return made
}

// knows reports whether a key is good, and checks whose it is.
func knows(t *testing.T, d *Directory, name string, m Made) bool {
	t.Helper()
	u, secret, ok := d.ByKey(m.ID)
	if ok && (u.Name != name || secret != m.Secret) {
		t.Errorf("key %s is %s's, with another secret: %v", m.ID, u.Name, secret != m.Secret)
	}
	return ok
}

func TestUsersComeAndGoInARunningServer(t *testing.T) {
	r := newRig(t)
	d := r.directory()
	if d.Any() {
		t.Error("there are users before the first")
	}
	alice := r.add("alice", "read-only")
	if knows(t, d, "alice", alice) {
		t.Error("the file is looked at for every request")
	}
	r.at = r.at.Add(lookEvery)
	if !d.Any() || !knows(t, d, "alice", alice) {
		t.Error("a new user is not known")
	}
	u, _, _ := d.ByKey(alice.ID)
	must(t, r.SetPolicy(t.Context(), "alice", ""))
	r.at = r.at.Add(lookEvery)
	if changed, _, _ := d.ByKey(alice.ID); u.Policy == nil || changed.Policy != nil {
		t.Error("the policy is the former one")
	}
	must(t, r.Remove(t.Context(), "alice", ""))
	r.at = r.at.Add(lookEvery)
	if knows(t, d, "alice", alice) || !d.Any() {
		t.Error("a user who is gone is known, or the door is open")
	}
	for _, err := range []error{r.Remove(t.Context(), "alice", ""), r.SetPolicy(t.Context(), "alice", ""), r.Remove(t.Context(), "alice", "x")} {
		if !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	}
}

func TestFormerKeyIsGoodForTheGrace(t *testing.T) {
	r := newRig(t)
	first := r.add("alice", "")
	rotate := func(grace time.Duration) Made {
		t.Helper()
		made, err := r.Rotate(t.Context(), "alice", grace)
		must(t, err)
		return made
	}
	second := rotate(time.Hour)
	d := r.directory()
	good := func(want string) {
		t.Helper()
		got := fmt.Sprint(knows(t, d, "alice", first), knows(t, d, "alice", second))
		if got != want {
			t.Errorf("first and second are good: %s, want %s", got, want)
		}
	}
	good("true true")
	r.at = r.at.Add(time.Hour - time.Second)
	good("true true")
	r.at = r.at.Add(time.Second)
	good("false true")
	third, fourth := rotate(time.Hour), rotate(time.Hour)
	r.at = r.at.Add(lookEvery)
	if list, err := r.List(); err != nil || len(list[0].Keys) != MaxKeys || !knows(t, d, "alice", third) || !knows(t, d, "alice", fourth) {
		t.Errorf("%+v, %v", list, err)
	}
	good("false false")
	must(t, r.Remove(t.Context(), "alice", third.ID))
	last := rotate(0)
	r.at = r.at.Add(lookEvery)
	if list, err := r.List(); err != nil || len(list[0].Keys) != 1 || knows(t, d, "alice", third) || knows(t, d, "alice", fourth) || !knows(t, d, "alice", last) {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestSecretsAreNotInTheFile(t *testing.T) {
	r := newRig(t)
	made := r.add("alice", "full-access")
	text, err := os.ReadFile(File(r.Data))
	must(t, err)
	if len(made.Secret) != 40 || len(made.ID) != 20 || bytes.Contains(text, []byte(made.Secret)) {
		t.Errorf("secret of %d characters, key %s", len(made.Secret), made.ID)
	}
	for name, mode := range map[string]os.FileMode{File(r.Data): 0o600, filepath.Dir(File(r.Data)): 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	// A secret that is given to another user does not open.
	must(t, os.WriteFile(File(r.Data), bytes.Replace(text, []byte(`"alice"`), []byte(`"mallory"`), 1), 0o600))
	if _, err := Open(t.Context(), r.Data, Options{Masters: r.masters, Now: r.now}); !errors.Is(err, seal.ErrRefused) {
		t.Error(err)
	}
	must(t, os.WriteFile(File(r.Data), text, 0o600))
	must(t, os.Remove(r.key))
	_, err = master.GenerateKeyFile(r.key)
	must(t, err)
	if _, err := Open(t.Context(), r.Data, Options{Masters: r.masters, Now: r.now}); err == nil || !strings.Contains(err.Error(), "is sealed with master key tink:") {
		t.Error(err)
	}
}

func TestSecretsMoveToAnotherMasterKey(t *testing.T) {
	r := newRig(t)
	alice, bob := r.add("alice", ""), r.add("bob", "")
	old, err := r.masters()
	must(t, err)
	must(t, os.Remove(r.key))
	_, err = master.GenerateKeyFile(r.key)
	must(t, err)
	next, err := r.masters()
	must(t, err)
	if _, err := r.Rewrap(t.Context(), next); err == nil {
		t.Error("secrets moved without the key that opens them")
	}
	if n, err := r.Rewrap(t.Context(), append(next, old...)); n != 2 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if d := r.directory(); !knows(t, d, "alice", alice) || !knows(t, d, "bob", bob) {
		t.Error("keys are not good any more")
	}
}

func TestWhatCannotBeUsedChangesNothing(t *testing.T) {
	r := newRig(t)
	alice := r.add("alice", "read-only")
	d := r.directory()
	for _, text := range []string{"x", `{"format":2}`, `{"format":1,"users":[{"name":"a"},{"name":"a"}]}`, `{"format":1,"users":[{"name":"a/b"}]}`, `{"format":1,"users":[{"name":"a","policy":"x"}]}`} {
		must(t, os.WriteFile(File(r.Data)+".new", []byte(text), 0o600))
		must(t, os.Rename(File(r.Data)+".new", File(r.Data)))
		r.at = r.at.Add(lookEvery)
		r.log.Reset()
		if !knows(t, d, "alice", alice) || !strings.Contains(r.log.String(), "cannot be used") {
			t.Errorf("%s: %s", text, r.log.String())
		}
		if _, err := Open(t.Context(), r.Data, Options{Now: r.now}); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
	must(t, os.Remove(File(r.Data)))
	r.at = r.at.Add(lookEvery)
	if !d.Any() || !knows(t, d, "alice", alice) {
		t.Error("without the file the door is open, or closed to all")
	}
	for _, u := range []User{{Name: ""}, {Name: "a b"}, {Name: strings.Repeat("a", 65)}, {Name: "a", Policy: "x"}, {Name: "a", Policy: "{}"}} {
		if _, err := r.Add(t.Context(), u, false); err == nil {
			t.Errorf("%+v was taken", u)
		}
	}
}

func TestCertificatesNameOneUser(t *testing.T) {
	r := newRig(t)
	r.add("alice", "", "alice.example.com", "shared")
	r.add("bob", "", "shared")
	d := r.directory()
	for names, want := range map[string]string{
		"alice": "alice", "alice.example.com": "alice", "alice.example.com alice": "alice", "x alice": "alice",
		"shared": "", "alice bob": "", "x": "", "": "",
	} {
		u, ok := d.ByCertificate(strings.Fields(names))
		if ok != (want != "") || ok && u.Name != want {
			t.Errorf("%q is %+v", names, u)
		}
	}
	must(t, r.SetCertificates(t.Context(), "bob", []string{"b"}))
	r.at = r.at.Add(lookEvery)
	if u, ok := d.ByCertificate([]string{"shared"}); !ok || u.Name != "alice" {
		t.Errorf("%+v", u)
	}
}

func TestUsersOfTheConfigurationAreKnownToo(t *testing.T) {
	r := newRig(t)
	fixed := Fixed{Name: "app", Policy: "producer", Certificates: []string{"app.example.com"}, Keys: map[string]string{"AK": "secret"}}
	d := r.directory(fixed)
	if u, secret, ok := d.ByKey("AK"); !d.Any() || !ok || secret != "secret" || u.Name != "app" || u.Policy == nil {
		t.Errorf("%+v, %q", u, secret)
	}
	r.add("app", "")
	r.at = r.at.Add(lookEvery)
	if _, _, ok := d.ByKey("AK"); !ok || !strings.Contains(r.log.String(), "once more") {
		t.Error(r.log.String())
	}
	for what, list := range map[string][]Fixed{
		"a user twice": {fixed, fixed}, "a key twice": {fixed, {Name: "b", Keys: map[string]string{"AK": "x"}}}, "no such policy": {{Name: "b", Policy: "x"}},
	} {
		if _, err := Open(t.Context(), t.TempDir(), Options{Fixed: list, Now: r.now}); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}

func TestFullAccessByItsNameOwnsTheServer(t *testing.T) {
	r := newRig(t)
	document, _ := policy.Named(policy.FullAccess)
	r.add("alice", policy.FullAccess)
	r.add("bob", document)
	d := r.directory(Fixed{Name: "carol", Policy: policy.FullAccess}, Fixed{Name: "dave", Policy: "read-only"})
	for name, owner := range map[string]bool{"alice": true, "bob": false, "carol": true, "dave": false} {
		if u, ok := d.ByCertificate([]string{name}); !ok || u.Owner != owner {
			t.Errorf("%s: %+v", name, u)
		}
	}
}

func TestManyMayAddUsersAtOnce(t *testing.T) {
	r := newRig(t)
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			if _, err := r.Add(context.Background(), User{Name: fmt.Sprint("u", i)}, true); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if list, err := r.List(); err != nil || len(list) != 20 {
		t.Errorf("%d, %v", len(list), err)
	}
	if _, err := r.Add(t.Context(), User{Name: "u3"}, true); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"format":1,"users":[{"name":"alice","policy":"read-only","keys":[{"id":"MRAK","sealed_by":"tink:1","sealed":"AA=="}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		must(t, os.MkdirAll(filepath.Dir(File(dir)), 0o700))
		must(t, os.WriteFile(File(dir), text, 0o600))
		d, err := Open(t.Context(), dir, Options{Masters: func() ([]seal.MasterKey, error) { return nil, nil }, Now: time.Now})
		if err == nil && !d.Any() {
			t.Error("a file, and the door is open")
		}
	})
}
