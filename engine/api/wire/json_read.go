package wire

import (
	"bytes"

	"github.com/millrace-io/millrace/engine/jsonscan"
)

func (r *Reader) space() byte {
	r.pos = jsonscan.Space(r.b, r.pos)
	if r.pos >= len(r.b) {
		return 0
	}
	return r.b[r.pos]
}

func (r *Reader) jsonKind() Kind {
	switch c := r.space(); {
	case c == '{':
		return Object
	case c == '[':
		return Array
	case c == '"':
		return String
	case c == 't' || c == 'f':
		return Bool
	case c == 'n':
		return Null
	case c == '-' || c >= '0' && c <= '9':
		return Number
	}
	return Invalid
}

func (r *Reader) jsonLiteral(word string) {
	end, err := jsonscan.Literal(r.b, r.pos, word)
	if err != nil {
		r.syntax()
		return
	}
	r.pos = end
}

// jsonNext is in front of one more item, or behind the end of its array or object.
func (r *Reader) jsonNext(end byte) bool {
	first := r.left[r.depth-1] == 1
	switch c := r.space(); {
	case c == end:
		r.pos++
		r.depth--
		return false
	case first:
		r.left[r.depth-1] = 0
		return true
	case c == ',':
		r.pos++
		if r.space() != end {
			return true
		}
	}
	r.syntax()
	return false
}

func (r *Reader) jsonField() (name []byte, ok bool) {
	if !r.jsonNext('}') {
		return nil, false
	}
	if r.space() != '"' {
		r.syntax()
		return nil, false
	}
	name = r.jsonText()
	if r.space() != ':' {
		r.syntax()
		return nil, false
	}
	r.pos++
	return name, r.err == nil
}

// searched is the length above which a string's end is searched for instead of looking at each byte.
const searched = 64

// jsonText is the string at the position. Long ones are base64, which has no escapes and whose decoder
// looks at each byte anyway.
func (r *Reader) jsonText() []byte {
	start := r.pos + 1
	n := bytes.IndexByte(r.b[min(start, len(r.b)):], '"')
	if n > searched && plain(r.b[start:start+n]) {
		r.pos = start + n + 1
		return r.b[start : start+n]
	}
	end, escaped, err := jsonscan.String(r.b, r.pos)
	if err != nil {
		r.syntax()
		return nil
	}
	raw := r.b[r.pos:end]
	r.pos = end
	if !escaped {
		return raw[1 : len(raw)-1]
	}
	text, err := jsonscan.Text(nil, raw)
	if err != nil {
		r.syntax()
		return nil
	}
	return text
}

// plain reports whether there is no escape and no line break, at the speed of a search.
func plain(b []byte) bool {
	return bytes.IndexByte(b, '\\') < 0 && bytes.IndexByte(b, '\n') < 0 && bytes.IndexByte(b, '\r') < 0
}

func (r *Reader) jsonNumber() (text string, whole bool) {
	end, whole, err := jsonscan.Number(r.b, r.pos)
	if err != nil {
		r.syntax()
		return "", true
	}
	text = string(r.b[r.pos:end])
	r.pos = end
	return text, whole
}

func (r *Reader) jsonSkip() {
	r.space()
	end, err := jsonscan.SkipDepth(r.b, r.pos, maxDepth-r.depth)
	if err != nil {
		r.syntax()
		return
	}
	r.pos = end
}

func (r *Reader) atEnd() bool {
	if r.format == JSON {
		r.space()
	}
	return r.pos >= len(r.b)
}
