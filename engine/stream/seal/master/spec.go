package master

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// AbsoluteSpec makes one setting of the master keys of a stream, as other processes can find them:
// with absolute paths. The first one encrypts. Each of keys may hold several, with spaces between.
func AbsoluteSpec(keys ...string) string {
	var specs []string
	for _, key := range keys {
		for _, spec := range strings.Fields(key) {
			if path, ok := strings.CutPrefix(spec, "file:"); ok && path != "" {
				if abs, err := filepath.Abs(strings.TrimPrefix(path, "//")); err == nil {
					spec = "file:" + abs
				}
			}
			specs = append(specs, spec)
		}
	}
	return strings.Join(specs, " ")
}

// CheckSpec refuses what can be no master key, without looking for it. The error does not repeat the
// text: it may be the key itself.
func CheckSpec(key string) error {
	specs := strings.Fields(key)
	if len(specs) == 0 {
		return errors.New("master key: want file:PATH, env:NAME, aws-kms://… or hcvault://…")
	}
	for _, spec := range specs {
		scheme, rest, _ := strings.Cut(spec, ":")
		if rest == "" || scheme != "file" && scheme != "env" && !strings.HasPrefix(rest, "//") {
			return unknownSpec(spec)
		}
	}
	return nil
}

func unknownSpec(spec string) error {
	return fmt.Errorf("master key: want file:PATH, env:NAME, aws-kms://… or hcvault://…, in a string of %d characters that is none of them", len(spec))
}
