package objects

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/sql"
)

// partitioner tells the partition of each row: directories in Hive's notation, name=value/.
type partitioner struct {
	names []string
	exprs []*sql.Expr
	// columns are the values for the batch at hand.
	columns []*column.Column
}

// nullPartition stands for null, as Hive, Spark, Trino and DuckDB write and read it.
const nullPartition = "__HIVE_DEFAULT_PARTITION__"

// maxPartitionValue is how many bytes a value may have in a key, which has 1,024 in all.
const maxPartitionValue = 256

var (
	alias      = regexp.MustCompile(`(?is)^(.*\S)\s+as\s+([a-z_][a-z0-9_]*)\s*$`)
	columnName = regexp.MustCompile(`^(?:[A-Za-z_][A-Za-z0-9_]*\.)*([A-Za-z_][A-Za-z0-9_]*)$`)
)

// splitName takes `expression AS name` apart; the name of a column is its own.
func splitName(text string) (expr, name string, err error) {
	text = strings.TrimSpace(text)
	if m := alias.FindStringSubmatch(text); m != nil {
		return m[1], m[2], nil
	}
	if m := columnName.FindStringSubmatch(text); m != nil {
		return text, m[1], nil
	}
	return "", "", fmt.Errorf("an expression needs a name for its directory: %q", text+" AS name")
}

func indexed(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

func newPartitioner(texts []string, schema *column.Schema) (*partitioner, error) {
	p := &partitioner{columns: make([]*column.Column, len(texts))}
	for i, text := range texts {
		wrong := func(err error) error { return &config.PathError{Path: indexed("partition_by", i), Err: err} }
		expr, name, err := splitName(text)
		if err != nil {
			return nil, wrong(err)
		}
		e, err := sql.CompileExpr(expr, schema)
		if err != nil {
			return nil, wrong(err)
		}
		switch k := e.Type().Kind; k {
		case column.Float, column.Double, column.Binary, column.List, column.Struct, column.JSON:
			return nil, wrong(fmt.Errorf("rows cannot be partitioned by a %s; use a text, number without fraction, date, timestamp or boolean", k))
		}
		for _, other := range p.names {
			if other == name {
				return nil, wrong(fmt.Errorf("the name %s is taken; give one with AS", name))
			}
		}
		p.names, p.exprs = append(p.names, name), append(p.exprs, e)
	}
	return p, nil
}

// eval computes the values for the selected rows of b.
func (p *partitioner) eval(b *column.Batch) error {
	for i, e := range p.exprs {
		c, err := e.Eval(b)
		if err != nil {
			return fmt.Errorf("partition_by %s: %w", p.names[i], err)
		}
		p.columns[i] = c
	}
	return nil
}

// appendKey appends bytes that two rows have in common when, and only when, they are in the same
// partition.
func (p *partitioner) appendKey(dst []byte, row int) []byte {
	for _, c := range p.columns {
		if c.IsNull(row) {
			dst = append(dst, 0)
			continue
		}
		dst = append(dst, 1)
		switch {
		case c.Int64s != nil:
			dst = binary.BigEndian.AppendUint64(dst, uint64(c.Int64s[row]))
		case c.Int32s != nil:
			dst = binary.BigEndian.AppendUint32(dst, uint32(c.Int32s[row]))
		case c.Fixed != nil:
			dst = append(dst, c.Fixed[16*row:16*row+16]...)
		case c.Bools != nil:
			bit := byte(0)
			if c.Bools.Get(row) {
				bit = 1
			}
			dst = append(dst, bit)
		default:
			text := c.Text(row)
			dst = binary.AppendUvarint(dst, uint64(len(text)))
			dst = append(dst, text...)
		}
	}
	return dst
}

// values are those of a row, escaped. Error: one is too long for a key.
func (p *partitioner) values(row int) ([]string, error) {
	values := make([]string, len(p.columns))
	for i, c := range p.columns {
		value := nullPartition
		if !c.IsNull(row) {
			value = escape(column.AppendText(nil, c, row))
		}
		if len(value) > maxPartitionValue {
			return nil, fmt.Errorf("the value of %s takes %d bytes in the key of an object; the limit is %d", p.names[i], len(value), maxPartitionValue)
		}
		values[i] = value
	}
	return values, nil
}

// path is the directories of escaped values, each with a slash at its end.
func (p *partitioner) path(values []string) string {
	var path strings.Builder
	for i, v := range values {
		path.WriteString(p.names[i] + "=" + v + "/")
	}
	return path.String()
}

// escape spells a value so that it cannot be taken for something else in a path, as Hive does.
func escape(value []byte) string {
	var out strings.Builder
	for i := range len(value) {
		c := value[i]
		if c < 0x20 || c == 0x7f || strings.IndexByte("\"#%'*/:=?\\{}[]^", c) >= 0 {
			fmt.Fprintf(&out, "%%%02X", c)
			continue
		}
		out.WriteByte(c)
	}
	return out.String()
}
