package http

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"

	"github.com/millrace-io/millrace/engine/jsonscan"
	"github.com/millrace-io/millrace/sources"
)

// bom may precede what was written on Windows.
const bom = "\xEF\xBB\xBF"

// parse makes records of a body, all or none. Every one is a valid JSON object.
func (h *handler) parse(l *load, body []byte, lines bool) error {
	body = bytes.TrimPrefix(body, []byte(bom))
	if len(bytes.TrimSpace(body)) == 0 {
		return refuse(http.StatusBadRequest, "the body is empty; send a JSON object, an array of them, or one per line")
	}
	if lines {
		return h.parseLines(l, body)
	}
	n := 0
	err := jsonscan.Elements(body, func(raw []byte) error {
		n++
		return h.add(l, raw, "element", n)
	})
	if mistake := (*jsonscan.Error)(nil); errors.As(err, &mistake) {
		line := 1 + bytes.Count(body[:min(mistake.Offset, len(body))], []byte("\n"))
		return refuse(http.StatusBadRequest, "element %d is not JSON (line %d, byte %d of the body): %s", n+1, line, mistake.Offset, mistake.Message)
	}
	return err
}

func (h *handler) parseLines(l *load, body []byte) error {
	for n := 1; len(body) > 0; n++ {
		line, rest, _ := bytes.Cut(body, []byte("\n"))
		body = rest
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		end, err := jsonscan.Skip(line, 0)
		if mistake := (*jsonscan.Error)(nil); errors.As(err, &mistake) {
			return refuse(http.StatusBadRequest, "line %d is not JSON, at its byte %d: %s", n, mistake.Offset, mistake.Message)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if end < len(line) {
			return refuse(http.StatusBadRequest, "line %d has more than one value, at its byte %d", n, end)
		}
		if err := h.add(l, line, "line", n); err != nil {
			return err
		}
	}
	return nil
}

// add appends a record; what and n say where it stands.
func (h *handler) add(l *load, raw []byte, what string, n int) error {
	if len(raw) > int(h.cfg.MaxRecord) {
		return refuse(http.StatusRequestEntityTooLarge, "%s %d is larger than a record may be (%s)", what, n, h.cfg.MaxRecord)
	}
	if raw[0] != '{' {
		return refuse(http.StatusBadRequest, "%s %d is no object; a record is a JSON object", what, n)
	}
	// Records without a key are spread by chance: a request is not repeated by anybody here.
	l.batch.Add(l.keys.Key(raw, rand.Uint64()), sources.OneLine(raw), 0) //nolint:gosec // not a secret
	return nil
}
