package table

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/sql/decimal"
)

// leaf is a column of the file that the schema has, and how its values are written as JSON.
type leaf struct {
	name  string
	write func(dst []byte, v parquet.Value) ([]byte, error)
}

// parquet reads the rows of a Parquet file. The library may panic on what is none.
func (r *rows) parquet(content io.ReaderAt, size int64) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it is no Parquet file that can be read: %v", p)
		}
	}()
	file, err := parquet.OpenFile(content, size, parquet.SkipBloomFilters(true), parquet.SkipPageIndex(true))
	if err != nil {
		return fmt.Errorf("open it as Parquet: %w", err)
	}
	leaves, err := leavesOf(file.Schema(), r.spec.Schema)
	if err != nil {
		return err
	}
	to := newLines(r)
	n := 0
	for _, group := range file.RowGroups() {
		if n, err = to.group(group, leaves, n); err != nil {
			return err
		}
	}
	return to.flush()
}

// leavesOf finds the columns of a schema, by their place in the file.
func leavesOf(file *parquet.Schema, schema *column.Schema) (map[int]leaf, error) {
	leaves := map[int]leaf{}
	var names []string
	for _, f := range file.Fields() {
		names = append(names, f.Name())
	}
	for _, f := range schema.Fields {
		if !slices.Contains(names, f.Name) {
			return nil, errors.New(config.Unknown("column", f.Name, "columns of the file", names))
		}
		c, ok := file.Lookup(f.Name)
		if !ok || c.MaxRepetitionLevel > 0 || !c.Node.Leaf() {
			return nil, fmt.Errorf("column %q is a list or struct in the file; of Parquet only plain columns can be read, so leave it out of the schema", f.Name)
		}
		write := writer(c.Node.Type(), f.Type)
		if write == nil {
			return nil, fmt.Errorf("column %q is %s in the file, of which no %s can be made", f.Name, c.Node.Type(), f.Type)
		}
		leaves[c.ColumnIndex] = leaf{f.Name, write}
	}
	return leaves, nil
}

