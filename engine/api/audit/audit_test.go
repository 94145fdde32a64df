package audit

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 22, 1, 2, 3, 0, time.UTC)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func lines(t *testing.T, name string) (list []Entry) {
	t.Helper()
	f, err := os.Open(name)
	must(t, err)
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var e Entry
		must(t, json.Unmarshal(s.Bytes(), &e))
		list = append(list, e)
	}
	return list
}

func TestLinesOutliveARestart(t *testing.T) {
	name := filepath.Join(t.TempDir(), "audit", "audit.log")
	want := Entry{Time: now, RequestID: "id", User: "alice", AccessKey: "AK", Verified: true, From: "127.0.0.1", Action: "kinesis:DeleteStream",
		Resource: "arn:aws:kinesis:us-east-1:000000000000:stream/s", Change: true, Outcome: "ok"}
	for range 2 {
		l, err := Open(name, Options{})
		must(t, err)
		must(t, l.Record(want))
		must(t, l.Close())
		must(t, l.Close())
	}
	if got := lines(t, name); len(got) != 2 || got[1] != want {
		t.Errorf("%+v", got)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestFilesAreRotatedAndTheOldestGo(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(filepath.Join(dir, "a"), Options{Size: 1000, Keep: 2})
	must(t, err)
	for i := range 100 {
		must(t, l.Record(Entry{Time: now.Add(time.Duration(i) * time.Second), Verified: true, Outcome: "ok"}))
	}
	must(t, l.Close())
	files, err := os.ReadDir(dir)
	must(t, err)
	var all []Entry
	for _, name := range []string{"a.2", "a.1", "a"} {
		all = append(all, lines(t, filepath.Join(dir, name))...)
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() > 1000 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if len(files) != 3 || len(all) < 10 {
		t.Errorf("%d files, %d lines", len(files), len(all))
	}
	for i, e := range all {
		if want := now.Add(time.Duration(100-len(all)+i) * time.Second); !e.Time.Equal(want) {
			t.Errorf("line %d is of %s, want %s", i, e.Time, want)
		}
	}
}

func TestStrangersCannotFillTheLog(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	l, err := Open(name, Options{})
	must(t, err)
	for range 1000 {
		must(t, l.Record(Entry{Time: now, AccessKey: strings.Repeat("x", 8000), Outcome: "InvalidSignatureException"}))
	}
	must(t, l.Record(Entry{Time: now, Verified: true, Outcome: "ok"}))
	must(t, l.Record(Entry{Time: now.Add(window), Outcome: "InvalidSignatureException"}))
	must(t, l.Close())
	got := lines(t, name)
	if len(got) != perWindow+2 || got[perWindow].Omitted != 1000-perWindow || got[perWindow+1].Omitted != 0 || len(got[0].AccessKey) > maxText+3 {
		t.Errorf("%d lines, %+v", len(got), got[len(got)-2:])
	}
}

// A program without the right to put goes on trying.
func TestRefusedPutsFillNeitherTheLogNorTheRoomOfStrangers(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	l, err := Open(name, Options{})
	must(t, err)
	for range 1000 {
		must(t, l.Record(Entry{Time: now, Verified: true, Records: true, Outcome: "AccessDeniedException"}))
	}
	must(t, l.Record(Entry{Time: now, Outcome: "InvalidSignatureException"}))
	must(t, l.Record(Entry{Time: now.Add(window), Verified: true, Records: true, Outcome: "AccessDeniedException"}))
	must(t, l.Close())
	if got := lines(t, name); len(got) != perWindow+2 || got[perWindow].Omitted != 1000-perWindow || got[perWindow].Verified {
		t.Errorf("%d lines, %+v", len(got), got[len(got)-2:])
	}
}
