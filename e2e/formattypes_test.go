package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// everyType delivers rows with columns of all types.
const everyType = `version: 1
name: types
streams:
  rows:
    schema:
      seq: bigint
      b: boolean
      i: int
      f: float
      d: double
      small: decimal(9,2)
      large: decimal(38,10)
      s: string
      bin: binary
      day: date
      at: time
      ts: timestamp
      id: uuid
      doc: json
      tags: [string]
      matrix: [[bigint]]
      geo: {lat: double, place: {name: string}}
      points: [{x: int, label: string}]
sources:
  events: {type: file, paths: [rows.ndjson], format: ndjson, to: rows}
sinks:
  avro: {type: file, from: rows, dir: out/avro, format: {type: avro, compression: %s}}
  csv: {type: file, from: rows, dir: out/csv, format: {type: csv, null: '\N'}}
  json: {type: file, from: rows, dir: out/json, format: json}
`

const clockLayout, momentLayout = "15:04:05.000000", "2006-01-02T15:04:05.000000Z"

// typedRow is a random row as JSON, with values written as Millrace does; nulls, empty texts and
// empty lists among them.
func typedRow(r *rand.Rand, seq int) map[string]any {
	maybe := func(f func() any) any {
		if r.IntN(5) == 0 {
			return nil
		}
		return f()
	}
	texts := []string{"", " ", "a,b", `"q"`, "two\nlines", "ünï ☃ 𝄞", `\N`, "NULL", "x"}
	text := func() any { return texts[r.IntN(len(texts))] }
	list := func(f func() any) func() any {
		return func() any {
			l := make([]any, r.IntN(4))
			for i := range l {
				l[i] = maybe(f)
			}
			return l
		}
	}
	number := func() any { return json.Number(fmt.Sprint(int64(r.Uint64()) >> r.IntN(64))) }
	small := func() any { return json.Number(fmt.Sprint(int32(r.Uint32()))) }
	real := func() any { return json.Number(fmt.Sprint(float64(r.IntN(200_000)-100_000) / 4)) }
	moment := func(layout string) func() any {
		return func() any { return time.UnixMicro(r.Int64N(4e15) - 1e15).UTC().Format(layout) }
	}
	return map[string]any{
		"seq": json.Number(fmt.Sprint(seq)), "b": maybe(func() any { return r.IntN(2) == 0 }), "i": maybe(small), "f": maybe(real), "d": maybe(real),
		"small": maybe(func() any { return json.Number(fmt.Sprintf("%d.%02d", r.IntN(2_000_000)-1_000_000, r.IntN(100))) }),
		"large": maybe(func() any {
			return json.Number(fmt.Sprintf("-%d%018d.%010d", 1+r.IntN(1e9), r.Int64N(1e18), r.Int64N(1e10)))
		}),
		"s":   maybe(text),
		"bin": maybe(func() any { return base64.StdEncoding.EncodeToString([]byte(texts[r.IntN(len(texts))] + "\x00\xff")) }),
		"day": maybe(moment(time.DateOnly)), "at": maybe(moment(clockLayout)), "ts": maybe(moment(momentLayout)),
		"id":  maybe(func() any { return fmt.Sprintf("%08x-0000-4000-8000-%012x", r.Uint32(), r.IntN(1<<40)) }),
		"doc": maybe(func() any { return map[string]any{"k": text()} }), "tags": maybe(list(text)), "matrix": maybe(list(list(number))),
		"geo": maybe(func() any {
			return map[string]any{"lat": maybe(real), "place": maybe(func() any { return map[string]any{"name": maybe(text)} })}
		}),
		"points": maybe(list(func() any { return map[string]any{"x": maybe(small), "label": maybe(text)} })),
	}
}

