package column

import (
	"encoding/binary"
	"fmt"
	"time"
)

// The years 0001 to 9999 in UTC, as timestamps and as milliseconds.
const (
	minTimestamp = -62135596800000000
	maxTimestamp = 253402300799999999
	minMillis    = minTimestamp / 1000
	maxMillis    = maxTimestamp / 1000
)

const (
	microsPerSecond = 1_000_000
	microsPerDay    = 86400 * microsPerSecond
)

// form says whether a text is a value of a type.
type form uint8

const (
	wellFormed form = iota
	// malformed texts are not written as the type is.
	malformed
	// outside are those that are, but name no value of the type, such as the 30th of February.
	outside
)

// ParseTimestamp reads a timestamp as microseconds since the epoch. It takes RFC 3339 with Z or an
// offset, or without either in UTC; 'T' or a space between date and time; and up to 9 digits of
// fraction, of which those beyond microseconds are cut off. Years are 0001 to 9999.
func ParseTimestamp(text []byte) (int64, error) {
	var c dayCache
	v, st := c.timestamp(text)
	switch st {
	case malformed:
		return 0, fmt.Errorf("timestamp %.40q: want the form 2006-01-02T15:04:05.999999Z", text)
	case outside:
		return 0, fmt.Errorf("timestamp %.40q is not a point in time from year 1 to 9999", text)
	}
	return v, nil
}

// dayCache remembers the last date, since neighbouring rows mostly have the same.
type dayCache struct {
	head uint64
	tail uint16
	day  int64
}

// days is the days since the epoch of the date that the first ten bytes of s are.
func (c *dayCache) days(s []byte) (int64, form) {
	head, tail := binary.LittleEndian.Uint64(s), binary.LittleEndian.Uint16(s[8:])
	if head == c.head && tail == c.tail && head != 0 {
		return c.day, wellFormed
	}
	const (
		zeros = '0' | '0'<<8 | '0'<<16 | '0'<<24 | '-'<<32 | '0'<<40 | '0'<<48 | '-'<<56
		check = 0x7f76767f76767676
	)
	x := head ^ zeros
	d1, d2 := s[8]-'0', s[9]-'0'
	if (x|(x+check))&highs != 0 || d1 > 9 || d2 > 9 {
		return 0, malformed
	}
	year := int(x&15)*1000 + int(x>>8&15)*100 + int(x>>16&15)*10 + int(x>>24&15)
	month, day := int(x>>40&15)*10+int(x>>48&15), int(d1)*10+int(d2)
	t := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if year < 1 || month < 1 || month > 12 || day < 1 || t.Day() != day {
		return 0, outside
	}
	c.head, c.tail, c.day = head, tail, floorDiv(t.Unix(), 86400)
	return c.day, wellFormed
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// clock is the microseconds since midnight of the hh:mm:ss that s starts with.
func clock(s []byte) (int64, form) {
	const (
		zeros = '0' | '0'<<8 | ':'<<16 | '0'<<24 | '0'<<32 | ':'<<40 | '0'<<48 | '0'<<56
		check = 0x76767f76767f7676
	)
	x := binary.LittleEndian.Uint64(s) ^ zeros
	if (x|(x+check))&highs != 0 {
		return 0, malformed
	}
	hour, minute, second := x&15*10+x>>8&15, x>>24&15*10+x>>32&15, x>>48&15*10+x>>56&15
	if hour > 23 || minute > 59 || second > 59 {
		return 0, outside
	}
	return int64(hour*3600+minute*60+second) * microsPerSecond, wellFormed
}

// fraction reads up to most digits after a point at the start of s, as microseconds, and returns
// what follows.
func fraction(s []byte, most int) (micros int64, rest []byte, st form) {
	if len(s) == 0 || s[0] != '.' {
		return 0, s, wellFormed
	}
	n := 0
	for s = s[1:]; n < len(s) && s[n]-'0' <= 9; n++ {
		if n < 6 {
			micros = micros*10 + int64(s[n]-'0')
		}
	}
	if n == 0 || n > most {
		return 0, s, malformed
	}
	for i := n; i < 6; i++ {
		micros *= 10
	}
	return micros, s[n:], wellFormed
}

func (c *dayCache) timestamp(s []byte) (int64, form) {
	if len(s) < 19 || s[10] != 'T' && s[10] != ' ' {
		return 0, malformed
	}
	days, st := c.days(s)
	if st != wellFormed {
		return 0, st
	}
	micros, st := clock(s[11:])
	if st != wellFormed {
		return 0, st
	}
	part, s, st := fraction(s[19:], 9)
	if st != wellFormed {
		return 0, st
	}
	v := days*microsPerDay + micros + part
	if len(s) == 0 || len(s) == 1 && s[0] == 'Z' {
		return v, wellFormed
	}
	offset, st := zone(s)
	if st != wellFormed {
		return 0, st
	}
	if v -= offset; v < minTimestamp || v > maxTimestamp {
		return 0, outside
	}
	return v, wellFormed
}

// zone is the offset east of UTC of ±hh:mm, in microseconds.
func zone(s []byte) (int64, form) {
	if len(s) != 6 || s[0] != '+' && s[0] != '-' || s[3] != ':' {
		return 0, malformed
	}
	h1, h2, m1, m2 := s[1]-'0', s[2]-'0', s[4]-'0', s[5]-'0'
	if h1 > 9 || h2 > 9 || m1 > 9 || m2 > 9 {
		return 0, malformed
	}
	hours, minutes := int64(h1)*10+int64(h2), int64(m1)*10+int64(m2)
	if hours > 23 || minutes > 59 {
		return 0, outside
	}
	offset := (hours*60 + minutes) * 60 * microsPerSecond
	if s[0] == '-' {
		offset = -offset
	}
	return offset, wellFormed
}

// timeOfDay reads 15:04:05 with up to 6 digits of fraction as microseconds since midnight.
func timeOfDay(s []byte) (int64, form) {
	if len(s) < 8 {
		return 0, malformed
	}
	micros, st := clock(s)
	if st != wellFormed {
		return 0, st
	}
	part, s, st := fraction(s[8:], 6)
	if st == wellFormed && len(s) > 0 {
		st = malformed
	}
	return micros + part, st
}

// AppendTimestamp appends microseconds since the epoch as RFC 3339 with Z and the shortest fraction.
func AppendTimestamp(dst []byte, micros int64) []byte {
	days := floorDiv(micros, microsPerDay)
	dst = append(appendDate(dst, days), 'T')
	return append(appendTime(dst, micros-days*microsPerDay), 'Z')
}

func appendDate(dst []byte, days int64) []byte {
	year, month, day := time.Unix(days*86400, 0).UTC().Date()
	if year < 0 || year > 9999 {
		return time.Unix(days*86400, 0).UTC().AppendFormat(dst, time.DateOnly)
	}
	dst = append2(append2(dst, year/100), year%100)
	dst = append2(append(dst, '-'), int(month))
	return append2(append(dst, '-'), day)
}

func appendTime(dst []byte, micros int64) []byte {
	seconds, part := int(micros/microsPerSecond), int(micros%microsPerSecond)
	dst = append2(dst, seconds/3600)
	dst = append2(append(dst, ':'), seconds/60%60)
	dst = append2(append(dst, ':'), seconds%60)
	if part == 0 {
		return dst
	}
	return trimZeros(append2(append2(append2(append(dst, '.'), part/10000), part/100%100), part%100))
}

func append2(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }
