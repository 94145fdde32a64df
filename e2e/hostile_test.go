package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/e2e/rig"
)

// hostileBudget is the memory: of these pipelines, and what they may have in all.
const (
	hostileBudget = "64MiB"
	hostileRSS    = 128 << 20
)

const hostile = `version: 1
name: hostile
memory: ` + hostileBudget + `
streams:
  rows: {shards: 2, schema: {n: bigint, k: bigint, x: double, s: string, j: json}}
sources:
  lines: {type: file, paths: ["${env:EVENTS}"], format: ndjson, max_record: 10MiB, to: rows}
sinks:
  lake:
    type: s3
    from: rows
    endpoint: http://127.0.0.1:19000
    access_key: ${env:AWS_ACCESS_KEY_ID}
    secret_key: ${env:AWS_SECRET_ACCESS_KEY}
    bucket: bench
    prefix: "${env:PREFIX}/"
    partition_by: [k]
    buffer: {size: 32MiB, age: 60s}
`

// inBudget fails the test when the process had more than its budget and 64 MiB.
func inBudget(t *testing.T, exit rig.Exit) {
	t.Helper()
	t.Logf("peak RSS %d MiB, %v CPU, %v", exit.PeakRSS>>20, exit.CPU, exit.Elapsed)
	if exit.PeakRSS > hostileRSS {
		t.Errorf("peak RSS %d MiB, want at most %d", exit.PeakRSS>>20, hostileRSS>>20)
	}
}

// spread is a file of n rows over so many partitions.
func spread(t *testing.T, n, partitions int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows.ndjson")
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	w := bufio.NewWriter(f)
	for i := range n {
		fmt.Fprintf(w, `{"n":%d,"k":%d,"x":%d.5,"s":"row %d of a pipeline with many partitions"}`+"\n", i, i*7919%partitions, i, i)
	}
	must(t, w.Flush())
	return path
}

// Each row is in the file of its value, and there once, whatever the number of values.
func TestThousandsOfPartitionsStayInBudget(t *testing.T) {
	needStore(t)
	for _, c := range []struct {
		partitions int
		local      bool // a directory instead of the store
	}{{1000, false}, {10_000, true}, {10_000, false}} {
		if c.partitions > 1000 && !c.local && !long() {
			continue
		}
		t.Run(fmt.Sprintf("%d local %v", c.partitions, c.local), func(t *testing.T) {
			const n = 100_000
			text := hostile
			dir := filepath.Join(t.TempDir(), "out")
			if c.local {
				at := strings.Index(text, "    type: s3")
				text = text[:at] + "    type: file\n    from: rows\n    dir: " + dir + "\n    format: parquet\n    partition_by: [k]\n    buffer: {size: 32MiB, age: 60s}\n"
			}
			p := pipeline(t, "hostile.yaml", text, "EVENTS="+spread(t, n, c.partitions))
			summary, exit := p.run()
			inBudget(t, exit)
			table := fmt.Sprintf("read_parquet('%s/**/*.parquet', hive_partitioning=false, filename=true)", dir)
			if !c.local {
				table, _ = p.delivered()
				table = strings.Replace(table, "false)", "false, filename=true)", 1)
			}
			got := tally{produced: n, acknowledged: summary.Stream("rows").Records}
			var right int64
			must(t, duck.Row(t.Context(), `SELECT COUNT(*), COUNT(*) - COUNT(DISTINCT n), COUNT(*) FILTER (contains(filename, '/k=' || k || '/')) FROM `+table,
				&got.delivered, &got.duplicated, &right))
			got.lost = n - (got.delivered - got.duplicated)
			if got.delivered != n || got.duplicated != 0 || right != n {
				t.Errorf("%v, %d in the partition of their value", got, right)
			}
			fmt.Printf("%d partitions: %v\n", c.partitions, got)
		})
	}
}

