package encode

import "github.com/millrace-io/millrace/engine/column"

// A dictionary pays while it is small against what it stands for. Beyond these limits a chunk
// goes on without one.
const (
	dictMaxBytes = 1 << 20
	// dictTrial is after how many values of a file a column of distinct values is told from others:
	// there the share of distinct ones is above dictTrialShare. What is left is judged when the first page
	// is full, by dictPageShare: texts and numbers from a large set repeat little at first.
	dictTrial      = 8192
	dictTrialShare = 15.0 / 16
	dictPageShare  = 2.0 / 3
)

// dictionary is the distinct values of a column chunk, numbered as they appear.
type dictionary interface {
	// appendIDs appends the ids of rows that hold no null, adding values not seen before.
	appendIDs(dst []int32, c *column.Column, r rows) []int32
	// expand appends what ids stand for to v.
	expand(v *values, ids []int32)
	// appendPlain appends all values, PLAIN.
	appendPlain(dst []byte) []byte
	len() int
	// size is about that of the values when encoded PLAIN.
	size() int
	memory() int
	// bounds are those of all values.
	bounds(kind column.Kind) bounds
	// reset forgets all values and keeps the memory.
	reset()
}

func newDictionary(t column.Type) dictionary {
	if t.Kind == column.Float || t.Kind == column.Double {
		return newNumbers(t.Kind)
	}
	return newTexts()
}

// hasDictionary reports whether columns of a type begin with a dictionary.
func hasDictionary(t column.Type) bool {
	switch t.Kind {
	case column.String, column.Binary, column.JSON, column.Float, column.Double:
		return true
	}
	return false
}

// outgrows reports whether one text of c is larger than a dictionary may be.
func outgrows(c *column.Column, r rows) bool {
	if len(c.Bytes) <= dictMaxBytes || c.Dict != nil {
		return false
	}
	for i := range r.len() {
		if len(c.Text(r.at(i))) > dictMaxBytes {
			return true
		}
	}
	return false
}

func full(d dictionary) bool { return d.size() > dictMaxBytes }
