// Package master has the master keys that wrap a stream's data keys: keys of a file or an
// environment variable, held in memory, and keys of a service, which stay there.
//
// The invariant to remember: no key material is in a message, a log or an argument of a program.
package master

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/millrace-io/millrace/engine/stream/seal"
)

const (
	rawKeySize = 32
	// maxText bounds a key file: hundreds of keys.
	maxText = 64 << 10
)

// Local is one or more master keys in memory: the current one wraps, all open.
type Local struct {
	current string
	keys    map[string]tink.AEAD
}

var _ seal.MasterKey = (*Local)(nil)

// Parse reads the text of a key file. It is either a Tink keyset for AEAD in JSON, in clear, or
// lines of 32 bytes in base64, of which the first is the current key; empty lines and those that
// begin with # are skipped.
func Parse(text []byte) (*Local, error) {
	text = bytes.TrimSpace(text)
	switch {
	case len(text) == 0:
		return nil, errors.New("no key: want a Tink keyset in JSON, or 32 random bytes in base64 (`openssl rand -base64 32` makes one)")
	case len(text) > maxText:
		return nil, fmt.Errorf("%d bytes are too much for master keys, the limit is %d", len(text), maxText)
	case text[0] == '{':
		return parseKeyset(text)
	}
	return parseRaw(string(text))
}

func parseKeyset(text []byte) (*Local, error) {
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(text)))
	if err != nil {
		// Tink's error may quote the text.
		return nil, errors.New("not a Tink keyset in JSON, in clear")
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, errors.New("the Tink keyset is not one for AEAD, such as AES256_GCM")
	}
	l := &Local{keys: map[string]tink.AEAD{}}
	for i := range handle.Len() {
		entry, err := handle.Entry(i)
		if err != nil {
			return nil, fmt.Errorf("key %d of the Tink keyset: %w", i+1, err)
		}
		if entry.KeyStatus() != keyset.Enabled {
			continue
		}
		id := fmt.Sprintf("tink:%d", entry.KeyID())
		// A ciphertext says which key of the keyset it needs.
		l.keys[id] = primitive
		if entry.IsPrimary() {
			l.current = id
		}
	}
	return l, nil
}

func parseRaw(text string) (*Local, error) {
	l := &Local{keys: map[string]tink.AEAD{}}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return nil, fmt.Errorf("line %d is not base64", i+1)
		}
		if len(key) != rawKeySize {
			return nil, fmt.Errorf("line %d holds %d bytes, a master key has %d", i+1, len(key), rawKeySize)
		}
		id := fingerprint(key)
		primitive, err := subtle.NewAESGCM(key)
		clear(key)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		l.keys[id] = primitive
		if l.current == "" {
			l.current = id
		}
	}
	if l.current == "" {
		return nil, errors.New("no key: every line is a comment")
	}
	return l, nil
}

// fingerprint names a raw key without giving any of it away.
func fingerprint(key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("millrace master key id"))
	return "raw:" + hex.EncodeToString(mac.Sum(nil)[:8])
}

// ID implements seal.MasterKey.
func (l *Local) ID() string { return l.current }

// Opens implements seal.MasterKey.
func (l *Local) Opens(id string) bool { return l.keys[id] != nil }

// Wrap implements seal.MasterKey.
func (l *Local) Wrap(_ context.Context, key, aad []byte) ([]byte, error) {
	return l.keys[l.current].Encrypt(key, aad)
}

// Unwrap implements seal.MasterKey.
func (l *Local) Unwrap(_ context.Context, id string, wrapped, aad []byte) ([]byte, error) {
	primitive := l.keys[id]
	if primitive == nil {
		return nil, fmt.Errorf("%w: there is no key %s", seal.ErrRefused, id)
	}
	key, err := primitive.Decrypt(wrapped, aad)
	if err != nil {
		return nil, fmt.Errorf("%w: it belongs to another segment, was changed, or the key is another of the same name", seal.ErrRefused)
	}
	return key, nil
}

// Format keeps the keys out of everything that is printed.
func (l Local) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "(master key "+l.current+")")
}
