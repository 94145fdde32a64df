package master

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// GenerateKeyFile writes a new key file, a Tink keyset with one random AES-256-GCM key, readable
// by its owner only. It replaces no file. It returns the id of the key.
//
// Whoever loses the file loses the records: keep a copy elsewhere.
func GenerateKeyFile(name string) (id string, err error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return "", fmt.Errorf("make a master key: %w", err)
	}
	text, err := keysetText(handle)
	if err != nil {
		return "", err
	}
	defer clear(text)
	if err := writeNew(name, text); err != nil {
		return "", fmt.Errorf("write key file: %w", err)
	}
	return idOf(text)
}

// RotateKeyFile adds a random key to a key file and makes it the current one. The keys of before
// stay and open what they wrapped. It returns the id of the new key.
func RotateKeyFile(name string) (id string, err error) {
	old, err := readKeyFile(name)
	if err != nil {
		return "", err
	}
	defer clear(old)
	if _, err := Parse(old); err != nil {
		return "", fmt.Errorf("key file %s: %w", name, err)
	}
	text, err := addKey(old)
	if err != nil {
		return "", fmt.Errorf("add a key to %s: %w", name, err)
	}
	defer clear(text)
	if err := replace(name, text); err != nil {
		return "", fmt.Errorf("write key file: %w", err)
	}
	return idOf(text)
}

func idOf(text []byte) (string, error) {
	l, err := Parse(text)
	if err != nil {
		return "", err
	}
	return l.current, nil
}

// addKey returns the text with a new current key in front.
func addKey(text []byte) ([]byte, error) {
	if bytes.TrimSpace(text)[0] != '{' {
		var key [rawKeySize]byte
		// It never fails: without randomness the program ends.
		_, _ = rand.Read(key[:])
		line := base64.StdEncoding.AppendEncode(nil, key[:])
		return append(append(line, '\n'), text...), nil
	}
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(text)))
	if err != nil {
		return nil, errors.New("not a Tink keyset in JSON, in clear")
	}
	manager := keyset.NewManagerFromHandle(handle)
	id, err := manager.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, err
	}
	if err := manager.SetPrimary(id); err != nil {
		return nil, err
	}
	handle, err = manager.Handle()
	if err != nil {
		return nil, err
	}
	return keysetText(handle)
}

func keysetText(handle *keyset.Handle) ([]byte, error) {
	var text bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&text)); err != nil {
		return nil, err
	}
	return append(text.Bytes(), '\n'), nil
}

// replace keeps the old file until the new one is on the disk: between them lie all records.
func replace(name string, text []byte) error {
	if err := writeNew(name+".new", text); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

func writeNew(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return syncDir(filepath.Dir(name))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
