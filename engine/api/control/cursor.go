package control

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// cursorFormat is the version of cursors. They live as long as a reader does, so there is one.
const cursorFormat = 1

// maxCursor bounds the text of a cursor: some 40 bytes for each of a stream's shards.
const maxCursor = 8 << 20

// cursor is where a reader stands in each shard.
type cursor struct {
	Format int `json:"v"`
	// Stream and Incarnation keep a cursor from being used on another stream.
	Stream      string  `json:"s"`
	Incarnation string  `json:"i"`
	Places      []place `json:"p"`
	// Only is set when shards that the stream gets later are not read.
	Only bool `json:"o,omitempty"`
	// Turn is the place that the next page begins with, so that a busy shard starves nobody.
	Turn int `json:"t,omitempty"`
}

// place is where a reader stands in a shard.
type place struct {
	Shard record.ShardID `json:"s"`
	Next  record.Ordinal `json:"n"`
}

func (c *cursor) find(id record.ShardID) *place {
	for i := range c.Places {
		if c.Places[i].Shard == id {
			return &c.Places[i]
		}
	}
	return nil
}

func (c *cursor) encode() (string, error) {
	c.Format = cursorFormat
	text, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encode cursor: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(text), nil
}

// decodeCursor reads a cursor of the stream.
func decodeCursor(text, name, incarnation string) (*cursor, error) {
	if len(text) > maxCursor {
		return nil, fmt.Errorf("%w: the cursor is longer than %d bytes", stream.ErrInvalid, maxCursor)
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	c := &cursor{}
	if err == nil {
		err = json.Unmarshal(raw, c)
	}
	if err != nil || c.Format != cursorFormat || c.Turn < 0 || c.Turn > len(c.Places) {
		return nil, fmt.Errorf("%w: this is no cursor that a page had", stream.ErrInvalid)
	}
	seen := make(map[record.ShardID]bool, len(c.Places))
	for _, p := range c.Places {
		if p.Next < 0 || seen[p.Shard] {
			return nil, fmt.Errorf("%w: this is no cursor that a page had", stream.ErrInvalid)
		}
		seen[p.Shard] = true
	}
	if c.Stream != name || c.Incarnation != incarnation {
		return nil, fmt.Errorf("%w: the cursor is of stream %q, incarnation %s, which is gone or another", stream.ErrInvalid, c.Stream, c.Incarnation)
	}
	return c, nil
}
