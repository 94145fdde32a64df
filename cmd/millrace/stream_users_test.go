package main

import (
	"bytes"
	"testing"

	"github.com/millrace-io/millrace/engine/api/control"
	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/record/aggregate/aggregatetest"
)

func TestUserRecordsOfTheirShardArePrinted(t *testing.T) {
	asked := 0
	users := &userRecords{describe: func() (control.Stream, error) {
		asked++
		return control.Stream{Shards: []control.Shard{{ID: 3, Range: record.Range{End: record.HashKey{Lo: 9}}}}}, nil
	}}
	packed := aggregatetest.Pack(aggregatetest.User{Key: "a", Hash: "0", Data: "one"}, aggregatetest.User{Key: "b", Hash: "10", Data: "another shard's"},
		aggregatetest.User{Key: "c", Hash: "9", Data: "three"})
	stored := []control.Stored{{Shard: 3, Key: "k", Data: packed}, {Shard: 3, Key: "k", Data: []byte("plain")}, {Shard: 4, Key: "k", Data: packed}}
	printed := func(c readFlags) string {
		var out bytes.Buffer
		if err := c.print(&app{stdout: &out}, stored); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if text := printed(readFlags{Raw: true, users: users}); text != "one\nthree\nplain\none\nanother shard's\nthree\n" {
		t.Errorf("user records are %q", text)
	}
	if asked != 2 {
		t.Errorf("asked for the shards %d times", asked)
	}
	in := readFlags{users: users}
	in.JSON = true
	want(t, printed(in), `"sub_sequence_number":0`, `"sub_sequence_number":2`, `"key":"c"`)
	if text := printed(readFlags{Raw: true}); text != string(packed)+"\nplain\n"+string(packed)+"\n" {
		t.Errorf("records are %q", text)
	}
}
