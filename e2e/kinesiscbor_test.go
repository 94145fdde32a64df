package e2e

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// unhex is bytes written in hexadecimal, with what is in quotes as it stands: a4 "text" 01.
func unhex(t *testing.T, text string) (b []byte) {
	t.Helper()
	for i, part := range strings.Split(text, `"`) {
		if i%2 == 1 {
			b = append(b, part...)
			continue
		}
		raw, err := hex.DecodeString(strings.ReplaceAll(part, " ", ""))
		must(t, err)
		b = append(b, raw...)
	}
	return b
}

// TestKinesisCBORIsThatOfJava has bodies byte by byte, as the SDK for Java writes and reads them: objects without a length, blobs
// as byte strings, times as tagged milliseconds.
func TestKinesisCBORIsThatOfJava(t *testing.T) {
	s := serving(t, "--instant")
	s.create("s", 1)
	status, answer := s.post("PutRecord", typeCBOR, unhex(t, `bf 6a "StreamName" 61 "s" 64 "Data" 43 00 80 ff 6c "PartitionKey" 61 "k" ff`))
	if status != http.StatusOK || answer["ShardId"] != "shardId-000000000000" {
		t.Fatalf("%d %v", status, answer)
	}
	for what, body := range map[string]string{
		"a blob in pieces":             `bf 6a "StreamName" 61 "s" 64 "Data" 5f 41 00 42 80 ff ff 6c "PartitionKey" 61 "k" ff`,
		"a text in pieces":             `a3 6a "StreamName" 7f 60 61 "s" ff 64 "Data" 43 00 80 ff 6c "PartitionKey" 61 "k"`,
		"lengths that are longer":      `b9 0003 79 000a "StreamName" 78 01 "s" 64 "Data" 5a 00000003 00 80 ff 6c "PartitionKey" 61 "k"`,
		"a tag around all, and inside": `d9d9f7 a3 6a "StreamName" d8 20 61 "s" 64 "Data" d7 43 00 80 ff 6c "PartitionKey" 61 "k"`,
		"fields that nobody knows":     `a5 01 02 61 "x" 82 f6 fb 7ff8000000000000 6a "StreamName" 61 "s" 64 "Data" 43 00 80 ff 6c "PartitionKey" 61 "k"`,
		"a null that may be":           `a4 6f "ExplicitHashKey" f6 6a "StreamName" 61 "s" 64 "Data" 43 00 80 ff 6c "PartitionKey" 61 "k"`,
	} {
		status, answer := s.post("PutRecord", typeCBOR, unhex(t, body))
		// A key that is no text is none of a structure.
		if want := what != "fields that nobody knows"; (status == http.StatusOK) != want {
			t.Errorf("%s: %d %v", what, status, answer)
		}
	}
	if records, _ := s.all("s", "0"); len(records) != 6 {
		t.Errorf("%d records", len(records))
	} else {
		for _, r := range records {
			if !bytes.Equal(r.Data, []byte{0, 0x80, 0xff}) || *r.PartitionKey != "k" {
				t.Errorf("%x of %s", r.Data, *r.PartitionKey)
			}
		}
	}
	_, limits := s.raw("DescribeLimits", typeCBOR, unhex(t, "a0"))
	if want := unhex(t,
		`bf 6a "ShardLimit" 19 01f4 6e "OpenShardCount" 01 73 "OnDemandStreamCount" 00 78 18 "OnDemandStreamCountLimit" 18 32 ff`); !bytes.Equal(limits, want) {
		t.Errorf("limits are\n%x, want\n%x", limits, want)
	}
	_, refused := s.raw("DescribeStream", typeCBOR, unhex(t, `a1 6a "StreamName" 61 "x"`))
	if want := unhex(t,
		`bf 66 "__type" 78 19 "ResourceNotFoundException" 67 "message" 78 2e "Stream x under account 000000000000 not found." ff`); !bytes.Equal(refused, want) {
		t.Errorf("an error is\n%q, want\n%q", refused, want)
	}
}

