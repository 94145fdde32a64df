package disk

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/millrace-io/millrace/engine/stream"
	"github.com/millrace-io/millrace/engine/stream/seal"
)

var _ stream.Encrypter = (*Backend)(nil)

// keyrings are those of a stream, by the names of their master keys.
type keyrings struct {
	mu    sync.Mutex
	known map[string]seal.Keyring
}

func (d *streamDir) keyring(b *Backend, name, key string) (seal.Keyring, error) {
	d.keyrings.mu.Lock()
	defer d.keyrings.mu.Unlock()
	if k := d.keyrings.known[key]; k != nil {
		return k, nil
	}
	k, err := b.keyring(name, key)
	if err != nil {
		return nil, err
	}
	if d.keyrings.known == nil {
		d.keyrings.known = map[string]seal.Keyring{}
	}
	d.keyrings.known[key] = k
	return k, nil
}

// forgetKeys makes the next use of a master key look for it anew.
func (d *streamDir) forgetKeys() {
	d.keyrings.mu.Lock()
	defer d.keyrings.mu.Unlock()
	clear(d.keyrings.known)
}

func (b *Backend) keyring(name, key string) (seal.Keyring, error) {
	if b.options.Keys == nil {
		return nil, fmt.Errorf("stream %q is encrypted with master key %q, and this process has no master keys", name, key)
	}
	k, err := b.options.Keys(name, key)
	if err != nil {
		return nil, fmt.Errorf("master key of stream %q: %w", name, err)
	}
	return k, nil
}

// failedKeys is the keyring of a stream whose master key cannot be used.
type failedKeys struct{ err error }

func (k failedKeys) ID() string { return "" }

func (k failedKeys) NewSegmentKey(context.Context, []byte) (*seal.SegmentKey, []byte, error) {
	return nil, nil, k.err
}

func (k failedKeys) OpenSegmentKey(context.Context, []byte, []byte) (*seal.SegmentKey, error) {
	return nil, k.err
}

func (k failedKeys) Rewrap(context.Context, []byte, []byte) ([]byte, error) { return nil, k.err }

// CheckKey implements stream.Encrypter.
func (b *Backend) CheckKey(ctx context.Context, name, key string) error {
	k, err := b.keyring(name, key)
	if err != nil {
		return fmt.Errorf("%w: %w", stream.ErrKey, err)
	}
	aad := []byte("millrace check")
	_, wrapped, err := k.NewSegmentKey(ctx, aad)
	if err == nil {
		_, err = k.OpenSegmentKey(ctx, wrapped, aad)
	}
	return err
}

// Rewrap implements stream.Encrypter. A stream that is not open has nothing to wrap.
func (b *Backend) Rewrap(ctx context.Context, name string) (segments int, err error) {
	b.mu.Lock()
	dir := b.streams[name]
	b.mu.Unlock()
	if dir == nil {
		return 0, nil
	}
	dir.forgetKeys()
	var errs []error
	for _, l := range b.logs() {
		key := l.settings.Load().key
		if l.stream != dir || key == "" {
			continue
		}
		keys, err := dir.keyring(b, name, key)
		if err != nil {
			return segments, err
		}
		l.renew(key, keys)
		n, err := l.rewrap(ctx, keys)
		segments += n
		errs = append(errs, err)
	}
	return segments, errors.Join(errs...)
}

// renew exchanges the keyring that a name stands for.
func (l *Log) renew(key string, keys seal.Keyring) {
	for {
		old := l.settings.Load()
		if old.key != key {
			return
		}
		s := *old
		s.keys = keys
		if l.settings.CompareAndSwap(old, &s) {
			return
		}
	}
}

// rewrap wraps the data keys of all segments again.
func (l *Log) rewrap(ctx context.Context, keys seal.Keyring) (n int, err error) {
	// Segments are not removed meanwhile.
	l.removing.Lock()
	defer l.removing.Unlock()
	l.mu.RLock()
	segments := l.segments
	l.mu.RUnlock()
	var errs []error
	for _, s := range segments {
		if ctx.Err() != nil {
			return n, ctx.Err()
		}
		done, err := l.rewrapSegment(ctx, s, keys)
		if err != nil {
			errs = append(errs, fmt.Errorf("wrap the key of %s again: %w", l.segmentPath(s), err))
		}
		if done {
			n++
		}
	}
	return n, errors.Join(errs...)
}

// rewrapSegment touches nothing but the key slots. The old one is wiped only when the new one is
// durable, so that a crash leaves one that counts.
func (l *Log) rewrapSegment(ctx context.Context, s *segment, keys seal.Keyring) (done bool, err error) {
	f, err := l.backend.fs.OpenReadWrite(l.segmentPath(s))
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h, err := l.readHeader(f, s)
	if err != nil || !h.encrypted {
		return false, err
	}
	slot, at, err := l.readSlot(f)
	if err != nil {
		return false, err
	}
	wrapped, err := keys.Rewrap(ctx, slot.wrapped, l.identity(s))
	if err != nil {
		return false, err
	}
	fresh, err := keySlot{generation: slot.generation + 1, wrapped: wrapped}.encode()
	if err != nil {
		return false, err
	}
	l.slots.Lock()
	defer l.slots.Unlock()
	for _, w := range []struct {
		b  []byte
		at int64
	}{{fresh, slotOffset(1 - at)}, {make([]byte, slotSize), slotOffset(at)}} {
		if _, err := f.WriteAt(w.b, w.at); err != nil {
			return false, err
		}
		if err := f.Sync(); err != nil {
			return false, err
		}
	}
	return true, nil
}
