package pipelines

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
)

// decodeRow is a row of JSON with its numbers as they are written.
func decodeRow(text []byte) map[string]any {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var row map[string]any
	if err := d.Decode(&row); err != nil {
		return nil
	}
	return row
}

// equal compares two values; numbers that are not written the same may differ by a tolerance if one
// of them is no whole number.
func equal(a, b any, tolerance float64) bool {
	switch a := a.(type) {
	case json.Number:
		n, ok := b.(json.Number)
		return ok && (a == n || near(a, n, tolerance))
	case []any:
		list, ok := b.([]any)
		return ok && slices.EqualFunc(a, list, func(x, y any) bool { return equal(x, y, tolerance) })
	case map[string]any:
		object, ok := b.(map[string]any)
		if !ok || len(a) != len(object) {
			return false
		}
		for key, x := range a {
			if y, there := object[key]; !there || !equal(x, y, tolerance) {
				return false
			}
		}
		return true
	}
	return a == b
}

func near(a, b json.Number, tolerance float64) bool {
	if !strings.ContainsAny(string(a)+string(b), ".eE") {
		return false
	}
	x, err := a.Float64()
	y, other := b.Float64()
	return err == nil && other == nil && math.Abs(x-y) <= tolerance*max(math.Abs(x), math.Abs(y))
}

// wrong are the columns in which a row is not as expected, in order.
func (r ExpectedRow) wrong(got map[string]any, tolerance float64) []string {
	var columns []string
	for key, v := range r.values {
		if x, ok := got[key]; !ok || !equal(v, x, tolerance) {
			columns = append(columns, key)
		}
	}
	slices.Sort(columns)
	return columns
}

// match pairs expected rows with rows that came, as many as possible: several rows may fit one that is
// expected in a few columns only, and each is taken once (augmenting paths, Kuhn).
func match(expected []ExpectedRow, got []map[string]any, tolerance float64) (missing, unexpected []int) {
	taken := make([]int, len(got)) // by which expected row, counted from 1
	for i := range expected {
		seen := make([]bool, len(got))
		if !augment(expected, got, tolerance, taken, seen, i) {
			missing = append(missing, i)
		}
	}
	for j, by := range taken {
		if by == 0 {
			unexpected = append(unexpected, j)
		}
	}
	return missing, unexpected
}

// augment finds a row for expected row i, moving others to other rows where that helps.
func augment(expected []ExpectedRow, got []map[string]any, tolerance float64, taken []int, seen []bool, i int) bool {
	for pass := range 2 {
		for j := range got {
			free := taken[j] == 0
			if seen[j] || free != (pass == 0) || len(expected[i].wrong(got[j], tolerance)) > 0 {
				continue
			}
			seen[j] = true
			if free || augment(expected, got, tolerance, taken, seen, taken[j]-1) {
				taken[j] = i + 1
				return true
			}
		}
	}
	return false
}

// Difference is a row that is not as expected: one that did not come, one that came unexpected, or one
// for the other when they have columns in common.
type Difference struct {
	// Line of the expected row in the file, 0 if there is none.
	Line int `json:"line,omitempty"`
	// Want is the expected columns, Got the row.
	Want json.RawMessage `json:"want,omitempty"`
	Got  json.RawMessage `json:"got,omitempty"`
	// Columns that differ between the two.
	Columns []string `json:"columns,omitempty"`
}

// differences compares rows that came with those that are expected.
func (e Expectation) differences(texts [][]byte, tolerance float64) []Difference {
	got := make([]map[string]any, len(texts))
	for i, text := range texts {
		got[i] = decodeRow(text)
	}
	missing, unexpected := match(e.Rows, got, tolerance)
	var out []Difference
	for _, i := range missing {
		d := Difference{Line: e.Rows[i].Line, Want: e.Rows[i].text(e.Chain.Output().Names())}
		// The nearest of the rows that nobody expected is shown beside it.
		best, place := len(e.Rows[i].values), -1
		for k, j := range unexpected {
			if wrong := e.Rows[i].wrong(got[j], tolerance); len(wrong) < best {
				best, place, d.Columns = len(wrong), k, wrong
			}
		}
		if place >= 0 {
			d.Got = texts[unexpected[place]]
			unexpected = slices.Delete(unexpected, place, place+1)
		}
		out = append(out, d)
	}
	for _, j := range unexpected {
		out = append(out, Difference{Got: texts[j]})
	}
	return out
}

// text is the columns of an expected row as JSON, in the order of the schema.
func (r ExpectedRow) text(order []string) []byte {
	out := []byte{'{'}
	for _, name := range order {
		v, ok := r.values[name]
		if !ok {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		value, err := json.Marshal(v)
		if err != nil {
			value = []byte("null") // it was made of JSON
		}
		out = append(append(append(out, appendText(nil, name)...), ':'), value...)
	}
	return append(out, '}')
}
