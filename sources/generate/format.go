package generate

// appendTime appends milliseconds since the epoch as 2026-01-01T00:00:00.000Z (civil calendar
// from days: Hinnant, "chrono-compatible low-level date algorithms"). time.AppendFormat takes as
// long as the rest of an event.
func appendTime(dst []byte, ms int64) []byte {
	days := ms / 86_400_000
	rest := int(ms % 86_400_000)
	if rest < 0 {
		days, rest = days-1, rest+86_400_000
	}
	z := int(days) + 719_468
	era := z / 146_097
	if z < 0 {
		era = (z - 146_096) / 146_097
	}
	doe := z - era*146_097
	yoe := (doe - doe/1460 + doe/36_524 - doe/146_096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	month, year := mp+3, yoe+era*400
	if month > 12 {
		month, year = month-12, year+1
	}
	dst = appendDigits(dst, year, 4)
	dst = appendDigits(append(dst, '-'), month, 2)
	dst = appendDigits(append(dst, '-'), doy-(153*mp+2)/5+1, 2)
	dst = appendDigits(append(dst, 'T'), rest/3_600_000, 2)
	dst = appendDigits(append(dst, ':'), rest/60_000%60, 2)
	dst = appendDigits(append(dst, ':'), rest/1000%60, 2)
	dst = appendDigits(append(dst, '.'), rest%1000, 3)
	return append(dst, 'Z')
}

// appendDigits appends n with leading zeros.
func appendDigits(dst []byte, n, width int) []byte {
	var digits [8]byte
	for i := width - 1; i >= 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
	return append(dst, digits[:width]...)
}

// appendFixed appends n / 10^decimals.
func appendFixed(dst []byte, n, decimals int) []byte {
	if n < 0 {
		dst, n = append(dst, '-'), -n
	}
	scale := 1
	for range decimals {
		scale *= 10
	}
	dst = appendInt(dst, n/scale)
	return appendDigits(append(dst, '.'), n%scale, decimals)
}

func appendInt(dst []byte, n int) []byte {
	var digits [20]byte
	i := len(digits)
	for {
		i--
		digits[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return append(dst, digits[i:]...)
		}
	}
}

// appendHex appends 16 hexadecimal digits.
func appendHex(dst []byte, n uint64) []byte {
	const digits = "0123456789abcdef"
	var b [16]byte
	for i := range b {
		b[15-i] = digits[n&15]
		n >>= 4
	}
	return append(dst, b[:]...)
}
