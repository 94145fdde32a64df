package sources

// OneLine replaces line breaks, which in valid JSON stand between tokens only, by spaces, so that
// records can be written as lines again. It changes b and returns it.
func OneLine(b []byte) []byte {
	for i, c := range b {
		if c == '\n' || c == '\r' {
			b[i] = ' '
		}
	}
	return b
}
