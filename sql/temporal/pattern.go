package temporal

import (
	"fmt"
	"strings"
	"time"
)

// Pattern is how a timestamp is written: literal text and % directives, as those of strftime.
type Pattern struct {
	// parts are single directives, or literal text behind a zero.
	parts []part
}

type part struct {
	directive byte
	text      string
}

// Directives that a Pattern may have.
const directives = "YmdHMSfyjbBaApIez%"

// ParsePattern reads a pattern such as %Y-%m-%d %H:%M:%S.
func ParsePattern(text string) (*Pattern, error) {
	p := &Pattern{}
	for text != "" {
		at := strings.IndexByte(text, '%')
		if at < 0 {
			at = len(text)
		}
		if at > 0 {
			p.parts, text = append(p.parts, part{text: text[:at]}), text[at:]
			continue
		}
		if len(text) < 2 || strings.IndexByte(directives, text[1]) < 0 {
			return nil, fmt.Errorf("%.2q is no part of a time pattern; there are %%Y %%y %%m %%d %%e %%H %%I %%p %%M %%S %%f %%j %%b %%B %%a %%A %%z %%%%", text)
		}
		if text[1] == '%' {
			p.parts = append(p.parts, part{text: "%"})
		} else {
			p.parts = append(p.parts, part{directive: text[1]})
		}
		text = text[2:]
	}
	return p, nil
}

var layouts = map[byte]string{'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05", 'y': "06", 'j': "002", 'b': "Jan",
	'B': "January", 'a': "Mon", 'A': "Monday", 'p': "PM", 'I': "03", 'e': "_2", 'z': "+0000"}

// Append appends a timestamp.
func (p *Pattern) Append(dst []byte, micros int64) []byte {
	t := time.UnixMicro(micros).UTC()
	for _, each := range p.parts {
		switch each.directive {
		case 0:
			dst = append(dst, each.text...)
		case 'f':
			v := FloorMod(micros, Second)
			for unit := Second / 10; unit > 0; unit /= 10 {
				dst = append(dst, '0'+byte(v/unit%10))
			}
		case 'z':
			dst = append(dst, "+0000"...)
		default:
			dst = t.AppendFormat(dst, layouts[each.directive])
		}
	}
	return dst
}

// fields are what a text said; -1 is nothing.
type fields struct {
	year, month, day, hour, minute, second, yearday int
	micros, offset                                  int64
	pm, twelve                                      bool
}

// Parse reads a text that is written as the pattern says, all of it. What the pattern does not
// have is that of 1900-01-01T00:00:00Z.
func (p *Pattern) Parse(b []byte) (int64, bool) {
	f := fields{year: 1900, month: 1, day: 1, yearday: -1}
	for _, each := range p.parts {
		if each.directive == 0 {
			if len(b) < len(each.text) || string(b[:len(each.text)]) != each.text {
				return 0, false
			}
			b = b[len(each.text):]
			continue
		}
		var ok bool
		if b, ok = f.take(each.directive, b); !ok {
			return 0, false
		}
	}
	if len(b) > 0 {
		return 0, false
	}
	return f.micro()
}

func (f *fields) micro() (int64, bool) {
	if f.twelve {
		if f.hour < 1 || f.hour > 12 {
			return 0, false
		}
		f.hour %= 12
		if f.pm {
			f.hour += 12
		}
	}
	day := f.day
	if f.yearday >= 0 {
		f.month, day = 1, f.yearday
	}
	t := time.Date(f.year, time.Month(f.month), day, f.hour, f.minute, f.second, 0, time.UTC)
	if f.yearday < 0 && t.Day() != day || f.yearday >= 0 && (t.Year() != f.year || t.YearDay() != f.yearday) {
		return 0, false
	}
	at := t.UnixMicro() + f.micros - f.offset
	return at, InYears(at)
}

