package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// The way of docs/streams.md.
func TestNewcomerSplitsAHotShardAndReadsParentAndChildren(t *testing.T) {
	c := newCLI(t)
	want(t, c.stream("create", "clicks", "--shards", "2", "--retention", "7d"), "2 shards", "7d", "millrace stream put clicks")
	var before, after strings.Builder
	for i := range 300 {
		fmt.Fprintf(&before, `{"user":"bob","n":%d}`+"\n", i)
	}
	for i := 300; i < 400; i++ {
		fmt.Fprintf(&after, `{"user":"bob","n":%d}`+"\n", i)
	}
	want(t, c.stream("put", "clicks", "--file", writeFile(t, before.String()), "--key-field", "user"), "300 records put")

	// MD5("bob") lies in the upper half.
	text := c.stream("describe", "clicks")
	want(t, text, "2 shards open", "300 records", "Shard 1 got 100% of the last minute's records", "millrace stream split clicks 1 --data "+c.data)
	want(t, c.stream("split", "clicks", "shardId-000000000001"), "shard 1 is closed, its hash keys go to shards 2 and 3", "millrace stream get clicks")
	c.stream("put", "clicks", "--file", writeFile(t, after.String()), "--key-field", "user")

	text = c.stream("describe", "clicks")
	want(t, text, "3 shards open and 1 closed", "1 closed\n      ├─ 2 open\n      └─ 3 open",
		"····················░░░░░░░░░░░░░░░░░░░░", "····················██████████··········", "······························██████████")
	lines := strings.Split(strings.TrimSpace(c.stream("get", "clicks", "--raw")), "\n")
	if got, all := strings.Join(lines, "\n"), strings.TrimSpace(before.String()+after.String()); got != all {
		t.Errorf("%d lines are not the ones that were put, in their order", len(lines))
	}
	want(t, c.stream("merge", "clicks", "2", "3"), "shards 2 and 3 are closed, their hash keys go to shard 4")
	want(t, c.stream("describe", "clicks"), "      ├─ 2 closed\n      │  └─ 4 open, merged of 2 and 3\n      └─ 3 closed\n         └─ 4, shown under 2\n")
	want(t, c.stream("reshard", "clicks", "4"), "4 shards open")
	want(t, c.stream("retention", "clicks", "36h"), "records of clicks stay: 36h; 400 are held now")
	want(t, c.stream("list"), "clicks", "active", "400", "36h")
	want(t, c.stream("delete", "clicks", "--yes"), "clicks is deleted, with 400 records")
	want(t, c.stream("list"), "no streams")
}

func TestEachCommandPrintsJSON(t *testing.T) {
	c := newCLI(t)
	created := decode[control.Stream](t, c.stream("create", "clicks", "--sync", "never", "--compression", "zstd", "--json"))
	if created.Name != "clicks" || created.RetentionSeconds != 24*3600 || created.Sync != stream.SyncNever || created.Compression != stream.Zstd {
		t.Errorf("created %+v", created)
	}
	done := decode[put](t, c.stream("put", "clicks", "a", "b", "--key", "k", "--json"))
	if done.Records != 2 || done.Shards[0] != 2 || len(done.Placed) != 2 {
		t.Errorf("put %+v", done)
	}
	first := decode[printed](t, c.stream("get", "clicks", "--limit", "1", "--json"))
	if first.SequenceNumber != done.Placed[0].SequenceNumber || *first.Data != "a" || first.Key != "k" {
		t.Errorf("got %+v, put %+v", first, done.Placed)
	}
	rest := decode[printed](t, c.stream("get", "clicks", "--from", done.Placed[1].SequenceNumber, "--json"))
	if *rest.Data != "b" {
		t.Errorf("from the second: %+v", rest)
	}
	for _, args := range [][]string{
		{"split", "clicks", "0", "--at", "5"}, {"merge", "clicks", "1", "2"}, {"reshard", "clicks", "2"},
		{"retention", "clicks", "forever"}, {"describe", "clicks"}, {"delete", "clicks", "--yes"},
	} {
		s := decode[control.Stream](t, c.stream(append(args, "--json")...))
		if s.Name != "clicks" || len(s.Shards) < 3 {
			t.Errorf("%s: %+v", args[0], s)
		}
		if start := (record.HashKey{Lo: 5}); s.Shards[2].Range.Start != start {
			t.Errorf("%s: the second child begins at %s", args[0], s.Shards[2].Range.Start)
		}
	}
	if all := decode[[]control.Stream](t, c.stream("list", "--json")); len(all) != 0 {
		t.Errorf("listed %+v", all)
	}
}

