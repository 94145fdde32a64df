package config

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Position is where in the file a place in the text of a scalar is. Line and column count from 1,
// columns in characters, in both the text and the file. It is exact for every style of scalar; a
// place inside the value of a ${…} is where the ${…} begins.
func (n *Node) Position(line, column int) (fileLine, fileColumn int) {
	if n.Kind != Scalar {
		return n.doc.clamp(n.Line, n.Column)
	}
	target := n.rawOffset(offset(n.text, line, column))
	return n.doc.clamp(n.locate(target))
}

// offset is the byte offset of a line and column of a text, at most its length.
func offset(text string, line, column int) int {
	at := 0
	for ; line > 1; line-- {
		i := strings.IndexByte(text[at:], '\n')
		if i < 0 {
			return len(text)
		}
		at += i + 1
	}
	for ; column > 1 && at < len(text) && text[at] != '\n'; column-- {
		_, size := utf8.DecodeRuneInString(text[at:])
		at += size
	}
	return at
}

// rawOffset turns an offset in the text into one in the text before ${…} was resolved.
func (n *Node) rawOffset(at int) int {
	shift := 0
	for _, s := range n.spans {
		if at < s.at {
			break
		}
		if at < s.at+s.len {
			return s.rawAt
		}
		shift = s.rawAt + s.rawLen - s.at - s.len
	}
	return at + shift
}

// locate finds the file position of an offset in the raw text. White space is what differs between a
// scalar and its source (indentation, folding, line ends), so it walks both side by side over
// everything else.
func (n *Node) locate(target int) (line, column int) {
	c := cursor{lines: n.doc.lines, line: n.Line}
	c.at = offset(c.rest(), 1, n.Column)
	c.begin()
	for at, r := range n.raw {
		if at >= target {
			break
		}
		if !unicode.IsSpace(r) {
			c.skipSpace()
			c.next()
		}
	}
	if target < len(n.raw) {
		if r, _ := utf8.DecodeRuneInString(n.raw[target:]); !unicode.IsSpace(r) {
			c.skipSpace()
		}
	}
	return c.position()
}

// cursor walks the source of one scalar.
type cursor struct {
	lines []string
	line  int // from 1
	at    int // byte in the line
	quote byte
}

// position is the cursor's line and its column in characters; behind the file's end, the end.
func (c *cursor) position() (line, column int) {
	if c.line > len(c.lines) {
		last := len(c.lines)
		return last, utf8.RuneCountInString(c.lines[last-1]) + 1
	}
	return c.line, utf8.RuneCountInString(c.lines[c.line-1][:c.at]) + 1
}

// rest is the line from the cursor on.
func (c *cursor) rest() string {
	if c.line > len(c.lines) {
		return ""
	}
	return c.lines[c.line-1][c.at:]
}

// newline moves to the next line.
func (c *cursor) newline() { c.line, c.at = c.line+1, 0 }

// begin steps over an opening quote or the header of a block scalar.
func (c *cursor) begin() {
	// An anchor comes before the value and counts as its beginning.
	if rest := c.rest(); strings.HasPrefix(rest, "&") {
		i := strings.IndexAny(rest, " \t")
		if i < 0 {
			i = len(rest)
		}
		c.at += i
		c.skipSpace()
	}
	rest := c.rest()
	if rest == "" {
		return
	}
	switch rest[0] {
	case '"', '\'':
		c.quote = rest[0]
		c.at++
	case '|', '>':
		c.newline()
	}
}

// skipSpace steps over white space, line ends and, in double quotes, escapes of both.
func (c *cursor) skipSpace() {
	for c.line <= len(c.lines) {
		rest := c.rest()
		if rest == "" {
			c.newline()
			continue
		}
		r, size := utf8.DecodeRuneInString(rest)
		switch {
		case unicode.IsSpace(r):
			c.at += size
		case c.quote == '"' && rest == `\`:
			c.newline()
		case c.quote == '"' && r == '\\' && strings.IndexByte(" \ttnvfr_NLP", rest[1]) >= 0:
			c.at += 2
		default:
			return
		}
	}
}

// next steps over the source of one character.
func (c *cursor) next() {
	rest := c.rest()
	_, width := utf8.DecodeRuneInString(rest)
	switch {
	case c.quote == '\'' && strings.HasPrefix(rest, "''"):
		width = 2
	case c.quote == '"' && len(rest) > 1 && rest[0] == '\\':
		switch rest[1] {
		case 'x':
			width = 4
		case 'u':
			width = 6
		case 'U':
			width = 10
		default:
			width = 2
		}
	}
	c.at += min(width, len(rest))
}
