package pipelines_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/pipelines"
)

// runTests runs all tests of a file.
func runTests(t *testing.T, path string) []pipelines.TestResult {
	t.Helper()
	p, err := pipelines.Load(path, realComponents(), pipelines.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var out []pipelines.TestResult
	for _, x := range p.Tests {
		r, err := p.RunTest(t.Context(), x)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func TestTheTestsOfTheExamplePass(t *testing.T) {
	results := runTests(t, "pipelines/examples/tested.yaml")
	if len(results) != 3 {
		t.Errorf("%d tests ran", len(results))
	}
	for _, r := range results {
		if !r.OK {
			text, _ := json.MarshalIndent(r, "", "  ")
			t.Errorf("%s", text)
		}
	}
	s := begin(t, "pipelines/examples/tested.yaml", t.TempDir(), nil).end()
	if task(t, s, "revenue").Run.Aggregated == 0 {
		t.Errorf("without tests the example does nothing: %+v", s)
	}
}

// counting is a pipeline that counts the values of k per minute.
const counting = `version: 1
streams:
  s: {shards: 2, schema: {ts: timestamp, k: string, v: double, d: 'decimal(10,2)', j: json}, event_time: ts}
transforms:
  big: {type: filter, from: s, where: v > 1}
queries:
  q: {sql: "SELECT window_start, k, COUNT(*) AS n, SUM(v) AS sum FROM s GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), k"}
  twice: {sql: "SELECT window_start, k, n * 2 AS n2 FROM q"}
sinks:
  out: {type: stdout, from: twice}
tests:
  t:
%s`

// tested runs one test of that pipeline.
func tested(t *testing.T, test string) pipelines.TestResult {
	t.Helper()
	file := filepath.Join(t.TempDir(), "counting.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, counting, test), 0o600); err != nil {
		t.Fatal(err)
	}
	return runTests(t, file)[0]
}

const twoRows = `
    input:
      - stream: s
        rows:
          - {ts: 2030-01-01T00:00:10Z, k: a, v: 1, d: 1.5, j: {deep: [1, "1", x]}}
          - {ts: 2030-01-01T00:00:20Z, k: 1, v: 2}
`

func TestRowsGoThroughQueriesOfQueries(t *testing.T) {
	r := tested(t, twoRows+`
    expect:
      big: [{k: "1", v: 2.0}]
      q: [{k: "1", n: 1}, {k: a, n: 1, window_start: "2030-01-01 00:00:00Z"}]
      twice: [{k: a, n2: 2}, {k: "1", n2: 2}]
      out: [{n2: 2}, {n2: 2}]
`)
	if !r.OK {
		t.Errorf("%+v", r)
	}
}

func TestATableThatCannotBeReadFailsATestAtOnce(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "c.csv"), []byte("code,name\nCH,Switzerland\nDE\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ tables, want string }{
		{"", "line 3: it has 1 cells, 2 are expected"},
		{"tables: {c: [{code: CH, name: a}, {code: CH, name: b}]}", "given rows: rows 1 and 2 have the same key (code)"},
	} {
		path := filepath.Join(dir, "p.yaml")
		text := `version: 1
streams: {s: {schema: {k: string}}}
tables: {c: {type: file, path: ` + filepath.Join(dir, "c.csv") + `, format: csv, schema: {code: string, name: string}, key: [code]}}
queries: {q: {sql: "SELECT k, name FROM s LEFT JOIN c ON k = code"}}
sources: {in: {type: generate, kind: clicks, to: s}}
sinks: {out: {type: stdout, from: q}}
tests:
  t:
    input: [{stream: s, rows: [{k: CH}]}]
    expect: {q: []}
    ` + c.tables + "\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := runTests(t, path)[0]; r.OK || !strings.Contains(r.Error, c.want) {
			t.Errorf("got %+v, want %q", r, c.want)
		}
	}
}

func TestDifferencesNameTheNearestRow(t *testing.T) {
	r := tested(t, twoRows+`
    expect:
      q:
        - {k: a, n: 1, sum: 1.5}
        - {k: c, n: 7}
`)
	want := []pipelines.OutputResult{{ID: "q", Want: 2, Got: 2, Differences: []pipelines.Difference{
		{Line: 22, Want: json.RawMessage(`{"k":"a","n":1,"sum":1.5}`), Got: json.RawMessage(`{"window_start":"2030-01-01T00:00:00Z","k":"a","n":1,"sum":1}`), Columns: []string{"sum"}},
		{Line: 23, Want: json.RawMessage(`{"k":"c","n":7}`)},
		{Got: json.RawMessage(`{"window_start":"2030-01-01T00:00:00Z","k":"1","n":1,"sum":2}`)},
	}}}
	if diff := cmp.Diff(want, r.Outputs); diff != "" || r.OK {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRowsThatFitSeveralExpectedOnesAreTakenOnce(t *testing.T) {
	if r := tested(t, twoRows+`
    expect:
      q: [{n: 1}, {k: a}]
`); !r.OK {
		t.Errorf("%+v", r)
	}
	if r := tested(t, twoRows+`
    expect:
      q: [{k: a}, {k: a}]
`); r.OK || len(r.Outputs[0].Differences) != 2 {
		t.Errorf("%+v", r)
	}
}

func TestRejectedRowsFailATestThatDoesNotExpectThem(t *testing.T) {
	const input = `
    input: [{stream: s, rows: ["{", {ts: 2030-01-01T00:00:00Z, k: a, v: x}]}]
`
	r := tested(t, input+"    expect: {twice: [], big: []}\n")
	if r.OK || len(r.Rejected) != 2 || r.Rejected[0].Step != "s" {
		t.Errorf("%+v", r)
	}
	r = tested(t, input+`    rejected: [{step: s, code: type-mismatch, contains: '"x"'}, {step: s, code: parse-error}]
    expect: {twice: [], big: []}
`)
	if !r.OK {
		t.Errorf("%+v", r)
	}
	r = tested(t, input+"    rejected: [{step: s}, {step: s}, {step: s}]\n    expect: {twice: []}\n")
	if r.OK || len(r.NotRejected) != 1 || len(r.Rejected) != 0 {
		t.Errorf("%+v", r)
	}
}

func TestADayPassesInNoTime(t *testing.T) {
	r := tested(t, `
    start: 2030-01-01T00:00:00Z
    input:
      - {stream: s, rows: [{ts: 2030-01-01T00:00:00Z, k: a, v: 1}]}
      - {stream: s, at: 23h, rows: [{ts: 2030-01-01T23:00:00Z, k: a, v: 1}]}
      - {stream: s, at: 23h, rows: [{ts: 2030-01-03T00:00:00Z, k: a, v: 1}]}
    rejected: [{step: s, contains: 2030-01-03}]
    expect:
      q: [{window_start: 2030-01-01T00:00:00Z}, {window_start: 2030-01-01T23:00:00Z}]
`)
	if !r.OK || r.Seconds > 20 {
		t.Errorf("%+v", r)
	}
}

func TestAnEventInTheYear9999IsFarFutureAndTheOthersAreNot(t *testing.T) {
	r := tested(t, `
    input:
      - stream: s
        rows:
          - {ts: 2026-01-31T12:00:00Z, k: a, v: 2}
          - {ts: 9999-12-31T23:59:59Z, k: a, v: 3}
    expect:
      q: [{k: a, n: 1, sum: 2}]
    rejected:
      - {step: s, code: far-future, contains: "9999"}
`)
	if !r.OK {
		t.Errorf("%+v", r)
	}
}

func TestFloatsMayBeATouchApart(t *testing.T) {
	const input = `
    input: [{stream: s, rows: [{ts: 2030-01-01T00:00:00Z, k: a, v: 0.1}, {ts: 2030-01-01T00:00:00Z, k: a, v: 0.2}]}]
    expect: {q: [{sum: 0.3}]}
`
	if r := tested(t, input); !r.OK {
		t.Errorf("%+v", r)
	}
	if r := tested(t, input+"    tolerance: 0\n"); r.OK {
		t.Error("0.30000000000000004 is not 0.3")
	}
}

func TestMistakesInTestsHavePlaces(t *testing.T) {
	for test, want := range map[string]string{
		"    input: []\n    expect: {q: []}\n":                                                             "the list is empty",
		"    input: [{stream: z, rows: []}]\n    expect: {q: []}\n":                                        `:13:22: tests.t.input[0].stream: unknown stream "z"`,
		"    input: [{stream: q, rows: []}]\n    expect: {q: []}\n":                                        `"q" is a query; input comes into a stream`,
		"    input: [{stream: s, rows: [{kk: 1}]}]\n    expect: {q: []}\n":                                 `:13:33: tests.t.input[0].rows[0].kk: unknown field "kk"`,
		"    input: [{stream: s, rows: []}]\n":                                                             "the test expects nothing",
		"    input: [{stream: s, rows: []}]\n    expect: {s: []}\n":                                        `"s" is a stream`,
		"    input: [{stream: s, rows: []}]\n    expect: {qq: []}\n":                                       `unknown query, transform or sink "qq"`,
		"    input: [{stream: s, rows: []}]\n    expect: {q: [{m: 1}]}\n":                                  `:14:19: tests.t.expect.q[0].m: unknown column "m"`,
		"    input: [{stream: s, rows: []}]\n    expect: {q: [{n: x}]}\n":                                  `column "n" is bigint`,
		"    input: [{stream: s, rows: []}]\n    expect: {q: [5]}\n":                                       "expected a row",
		"    input: [{stream: s, rows: []}]\n    expect: {q: 5}\n":                                         "expected a list of rows",
		"    input: [{stream: s, rows: []}]\n    rejected: [{step: sq}]\n":                                 `unknown step "sq"`,
		"    input: [{stream: s, rows: []}]\n    expcet: {q: []}\n":                                        `unknown key "expcet"; did you mean "expect"`,
		"    input: [{stream: s, at: 1m, rows: []}, {stream: s, at: 1s, rows: []}]\n    expect: {q: []}\n": "time goes back from 1m to 1s",
	} {
		file := filepath.Join(t.TempDir(), "counting.yaml")
		if err := os.WriteFile(file, fmt.Appendf(nil, counting, test), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := pipelines.Load(file, realComponents(), pipelines.LoadOptions{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q, got %v", test, want, err)
		}
	}
}