// group adds the rows of a row group; n is how many came before.
func (l *lines) group(group parquet.RowGroup, leaves map[int]leaf, n int) (int, error) {
	in := group.Rows()
	defer in.Close()
	buffer := make([]parquet.Row, 256)
	var row []byte
	for {
		k, err := in.ReadRows(buffer)
		for _, values := range buffer[:k] {
			n++
			row = append(row[:0], '{')
			for _, v := range values {
				c, ok := leaves[v.Column()]
				if !ok {
					continue
				}
				if len(row) > 1 {
					row = append(row, ',')
				}
				row = append(appendText(row, []byte(c.name)), ':')
				if v.IsNull() {
					row = append(row, "null"...)
					continue
				}
				var err error
				if row, err = c.write(row, v); err != nil {
					return n, fmt.Errorf("row %d: column %q: %w", n, c.name, err)
				}
			}
			if err := l.decoder.Add(append(row, '}'), 0, 0); err != nil {
				return n, fmt.Errorf("row %d: %w", n, err)
			}
			if l.decoder.Len() >= decodeRows {
				if err := l.flush(); err != nil {
					return n, err
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("read row %d: %w", n+1, err)
		}
	}
}

// writer says how values of a column are written as JSON of a type; nil if they cannot be.
func writer(from parquet.Type, to column.Type) func([]byte, parquet.Value) ([]byte, error) {
	if l := from.LogicalType(); l != nil {
		switch logical := l.Value.(type) {
		case *format.DateType:
			return quoted(func(dst []byte, v parquet.Value) []byte {
				return time.Unix(int64(v.Int32())*86400, 0).UTC().AppendFormat(dst, time.DateOnly)
			})
		case *format.TimestampType:
			return timestamps(perMicro(logical.Unit))
		case *format.TimeType:
			return times(perMicro(logical.Unit), from.Kind())
		case *format.DecimalType:
			return decimals(int(logical.Scale), from.Kind())
		case *format.IntType:
			if !logical.IsSigned {
				return func(dst []byte, v parquet.Value) ([]byte, error) {
					if from.Kind() == parquet.Int32 {
						return strconv.AppendUint(dst, uint64(uint32(v.Int32())), 10), nil
					}
					return strconv.AppendUint(dst, uint64(v.Int64()), 10), nil
				}
			}
		case *format.UUIDType:
			return quoted(func(dst []byte, v parquet.Value) []byte {
				b := v.ByteArray()
				for i, end := range []int{4, 6, 8, 10, 16} {
					if i > 0 {
						dst = append(dst, '-')
					}
					from := []int{0, 4, 6, 8, 10}[i]
					dst = hex.AppendEncode(dst, b[min(from, len(b)):min(end, len(b))])
				}
				return dst
			})
		}
	}
	switch from.Kind() {
	case parquet.Boolean:
		return func(dst []byte, v parquet.Value) ([]byte, error) { return strconv.AppendBool(dst, v.Boolean()), nil }
	case parquet.Int32:
		return func(dst []byte, v parquet.Value) ([]byte, error) {
			return strconv.AppendInt(dst, int64(v.Int32()), 10), nil
		}
	case parquet.Int64:
		return func(dst []byte, v parquet.Value) ([]byte, error) { return strconv.AppendInt(dst, v.Int64(), 10), nil }
	case parquet.Float:
		return func(dst []byte, v parquet.Value) ([]byte, error) { return appendFloat(dst, float64(v.Float()), 32) }
	case parquet.Double:
		return func(dst []byte, v parquet.Value) ([]byte, error) { return appendFloat(dst, v.Double(), 64) }
	case parquet.ByteArray, parquet.FixedLenByteArray:
		return texts(to)
	}
	return nil
}

func quoted(write func([]byte, parquet.Value) []byte) func([]byte, parquet.Value) ([]byte, error) {
	return func(dst []byte, v parquet.Value) ([]byte, error) {
		return append(write(append(dst, '"'), v), '"'), nil
	}
}

// perMicro is the nanoseconds of a unit.
func perMicro(u format.TimeUnit) int64 {
	switch u.Value.(type) {
	case *format.MilliSeconds:
		return int64(time.Millisecond)
	case *format.NanoSeconds:
		return 1
	}
	return int64(time.Microsecond)
}

func timestamps(unit int64) func([]byte, parquet.Value) ([]byte, error) {
	return quoted(func(dst []byte, v parquet.Value) []byte {
		micros := v.Int64() / 1000
		if unit > 1 {
			micros = v.Int64() * (unit / 1000)
		}
		return column.AppendTimestamp(dst, micros)
	})
}

func times(unit int64, kind parquet.Kind) func([]byte, parquet.Value) ([]byte, error) {
	return quoted(func(dst []byte, v parquet.Value) []byte {
		n := int64(v.Int32())
		if kind == parquet.Int64 {
			n = v.Int64()
		}
		return time.Unix(0, n*unit).UTC().AppendFormat(dst, "15:04:05.999999")
	})
}

// decimals are whole numbers of a scale, or their bytes with the most significant first.
func decimals(scale int, kind parquet.Kind) func([]byte, parquet.Value) ([]byte, error) {
	return func(dst []byte, v parquet.Value) ([]byte, error) {
		var n decimal.Int128
		switch kind {
		case parquet.Int32:
			n = decimal.FromInt(int64(v.Int32()))
		case parquet.Int64:
			n = decimal.FromInt(v.Int64())
		default:
			b := v.ByteArray()
			if len(b) == 0 || len(b) > 16 {
				return dst, fmt.Errorf("a decimal of %d bytes cannot be read", len(b))
			}
			if b[0]&0x80 != 0 {
				n = decimal.FromInt(-1)
			}
			for _, x := range b {
				n.Hi, n.Lo = n.Hi<<8|int64(n.Lo>>56), n.Lo<<8|uint64(x)
			}
		}
		return append(decimal.Append(append(dst, '"'), n, scale), '"'), nil
	}
}

func appendFloat(dst []byte, f float64, bits int) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return dst, fmt.Errorf("%v is no number that a column holds", f)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, bits), nil
}

// texts are bytes, read as the type has it.
func texts(to column.Type) func([]byte, parquet.Value) ([]byte, error) {
	switch to.Kind {
	case column.Binary:
		return quoted(func(dst []byte, v parquet.Value) []byte { return base64.StdEncoding.AppendEncode(dst, v.ByteArray()) })
	case column.JSON, column.List, column.Struct:
		return func(dst []byte, v parquet.Value) ([]byte, error) { return append(dst, v.ByteArray()...), nil }
	}
	return func(dst []byte, v parquet.Value) ([]byte, error) {
		if !utf8.Valid(v.ByteArray()) {
			return dst, errors.New("it is no UTF-8 text; call the column binary")
		}
		return appendText(dst, v.ByteArray()), nil
	}
}