// TestKinesisNumbersAndTimesInCBOR writes the same values in all ways that there are, with another encoder where it can.
func TestKinesisNumbersAndTimesInCBOR(t *testing.T) {
	s := serving(t, "--instant")
	s.create("s", 1)
	limit := func(v any) []byte { return written(t, typeCBOR, fields{"Limit": v}) }
	half := func(bits uint16) []byte { return append(unhex(t, `a1 65 "Limit" f9`), byte(bits>>8), byte(bits)) }
	for what, c := range map[string]struct {
		body []byte
		want string
	}{
		"a number":                   {limit(7), ""},
		"a whole float":              {limit(7.0), ""},
		"a float of 32 bits":         {limit(float32(7)), ""},
		"a half":                     {half(0x4700), ""}, // 7
		"a negative number":          {limit(-1), "ValidationException"},
		"0":                          {limit(0), "ValidationException"},
		"2^31":                       {limit(int64(1) << 31), "ValidationException"},
		"2^64-1":                     {limit(uint64(math.MaxUint64)), "SerializationException"},
		"-2^64":                      {unhex(t, `a1 65 "Limit" 3b ffffffffffffffff`), "SerializationException"},
		"a big number of 9 bytes":    {unhex(t, `a1 65 "Limit" c2 49 010000000000000000`), "SerializationException"},
		"a big number that is small": {unhex(t, `a1 65 "Limit" c2 41 07`), "SerializationException"},
		"NaN":                        {limit(math.NaN()), "SerializationException"},
		"half of NaN":                {half(0x7e00), "SerializationException"},
		"infinity":                   {limit(math.Inf(-1)), "SerializationException"},
		"undefined":                  {unhex(t, `a1 65 "Limit" f7`), ""},
		"a simple value":             {unhex(t, `a1 65 "Limit" f8 ff`), "SerializationException"},
	} {
		if status, answer := s.post("ListStreams", typeCBOR, c.body); fmt.Sprint(answer["__type"]) != c.want && (c.want != "" || status != http.StatusOK) {
			t.Errorf("%s: %d %v, want %q", what, status, answer, c.want)
		}
	}

	_, first := s.post("PutRecord", typeCBOR, written(t, typeCBOR, fields{"StreamName": "s", "Data": []byte("a"), "PartitionKey": "k"}))
	at := s.arrival(t)
	for what, c := range map[string]struct {
		time any
		want int
	}{
		"tagged milliseconds, as Java":    {cbor.Tag{Number: 1, Content: at}, 1},
		"milliseconds":                    {at, 1},
		"tagged seconds with a fraction":  {cbor.Tag{Number: 1, Content: float64(at) / 1000}, 1},
		"seconds with a fraction":         {float64(at) / 1000, 1},
		"a millisecond later":             {cbor.Tag{Number: 1, Content: at + 1}, 0},
		"a millisecond later, in seconds": {float64(at+1) / 1000, 0},
		"long ago":                        {cbor.Tag{Number: 1, Content: 0}, 1},
		"before 1970":                     {cbor.Tag{Number: 1, Content: -5000}, 1},
		"NaN":                             {cbor.Tag{Number: 1, Content: math.NaN()}, -1},
		"the year 10000":                  {cbor.Tag{Number: 1, Content: int64(253402300800000)}, -1},
		"2^63 milliseconds":               {cbor.Tag{Number: 1, Content: uint64(1) << 63}, -1},
		"text":                            {"2026-11-22T00:00:00Z", -1},
	} {
		status, answer := s.post("GetShardIterator", typeCBOR, written(t, typeCBOR, fields{"StreamName": "s", "ShardId": "0", "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": c.time}))
		if c.want < 0 {
			if answer["__type"] != "SerializationException" {
				t.Errorf("%s: %d %v", what, status, answer)
			}
			continue
		}
		_, records := s.post("GetRecords", typeCBOR, written(t, typeCBOR, fields{"ShardIterator": answer["ShardIterator"]}))
		if list, _ := records["Records"].([]any); len(list) != c.want {
			t.Errorf("%s: %d records after %v, want %d; %v", what, len(list), first, c.want, answer)
		}
	}
}

// arrival is when the only record of a stream arrived, in milliseconds.
func (s *server) arrival(t *testing.T) int64 {
	t.Helper()
	records, _ := s.all("s", "0")
	if len(records) != 1 {
		t.Fatalf("%d records", len(records))
	}
	return records[0].ApproximateArrivalTimestamp.UnixMilli()
}

// TestKinesisSurvivesHostileCBOR sends what claims more than it has, or nests deeper than anybody needs.
func TestKinesisSurvivesHostileCBOR(t *testing.T) {
	s := serving(t, "--instant")
	s.create("s", 1)
	deep := func(head string) string { return strings.Repeat(head, 200_000) }
	huge := strings.Repeat("\xff", 8)
	for what, body := range map[string]string{
		"arrays in arrays":             "\xa1ax" + deep("\x81"),
		"arrays without an end":        "\xa1ax" + deep("\x9f"),
		"objects in objects":           deep("\xa1aa"),
		"tags on tags":                 "\xa1ax" + deep("\xc1"),
		"tags on everything":           deep("\xc1"),
		"an array of 2^64 items":       "\xa1gRecords\x9b" + huge,
		"an object of 2^64 fields":     "\xbb" + huge,
		"a blob of 2^64 bytes":         "\xa1dData\x5b" + huge,
		"a text of 2^32 bytes":         "\xa1jStreamName\x7a\xff\xff\xff\xff",
		"pieces of pieces":             "\xa1dData" + deep("\x5f"),
		"a piece of another type":      "\xa1dData\x5f\x61a\xff",
		"a break that ends nothing":    "\xff",
		"a break for a value":          "\xa1dData\xff",
		"a reserved length":            "\xa1dData\x5c",
		"an array":                     "\x80",
		"something behind":             "\xa0\xa0",
		"text that ends in the middle": "\xa1jStream",
		"JSON":                         "{}",
	} {
		status, answer := s.post("PutRecord", typeCBOR, []byte(body))
		if status != http.StatusBadRequest || answer["__type"] != "SerializationException" {
			t.Errorf("%s: %d %v", what, status, answer)
		}
	}
	if status, answer := s.post("PutRecord", typeCBOR, written(t, typeCBOR, fields{"StreamName": "s", "Data": []byte{}, "PartitionKey": "k"})); status != http.StatusOK {
		t.Errorf("afterwards: %d %v", status, answer)
	}
}
