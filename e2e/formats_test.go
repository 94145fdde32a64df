package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hamba/avro/v2/ocf"
)

// everyFormat delivers the same stream in all row formats, in chunks so small that a kill finds
// one in the making.
const everyFormat = `version: 1
name: formats
streams:
  clicks:
    shards: 1
    schema:
` + clickColumns + `sources:
  events: {type: file, paths: ["${env:EVENTS}"], format: ndjson, partition_key: user_id, to: clicks}
sinks:
  whole: {type: file, from: clicks, path: out/whole.csv, format: csv, buffer: {size: 256KiB, age: 100ms}}
  urls: {type: file, from: clicks, path: out/urls.txt, format: {type: raw, column: url, delimiter: "\n"}, buffer: {size: 64KiB, age: 100ms}}
  lines: {type: file, from: clicks, dir: out/lines, format: ndjson, compression: zstd, buffer: {size: 256KiB, age: 100ms}}
  arrays: {type: file, from: clicks, dir: out/arrays, format: {type: json, compression: gzip}, buffer: {size: 256KiB, age: 100ms}}
  blocks: {type: file, from: clicks, dir: out/blocks, format: avro, buffer: {size: 256KiB, age: 100ms}}
  lake:
    type: s3
    from: clicks
    endpoint: http://127.0.0.1:19000
    access_key: ${env:AWS_ACCESS_KEY_ID}
    secret_key: ${env:AWS_SECRET_ACCESS_KEY}
    bucket: bench
    prefix: "${env:PREFIX}/"
    format: {type: csv, compression: gzip, delimiter: ";", null: '\N', line_break: lf}
    buffer: {size: 256KiB, age: 100ms}
`

const clickTypes = `event_time: 'VARCHAR', user_id: 'VARCHAR', session_id: 'VARCHAR', url: 'VARCHAR', action: 'VARCHAR',
	price: 'DOUBLE', quantity: 'BIGINT', country: 'VARCHAR', user_agent: 'VARCHAR', geo: '%s', seq: 'BIGINT'`

// jsonClicks is the table function that reads delivered events as JSON; format is newline_delimited
// or array.
func jsonClicks(files, format string) string {
	return fmt.Sprintf("(SELECT event_time::TIMESTAMP AS event_time, * EXCLUDE event_time FROM read_json('%s', format='%s', columns={%s}))",
		files, format, fmt.Sprintf(clickTypes, "STRUCT(lat DOUBLE, lon DOUBLE)"))
}

// csvClicks is the same for CSV.
func csvClicks(files, options string) string {
	return fmt.Sprintf(`(SELECT event_time::TIMESTAMP AS event_time, * EXCLUDE (event_time, geo), json_transform(geo, '{"lat":"DOUBLE","lon":"DOUBLE"}') AS geo
		FROM read_csv('%s', header=true, auto_detect=false, quote='"', escape='"', %s, columns={%s}))`, files, options, fmt.Sprintf(clickTypes, "VARCHAR"))
}

// The files that are appended to do not depend on where chunks end, so kills leave no trace in them.
func TestEveryFormatHoldsTheInputOnceAcrossKills(t *testing.T) {
	needStore(t)
	const n = 100_000
	file := clicks(t, n)
	calm := pipeline(t, "formats.yaml", everyFormat, "EVENTS="+file)
	calm.run()

	p := pipeline(t, "formats.yaml", everyFormat, "EVENTS="+file)
	process, hits := killed(t, p, rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0)), 12)
	p.finish(process)
	if hits == 0 {
		t.Error("no kill hit the process")
	}
	out := filepath.Join(p.dir, "out")
	for _, name := range []string{"whole.csv", "urls.txt"} {
		want, err := os.ReadFile(filepath.Join(calm.dir, "out", name))
		must(t, err)
		got, err := os.ReadFile(filepath.Join(out, name))
		must(t, err)
		if len(want) == 0 || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes after %d kills, %d without", name, len(got), hits, len(want))
		}
	}
	if got := number(t, "SELECT COUNT(*) FROM ((SELECT url FROM read_csv('%s', header=false, columns={url: 'VARCHAR'}, delim='\t')) EXCEPT ALL (SELECT url FROM %s))",
		filepath.Join(out, "urls.txt"), events(file)); got != 0 {
		t.Errorf("%d urls are not those of the input", got)
	}
	must(t, os.WriteFile(filepath.Join(p.dir, "blocks.ndjson"), avroAsJSON(t, filepath.Join(out, "blocks")), 0o600))
	objects := t.TempDir()
	_, err := store.Download(within(t, patience), "bench", p.prefix+"/", objects)
	must(t, err)
	for name, table := range map[string]string{
		"whole":  csvClicks(filepath.Join(out, "whole.csv"), "delim=','"),
		"lines":  jsonClicks(filepath.Join(out, "lines", "*.ndjson.zst"), "newline_delimited"),
		"arrays": jsonClicks(filepath.Join(out, "arrays", "*.json.gz"), "array"),
		"blocks": jsonClicks(filepath.Join(p.dir, "blocks.ndjson"), "newline_delimited"),
		"lake":   csvClicks(filepath.Join(objects, "**", "*.csv.gz"), `delim=';', nullstr='\N'`),
	} {
		t.Run(name, func(t *testing.T) { sameEvents(t, file, table) })
	}
}

// avroAsJSON reads all container files of a directory with a reader that is not ours.
func avroAsJSON(t *testing.T, dir string) []byte {
	t.Helper()
	var lines bytes.Buffer
	files := 0
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".avro") {
			return err
		}
		files++
		for _, row := range readAvro(t, path) {
			line, err := json.Marshal(row)
			if err != nil {
				return err
			}
			lines.Write(append(line, '\n'))
		}
		return nil
	}))
	if files < 2 {
		t.Errorf("%d Avro files", files)
	}
	return lines.Bytes()
}

func readAvro(t *testing.T, path string) (rows []any) {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	d, err := ocf.NewDecoder(f)
	must(t, err)
	for d.HasNext() {
		var row any
		must(t, d.Decode(&row))
		rows = append(rows, unwrap(row))
	}
	must(t, d.Error())
	return rows
}

// unwrap takes values out of the maps that name the branch of a union.
func unwrap(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			base, _, _ := strings.Cut(key, ".")
			if len(v) == 1 && slices.Contains([]string{"row", "array", "boolean", "int", "long", "float", "double", "string", "bytes"}, base) {
				return unwrap(inner)
			}
			v[key] = unwrap(inner)
		}
	case []any:
		for i := range v {
			v[i] = unwrap(v[i])
		}
	}
	return v
}
