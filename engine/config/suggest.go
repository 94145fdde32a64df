package config

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxQuoted is how many characters of a user's text a message repeats.
const maxQuoted = 60

// quote is a text as a message shows it: in quotes, without control characters, not too long.
func quote(text string) string {
	if utf8.RuneCountInString(text) > maxQuoted {
		text = string([]rune(text)[:maxQuoted]) + "…"
	}
	return strconv.Quote(text)
}

// Suggest is the candidate that a misspelt word most likely means, "" when none is close.
func Suggest(word string, candidates []string) string {
	const longest = 64 // the cost is quadratic
	if len(word) > longest {
		return ""
	}
	best, bestDistance := "", longest
	for _, c := range candidates {
		if len(c) > longest {
			continue
		}
		// A third of the letters may be wrong, but not all.
		allowed := min(max(1, max(len(word), len(c))/3), len(c)-1)
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d <= allowed && d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// suggestOrList ends a message about an unknown word: with what was meant, or with what there is.
func suggestOrList(word string, candidates []string, what string) string {
	if s := Suggest(word, candidates); s != "" {
		return "; did you mean " + strconv.Quote(s) + "?"
	}
	if len(candidates) == 0 {
		return ""
	}
	const most = 30
	if len(candidates) > most {
		candidates = append(slices.Clone(candidates[:most]), "…")
	}
	return "; known " + what + ": " + strings.Join(candidates, ", ")
}

// Unknown is the message about a name that is not among the candidates: what is `key "bufer"`
// without its quotes, plural is what the candidates are.
func Unknown(what, name, plural string, candidates []string) string {
	return "unknown " + what + " " + quote(name) + suggestOrList(name, candidates, plural)
}

// distance is the number of insertions, deletions, replacements and swaps of neighbours that turn a
// into b (optimal string alignment).
func distance(a, b string) int {
	prev2 := make([]int, len(b)+1)
	prev := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], prev2[j-2]+1)
			}
		}
		prev2, prev, row = prev, row, prev2
	}
	return prev[len(b)]
}
