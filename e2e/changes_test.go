package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/e2e/rig"
)

// Between a plan and its redoing the pipeline file changes, or the schema that the records decide on
// does. What was planned comes out as it was planned; what follows, as it is wanted now.
func TestChangesBetweenPlanAndRedoLoseAndDuplicateNothing(t *testing.T) {
	needStore(t)
	faulty := faultyBinary(t)
	const agent = "      user_agent: string\n"
	var sum tally
	for _, c := range []struct {
		name          string
		before, after []string // replacements in the pipeline file
		agent         string   // the user agent of a row in lake
		moved         bool     // objects have other keys
	}{
		{name: "other objects", moved: true, agent: "l.user_agent", after: []string{
			"/lake/", "/moved/", `[country, "DATE(event_time) AS day"]`, "[action]", "compression: zstd", "compression: snappy", "/lines/!{timestamp:yyyy/MM/dd/HH}/", "/moved-lines/",
		}},
		{name: "other format", agent: "l.user_agent", after: []string{
			"format: {type: parquet, compression: zstd}", "format: {type: parquet, compression: gzip}", "format: ndjson\n", "format: csv\n",
		}},
		{name: "other schema", after: []string{agent, "", "      quantity: bigint\n", "      quantity: double\n"}},
		{
			name: "columns that records add", before: []string{agent, "", "    schema:\n", "    unknown: add\n    schema:\n"},
			agent: "COALESCE(l.user_agent, json_extract_string(l._rest, '$.user_agent'))",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &director{arrow: arrow{"plan", arrows[1].is, 1}, after: true, expected: map[string]bool{}}
			var process *rig.Process
			started := make(chan struct{})
			d.strike = func() error { <-started; process.Kill(); return errStruck }
			faults, err := rig.ListenForFaults(d.judge)
			must(t, err)
			defer faults.Close()
			p := prove(t, 20_000, form{size: "64KiB"})
			d.p, p.binary = p, faulty
			p.edit(c.before...)
			p.env = append(p.env, faults.Env())
			process = p.start()
			close(started)
			<-process.Done()
			planned := p.planned("lake")
			if len(planned) == 0 {
				t.Fatalf("killed without a plan of lake (struck: %v)", d.struck())
			}
			p.edit(c.after...)
			summary, _ := p.run()
			sum = sum.plus(p.verifyChanged(summary, planned, c.agent, c.moved))
		})
	}
	fmt.Printf("changes between plan and redo: %v\n", sum)
}

// edit changes the pipeline file.
func (p *proof) edit(replace ...string) {
	p.t.Helper()
	text, err := os.ReadFile(p.file)
	must(p.t, err)
	for i := 0; i < len(replace); i += 2 {
		if !bytes.Contains(text, []byte(replace[i])) {
			p.t.Fatalf("the pipeline file has no %q", replace[i])
		}
	}
	must(p.t, os.WriteFile(p.file, []byte(strings.NewReplacer(replace...).Replace(string(text))), 0o644))
}

// planned are the objects in the plans that a sink's tasks have not published, with their rows.
func (p *proof) planned(sink string) map[string]int64 {
	p.t.Helper()
	all := map[string]int64{}
	for task := range p.tasks {
		text, err := os.ReadFile(fmt.Sprintf("%s/meta/tasks+proving+%s+%d.doc", p.data, sink, task))
		if err != nil {
			continue // the task has not begun
		}
		var doc struct {
			Pending struct {
				Plan struct {
					Objects []struct {
						Key  string
						Rows int64
					}
				}
			}
		}
		must(p.t, json.Unmarshal(text[bytes.IndexByte(text, '{'):], &doc))
		for _, o := range doc.Pending.Plan.Objects {
			all[o.Key] = o.Rows
		}
	}
	return all
}

// verifyChanged holds lake against what went in, wherever its objects are, and what was planned
// before the change against what is there.
func (p *proof) verifyChanged(summary rig.Summary, planned map[string]int64, agent string, moved bool) tally {
	p.t.Helper()
	dir := p.t.TempDir()
	all, err := store.Download(within(p.t, patience), "bench", p.prefix+"/", dir)
	must(p.t, err)
	there := map[string]bool{}
	elsewhere := 0
	for _, o := range all {
		there[o.Key] = true
		if strings.HasPrefix(o.Key, p.prefix+"/moved/action=") {
			elsewhere++
		}
	}
	for key := range planned {
		if !there[key] {
			p.t.Errorf("%s was planned and is not there", key)
		}
	}
	if moved != (elsewhere > 0) {
		p.t.Errorf("%d objects are where the changed file wants them", elsewhere)
	}
	p.events = p.table(events(p.input))
	lake := p.table(fmt.Sprintf("read_parquet('%s/*/**/*.parquet', hive_partitioning=false, union_by_name=true)", dir))
	if agent != "" {
		if n := number(p.t, "SELECT COUNT(*) FROM %s l JOIN %s e USING (seq) WHERE %s IS DISTINCT FROM e.user_agent",
			lake, p.events, agent); n != 0 {
			p.t.Errorf("%d rows have another user_agent", n)
		}
	}
	return p.sink(summary, "lake", lake, p.errorRows(dir))
}
