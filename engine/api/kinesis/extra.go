package kinesis

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/stream"
)

// extraFormat is the version of the documents, docs/formats/meta.md.
const extraFormat = 1

// extra is what the API knows of a stream beyond the stream's own document.
type extra struct {
	Format int `json:"format"`
	// Incarnation of the stream; what another one had is forgotten.
	Incarnation string `json:"incarnation"`
	// KeyID as the client named it.
	KeyID string `json:"key_id,omitempty"`
	// Monitoring are the metrics that are on.
	Monitoring []string `json:"monitoring,omitempty"`
	// Warm throughput in MiB/s.
	Warm int64 `json:"warm,omitempty"`
	// Auto says that records are spread whatever their keys are.
	Auto      bool       `json:"auto,omitempty"`
	Policy    string     `json:"policy,omitempty"`
	Consumers []consumer `json:"consumers,omitempty"`
}

// consumer is one that is registered, by name.
type consumer struct {
	Name    string            `json:"name"`
	Created time.Time         `json:"created"`
	Tags    map[string]string `json:"tags,omitempty"`
	Policy  string            `json:"policy,omitempty"`
}

// account is what the API knows beyond streams.
type account struct {
	Format int `json:"format"`
	// Secret signs iterators and tokens.
	Secret []byte `json:"secret"`
	// Commitment is when that to a minimum throughput began; zero without one.
	Commitment time.Time `json:"commitment,omitzero"`
}

const accountKey = "kinesis/account"

func extraKey(name string) string { return "kinesis/streams/" + name }

// extras keeps the documents, which nobody but this process changes.
type extras struct {
	meta stream.Meta
	// changing is held while a document is changed.
	changing sync.Mutex

	mu    sync.RWMutex // guards cache
	cache map[string]extra
}

// get returns what is known of a stream. The caller must not change it.
func (x *extras) get(ctx context.Context, st *stream.Stream) (extra, error) {
	x.mu.RLock()
	e, ok := x.cache[st.Name()]
	x.mu.RUnlock()
	if ok && e.Incarnation == st.Incarnation() {
		return e, nil
	}
	e, _, err := x.load(ctx, st)
	if err != nil {
		return e, err
	}
	x.mu.Lock()
	x.cache[st.Name()] = e
	x.mu.Unlock()
	return e, nil
}

func (x *extras) load(ctx context.Context, st *stream.Stream) (e extra, revision uint64, err error) {
	fresh := extra{Format: extraFormat, Incarnation: st.Incarnation()}
	value, revision, err := x.meta.Get(ctx, extraKey(st.Name()))
	if errors.Is(err, stream.ErrNotFound) {
		return fresh, 0, nil
	}
	if err == nil {
		err = json.Unmarshal(value, &e)
	}
	if err == nil && e.Format != extraFormat {
		err = fmt.Errorf("format %d is not known to this version, which writes %d", e.Format, extraFormat)
	}
	if err != nil {
		return e, 0, fmt.Errorf("document %s: %w", extraKey(st.Name()), err)
	}
	if e.Incarnation != fresh.Incarnation {
		return fresh, revision, nil
	}
	return e, revision, nil
}

// change edits what is known of a stream; it is durable when nil is returned. The edit must replace slices and
// maps instead of changing them.
func (x *extras) change(ctx context.Context, st *stream.Stream, edit func(*extra) error) error {
	x.changing.Lock()
	defer x.changing.Unlock()
	e, revision, err := x.load(ctx, st)
	if err == nil {
		err = edit(&e)
	}
	if err != nil {
		return err
	}
	value, err := json.Marshal(e)
	if err == nil {
		_, err = x.meta.CAS(ctx, extraKey(st.Name()), value, revision)
	}
	if err != nil {
		return fmt.Errorf("change document %s: %w", extraKey(st.Name()), err)
	}
	x.mu.Lock()
	x.cache[st.Name()] = e
	x.mu.Unlock()
	return nil
}

// forget removes what was known of a stream that is gone.
func (x *extras) forget(ctx context.Context, name string) error {
	x.changing.Lock()
	defer x.changing.Unlock()
	x.mu.Lock()
	delete(x.cache, name)
	x.mu.Unlock()
	_, revision, err := x.meta.Get(ctx, extraKey(name))
	if errors.Is(err, stream.ErrNotFound) {
		return nil
	}
	if err == nil {
		err = x.meta.Delete(ctx, extraKey(name), revision)
	}
	return err
}

// account edits the document of the account and returns it. A nil edit only looks.
func (x *extras) account(ctx context.Context, edit func(*account)) (a account, err error) {
	x.changing.Lock()
	defer x.changing.Unlock()
	value, revision, err := x.meta.Get(ctx, accountKey)
	if err == nil {
		err = json.Unmarshal(value, &a)
	} else if errors.Is(err, stream.ErrNotFound) {
		err = nil
	}
	if err == nil && revision != 0 && (a.Format != extraFormat || len(a.Secret) == 0) {
		err = fmt.Errorf("format %d is not known to this version, which writes %d", a.Format, extraFormat)
	}
	if err != nil {
		return a, fmt.Errorf("document %s: %w", accountKey, err)
	}
	if edit == nil && revision != 0 {
		return a, nil
	}
	if revision == 0 {
		a = account{Format: extraFormat, Secret: make([]byte, 32)}
		_, _ = rand.Read(a.Secret) // it never fails
	}
	if edit != nil {
		edit(&a)
	}
	value, err = json.Marshal(a)
	if err == nil {
		_, err = x.meta.CAS(ctx, accountKey, value, revision)
	}
	return a, err
}

// secret is that of tokens, made at the first time.
func (x *extras) secret(ctx context.Context) ([]byte, error) {
	a, err := x.account(ctx, nil)
	return a.Secret, err
}