// normal is a value of a top-level column in the spelling of typedRow, whatever it was read as; column
// is empty for values within others.
func normal(t *testing.T, column string, v any) any {
	t.Helper()
	switch v := v.(type) {
	case string:
		return normalText(t, column, v)
	case int, int32, int64, float32, float64:
		return json.Number(fmt.Sprint(v))
	case *big.Rat:
		return json.Number(v.FloatString(map[string]int{"small": 2, "large": 10}[column]))
	case []byte:
		return base64.StdEncoding.EncodeToString(v)
	case time.Duration:
		return time.Time{}.Add(v).Format(clockLayout)
	case time.Time:
		if column == "day" {
			return v.UTC().Format(time.DateOnly)
		}
		return v.UTC().Format(momentLayout)
	case []any:
		for i := range v {
			v[i] = normal(t, "", v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = normal(t, "", v[k])
		}
	}
	return v
}

func normalText(t *testing.T, column, v string) any {
	t.Helper()
	switch column {
	case "b":
		return v == "true"
	case "seq", "i", "f", "d", "small", "large":
		return json.Number(v)
	case "at":
		at, err := time.Parse("15:04:05", v)
		must(t, err)
		return at.Format(clockLayout)
	case "ts":
		ts, err := time.Parse(time.RFC3339, v)
		must(t, err)
		return ts.Format(momentLayout)
	case "doc", "tags", "matrix", "geo", "points":
		return decodeJSON(t, []byte(v))[0]
	}
	return v
}

// decodeJSON reads values one after the other, numbers as their texts.
func decodeJSON(t *testing.T, text []byte) (all []any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	for d.More() {
		var v any
		must(t, d.Decode(&v))
		all = append(all, v)
	}
	return all
}

// sameRows fails the test unless got holds the rows, in any order.
func sameRows(t *testing.T, want []string, got []any) {
	t.Helper()
	var lines []string
	for _, row := range got {
		row := row.(map[string]any)
		for column, v := range row {
			row[column] = normal(t, column, v)
		}
		line, err := json.Marshal(row)
		must(t, err)
		lines = append(lines, string(line))
	}
	slices.Sort(lines)
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("%d rows, want %d (-want +got):\n%.3000s", len(lines), len(want), diff)
	}
}

func TestFormatsHoldEveryTypeAndValue(t *testing.T) {
	for i, codec := range []string{"none", "deflate", "snappy", "zstd"} {
		t.Run(codec, func(t *testing.T) {
			p := pipeline(t, "types.yaml", fmt.Sprintf(everyType, codec))
			r := rand.New(rand.NewPCG(uint64(i), 5))
			var want []string
			for seq := range 2000 {
				line, err := json.Marshal(typedRow(r, seq))
				must(t, err)
				want = append(want, string(line))
			}
			must(t, os.WriteFile(filepath.Join(p.dir, "rows.ndjson"), []byte(strings.Join(want, "\n")+"\n"), 0o600))
			slices.Sort(want)
			p.run()
			one := func(dir string) string {
				files, err := filepath.Glob(filepath.Join(p.dir, "out", dir, "*."+dir))
				if err != nil || len(files) != 1 {
					t.Fatalf("%s: files %v, %v", dir, files, err)
				}
				return files[0]
			}
			t.Run("avro", func(t *testing.T) { sameRows(t, want, readAvro(t, one("avro"))) })
			t.Run("json", func(t *testing.T) {
				text, err := os.ReadFile(one("json"))
				must(t, err)
				sameRows(t, want, decodeJSON(t, text)[0].([]any))
			})
			t.Run("csv", func(t *testing.T) {
				// DuckDB tells a quoted \N from a null; encoding/csv does not.
				lines := filepath.Join(p.dir, "csv.ndjson")
				must(t, duck.Exec(t.Context(), fmt.Sprintf(`COPY (SELECT * FROM read_csv('%s', header=true, all_varchar=true, delim=',', quote='"', escape='"',
					nullstr='\N', allow_quoted_nulls=false)) TO '%s' (FORMAT json)`, one("csv"), lines)))
				text, err := os.ReadFile(lines)
				must(t, err)
				sameRows(t, want, decodeJSON(t, text))
			})
		})
	}
}
