package stream

import (
	"context"
	"errors"
	"fmt"
)

// Encrypter is a Backend that can keep records encrypted at rest.
type Encrypter interface {
	// CheckKey returns nil if the master key of that name can be used for a stream. Error: ErrKey.
	CheckKey(ctx context.Context, stream, key string) error
	// Rewrap wraps the data keys of a stream's segments with what its master key is now, also when
	// that changed behind its name, and returns how many. Records are not touched. After an error
	// some are wrapped and the others as before.
	Rewrap(ctx context.Context, stream string) (segments int, err error)
}

// ErrKey: the master key that a stream is to be encrypted with is named wrongly, missing or no key. A key
// service that does not answer is another error.
var ErrKey = errors.New("no usable key")

var errNoEncryption = errors.New("the backend does not encrypt records")

// encrypted reports whether what is written is encrypted.
func (s Settings) encrypted() bool { return s.KeyID != "" && s.Encryption != NoEncryption }

func (s *Stream) checkKey(ctx context.Context, key string) error {
	if key == "" {
		return nil
	}
	e, ok := s.backend.(Encrypter)
	if !ok {
		return fmt.Errorf("%w: %w", ErrInvalid, errNoEncryption)
	}
	return e.CheckKey(ctx, s.name, key)
}

// Encrypt encrypts what is written from now on with a master key, whose name the backend knows. What
// was encrypted with another key needs both: they are a name together.
func (s *Stream) Encrypt(ctx context.Context, key string) error {
	err := s.checkKey(ctx, key)
	if err == nil && key == "" {
		err = fmt.Errorf("%w: no key", ErrInvalid)
	}
	if err != nil {
		return fmt.Errorf("encrypt stream %q: %w", s.name, err)
	}
	return s.Configure(ctx, Settings{KeyID: key, Encryption: AtRest})
}

// Decrypt writes in clear from now on. What is encrypted stays so, and readable.
func (s *Stream) Decrypt(ctx context.Context) error {
	return s.Configure(ctx, Settings{Encryption: NoEncryption})
}

// Rewrap is Encrypter.Rewrap.
func (s *Stream) Rewrap(ctx context.Context) (segments int, err error) {
	e, ok := s.backend.(Encrypter)
	if !ok {
		return 0, fmt.Errorf("wrap the keys of stream %q again: %w", s.name, errNoEncryption)
	}
	return e.Rewrap(ctx, s.name)
}