// Every hostile line is a row or a dead letter with a code, and no other row suffers.
func TestHostileRecordsAreRowsOrDeadLetters(t *testing.T) {
	needStore(t)
	big := strings.Repeat("millrace ", 10<<20/9-10)
	lines := []struct{ line, code string }{
		{`{"n":1,"k":1,"s":"` + big + `"}`, ""},
		{`{"n":2,"k":1,"j":` + strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000) + `}`, "too-deep"},
		{`{"n":3,"k":1,"unknown":` + strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000) + `}`, "too-deep"},
		{"{\"n\":4,\"k\":1,\"s\":\"\xc3\x28\"}", "invalid-utf8"},
		{`{"n":5,"k":1,"n":5,"s":"first","s":"second"}`, "duplicate-key"},
		{`{"n":99999999999999999999,"k":1}`, "out-of-range"},
		{`{"n":7,"k":1,"x":1e999}`, "out-of-range"},
		{`{"n":8,"k":1,"x":-0.0,"s":"\u0000\ud83d\ude80"}`, ""},
		{`{"n":9,"k":1,"s":"\ud800"}`, "invalid-utf8"},
		{`{"n":10,"k":1.5}`, "type-mismatch"},
		{`{"n":11,"k":"1"`, "parse-error"},
		{`null`, "parse-error"},
		{`{"n":13,"k":9223372036854775807,"x":1e308}`, ""},
	}
	var text strings.Builder
	rows, bad := 0, map[string]int{}
	for i, l := range lines {
		text.WriteString(l.line + "\n")
		fmt.Fprintf(&text, `{"n":%d,"k":2,"s":"between"}`+"\n", 1000+i)
		rows++
		if l.code == "" {
			rows++
		} else {
			bad[l.code]++
		}
	}
	events := filepath.Join(t.TempDir(), "hostile.ndjson")
	must(t, os.WriteFile(events, []byte(text.String()), 0o644))
	p := pipeline(t, "hostile.yaml", hostile, "EVENTS="+events)
	summary, exit := p.run()
	inBudget(t, exit)

	table, _ := p.delivered()
	got := tally{produced: int64(2 * len(lines)), acknowledged: summary.Stream("rows").Records}
	got.delivered = number(t, "SELECT COUNT(*) FROM %s", table)
	if got.delivered != int64(rows) {
		t.Errorf("%d rows, want %d", got.delivered, rows)
	}
	if n := number(t, "SELECT length(s) FROM %s WHERE n = 1", table); n != int64(len(big)) {
		t.Errorf("the large record has %d bytes, want %d", n, len(big))
	}
	letters := p.other("dead-letters", "--data", p.data)
	kept := map[string]int{}
	for line := range strings.Lines(letters.Stdout) {
		var l letter
		must(t, json.Unmarshal([]byte(line), &l))
		kept[l.Code]++
		got.delivered++
		if l.Reason == "" || kept[l.Code] > bad[l.Code] {
			t.Errorf("dead letter %s: %s in step %s: %.80q", l.Code, l.Reason, l.Step, l.Data)
		}
	}
	for code, n := range bad {
		if kept[code] != n {
			t.Errorf("%d dead letters with the code %s, want %d", kept[code], code, n)
		}
	}
	got.lost = got.produced - got.delivered
	fmt.Printf("hostile records: %v\n", got)
}

// Texts that hardly get smaller are held by the codec and by the file as well.
func TestHostileRecordsOfTenMegabytesStayInBudget(t *testing.T) {
	needStore(t)
	// What is left of the promise for records that are larger in memory than in the file.
	const n, margin = 12, 10 << 20
	random := rand.NewPCG(1, 2)
	letters := make([]byte, 10<<20-200)
	for i := range letters {
		letters[i] = "abcdefghijklmnopqrstuvwxyz012345"[random.Uint64()%32]
	}
	words := strings.Repeat("millrace ", len(letters)/9)
	for _, c := range []struct {
		name, text string
		partitions int
	}{
		{"one file", string(letters), 0}, {"partitions", string(letters), 3},
		{"one file of words", words, 0}, {"partitions of words", words, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			events := filepath.Join(t.TempDir(), "large.ndjson")
			f, err := os.Create(events)
			must(t, err)
			defer f.Close()
			for i := range n {
				_, err := fmt.Fprintf(f, `{"n":%d,"k":%d,"s":"%s"}`+"\n"+`{"n":%d,"k":%d,"s":"between"}`+"\n", i, i%max(1, c.partitions), c.text, n+i, i%2)
				must(t, err)
			}
			text := hostile
			if c.partitions == 0 {
				text = strings.Replace(text, "    partition_by: [k]\n", "", 1)
			}
			p := pipeline(t, "hostile.yaml", text, "EVENTS="+events)
			_, exit := p.run()
			t.Logf("peak RSS %d MiB, %v CPU, %v", exit.PeakRSS>>20, exit.CPU, exit.Elapsed)
			if exit.PeakRSS > hostileRSS-margin {
				t.Errorf("peak RSS %d MiB, want at most %d", exit.PeakRSS>>20, (hostileRSS-margin)>>20)
			}
			table, _ := p.delivered()
			if rows := number(t, "SELECT COUNT(DISTINCT n) FROM %s", table); rows != 2*n {
				t.Errorf("%d rows, want %d", rows, 2*n)
			}
			if whole := number(t, fmt.Sprintf("SELECT COUNT(*) FROM %%s WHERE length(s) = %d", len(c.text)), table); whole != n {
				t.Errorf("%d records are whole, want %d", whole, n)
			}
		})
	}
}

// The disk that chunks spill to has room for a fraction of one.
func TestFullSpillDiskMakesChunksSmallerAndLosesNothing(t *testing.T) {
	needStore(t)
	p := prove(t, 100_000, form{size: "256MiB"})
	work := filepath.Join(p.data, "work")
	must(t, os.MkdirAll(work, 0o755))
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "none", work).CombinedOutput(); err != nil {
		t.Skipf("needs the right to mount a small disk: %s", out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", work).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	p.edit("memory: 64MiB", "memory: 32MiB")
	summary, exit := p.run()
	t.Logf("peak RSS %d MiB\n%s", exit.PeakRSS>>20, exit.Stderr)
	fmt.Printf("full spill disk: %v\n", p.verify(summary))
}
