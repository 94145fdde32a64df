package file

import (
	"bytes"
	"fmt"
)

// bom may precede the first line of a file that was written on Windows.
const bom = "\xEF\xBB\xBF"

// lines cuts newline-delimited records. Blank lines are none.
type lines struct {
	w   *window
	max int
	// seen bytes of the window hold no newline.
	seen int
	// over is the line that is too long, if its size is not zero.
	over long
}

func (l *lines) start() { l.seen, l.over = 0, long{} }

func (l *lines) next() (piece, error) {
	for {
		b := l.w.bytes()
		if n := bytes.IndexByte(b[l.seen:], '\n'); n >= 0 {
			n += l.seen
			l.seen = 0
			if p, ok := l.cut(b[:n], 1); ok {
				return p, nil
			}
			continue
		}
		l.seen = len(b)
		if len(b) > l.max+len(bom)+len("\r") {
			l.over.take(l.w, len(b))
			l.seen = 0
		}
		if err := l.w.more(); err != nil {
			return piece{}, err
		}
	}
}

// cut makes a record of line, which terminator more bytes end; ok is false if it is blank.
func (l *lines) cut(line []byte, terminator int) (p piece, ok bool) {
	if l.over.size > 0 {
		l.over.take(l.w, len(line))
		l.w.skip(terminator)
		return l.over.piece(l.w.offset, tooLarge, largerThan(l.max)), true
	}
	raw, first := line, l.w.offset == 0
	if first {
		line = bytes.TrimPrefix(line, []byte(bom))
	}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	if len(line) > l.max {
		l.over.take(l.w, len(raw))
		l.w.skip(terminator)
		return l.over.piece(l.w.offset, tooLarge, largerThan(l.max)), true
	}
	l.w.skip(len(raw) + terminator)
	if len(line) == 0 || line[0] <= ' ' && len(bytes.TrimSpace(line)) == 0 {
		return piece{}, false
	}
	return piece{data: line, end: l.w.offset}, true
}

func (l *lines) rest() (piece, bool) {
	l.seen = 0
	if len(l.w.bytes()) == 0 && l.over.size == 0 {
		return piece{}, false
	}
	return l.cut(l.w.bytes(), 0)
}

// settled is behind the last whole line; one that is too long may not be whole yet.
func (l *lines) settled() int64 { return l.w.offset - l.over.size }

// Codes of rejected pieces.
const (
	tooLarge   = "too-large"
	incomplete = "incomplete"
)

func largerThan(limit int) string {
	return fmt.Sprintf("longer than max_record (%d bytes)", limit)
}
