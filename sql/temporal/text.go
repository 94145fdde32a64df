package temporal

import (
	"time"
)

// ParseTimestamp reads YYYY-MM-DD, optionally followed by T or a blank and hh:mm[:ss[.ffffff]] and
// by Z or an offset. Without an offset it is UTC. Digits beyond microseconds are cut off. Years are
// 1 to 9999.
func ParseTimestamp(b []byte) (int64, bool) {
	days, rest, ok := date(b)
	if !ok {
		return 0, false
	}
	base := int64(days) * Day
	if len(rest) == 0 {
		return base, true
	}
	if rest[0] != 'T' && rest[0] != 't' && rest[0] != ' ' {
		return 0, false
	}
	clock, rest, ok := clock(rest[1:])
	if !ok {
		return 0, false
	}
	offset, ok := offset(rest)
	at := base + clock - offset
	return at, ok && InYears(at)
}

// ParseDate reads YYYY-MM-DD.
func ParseDate(b []byte) (int32, bool) {
	days, rest, ok := date(b)
	return days, ok && len(rest) == 0
}

// ParseClock reads hh:mm[:ss[.ffffff]] in microseconds since midnight.
func ParseClock(b []byte) (int64, bool) {
	micros, rest, ok := clock(b)
	return micros, ok && len(rest) == 0
}

func two(b []byte, limit int) (int, bool) {
	if len(b) < 2 || b[0]-'0' > 9 || b[1]-'0' > 9 {
		return 0, false
	}
	n := int(b[0]-'0')*10 + int(b[1]-'0')
	return n, n <= limit
}

func date(b []byte) (days int32, rest []byte, ok bool) {
	if len(b) < 10 || b[4] != '-' || b[7] != '-' {
		return 0, nil, false
	}
	century, ok1 := two(b, 99)
	year, ok2 := two(b[2:], 99)
	month, ok3 := two(b[5:], 12)
	day, ok4 := two(b[8:], 31)
	if !ok1 || !ok2 || !ok3 || !ok4 || month == 0 || day == 0 {
		return 0, nil, false
	}
	t := time.Date(century*100+year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if t.Day() != day || t.Year() < 1 {
		return 0, nil, false
	}
	return int32(t.Unix() / 86400), b[10:], true
}

func clock(b []byte) (micros int64, rest []byte, ok bool) {
	if len(b) < 5 || b[2] != ':' {
		return 0, nil, false
	}
	hour, ok1 := two(b, 23)
	minute, ok2 := two(b[3:], 59)
	if !ok1 || !ok2 {
		return 0, nil, false
	}
	micros, b = int64(hour)*Hour+int64(minute)*Minute, b[5:]
	if len(b) == 0 || b[0] != ':' {
		return micros, b, true
	}
	second, ok := two(b[1:], 59)
	if !ok {
		return 0, nil, false
	}
	micros, b = micros+int64(second)*Second, b[3:]
	if len(b) > 1 && b[0] == '.' && b[1]-'0' <= 9 {
		b = b[1:]
		for unit := Second / 10; len(b) > 0 && b[0]-'0' <= 9; unit /= 10 {
			micros, b = micros+int64(b[0]-'0')*unit, b[1:]
		}
	}
	return micros, b, true
}

func offset(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) == 1 && (b[0] == 'Z' || b[0] == 'z') {
		return 0, true
	}
	sign := int64(1)
	switch b[0] {
	case '-':
		sign = -1
	case '+':
	default:
		return 0, false
	}
	hour, ok := two(b[1:], 23)
	if !ok {
		return 0, false
	}
	minute, rest := 0, b[3:]
	if len(rest) > 0 && rest[0] == ':' {
		rest = rest[1:]
	}
	if len(b) > 3 {
		if minute, ok = two(rest, 59); !ok || len(rest) != 2 {
			return 0, false
		}
	}
	return sign * (int64(hour)*Hour + int64(minute)*Minute), true
}

// AppendTimestamp appends RFC 3339 with Z and as many digits of the second as there are.
func AppendTimestamp(dst []byte, micros int64) []byte {
	return time.UnixMicro(micros).UTC().AppendFormat(dst, "2006-01-02T15:04:05.999999Z")
}

// AppendDate appends YYYY-MM-DD.
func AppendDate(dst []byte, days int32) []byte {
	return time.Unix(int64(days)*86400, 0).UTC().AppendFormat(dst, "2006-01-02")
}

// AppendClock appends hh:mm:ss and as many digits of the second as there are.
func AppendClock(dst []byte, micros int64) []byte {
	return time.UnixMicro(micros).UTC().AppendFormat(dst, "15:04:05.999999")
}

// Parts are what EXTRACT and functions such as HOUR take out of a timestamp.
var Parts = []string{"year", "quarter", "month", "week", "isoyear", "day", "dow", "isodow", "doy", "hour", "minute", "second", "millisecond", "microsecond", "epoch"}

// Part takes a part of Parts out of a timestamp. Week is the week of ISO 8601 in the year isoyear, dow counts
// from Sunday = 0, isodow from Monday = 1.
func Part(name string, micros int64) int64 {
	switch name {
	case "hour":
		return FloorMod(micros, Day) / Hour
	case "minute":
		return FloorMod(micros, Hour) / Minute
	case "second":
		return FloorMod(micros, Minute) / Second
	case "millisecond":
		return FloorMod(micros, Minute) / Millisecond
	case "microsecond":
		return FloorMod(micros, Minute)
	case "epoch":
		return (micros - FloorMod(micros, Second)) / Second
	}
	t := time.UnixMicro(micros).UTC()
	switch name {
	case "year":
		return int64(t.Year())
	case "quarter":
		return int64(t.Month()-1)/3 + 1
	case "month":
		return int64(t.Month())
	case "week":
		_, week := t.ISOWeek()
		return int64(week)
	case "isoyear":
		year, _ := t.ISOWeek()
		return int64(year)
	case "isodow":
		return int64(t.Weekday()+6)%7 + 1
	case "day":
		return int64(t.Day())
	case "dow":
		return int64(t.Weekday())
	default:
		return int64(t.YearDay())
	}
}

// Trunc cuts a timestamp down to the start of a unit (see Unit); a week starts on Monday.
// It reports false when the result does not fit.
func Trunc(unit string, micros int64) (int64, bool) {
	switch unit {
	case "week":
		// 1970-01-01 was a Thursday.
		monday, ok := Floor(micros+3*Day, Week)
		return monday - 3*Day, ok && micros < 1<<62
	case "month", "quarter", "year":
		t := time.UnixMicro(micros).UTC()
		month := t.Month()
		switch unit {
		case "quarter":
			month = (month-1)/3*3 + 1
		case "year":
			month = 1
		}
		return time.Date(t.Year(), month, 1, 0, 0, 0, 0, time.UTC).UnixMicro(), true
	}
	return Floor(micros, units[unit].Micros)
}
