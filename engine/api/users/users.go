// Package users keeps those who may send requests to a data directory: their access keys, the certificates by which
// they are known, and the policies that say what each may do. A file holds them; whoever changes it needs no running
// server, and a server that runs follows it.
//
// The invariant to remember: the secret of a key is in clear nowhere on disk. The server needs it to verify
// signatures, so it is sealed with a master key that lies elsewhere, not hashed; docs/decisions/0019 says why.
package users

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/api/policy"
	"github.com/millrace-io/millrace/engine/stream/seal"
)

// File is where the users of a data directory are.
func File(data string) string { return filepath.Join(data, "access", "users.json") }

const (
	// format is the version of the file, docs/formats/users.md.
	format = 1
	// maxFile bounds the file, in bytes.
	maxFile = 16 << 20
	// MaxKeys is how many access keys a user has at most (AWS: two).
	MaxKeys = 2
)

// contents is the file.
type contents struct {
	Format int    `json:"format"`
	Users  []User `json:"users"`
}

// User is one of the file.
type User struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	// Policy is the name of one, or a document in JSON; empty allows nothing.
	Policy string `json:"policy"`
	// Certificates are names of client certificates that are the user's, besides the user's own name.
	Certificates []string `json:"certificates"`
	Keys         []Key    `json:"keys"`
}

// Key is an access key of a user.
type Key struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	// Expires is when it is good no more; zero is never.
	Expires time.Time `json:"expires,omitzero"`
	// SealedBy names the master key that Sealed needs. Lists have neither.
	SealedBy string `json:"sealed_by,omitempty"`
	// Sealed is the secret.
	Sealed []byte `json:"sealed,omitempty"`
}

// listed is the user as everybody may see it: without what is sealed, and with lists where there is nothing to list.
func (u User) listed() User {
	u.Certificates = append([]string{}, u.Certificates...)
	keys := make([]Key, 0, len(u.Keys))
	for _, k := range u.Keys {
		keys = append(keys, Key{ID: k.ID, Created: k.Created, Expires: k.Expires})
	}
	u.Keys = keys
	return u
}

// Good reports whether the key is good at a time.
func (k *Key) Good(at time.Time) bool { return k.Expires.IsZero() || at.Before(k.Expires) }

// aad binds a sealed secret to its place, so that one that is copied to another user does not open.
func aad(user, id string) []byte { return []byte("millrace access key\x00" + user + "\x00" + id) }

// nameForm is what a name looks like (IAM, user names). It does not change.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9+=,.@_-]{1,64}$`)

// CheckName refuses what can be no name of a user.
func CheckName(name string) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf("user name %q: want 1 to 64 letters, digits and characters of +=,.@_-", name)
	}
	return nil
}

// ParsePolicy reads what a user's policy says: a name or a document. Nothing is nil, which allows nothing.
func ParsePolicy(text string) (*policy.Document, error) {
	if text == "" {
		return nil, nil
	}
	if named, ok := policy.Named(text); ok {
		text = named
	} else if !strings.HasPrefix(strings.TrimSpace(text), "{") {
		return nil, fmt.Errorf("policy %q is not known: want a document in JSON or one of %s", text, policy.Names())
	}
	return policy.Parse(text, policy.Identity)
}

// load reads the file. One that is not there has no users; there says so.
func load(name string) (c contents, there bool, err error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return contents{Format: format}, false, nil
	}
	if err != nil {
		return c, false, fmt.Errorf("read users: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	if err == nil {
		c, err = parse(text)
	}
	if err != nil {
		return c, true, fmt.Errorf("read users from %s: %w", name, err)
	}
	return c, true, nil
}

func parse(text []byte) (c contents, err error) {
	if err := json.Unmarshal(text, &c); err != nil {
		return c, err
	}
	if c.Format != format {
		return c, fmt.Errorf("format %d is not known to this version, which writes %d", c.Format, format)
	}
	names, ids := map[string]bool{}, map[string]bool{}
	for _, u := range c.Users {
		if err := CheckName(u.Name); err != nil {
			return c, err
		}
		if names[u.Name] {
			return c, fmt.Errorf("user %s is there twice", u.Name)
		}
		names[u.Name] = true
		for _, k := range u.Keys {
			if k.ID == "" || ids[k.ID] {
				return c, fmt.Errorf("user %s: access key %q is empty or there twice", u.Name, k.ID)
			}
			ids[k.ID] = true
		}
	}
	return c, nil
}

// save replaces the file, which only its owner may read.
func save(name string, c contents) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write users: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(name+".new", name)
	}
	if err == nil {
		err = syncDir(filepath.Dir(name))
	}
	if err != nil {
		return fmt.Errorf("write users: %w", err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// newKey makes an access key with a random secret, sealed.
func newKey(ctx context.Context, user string, master seal.MasterKey, now time.Time) (k Key, secret string, err error) {
	var b [40]byte
	_, _ = rand.Read(b[:]) // it never fails
	// Not AKIA, by which scanners know the keys of AWS.
	k = Key{ID: "MRAK" + base32.StdEncoding.EncodeToString(b[:10]), Created: now.UTC().Truncate(time.Second)}
	secret = base64.RawURLEncoding.EncodeToString(b[10:])
	return k, secret, k.seal(ctx, user, secret, master)
}

// seal puts the secret in.
func (k *Key) seal(ctx context.Context, user, secret string, master seal.MasterKey) (err error) {
	k.SealedBy = master.ID()
	k.Sealed, err = master.Wrap(ctx, []byte(secret), aad(user, k.ID))
	if err != nil {
		return fmt.Errorf("seal the secret of access key %s: %w", k.ID, err)
	}
	return nil
}

// open returns the secret of a key.
func (k *Key) open(ctx context.Context, user string, masters []seal.MasterKey) (string, error) {
	for _, m := range masters {
		if !m.Opens(k.SealedBy) {
			continue
		}
		secret, err := m.Unwrap(ctx, k.SealedBy, k.Sealed, aad(user, k.ID))
		if err != nil {
			return "", fmt.Errorf("open the secret of access key %s of user %s: %w", k.ID, user, err)
		}
		return string(secret), nil
	}
	return "", fmt.Errorf("the secret of access key %s of user %s is sealed with master key %s, which is not given", k.ID, user, k.SealedBy)
}