// take reads one directive and returns what follows it.
func (f *fields) take(directive byte, b []byte) ([]byte, bool) {
	switch directive {
	case 'Y':
		return whole(b, 4, 4, 0, 9999, &f.year)
	case 'y':
		b, ok := whole(b, 2, 2, 0, 99, &f.year)
		if f.year += 2000; f.year > 2068 {
			f.year -= 100
		}
		return b, ok
	case 'm':
		return whole(b, 1, 2, 1, 12, &f.month)
	case 'e':
		for len(b) > 0 && b[0] == ' ' {
			b = b[1:]
		}
		return whole(b, 1, 2, 1, 31, &f.day)
	case 'd':
		return whole(b, 1, 2, 1, 31, &f.day)
	case 'H':
		return whole(b, 1, 2, 0, 23, &f.hour)
	case 'I':
		f.twelve = true
		return whole(b, 1, 2, 1, 12, &f.hour)
	case 'M':
		return whole(b, 1, 2, 0, 59, &f.minute)
	case 'S':
		return whole(b, 1, 2, 0, 59, &f.second)
	case 'j':
		return whole(b, 1, 3, 1, 366, &f.yearday)
	case 'f':
		return f.fraction(b)
	case 'p':
		if len(b) < 2 || b[1]|0x20 != 'm' || b[0]|0x20 != 'a' && b[0]|0x20 != 'p' {
			return b, false
		}
		f.pm = b[0]|0x20 == 'p'
		return b[2:], true
	case 'z':
		return f.zone(b)
	}
	return f.named(directive, b)
}

// whole reads a number of min to max digits.
func whole(b []byte, least, most, low, high int, into *int) ([]byte, bool) {
	n, v := 0, 0
	for n < most && n < len(b) && b[n]-'0' <= 9 {
		v = v*10 + int(b[n]-'0')
		n++
	}
	*into = v
	return b[n:], n >= least && v >= low && v <= high
}

func (f *fields) fraction(b []byte) ([]byte, bool) {
	n := 0
	for unit := Second / 10; n < len(b) && n < 9 && b[n]-'0' <= 9; unit /= 10 {
		f.micros += int64(b[n]-'0') * unit
		n++
	}
	return b[n:], n > 0
}

func (f *fields) zone(b []byte) ([]byte, bool) {
	n := 0
	for n < len(b) && (b[n]-'0' <= 9 || b[n] == ':' || b[n] == '+' || b[n] == '-' || b[n]|0x20 == 'z') {
		n++
	}
	v, ok := offset(b[:n])
	f.offset = v
	return b[n:], ok && n > 0
}

// named reads the name of a month or a day of the week, whose text is checked and has no effect.
func (f *fields) named(directive byte, b []byte) ([]byte, bool) {
	count := 12
	if directive == 'a' || directive == 'A' {
		count = 7
	}
	for i := 1; i <= count; i++ {
		name := time.Month(i).String()
		if count == 7 {
			name = time.Weekday(i % 7).String()
		}
		if directive == 'a' || directive == 'b' {
			name = name[:3]
		}
		if len(b) >= len(name) && strings.EqualFold(string(b[:len(name)]), name) {
			if count == 12 {
				f.month = i
			}
			return b[len(name):], true
		}
	}
	return b, false
}

// Boundaries is how many starts of a unit lie between two timestamps: in (from, to], negative backwards.
func Boundaries(unit string, from, to int64) (int64, bool) {
	switch unit {
	case "month", "quarter", "year":
		per := map[string]int64{"month": 1, "quarter": 3, "year": 12}[unit]
		return monthsOf(to)/per - monthsOf(from)/per, true
	case "week":
		from, to = from+3*Day, to+3*Day
	}
	size := units[unit].Micros
	return (to-FloorMod(to, size))/size - (from-FloorMod(from, size))/size, true
}

// monthsOf counts months from a year far back, so that it is not negative.
func monthsOf(micros int64) int64 {
	t := time.UnixMicro(micros).UTC()
	return (int64(t.Year())+1_200_000)*12 + int64(t.Month()) - 1
}

// Make is the timestamp of a date and clock, false when there is no such date.
func Make(year, month, day, hour, minute int64, second float64) (int64, bool) {
	if year < 1 || year > 9999 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 ||
		minute < 0 || minute > 59 || !(second >= 0 && second < 60) {
		return 0, false
	}
	t := time.Date(int(year), time.Month(month), int(day), int(hour), int(minute), 0, 0, time.UTC)
	at := t.UnixMicro() + int64(second*1e6+0.5)
	return at, t.Day() == int(day) && InYears(at)
}

// LastDay is the last day of the month of a timestamp, in days since the epoch.
func LastDay(micros int64) int64 {
	t := time.UnixMicro(micros).UTC()
	return time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC).Unix() / 86400
}
