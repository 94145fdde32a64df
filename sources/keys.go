package sources

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/jsonscan"
)

// maxKey is the longest partition key in characters (Kinesis API, PutRecord). Longer texts are
// cut, which keeps equal ones together.
const maxKey = 256

// Keyer reads partition keys out of JSON records. Producers write the fields of a record in the
// same order each time, so it looks first where the previous record had the field. It is not safe
// for concurrent use.
type Keyer struct {
	field string
	// quoted is the field as it stands in a record, nil if only a full scan can find it: dotted
	// paths, names with escapes.
	quoted []byte
	// at is where the previous record had quoted.
	at      int
	scratch []byte
}

// NewKeyer returns a Keyer for a field, or a dotted path to one: "user_id", "geo.city". With an
// empty field there are no keys, and all records are spread.
func NewKeyer(field string) *Keyer {
	k := &Keyer{field: field}
	if field != "" && !strings.ContainsAny(field, ".\\\"") {
		k.quoted = strconv.AppendQuote(nil, field)
		if len(k.quoted) != len(field)+2 {
			k.quoted = nil
		}
	}
	return k
}

// Key is the text of the record's field. A record without it, or one that is no JSON object, is
// kept all the same: its key is made of spread, so that such records do not pile up in one shard.
// The same spread must come with the same record if it is written again. The result is valid
// until the next call.
func (k *Keyer) Key(data []byte, spread uint64) []byte {
	if k.field != "" {
		if key := clean(k.text(data)); len(key) > 0 {
			return key
		}
	}
	k.scratch = strconv.AppendUint(k.scratch[:0], spread, 16)
	return k.scratch
}

// text is the field's text, empty when there is none.
func (k *Keyer) text(data []byte) []byte {
	if k.quoted != nil {
		if at := k.find(data); at > 0 {
			k.at = at
			if text, ok := plain(data[at+len(k.quoted):]); ok {
				return text
			}
		}
	}
	raw, ok, err := jsonscan.Path(data, k.field)
	if err != nil || !ok {
		return nil
	}
	text, err := jsonscan.Text(k.scratch, raw)
	if err != nil {
		return nil
	}
	if len(text) > cap(k.scratch) {
		k.scratch = make([]byte, 0, len(text))
	}
	return text
}

// find is where the key of a top-level field stands, 0 when that takes a full scan to say. A
// quote behind a comma or brace can only begin a string: in a string it would be escaped, and
// nothing is between a string's closing quote and the next comma. It is a key if a colon follows.
func (k *Keyer) find(data []byte) int {
	at := k.at
	if at == 0 || at+len(k.quoted) > len(data) || !bytes.Equal(data[at:at+len(k.quoted)], k.quoted) {
		if at = bytes.Index(data, k.quoted); at <= 0 {
			return 0
		}
	}
	before := at - 1
	for before > 0 && data[before] == ' ' {
		before--
	}
	if data[0] != '{' || (data[before] != ',' && before != 0) {
		return 0
	}
	if bytes.IndexByte(data[1:at], '{') >= 0 {
		return 0
	}
	return at
}

// plain reads the value behind a key if it is a string without escapes or a number.
func plain(b []byte) (text []byte, ok bool) {
	i := jsonscan.Space(b, 0)
	if i >= len(b) || b[i] != ':' {
		return nil, false
	}
	if i = jsonscan.Space(b, i+1); i >= len(b) {
		return nil, false
	}
	if b[i] == '"' {
		b = b[i+1:]
		end := bytes.IndexByte(b, '"')
		if end < 0 || bytes.IndexByte(b[:end], '\\') >= 0 {
			return nil, false
		}
		return b[:end], true
	}
	end := i
	for end < len(b) && (b[end]-'0' <= 9 || b[end] == '-') {
		end++
	}
	if end == i || end == len(b) || (b[end] != ',' && b[end] != '}') {
		return nil, false
	}
	return b[i:end], true
}

// clean makes a text fit to be a partition key.
func clean(text []byte) []byte {
	if len(text) <= maxKey && utf8.Valid(text) {
		return text
	}
	text = bytes.ToValidUTF8(text, []byte("\uFFFD"))
	for i, n := 0, 0; i < len(text); n++ {
		if n == maxKey {
			return text[:i]
		}
		_, size := utf8.DecodeRune(text[i:])
		i += size
	}
	return text
}