func TestRecordsCannotCommandATerminal(t *testing.T) {
	c := newCLI(t)
	c.stream("create", "clicks")
	c.stream("put", "clicks", "--key", "k\x1b[2J", "red \x1b[31m", `{"a": {"b": 1}}`)
	c.stream("put", "clicks", "--key", "bin", "--file", writeFile(t, "\xff\xfe\n"))
	text := c.stream("get", "clicks")
	want(t, text, `k\x1b[2J  red \x1b[31m`, "bin  hex:fffe", `{"a": {"b": 1}}`)
	if strings.Contains(text, "\x1b") {
		t.Errorf("an escape in %q", text)
	}
	want(t, c.stream("get", "clicks", "--pretty"), "{\n    \"a\": {\n      \"b\": 1\n    }\n  }\n")
	if raw := c.stream("get", "clicks", "--raw", "--limit", "1"); raw != "red \x1b[31m\n" {
		t.Errorf("raw: %q", raw)
	}
	want(t, c.stream("get", "clicks", "--json"), `"data_base64":"//4="`)
}

func TestTailPrintsTheNewest(t *testing.T) {
	c := newCLI(t)
	c.stream("create", "clicks", "--shards", "4")
	for i := range 30 {
		c.stream("put", "clicks", fmt.Sprint("n", i))
	}
	if n := strings.Count(c.stream("tail", "clicks"), "\n"); n != 10 {
		t.Errorf("%d lines", n)
	}
	want(t, c.stream("tail", "clicks", "-n", "1"), "n29")
	if text := c.stream("tail", "clicks", "--from", "latest"); text != "" {
		t.Errorf("from the latest: %s", text)
	}
}

func TestPutSpreadsRecordsWithoutAKey(t *testing.T) {
	c := newCLI(t)
	c.stream("create", "clicks", "--shards", "2")
	done := decode[put](t, c.stream("put", "clicks", "--file", writeFile(t, strings.Repeat("x\n\r\n", 1000)), "--json"))
	if done.Records != 1000 || done.Shards[0] < 400 || done.Shards[1] < 400 {
		t.Errorf("put %+v", done)
	}
	done = decode[put](t, c.stream("put", "clicks", "--hash-key", record.MaxHashKey.String(), "x", "--json"))
	if done.Shards[1] != 1 {
		t.Errorf("put %+v with the highest hash key", done)
	}
}

func TestPutReadsStandardInput(t *testing.T) {
	in, err := os.Open(writeFile(t, "one\ntwo"))
	if err != nil {
		t.Fatal(err)
	}
	stdin := os.Stdin
	os.Stdin = in
	defer func() { os.Stdin = stdin }()
	c := newCLI(t)
	c.stream("create", "clicks")
	want(t, c.stream("put", "clicks"), "2 records put")
	if text := c.stream("get", "clicks", "--raw"); text != "one\ntwo\n" {
		t.Errorf("got %q", text)
	}
}

