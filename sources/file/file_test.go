package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"github.com/millrace-io/millrace/sources"
	"github.com/millrace-io/millrace/sources/sourcestest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// events are n lines of different lengths.
func events(n int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf(`{"seq":%d,"user_id":"user-%d","pad":"%s"}`, i, i%7, strings.Repeat("x", i*13%90))
	}
	return lines
}

func write(t testing.TB, path string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func text(lines []string) []byte { return []byte(strings.Join(lines, "\n") + "\n") }

// packed is content as the tool of that name writes it.
func packed(t *testing.T, kind string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var z io.WriteCloser
	switch kind {
	case "gzip":
		z = gzip.NewWriter(&b)
	case "zstd":
		var err error
		if z, err = zstd.NewWriter(&b); err != nil {
			t.Fatal(err)
		}
	default:
		return content
	}
	if _, err := z.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func reading(paths ...string) Config {
	c := defaults()
	c.Paths, c.PartitionKey = paths, "user_id"
	return c
}

func read(t *testing.T, c Config, w sources.Writer) (*sourcestest.Env, error) {
	t.Helper()
	env := sourcestest.NewEnv("events")
	if found := c.Validate(); len(found) > 0 {
		t.Fatal(found)
	}
	s, err := open(c, env.Env)
	if err != nil {
		t.Fatal(err)
	}
	return env, s.Run(t.Context(), w)
}

func mustRead(t *testing.T, c Config, w sources.Writer) *sourcestest.Env {
	t.Helper()
	env, err := read(t, c, w)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func want(t *testing.T, s *sourcestest.Stream, lines ...string) {
	t.Helper()
	lines = slices.Sorted(slices.Values(lines))
	if diff := cmp.Diff(lines, s.Data()); diff != "" {
		t.Fatalf("records (-want +got):\n%s", diff)
	}
}

func TestEveryLineBecomesARecordUnderItsKey(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "a.ndjson"), text(events(1000)))
	s := sourcestest.New(3)
	env := mustRead(t, reading(path), s)
	want(t, s, events(1000)...)
	for _, r := range s.Records() {
		var seq, user int
		if _, err := fmt.Sscanf(r.Data, `{"seq":%d,"user_id":"user-%d"`, &seq, &user); err != nil || r.Key != fmt.Sprintf("user-%d", user) {
			t.Fatalf("record %+v: %v", r, err)
		}
	}
	if done, total := env.LastProgress(); done != total || total == 0 {
		t.Fatalf("progress %d of %d", done, total)
	}
}

func TestSecondRunStoresNothing(t *testing.T) {
	for _, kind := range []string{"none", "gzip", "zstd"} {
		path := write(t, filepath.Join(t.TempDir(), "a.ndjson"), packed(t, kind, text(events(50))))
		s := sourcestest.New(2)
		mustRead(t, reading(path), s)
		writes := s.Writes()
		mustRead(t, reading(path), s)
		want(t, s, events(50)...)
		if s.Writes() != writes {
			t.Fatalf("%s: %d writes, then %d", kind, writes, s.Writes())
		}
	}
}

func TestResumeAfterCrashAtAnyRecordStoresEachOnce(t *testing.T) {
	lines := events(40)
	array := []byte("[\n" + strings.Join(lines, ",\n ") + "]\n")
	for _, c := range []struct{ format, kind string }{
		{"ndjson", "none"}, {"ndjson", "gzip"}, {"ndjson", "zstd"}, {"json", "none"}, {"json", "gzip"},
	} {
		t.Run(c.format+" "+c.kind, func(t *testing.T) {
			content := text(lines)
			if c.format == "json" {
				content = array
			}
			path := write(t, filepath.Join(t.TempDir(), "a"), packed(t, c.kind, content))
			conf := reading(path)
			conf.Format = c.format
			for _, batch := range []int{1, 200, 700, batchSize} {
				for n := range len(lines) {
					s := sourcestest.New(3)
					s.CrashAfter(n)
					if _, err := readIn(t, conf, s, batch); !errors.Is(err, sourcestest.ErrCrash) {
						t.Fatalf("crash after %d: %v", n, err)
					}
					s.CrashAfter(-1)
					if _, err := readIn(t, conf, s, batch+100); err != nil {
						t.Fatal(err)
					}
					want(t, s, lines...)
				}
			}
		})
	}
}

// readIn is read with batches of another size.
func readIn(t *testing.T, c Config, w sources.Writer, batch int) (*sourcestest.Env, error) {
	env := sourcestest.NewEnv("events")
	s := &source{cfg: c, env: env.Env, batchSize: batch}
	return env, s.Run(t.Context(), w)
}

func TestAppendedLinesAreReadByTheNextRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.ndjson")
	s := sourcestest.New(2)
	write(t, path, text(events(10)))
	mustRead(t, reading(path), s)
	write(t, path, text(events(30)))
	mustRead(t, reading(path), s)
	want(t, s, events(30)...)
}

