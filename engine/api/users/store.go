package users

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/stream/seal"
	"github.com/millrace-io/millrace/engine/vfs"
)

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("there is no such user or key")
	ErrExists   = errors.New("there is such a user already")
)

// Others that change the users are soon done.
const (
	patience = 3 * time.Second
	tryEvery = 20 * time.Millisecond
)

// Store changes the users of a data directory, whether a server uses it or not.
type Store struct {
	// Data is the data directory.
	Data string
	// Master returns the key that seals secrets; it is asked only when one is made.
	Master func() (seal.MasterKey, error)
	Now    func() time.Time
}

// List returns the users by their names, without secrets, sealed or not.
func (s *Store) List() ([]User, error) {
	c, _, err := load(File(s.Data))
	list := make([]User, 0, len(c.Users))
	for _, u := range c.Users {
		list = append(list, u.listed())
	}
	return list, err
}

// Made is an access key with its secret, which nobody is told again.
type Made struct {
	Key
	Secret string
}

// Add makes a user, with an access key if withKey. Errors: ErrExists; others name what is wrong.
func (s *Store) Add(ctx context.Context, u User, withKey bool) (made Made, err error) {
	if err := CheckName(u.Name); err != nil {
		return made, err
	}
	if _, err := ParsePolicy(u.Policy); err != nil {
		return made, fmt.Errorf("policy of user %s: %w", u.Name, err)
	}
	u.Created = s.Now().UTC().Truncate(time.Second)
	err = s.change(ctx, func(c *contents) error {
		if slices.ContainsFunc(c.Users, func(x User) bool { return x.Name == u.Name }) {
			return fmt.Errorf("user %s: %w", u.Name, ErrExists)
		}
		if withKey {
			if made, err = s.key(ctx, u.Name); err != nil {
				return err
			}
			u.Keys = []Key{made.Key}
		}
		c.Users = append(c.Users, u)
		slices.SortFunc(c.Users, func(a, b User) int { return strings.Compare(a.Name, b.Name) })
		return nil
	})
	return made, err
}

func (s *Store) key(ctx context.Context, user string) (made Made, err error) {
	master, err := s.Master()
	if err != nil {
		return made, err
	}
	made.Key, made.Secret, err = newKey(ctx, user, master, s.Now())
	return made, err
}

// SetPolicy changes what a user may do. Error: ErrNotFound.
func (s *Store) SetPolicy(ctx context.Context, name, text string) error {
	if _, err := ParsePolicy(text); err != nil {
		return fmt.Errorf("policy of user %s: %w", name, err)
	}
	return s.edit(ctx, name, func(u *User) error { u.Policy = text; return nil })
}

// SetCertificates changes the names of certificates that are a user's. Error: ErrNotFound.
func (s *Store) SetCertificates(ctx context.Context, name string, names []string) error {
	return s.edit(ctx, name, func(u *User) error { u.Certificates = names; return nil })
}

// Rotate makes another access key. Those that the user has are good for the grace yet; of them the youngest stays.
// Error: ErrNotFound.
func (s *Store) Rotate(ctx context.Context, name string, grace time.Duration) (made Made, err error) {
	err = s.edit(ctx, name, func(u *User) error {
		if made, err = s.key(ctx, name); err != nil {
			return err
		}
		now := s.Now()
		end := now.Add(grace).UTC().Truncate(time.Second)
		var old []Key
		for _, k := range u.Keys {
			if k.Expires.IsZero() || k.Expires.After(end) {
				k.Expires = end
			}
			if k.Good(now) {
				old = append(old, k)
			}
		}
		u.Keys = append(old[max(0, len(old)-(MaxKeys-1)):], made.Key)
		return nil
	})
	return made, err
}

// Remove removes a user, or with a key's id that key alone. Error: ErrNotFound.
func (s *Store) Remove(ctx context.Context, name, key string) error {
	if key == "" {
		return s.change(ctx, func(c *contents) error {
			n := len(c.Users)
			if c.Users = slices.DeleteFunc(c.Users, func(u User) bool { return u.Name == name }); len(c.Users) == n {
				return missing(name, "")
			}
			return nil
		})
	}
	return s.edit(ctx, name, func(u *User) error {
		n := len(u.Keys)
		if u.Keys = slices.DeleteFunc(u.Keys, func(k Key) bool { return k.ID == key }); len(u.Keys) == n {
			return missing(name, key)
		}
		return nil
	})
}

func missing(name, key string) error {
	if key == "" {
		return fmt.Errorf("user %s: %w", name, ErrNotFound)
	}
	return fmt.Errorf("user %s, access key %s: %w", name, key, ErrNotFound)
}

// Rewrap seals all secrets with the current master key; masters open those that are there. It returns how many there
// are.
func (s *Store) Rewrap(ctx context.Context, masters []seal.MasterKey) (n int, err error) {
	err = s.change(ctx, func(c *contents) error {
		current, err := s.Master()
		if err != nil {
			return err
		}
		for i := range c.Users {
			u := &c.Users[i]
			for j := range u.Keys {
				secret, err := u.Keys[j].open(ctx, u.Name, masters)
				if err != nil {
					return err
				}
				if err := u.Keys[j].seal(ctx, u.Name, secret, current); err != nil {
					return err
				}
				n++
			}
		}
		return nil
	})
	return n, err
}

// edit changes a user.
func (s *Store) edit(ctx context.Context, name string, edit func(*User) error) error {
	return s.change(ctx, func(c *contents) error {
		for i := range c.Users {
			if c.Users[i].Name == name {
				return edit(&c.Users[i])
			}
		}
		return missing(name, "")
	})
}

// change changes the file while nobody else does.
func (s *Store) change(ctx context.Context, edit func(*contents) error) (err error) {
	name := File(s.Data)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fmt.Errorf("change users: %w", err)
	}
	lock, err := s.lock(ctx, filepath.Join(filepath.Dir(name), "LOCK"))
	if err != nil {
		return fmt.Errorf("change users: %w", err)
	}
	defer func() { err = errors.Join(err, lock()) }()
	c, _, err := load(name)
	if err != nil {
		return err
	}
	if err := edit(&c); err != nil {
		return err
	}
	return save(name, c)
}

// lock waits until nobody else has the file locked.
func (s *Store) lock(ctx context.Context, name string) (unlock func() error, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		lock, err := vfs.OS{}.Lock(name, fmt.Sprintf("pid %d", os.Getpid()))
		var locked *vfs.LockedError
		if err == nil {
			return lock.Close, nil
		}
		if !errors.As(err, &locked) {
			return nil, err
		}
		retry := time.NewTimer(tryEvery)
		select {
		case <-retry.C:
		case <-ctx.Done():
			retry.Stop()
			return nil, err
		}
	}
}