func TestMistakesOnStreamsNameTheCure(t *testing.T) {
	c := newCLI(t)
	if code, _, text := c.try("stream", "list"); code != exitUsage {
		t.Errorf("exit code %d: %s", code, text)
	} else {
		want(t, text, "does not exist", "millrace stream create NAME")
	}
	c.stream("create", "clicks", "--shards", "2")
	lines := writeFile(t, "{\"user\":1}\n\n{\"usr\":1}\n")
	for _, x := range []struct {
		line string
		code int
		says string
	}{
		{"create clicks", exitUsage, `stream "clicks" exists already; choose another name`},
		{"create x --shards 0", exitUsage, "--shards 0: want 1 at least"},
		{"get clicks --limit=-1", exitUsage, "--limit -1"},
		{"tail clicks --limit=-1", exitUsage, "--limit -1"},
		{"create x --key file:/nowhere", exitUsage, "/nowhere"},
		{"create x --key file:" + lines, exitUsage, lines},
		{"create x --key nothing", exitUsage, "want file:PATH"},
		{"encrypt clicks --key env:MILLRACE_NO_SUCH_KEY", exitUsage, "is not set"},
		{"create a/b", exitUsage, "want 1 to 128 of"},
		{"create x --retention 7", exitUsage, "needs a unit"},
		{"create x --sync maybe", exitUsage, "--sync must be one of"},
		{"describe clocks", exitUsage, "`millrace stream list` shows"},
		{"split clicks 7", exitUsage, "not found"},
		{"split clicks one", exitUsage, "want a number such as 2"},
		{"split clicks 99999999999", exitUsage, "want a number such as 2"},
		{"split clicks 0 --at 0", exitUsage, "hash key 0"},
		{"merge clicks 1 1", exitUsage, "do not adjoin"},
		{"get clicks --from tomorrow", exitUsage, "want earliest, latest, a time"},
		{"get clicks --shard 9", exitUsage, "not found"},
		{"get clicks --raw --pretty", exitUsage, "can't be used together"},
		{"put clicks --key a --key-field b x", exitUsage, "can't be used together"},
		{"put clicks x --file y", exitUsage, "either data or a --file"},
		{"put clicks --file /nowhere", exitUsage, "no such file"},
		{"put clicks --key-field user --file " + lines, exitUsage, `line 3: has no field "user"`},
		{"put clicks --key-field user x", exitUsage, "no JSON object"},
		{"retention clicks 0", exitUsage, "a second at least"},
		{"delete clicks", exitUsage, "--yes"},
	} {
		code, _, text := c.try(append([]string{"stream"}, strings.Fields(x.line)...)...)
		if code != x.code || !strings.Contains(text, x.says) {
			t.Errorf("%s: exit code %d: %s", x.line, code, text)
		}
	}
	if s := decode[control.Stream](t, c.stream("describe", "clicks", "--json")); s.Open() != 2 {
		t.Errorf("the mistakes changed the stream: %+v", s)
	}
}

func TestPutNamesTheLineThatIsRefused(t *testing.T) {
	c := newCLI(t)
	c.stream("create", "clicks", "--shards", "2")
	large := strings.Repeat("x", stream.DefaultMaxRecord+1)
	name := writeFile(t, strings.Repeat("a\n\n", putRecords)+"b\n\n"+large+"\nc\nd\n")
	code, _, text := c.try("stream", "put", "clicks", "--file", name)
	if code != exitUsage {
		t.Errorf("exit code %d", code)
	}
	want(t, text, fmt.Sprintf("%s, line %d: has %d bytes", name, 2*putRecords+3, len(large)), "split it in several, or leave it out",
		fmt.Sprintf("5,000 records put before, up to line %d", 2*putRecords-1))
	if s := decode[control.Stream](t, c.stream("describe", "clicks", "--json")); s.Records() != putRecords {
		t.Errorf("%d records", s.Records())
	}
	for _, x := range []struct {
		args []string
		says string
	}{
		{[]string{"a", "b", "--key", strings.Repeat("k", stream.MaxKey+1)}, "record 1: has a partition key of 257 characters"},
		{[]string{"a", "--key", "k\xff"}, `argument "k\xff" is not UTF-8`},
		{[]string{"a\xff"}, `argument "a\xff" is not UTF-8`},
		{[]string{"--key-field", "user", "--file", writeFile(t, "{\"user\": \"a\"}\n{\"user\": \"\xff\"}\n")}, `line 2: has a field "user" that is not UTF-8`},
		{[]string{"--file", writeFile(t, "a\n"+strings.Repeat("x", control.MaxPutBytes+1))}, "line 2: "},
		{[]string{"--file", writeFile(t, strings.Repeat("x", stream.HighestMaxRecord+1))}, "line 1: is longer than the largest record"},
	} {
		code, _, text := c.try(append([]string{"stream", "put", "clicks"}, x.args...)...)
		if code != exitUsage || !strings.Contains(text, x.says) {
			t.Errorf("want %q, got exit code %d: %.200s", x.says, code, text)
		}
	}
}

func TestHelpOfEachCommandHasAnExample(t *testing.T) {
	for _, verb := range []string{"", "create", "list", "describe", "put", "get", "tail", "split", "merge", "reshard", "retention", "encrypt", "delete", "verify", "dump"} {
		var out, errs bytes.Buffer
		args := []string{"stream", verb, "--help"}
		if verb == "" {
			args = []string{"stream", "--help"}
		}
		if code := run(args, &out, &errs); code != exitOK {
			t.Errorf("%v: exit code %d", args, code)
		}
		if !strings.Contains(out.String(), "    millrace stream "+verb) {
			t.Errorf("help of %q has no example:\n%s", verb, out.String())
		}
	}
}

