package objects

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// pattern is a date pattern of Java's DateTimeFormatter, as Firehose takes them in prefixes.
type pattern []field

// field is a run of one pattern letter, or text.
type field struct {
	letter byte
	width  int
	text   string
}

// patternLetters are the letters supported, each with the longest run that has a meaning.
// Localised and era-based ones are left out: what they give depends on the locale of the machine.
var patternLetters = map[byte]int{
	'y': 9, 'u': 9, 'Y': 9, // year; two letters give its last two digits; Y is that of the week
	'Q': 2, 'M': 4, 'L': 4, // quarter, month; three letters give Jan, four January
	'w': 2,                 // ISO week of Y
	'd': 2, 'D': 3, 'E': 4, // day of the month, of the year; Mon, Monday
	'a': 1, 'h': 2, 'K': 2, 'H': 2, 'k': 2, // AM; hours 1-12, 0-11, 0-23, 1-24
	'm': 2, 's': 2, 'S': 9, // minute, second, fraction
	'X': 3, 'Z': 3, // offset: X with Z for zero, +01, +0100, +01:00; Z +0100
}

// parsePattern takes a pattern apart. Mistakes are at offsets in it.
func parsePattern(text string) (pattern, *prefixError) {
	var p pattern
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '\'':
			quoted, n := unquote(text[i:])
			if n == 0 {
				return nil, &prefixError{i, "the quote is not closed; write '' for a quote itself"}
			}
			p = append(p, field{text: quoted})
			i += n
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			n := 1
			for i+n < len(text) && text[i+n] == c {
				n++
			}
			most, ok := patternLetters[c]
			switch {
			case !ok:
				return nil, &prefixError{i, fmt.Sprintf("pattern letter %c is not supported; use letters of y u Y Q M L w d D E a h K H k m s S X Z, and quote text: '%s'", c, text[i:i+n])}
			case n > most:
				return nil, &prefixError{i, fmt.Sprintf("%d times %c in a row; at most %d are supported", n, c, most)}
			}
			p = append(p, field{letter: c, width: n})
			i += n
		case strings.IndexByte("[]{}#", c) >= 0:
			return nil, &prefixError{i, fmt.Sprintf("%c is reserved in patterns; quote it: '%c'", c, c)}
		default:
			p = append(p, field{text: text[i : i+1]})
			i++
		}
	}
	return p, nil
}

// unquote returns the text in quotes that s begins with and how many bytes it takes, 0 if it does
// not end. Two quotes are one, inside and by themselves.
func unquote(s string) (text string, n int) {
	if strings.HasPrefix(s, "''") {
		return "'", 2
	}
	var out strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] != '\'' {
			out.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == '\'' {
			out.WriteByte('\'')
			i++
			continue
		}
		return out.String(), i + 1
	}
	return "", 0
}

// append formats t.
func (p pattern) append(dst []byte, t time.Time) []byte {
	for _, f := range p {
		if f.letter == 0 {
			dst = append(dst, f.text...)
		} else {
			dst = f.append(dst, t)
		}
	}
	return dst
}

func (f field) append(dst []byte, t time.Time) []byte {
	switch f.letter {
	case 'y', 'u':
		return f.year(dst, t.Year())
	case 'Y':
		year, _ := t.ISOWeek()
		return f.year(dst, year)
	case 'w':
		_, week := t.ISOWeek()
		return f.number(dst, week)
	case 'Q':
		return f.number(dst, (int(t.Month())+2)/3)
	case 'M', 'L':
		return f.name(dst, int(t.Month()), t.Month().String())
	case 'd':
		return f.number(dst, t.Day())
	case 'D':
		return f.number(dst, t.YearDay())
	case 'E':
		if f.width < 4 {
			return append(dst, t.Weekday().String()[:3]...)
		}
		return append(dst, t.Weekday().String()...)
	case 'S':
		nanos := fmt.Sprintf("%09d", t.Nanosecond())
		return append(dst, nanos[:f.width]...)
	case 'X', 'Z':
		return t.AppendFormat(dst, f.offset())
	case 'a':
		return t.AppendFormat(dst, "PM")
	}
	return f.clock(dst, t)
}

func (f field) clock(dst []byte, t time.Time) []byte {
	switch f.letter {
	case 'H':
		return f.number(dst, t.Hour())
	case 'k':
		return f.number(dst, (t.Hour()+23)%24+1)
	case 'h':
		return f.number(dst, (t.Hour()+11)%12+1)
	case 'K':
		return f.number(dst, t.Hour()%12)
	case 'm':
		return f.number(dst, t.Minute())
	}
	return f.number(dst, t.Second())
}

// offset is Go's layout of the offset.
func (f field) offset() string {
	if f.letter == 'Z' {
		return "-0700"
	}
	return []string{"Z07", "Z0700", "Z07:00"}[f.width-1]
}

func (f field) year(dst []byte, year int) []byte {
	if f.width == 2 {
		return field{width: 2}.number(dst, (year%100+100)%100)
	}
	return f.number(dst, year)
}

// name is a number in one or two letters, the name's beginning in three, the name in four.
func (f field) name(dst []byte, n int, name string) []byte {
	switch f.width {
	case 3:
		return append(dst, name[:3]...)
	case 4:
		return append(dst, name...)
	}
	return f.number(dst, n)
}

// number fills with zeros to the width.
func (f field) number(dst []byte, n int) []byte {
	text := strconv.Itoa(n)
	for i := len(text); i < f.width; i++ {
		dst = append(dst, '0')
	}
	return append(dst, text...)
}
