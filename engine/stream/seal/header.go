package seal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// The byte table is in docs/formats/seal.md. All numbers are little-endian.
const (
	headerFormat = 1
	cipherGCM    = 1
	headerFixed  = 6

	maxID      = 256
	maxWrapped = 1024

	// MaxWrapped is the largest size of a wrapped data key with its header.
	MaxWrapped = headerFixed + maxID + maxWrapped
)

// wrappedKey is a data key as it lies on disk.
type wrappedKey struct {
	// id names the master key.
	id string
	// key is what the master key's owner made of the data key.
	key []byte
}

func (w wrappedKey) encode() ([]byte, error) {
	if !validID(w.id) {
		return nil, fmt.Errorf("master key id %q: want 1 to %d bytes of printable text", w.id, maxID)
	}
	if len(w.key) == 0 || len(w.key) > maxWrapped {
		return nil, fmt.Errorf("a wrapped data key of %d bytes, want 1 to %d", len(w.key), maxWrapped)
	}
	b := make([]byte, 0, headerFixed+len(w.id)+len(w.key))
	b = append(b, headerFormat, cipherGCM)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(w.id)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(w.key)))
	b = append(b, w.id...)
	return append(b, w.key...), nil
}

// decodeWrapped reads what encode wrote. key aliases b.
func decodeWrapped(b []byte) (wrappedKey, error) {
	if len(b) < headerFixed {
		return wrappedKey{}, errors.New("wrapped data key is cut short")
	}
	if b[0] != headerFormat || b[1] != cipherGCM {
		return wrappedKey{}, fmt.Errorf("wrapped data key of format %d with cipher %d is not known to this version of millrace", b[0], b[1])
	}
	id, key := int(binary.LittleEndian.Uint16(b[2:])), int(binary.LittleEndian.Uint16(b[4:]))
	b = b[headerFixed:]
	if len(b) != id+key || key == 0 || key > maxWrapped || !validID(string(b[:min(id, maxID+1)])) {
		return wrappedKey{}, errors.New("wrapped data key is not plausible")
	}
	return wrappedKey{id: string(b[:id]), key: b[id:]}, nil
}

// validID keeps ids fit for messages, whatever a file says.
func validID(id string) bool {
	if id == "" || len(id) > maxID || !utf8.ValidString(id) {
		return false
	}
	for _, r := range id {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// WrappedBy names the master key that a wrapped data key needs. It needs no key itself.
func WrappedBy(wrapped []byte) (id string, err error) {
	w, err := decodeWrapped(wrapped)
	return w.id, err
}