// A directory that another command uses is asked through its socket.
func TestCommandsWorkWhileAnotherFollows(t *testing.T) {
	c := newCLI(t)
	c.stream("create", "clicks", "--shards", "2")
	c.stream("put", "clicks", "first")
	type result struct {
		code     int
		out, err string
	}
	followed := make(chan result)
	go func() {
		code, out, err := c.try("stream", "get", "clicks", "--follow", "--limit", "3", "--raw")
		followed <- result{code, out, err}
	}()
	c.stream("put", "clicks", "second")
	c.stream("split", "clicks", "0")
	c.stream("put", "clicks", "third")
	got := <-followed
	if got.code != exitOK || strings.Count(got.out, "\n") != 3 {
		t.Errorf("followed: %+v", got)
	}
	want(t, got.out, "first", "second", "third")
}

func TestVerifyFindsDamage(t *testing.T) {
	c := newCLI(t)
	c.stream("create", "clicks", "--shards", "2")
	c.stream("create", "orders")
	for i := range 3 {
		c.stream("put", "clicks", "--key", "bob", fmt.Sprint("payload", i))
	}
	want(t, c.stream("verify"), "stream clicks", "stream orders", "no damage found")
	want(t, c.stream("dump", "clicks", "--shard", "1", "--records"), `key "bob"`, `"payload1"`)
	var second dumpedFrame
	for _, line := range strings.Split(strings.TrimSpace(c.stream("dump", "clicks", "--records", "--json")), "\n") {
		if f := decode[dumpedFrame](t, line); f.Count > 0 && f.First == 1 {
			second = f
		}
	}
	if second.Count != 1 || string(second.Records[0].Data) != "payload1" {
		t.Fatalf("the second frame is %+v", second)
	}
	content, err := os.ReadFile(second.Path)
	if err != nil {
		t.Fatal(err)
	}
	content[bytes.Index(content, []byte("payload1"))] ^= 1
	if err := os.WriteFile(second.Path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	code, text, errs := c.try("stream", "verify", "clicks")
	if code != exitFailed {
		t.Errorf("exit code %d: %s", code, errs)
	}
	want(t, text, "DAMAGED", second.Path, "records 1 up to 2 are lost", "\n1 problem\n")
	code, text, _ = c.try("stream", "verify", c.data, "--json")
	if v := decode[verified](t, text); code != exitFailed || v.OK || len(v.Damage) != 1 || len(v.Streams) != 2 || v.Damage[0].Next != 2 {
		t.Errorf("exit code %d: %+v", code, v)
	}
	for _, verb := range []string{"verify", "dump", "verify --json", "dump --json"} {
		for line, says := range map[string]string{
			"clocks": "no stream of that name", "clicks --shard 99": `stream "clicks" has no shard 99`, "--shard 99": "has a shard 99",
		} {
			code, text, errs := c.try(strings.Fields("stream " + verb + " " + line)...)
			if code != exitUsage || text != "" || !strings.Contains(errs, says) || strings.Count(errs, "\n") != 1 {
				t.Errorf("%s %s: exit code %d: %s%s", verb, line, code, text, errs)
			}
		}
	}
	want(t, c.stream("verify", "orders"), "no damage found")
	code, text, errs = c.try("stream", "get", "clicks", "--raw")
	if code != exitFailed || text != "payload0\npayload2\n" {
		t.Errorf("got %q, exit code %d", text, code)
	}
	want(t, errs, second.Path, "1 record could not be read")
}

// One that follows through another's socket goes on by itself when that one ends.
func TestFollowingGoesOnWhenTheOtherEnds(t *testing.T) {
	c := newCLI(t)
	c.stream("create", "clicks")
	follow := func(limit string) <-chan string {
		out := make(chan string, 1)
		go func() {
			code, text, errs := c.try("stream", "get", "clicks", "--follow", "--raw", "--limit", limit)
			out <- fmt.Sprint(code, " ", text, errs)
		}()
		return out
	}
	first := follow("1")
	awaitFile(t, filepath.Join(c.data, "control.sock"))
	second := follow("2")
	c.stream("put", "clicks", "one")
	if got := <-first; got != "0 one\n" {
		t.Errorf("the first got %q", got)
	}
	c.stream("put", "clicks", "two")
	if got := <-second; got != "0 one\ntwo\n" {
		t.Errorf("the second got %q", got)
	}
}

func awaitFile(t *testing.T, name string) {
	t.Helper()
	timeout, tick := time.NewTimer(3*time.Minute), time.NewTicker(5*time.Millisecond)
	defer timeout.Stop()
	defer tick.Stop()
	for {
		if _, err := os.Stat(name); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-timeout.C:
			t.Fatalf("%s is not there", name)
		}
	}
}

