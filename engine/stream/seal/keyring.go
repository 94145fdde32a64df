package seal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Keyring makes and opens the data keys of one stream's segments. All methods may be called from
// any goroutine. aad is what the key belongs to: a wrapped key that was moved elsewhere does not
// open. Errors: *KeyError; others are those of a key service that could not be reached, and the
// caller may try again.
type Keyring interface {
	// NewSegmentKey makes a random data key and wraps it, in at most MaxWrapped bytes.
	NewSegmentKey(ctx context.Context, aad []byte) (key *SegmentKey, wrapped []byte, err error)
	// OpenSegmentKey unwraps a data key for reading.
	OpenSegmentKey(ctx context.Context, wrapped, aad []byte) (*SegmentKey, error)
	// Rewrap wraps the same data key with the current master key. What it sealed stays as it is.
	Rewrap(ctx context.Context, wrapped, aad []byte) ([]byte, error)
	// ID names the current master key, for people and for headers. It is no secret.
	ID() string
}

// MasterKey wraps data keys. It may be a service, so that the key never comes here. All methods
// may be called from any goroutine.
type MasterKey interface {
	// ID names the key that Wrap uses: 1 to 256 bytes of printable text, no secret.
	ID() string
	// Opens reports whether Unwrap knows the key of an ID: Wrap's, or one that it replaced.
	Opens(id string) bool
	// Wrap encrypts a data key of 32 bytes, to 1024 bytes at most.
	Wrap(ctx context.Context, key, aad []byte) ([]byte, error)
	// Unwrap is the reverse; the caller may clear the result. ErrRefused says that trying again
	// is pointless.
	Unwrap(ctx context.Context, id string, wrapped, aad []byte) ([]byte, error)
}

// ErrRefused is what a MasterKey's error wraps when the key does not open a data key, or its
// owner does not allow it.
var ErrRefused = errors.New("the master key does not open the data key")

// KeyError reports that a stream's records cannot be read, or written, with the master key given.
// Nothing was changed.
type KeyError struct {
	Stream string
	// Want names the master key that the records need, Have the one that was given; Have is
	// empty when none was.
	Want, Have string
	// Err is the cause, if there is more to say.
	Err error
}

func (e *KeyError) Error() string {
	switch {
	case e.Have == "":
		return fmt.Sprintf("stream %q is encrypted with master key %s and no key is given: set `encryption.key` of the stream", e.Stream, e.Want)
	case e.Err != nil:
		return fmt.Sprintf("stream %q: master key %s: %v", e.Stream, e.Have, e.Err)
	}
	return fmt.Sprintf("stream %q is encrypted with master key %s and the key given is %s: give the former, or add it to the key file behind the new one",
		e.Stream, e.Want, e.Have)
}

func (e *KeyError) Unwrap() error { return e.Err }

// Missing is the error of a stream whose wrapped data key nobody can open, because no master key
// was given.
func Missing(stream string, wrapped []byte) error {
	w, err := decodeWrapped(wrapped)
	if err != nil {
		return fmt.Errorf("stream %q: %w", stream, err)
	}
	return &KeyError{Stream: stream, Want: w.id}
}

// Ring is the Keyring of a stream.
type Ring struct {
	stream string
	master MasterKey
	older  []MasterKey
}

var _ Keyring = (*Ring)(nil)

// NewRing returns the keyring of a stream that wraps with master. older are master keys of before,
// which open only: a stream moves from one to another by Rewrap.
func NewRing(stream string, master MasterKey, older ...MasterKey) *Ring {
	return &Ring{stream: stream, master: master, older: slices.Clone(older)}
}

// ID implements Keyring.
func (r *Ring) ID() string { return r.master.ID() }

// NewSegmentKey implements Keyring.
func (r *Ring) NewSegmentKey(ctx context.Context, aad []byte) (*SegmentKey, []byte, error) {
	data := make([]byte, keySize)
	// It never fails: without randomness the program ends.
	_, _ = rand.Read(data)
	wrapped, err := r.wrap(ctx, data, aad)
	if err != nil {
		clear(data)
		return nil, nil, err
	}
	key, err := newSegmentKey(data, true)
	return key, wrapped, err
}

func (r *Ring) wrap(ctx context.Context, data, aad []byte) ([]byte, error) {
	id := r.master.ID()
	wrapped, err := r.master.Wrap(ctx, data, aad)
	if err != nil {
		return nil, r.failed("wrap", id, err)
	}
	return wrappedKey{id: id, key: wrapped}.encode()
}

// OpenSegmentKey implements Keyring.
func (r *Ring) OpenSegmentKey(ctx context.Context, wrapped, aad []byte) (*SegmentKey, error) {
	data, err := r.unwrap(ctx, wrapped, aad)
	if err != nil {
		return nil, err
	}
	return newSegmentKey(data, false)
}

func (r *Ring) unwrap(ctx context.Context, wrapped, aad []byte) ([]byte, error) {
	w, err := decodeWrapped(wrapped)
	if err != nil {
		return nil, fmt.Errorf("stream %q: %w", r.stream, err)
	}
	master := r.find(w.id)
	if master == nil {
		return nil, &KeyError{Stream: r.stream, Want: w.id, Have: r.master.ID()}
	}
	data, err := master.Unwrap(ctx, w.id, w.key, aad)
	if err != nil {
		return nil, r.failed("unwrap", w.id, err)
	}
	return data, nil
}

func (r *Ring) find(id string) MasterKey {
	if r.master.Opens(id) {
		return r.master
	}
	for _, m := range r.older {
		if m.Opens(id) {
			return m
		}
	}
	return nil
}

// failed tells a key that will not do from a service that is not there.
func (r *Ring) failed(what, id string, err error) error {
	if errors.Is(err, ErrRefused) {
		return &KeyError{Stream: r.stream, Want: id, Have: id, Err: err}
	}
	return fmt.Errorf("%s a data key of stream %q with master key %s: %w", what, r.stream, id, err)
}

// Rewrap implements Keyring.
func (r *Ring) Rewrap(ctx context.Context, wrapped, aad []byte) ([]byte, error) {
	data, err := r.unwrap(ctx, wrapped, aad)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	return r.wrap(ctx, data, aad)
}

// Format keeps the keys out of everything that is printed: fmt would not ask the master key, since
// the field is not exported.
func (r Ring) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "(keyring of "+r.stream+", "+r.master.ID()+")")
}
