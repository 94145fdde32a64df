package column

// Reads reports whether a Decoder takes the text of a JSON string for a column of a kind: every text
// for a string, and for a timestamp, date, time or UUID one that is written so.
func Reads(k Kind, text []byte) bool {
	st := malformed
	var c dayCache
	switch k {
	case String:
		st = wellFormed
	case Timestamp:
		_, st = c.timestamp(text)
	case Date:
		if len(text) == 10 {
			_, st = c.days(text)
		}
	case Time:
		_, st = timeOfDay(text)
	case UUID:
		_, st = parseUUID(text)
	}
	return st == wellFormed
}