func TestArrayThatGrowsIsResumedBehindItsLastElement(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.json")
	s := sourcestest.New(2)
	conf := reading(path)
	conf.Format = "json"
	for _, n := range []int{1, 2, 20} {
		write(t, path, []byte("["+strings.Join(events(n), ",")+"]\n"))
		mustRead(t, conf, s)
		want(t, s, events(n)...)
	}
}

func TestShorterFileOfTheSameNameIsANewOne(t *testing.T) {
	for _, kind := range []string{"none", "gzip"} {
		path := filepath.Join(t.TempDir(), "a.ndjson")
		s := sourcestest.New(2)
		write(t, path, packed(t, kind, text(events(10))))
		mustRead(t, reading(path), s)
		replaced := []string{events(10)[0], `{"new":1}`}
		write(t, path, packed(t, kind, text(replaced)))
		env := mustRead(t, reading(path), s)
		mustRead(t, reading(path), s)
		want(t, s, append(events(10), replaced...)...)
		if !strings.Contains(env.Logged(), "shorter") {
			t.Fatalf("log: %s", env.Logged())
		}
	}
}

func TestFilesAreReadInOrderEachOnItsOwn(t *testing.T) {
	dir := t.TempDir()
	var all []string
	for i, name := range []string{"1.ndjson", "2.ndjson.gz", "3.ndjson.zst"} {
		lines := []string{`{"same":"first line"}`, fmt.Sprintf(`{"file":%d}`, i)}
		kind := []string{"none", "gzip", "zstd"}[i]
		write(t, filepath.Join(dir, name), packed(t, kind, text(lines)))
		all = append(all, lines...)
	}
	if err := os.Mkdir(filepath.Join(dir, "4.ndjson"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := sourcestest.New(1)
	mustRead(t, reading(filepath.Join(dir, "*.ndjson*"), filepath.Join(dir, "1.ndjson")), s)
	var got []string
	for _, r := range s.Shard(0) {
		got = append(got, r.Data)
	}
	if diff := cmp.Diff(all, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestLinesThatAreNoRecordsAreSkippedAndOddOnesKept(t *testing.T) {
	content := bom + "{\"user_id\":\"a\"}\r\n\n  \t\r\nnot json\n{\"user_id\":{}\n{\"other\":1}\n{\"user_id\":\"last\"}"
	path := write(t, filepath.Join(t.TempDir(), "a"), []byte(content))
	s := sourcestest.New(2)
	env := mustRead(t, reading(path), s)
	want(t, s, `{"user_id":"a"}`, `not json`, `{"user_id":{}`, `{"other":1}`, `{"user_id":"last"}`)
	if got := env.Rejected(); len(got) != 0 {
		t.Fatalf("rejected %v", got)
	}
	for _, r := range s.Records() {
		if r.Key == "" {
			t.Fatalf("%+v has no key", r)
		}
	}
}

func TestRecordAboveTheLimitIsRejectedOnceAndTheRestGoesOn(t *testing.T) {
	huge := `{"huge":"` + strings.Repeat("h", 3*windowSize) + `"}`
	lines := events(5)
	for format, content := range map[string]string{
		"ndjson": lines[0] + "\n" + huge + "\n" + lines[1] + "\n" + huge,
		"json":   "[" + lines[0] + "," + huge + "," + lines[1] + "," + huge + "]",
	} {
		path := write(t, filepath.Join(t.TempDir(), "a"), []byte(content))
		c := reading(path)
		c.Format, c.MaxRecord = format, 1000
		s := sourcestest.New(2)
		env := mustRead(t, c, s)
		want(t, s, lines[:2]...)
		got := env.Rejected()
		if len(got) != 2 || got[0].Position >= got[1].Position {
			t.Fatalf("%s: rejected %d", format, len(got))
		}
		for _, r := range got {
			if r.Code != tooLarge || r.Size != int64(len(huge)) || string(r.Data) != huge[:sampleSize] || r.Producer.ID == 0 {
				t.Fatalf("%s: rejected %s of %d bytes, kept %d: %s", format, r.Code, r.Size, len(r.Data), r.Reason)
			}
		}
	}
}

func TestLongestRecordIsTaken(t *testing.T) {
	line := `{"p":"` + strings.Repeat("x", 1000-8) + `"}`
	for _, end := range []string{"\n", "\r\n", ""} {
		path := write(t, filepath.Join(t.TempDir(), "a"), []byte(bom+line+end))
		c := reading(path)
		c.MaxRecord = 1000
		s := sourcestest.New(1)
		mustRead(t, c, s)
		want(t, s, line)
	}
}

func TestJSONValuesAreCutWhereverTheyStand(t *testing.T) {
	for in, out := range map[string][]string{
		``:                                 nil,
		`[]`:                               nil,
		"[\n]\n":                           nil,
		`{"a":1}`:                          {`{"a":1}`},
		`{"a":1}{"a":2} {"a":3}` + "\n":    {`{"a":1}`, `{"a":2}`, `{"a":3}`},
		`[{"a":"]},{\""},{"b":[1,{}]}]`:    {`{"a":"]},{\""}`, `{"b":[1,{}]}`},
		`[[1],[2,[3]], 4 , "x", null,true`: {`[1]`, `[2,[3]]`, `4`, `"x"`, `null`, `true`},
		"[{\n  \"a\": 1\r\n}]":             {"{   \"a\": 1  }"},
		`[1,2][3]` + "\n" + `[4]`:          {`1`, `2`, `3`, `4`},
		bom + ` {"a":"\\"}`:                {`{"a":"\\"}`},
	} {
		path := write(t, filepath.Join(t.TempDir(), "a"), []byte(in))
		c := reading(path)
		c.Format = "json"
		s := sourcestest.New(1)
		mustRead(t, c, s)
		slices.Sort(out)
		if diff := cmp.Diff(out, s.Data()); diff != "" {
			t.Errorf("%q: %s", in, diff)
		}
	}
}

func TestValueThatNeverEndsIsRejected(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "a"), []byte(`[{"a":1},{"a":`))
	c := reading(path)
	c.Format = "json"
	s := sourcestest.New(1)
	env := mustRead(t, c, s)
	want(t, s, `{"a":1}`)
	if got := env.Rejected(); len(got) != 1 || got[0].Code != incomplete || string(got[0].Data) != `{"a":` {
		t.Fatalf("rejected %+v", got)
	}
}

func TestMissingFilesSayWhatToDo(t *testing.T) {
	dir := t.TempDir()
	for path, message := range map[string]string{
		filepath.Join(dir, "none.ndjson"): "none.ndjson does not exist; correct paths",
		filepath.Join(dir, "*.ndjson"):    "no file matches",
		dir:                               "is a directory; write a pattern",
	} {
		_, err := read(t, reading(path), sourcestest.New(1))
		if err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestDamagedPackedFileNamesFileAndPlace(t *testing.T) {
	for _, kind := range []string{"gzip", "zstd"} {
		whole := packed(t, kind, text(events(5000)))
		path := write(t, filepath.Join(t.TempDir(), "a.ndjson"), whole[:len(whole)-len(whole)/4])
		_, err := read(t, reading(path), sourcestest.New(1))
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "ends too early") {
			t.Errorf("%s: %v", kind, err)
		}
		whole[len(whole)/2] ^= 0xFF
		write(t, path, whole)
		_, err = read(t, reading(path), sourcestest.New(1))
		if err == nil || !strings.Contains(err.Error(), path+": after byte") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestRunEndsWithoutErrorWhenStopped(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "a"), text(events(10)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := &source{cfg: reading(path), env: sourcestest.NewEnv("e").Env, batchSize: batchSize}
	if err := s.Run(ctx, sourcestest.New(1)); err != nil {
		t.Fatal(err)
	}
}
