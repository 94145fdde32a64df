package config

import (
	"fmt"
	"io"
	"log/slog"
)

// hidden is what every way of printing a secret gives.
const hidden = "***"

// Secret is a text that is never printed: not by fmt, encoding/json, slog or a debugger's dump of a
// struct that holds it. Only Reveal gives it.
type Secret struct {
	// value is a pointer so that fmt, which cannot call methods of unexported fields, prints an
	// address when a secret sits in one.
	value *string
}

// NewSecret hides a text.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal is the text itself, empty for the zero Secret.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Empty reports whether there is no text.
func (s Secret) Empty() bool { return s.Reveal() == "" }

// Equal reports whether two secrets hold the same text; == compares identity.
func (s Secret) Equal(o Secret) bool { return s.Reveal() == o.Reveal() }

// String is "***".
func (s Secret) String() string { return hidden }

// GoString is "***".
func (s Secret) GoString() string { return hidden }

// Format writes "***" whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText is "***".
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// MarshalJSON is "***".
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }

// LogValue is "***".
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }
