package checkpoint

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/engine/record"
)

func TestLeasesThatWouldMisleadAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		``:                           "EOF",
		`null`:                       "version 0",
		`{"version":2,"leader":"x"}`: "version 2; this program reads version 1",
		`{"version":1,"counter":1,"fence":1,"position":0,"leader":"x"}`:              "unknown field",
		`{"version":1,"counter":1,"fence":1,"position":0} {}`:                        "more than one value",
		`{"version":1,"counter":1,"fence":1,"position":-1}`:                          "position -1 is negative",
		`{"version":1,"counter":1,"fence":9223372036854775807,"position":1}`:         "beyond any",
		`{"version":1,"counter":9223372036854775807,"fence":1,"position":1}`:         "beyond any",
		`{"version":1,"counter":1,"fence":0,"position":0,"owner":"w"}`:               "under no fence",
		`{"version":1,"counter":1,"fence":1,"position":0,"owner":"w","ended":true}`:  "ended, and held",
		`{"version":1,"counter":1,"fence":1,"position":0,"asked_by":"w"}`:            "nobody holds",
		`{"version":1,"fence":1,"owner":"` + strings.Repeat("<", 700) + `"}`:         "no names of workers",
		`{"version":1,"owner":"` + strings.Repeat("w", 5000) + `"}`:                  "bytes are more than",
		`{"version":1,"counter":1,"fence":1,"position":99999999999999999999999999}`:  "cannot unmarshal",
		`{"version":1,"counter":-1,"fence":1,"position":0}`:                          "cannot unmarshal",
		`{"version":1,"counter":1,"fence":1,"position":0,"owner":["not a string"] }`: "cannot unmarshal",
	} {
		if _, err := decodeLease([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %q", text, err, want)
		}
	}
	for text, want := range map[string]string{
		`{"version":3}`:                       "version 3",
		`{"version":1,"start":{"0":-1}}`:      "starts at -1",
		`{"version":1,"start":{"x":1}}`:       "cannot unmarshal",
		`{"version":1,"start":{"-1":1}}`:      "cannot unmarshal",
		`{"version":1,"done":[{"from":3}]}`:   "out of order",
		`{"version":1,"done":[{"to":3},{}] }`: "out of order",
	} {
		if _, err := decodeGroup([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestShardsThatAreDoneJoinIntoSpans(t *testing.T) {
	d := groupDocument{Version: LeaseVersion, Start: map[record.ShardID]record.Ordinal{4: 1, 9: 2}}
	want := map[record.ShardID]bool{}
	for _, id := range []record.ShardID{5, 1, 3, 9, 4, 2, 7, 4, 0, 4294967295, 8} {
		before := d
		d.finish(id)
		want[id] = true
		for id := range record.ShardID(12) {
			if d.done(id) != want[id] {
				t.Fatalf("%s: done is %v in %+v", id, d.done(id), d)
			}
		}
		if err := d.check(); err != nil {
			t.Fatalf("%+v: %v", d, err)
		}
		if slices.Equal(before.Done, d.Done) && id != 4 {
			t.Fatalf("%s changed nothing, or the spans it came from", id)
		}
	}
	if diff := cmp.Diff([]span{{0, 5}, {7, 9}, {4294967295, 4294967295}}, d.Done); diff != "" {
		t.Error(diff)
	}
	if len(d.Start) != 0 {
		t.Errorf("starts of shards that are done: %v", d.Start)
	}
}

func TestLeaseKeysNameOneShard(t *testing.T) {
	for key, ok := range map[string]bool{
		"leases/s/1/g/shardId-000000000003":    true,
		"leases/s/1/g/shardId-004294967295":    true,
		"leases/s/1/g/shardId-004294967296":    false,
		"leases/s/1/g/shardId-3":               false,
		"leases/s/1/g/shardId-0000000000003":   false,
		"leases/s/1/g/shardId-+00000000003":    false,
		"leases/s/1/g/shardId-000000000003/up": false,
		"":                                     false,
	} {
		id, err := shardOfKey(key)
		if (err == nil) != ok || ok && !strings.HasSuffix(key, id.String()) {
			t.Errorf("%q: %s, %v", key, id, err)
		}
	}
}

func FuzzLeaseDocuments(f *testing.F) {
	for _, text := range []string{
		`{"version":1,"owner":"w-1","counter":7,"fence":3,"position":42,"asked_by":"w-2"}`,
		`{"version":1,"counter":7,"fence":3,"position":42,"ended":true}`,
		`{"version":1,"start":{"0":5,"7":0},"done":[{"from":0,"to":3},{"from":9,"to":9}]}`,
		`{"version":2}`, `{`, `null`, `[]`, `{"version":1}{}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if lease, err := decodeLease(value); err == nil {
			comesBack(t, lease, decodeLease)
		}
		group, err := decodeGroup(value)
		if err != nil {
			return
		}
		comesBack(t, group, decodeGroup)
		for id := range record.ShardID(8) {
			group.finish(id)
			if err := group.check(); err != nil || !group.done(id) {
				t.Fatalf("an accepted group is broken by finishing %s: %v", id, err)
			}
		}
	})
}

func comesBack[D any](t *testing.T, d D, decode func([]byte) (D, error)) {
	t.Helper()
	value, err := json.Marshal(d)
	if err != nil {
		t.Fatalf("an accepted document does not encode: %v", err)
	}
	again, err := decode(value)
	if err != nil {
		t.Fatalf("an accepted document does not come back: %v", err)
	}
	twice, err := json.Marshal(again)
	if err != nil || string(value) != string(twice) {
		t.Fatalf("an accepted document comes back as %s, not %s (%v)", twice, value, err)
	}
}
