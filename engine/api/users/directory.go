package users

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/api/auth"
	"github.com/millrace-io/millrace/engine/api/policy"
	"github.com/millrace-io/millrace/engine/stream/seal"
)

// lookEvery is how often the file is looked at while there are requests: what was changed holds that much later.
const lookEvery = 200 * time.Millisecond

// Fixed is a user whom the file does not have, but the configuration of the server. It does not change.
type Fixed struct {
	Name string
	// Policy is the name of one, or a document in JSON; empty allows nothing.
	Policy       string
	Certificates []string
	// Keys are secrets by the ids of access keys.
	Keys map[string]string
}

// Options of a Directory.
type Options struct {
	// Masters returns the master keys that open secrets; it is asked only when there are some.
	Masters func() ([]seal.MasterKey, error)
	// Fixed are users besides those of the file.
	Fixed []Fixed
	Now   func() time.Time
	Log   *slog.Logger
}

// Directory knows the users of a data directory, as its file has them now. Its methods may be called from any
// goroutine.
type Directory struct {
	o    Options
	name string

	mu     sync.RWMutex // guards what follows
	looked time.Time
	stamp  stamp
	index  *index
	// opened are secrets by their sealed form, so that a key service is asked once.
	opened map[string]string
}

// stamp changes when the file does: it is replaced, not written to.
type stamp struct {
	info os.FileInfo
}

func (s stamp) same(t stamp) bool {
	if s.info == nil || t.info == nil {
		return s.info == nil && t.info == nil
	}
	return os.SameFile(s.info, t.info) && s.info.ModTime().Equal(t.info.ModTime()) && s.info.Size() == t.info.Size()
}

func stampOf(name string) stamp {
	info, err := os.Stat(name)
	if err != nil {
		return stamp{}
	}
	return stamp{info}
}

// index is the users as they are looked for.
type index struct {
	any    bool
	keys   map[string]access
	people map[string][]*auth.User // by the names of certificates
}

type access struct {
	user   *auth.User
	secret string
	key    Key
}

var _ auth.Users = (*Directory)(nil)

// Open reads the users of a data directory. When the file changes later, what it says then holds; while it cannot be
// used, what it said before, and the log says so.
func Open(ctx context.Context, data string, o Options) (*Directory, error) {
	d := &Directory{o: o, name: File(data), opened: map[string]string{}}
	d.looked, d.stamp = o.Now(), stampOf(d.name)
	var err error
	d.index, err = d.load(ctx)
	return d, err
}

// ByKey implements auth.Users.
func (d *Directory) ByKey(accessKey string) (u *auth.User, secret string, ok bool) {
	a, ok := d.current().keys[accessKey]
	if !ok || !a.key.Good(d.o.Now()) {
		return nil, "", false
	}
	return a.user, a.secret, true
}

// ByCertificate implements auth.Users.
func (d *Directory) ByCertificate(names []string) (u *auth.User, ok bool) {
	people := d.current().people
	for _, name := range names {
		for _, one := range people[name] {
			if u != nil && u != one {
				return nil, false
			}
			u = one
		}
	}
	return u, u != nil
}

// Any implements auth.Users. A file whose users were all removed counts as one with users.
func (d *Directory) Any() bool { return d.current().any }

// current are the users now.
func (d *Directory) current() *index {
	now := d.o.Now()
	d.mu.RLock()
	x, fresh := d.index, now.Sub(d.looked).Abs() < lookEvery
	d.mu.RUnlock()
	if fresh {
		return x
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looked = now
	s := stampOf(d.name)
	if s.same(d.stamp) {
		return d.index
	}
	d.stamp = s
	if s.info == nil {
		d.o.Log.Error("the file of users is gone; those that it had are kept until the server is started again", "file", d.name)
		return d.index
	}
	x, err := d.load(context.Background())
	if err != nil {
		d.o.Log.Error("the file of users changed and cannot be used; what it said before holds", "error", err)
		return d.index
	}
	d.index = x
	d.o.Log.Info("users were read again", "file", d.name)
	return x
}

// load reads the file and makes the index. The caller holds the lock, or is alone.
func (d *Directory) load(ctx context.Context) (*index, error) {
	c, there, err := load(d.name)
	if err != nil {
		return nil, err
	}
	x := &index{any: there || len(d.o.Fixed) > 0, keys: map[string]access{}, people: map[string][]*auth.User{}}
	names := map[string]bool{}
	for _, f := range d.o.Fixed {
		u, err := x.add(names, f.Name, f.Policy, f.Certificates)
		if err != nil {
			return nil, err
		}
		for id, secret := range f.Keys {
			if err := x.key(access{u, secret, Key{ID: id}}); err != nil {
				return nil, err
			}
		}
	}
	for _, f := range c.Users {
		u, err := x.add(names, f.Name, f.Policy, f.Certificates)
		if err != nil {
			return nil, err
		}
		for _, k := range f.Keys {
			secret, err := d.secret(ctx, f.Name, k)
			if err != nil {
				return nil, err
			}
			if err := x.key(access{u, secret, k}); err != nil {
				return nil, err
			}
		}
	}
	return x, nil
}

func (x *index) add(names map[string]bool, name, text string, certificates []string) (*auth.User, error) {
	if names[name] {
		return nil, fmt.Errorf("user %s is in the configuration and once more in it or in the file of users", name)
	}
	names[name] = true
	p, err := ParsePolicy(text)
	if err != nil {
		return nil, fmt.Errorf("policy of user %s: %w", name, err)
	}
	u := &auth.User{Name: name, Policy: p, Owner: text == policy.FullAccess}
	for _, c := range append([]string{name}, certificates...) {
		x.people[c] = append(x.people[c], u)
	}
	return u, nil
}

func (x *index) key(a access) error {
	if _, ok := x.keys[a.key.ID]; ok {
		return fmt.Errorf("access key %s is that of two users", a.key.ID)
	}
	x.keys[a.key.ID] = a
	return nil
}

// secret opens that of a key, once.
func (d *Directory) secret(ctx context.Context, user string, k Key) (string, error) {
	at := user + "\x00" + k.ID + "\x00" + string(k.Sealed)
	if secret, ok := d.opened[at]; ok {
		return secret, nil
	}
	masters, err := d.o.Masters()
	if err != nil {
		return "", fmt.Errorf("the secrets of access keys are sealed with master key %s: %w", k.SealedBy, err)
	}
	secret, err := k.open(ctx, user, masters)
	if err == nil {
		d.opened[at] = secret
	}
	return secret, err
}
