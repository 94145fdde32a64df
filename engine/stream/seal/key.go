package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

const (
	// Overhead is how many bytes longer a sealed frame is than its plaintext.
	Overhead = 16

	keySize   = 32
	nonceSize = 12
)

// ErrDamaged reports bytes that the key does not open: they, the counter or the associated data
// are not those that were sealed.
var ErrDamaged = errors.New("sealed bytes do not open: they were changed or moved")

var (
	errReused   = errors.New("seal: the counter did not rise, and a repeated one would give the key away")
	errReadOnly = errors.New("seal: a key that was opened again seals nothing, since its counters are used")
)

// SegmentKey is the data key of one segment: AES-256-GCM with the counter as nonce.
type SegmentKey struct {
	aead   cipher.AEAD
	nonces sync.Pool

	// next is the lowest counter that Seal accepts.
	next uint64
	// fresh is set on a key that was made for a new segment.
	fresh bool
}

// newSegmentKey takes over key and clears it.
func newSegmentKey(key []byte, fresh bool) (*SegmentKey, error) {
	defer clear(key)
	if len(key) != keySize {
		return nil, fmt.Errorf("a data key of %d bytes, want %d", len(key), keySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	k := &SegmentKey{aead: aead, fresh: fresh}
	k.nonces.New = func() any { return new([nonceSize]byte) }
	return k, nil
}

// Seal appends the sealed plaintext to dst. Counters must rise from call to call, and only a key
// of NewSegmentKey seals: whatever happens, no nonce is used twice. It is for one goroutine at a
// time. dst may be plaintext[:0].
func (k *SegmentKey) Seal(dst, plaintext, aad []byte, counter uint64) ([]byte, error) {
	if !k.fresh {
		return nil, errReadOnly
	}
	if counter < k.next || counter == ^uint64(0) {
		return nil, errReused
	}
	k.next = counter + 1
	nonce := k.nonce(counter)
	dst = k.aead.Seal(dst, nonce[:], plaintext, aad)
	k.nonces.Put(nonce)
	return dst, nil
}

// Open appends the plaintext of sealed bytes to dst, which may be sealed[:0]. Any goroutine may
// call it. Error: ErrDamaged; what dst's memory holds behind its length is lost then.
func (k *SegmentKey) Open(dst, sealed, aad []byte, counter uint64) ([]byte, error) {
	nonce := k.nonce(counter)
	dst, err := k.aead.Open(dst, nonce[:], sealed, aad)
	k.nonces.Put(nonce)
	if err != nil {
		return nil, ErrDamaged
	}
	return dst, nil
}

// nonce comes from a pool, because the cipher's interface would move it to the heap.
func (k *SegmentKey) nonce(counter uint64) *[nonceSize]byte {
	nonce := k.nonces.Get().(*[nonceSize]byte)
	binary.BigEndian.PutUint64(nonce[nonceSize-8:], counter)
	return nonce
}

// Format keeps the key out of everything that is printed.
func (k *SegmentKey) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "(segment key)")
}