func TestEncryptedStreamNeedsItsKey(t *testing.T) {
	c := newCLI(t)
	keys := writeFile(t, strings.Repeat("QUFB", 10)+"QUE=\n")
	if err := os.Chmod(keys, 0o600); err != nil {
		t.Fatal(err)
	}
	c.stream("create", "clicks")
	c.stream("put", "clicks", "in-clear")
	want(t, c.stream("encrypt", "clicks", "--key", "file:"+keys), "encrypted with file:"+keys)
	c.stream("put", "clicks", "top-secret")
	want(t, c.stream("describe", "clicks"), "encrypted with file:"+keys)
	if text := c.stored(); !strings.Contains(text, "in-clear") || strings.Contains(text, "top-secret") {
		t.Error("the wrong record is encrypted on disk")
	}
	both := "in-clear\ntop-secret\n"
	if text := c.stream("get", "clicks", "--raw"); text != both {
		t.Errorf("got %q", text)
	}
	want(t, c.stream("verify"), "no damage found")

	// A new key in front of the old one, and then alone.
	if err := os.WriteFile(keys, []byte(strings.Repeat("QkJC", 10)+"QkI=\n"+strings.Repeat("QUFB", 10)+"QUE=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, c.stream("encrypt", "clicks", "--rewrap"), "1 segment of clicks")
	if err := os.WriteFile(keys, []byte(strings.Repeat("QkJC", 10)+"QkI=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text := c.stream("get", "clicks", "--raw"); text != both {
		t.Errorf("with the new key: %q", text)
	}
	if err := os.Rename(keys, keys+".away"); err != nil {
		t.Fatal(err)
	}
	if code, _, text := c.try("stream", "get", "clicks"); code != exitFailed || !strings.Contains(text, keys) {
		t.Errorf("without the key: exit code %d: %s", code, text)
	}
	if err := os.Rename(keys+".away", keys); err != nil {
		t.Fatal(err)
	}
	c.stream("encrypt", "clicks", "--off")
	c.stream("put", "clicks", "clear-again")
	if text := c.stream("get", "clicks", "--raw"); text != both+"clear-again\n" {
		t.Errorf("got %q", text)
	}
	if !strings.Contains(c.stored(), "clear-again") {
		t.Error("records are still encrypted")
	}
}

func TestStreamWithoutItsKeyIsListedAndCanBeDeleted(t *testing.T) {
	c := newCLI(t)
	keys := writeFile(t, strings.Repeat("QUFB", 10)+"QUE=\n")
	if err := os.Chmod(keys, 0o600); err != nil {
		t.Fatal(err)
	}
	c.stream("create", "clicks", "--key", "file:"+keys)
	c.stream("put", "clicks", "top-secret")
	c.stream("create", "visits")
	if err := os.Remove(keys); err != nil {
		t.Fatal(err)
	}
	text := c.stream("list")
	want(t, text, "unusable: ")
	want(t, text, keys)
	want(t, text, "visits  active")
	want(t, c.stream("list", "--json"), `"error": `)
	if code, _, text := c.try("stream", "delete", "clicks"); code != exitFailed || !strings.Contains(text, keys) {
		t.Errorf("deleting without --yes: exit code %d: %s", code, text)
	}
	want(t, c.stream("delete", "clicks", "--yes"), "clicks is deleted; it could not be opened: ")
	if text := c.stream("list"); strings.Contains(text, "clicks") {
		t.Errorf("after deletion:\n%s", text)
	}
	c.stream("create", "clicks")
	if text := c.stream("get", "clicks"); text != "" {
		t.Errorf("the new stream has %q", text)
	}
}

// stored is all that lies in the segments of the stream clicks.
func (c *cli) stored() string {
	c.t.Helper()
	names, err := filepath.Glob(filepath.Join(c.data, "streams", "clicks", "*", "*.seg"))
	if err != nil {
		c.t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			c.t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
