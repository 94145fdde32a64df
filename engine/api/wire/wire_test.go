package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

// sample has a field of every kind.
type sample struct {
	Name  *string
	Count *int64
	On    *bool
	At    time.Time
	Data  []byte
	Names []string
	Tags  map[string]string
	Inner *inner
	List  []inner
}

type inner struct{ ID *string }

func (s *inner) Fields(f *Fields) {
	f.Text("Id", &s.ID, (&Rule{Required: true, Min: 2, Max: 3}))
}

var nameRule = Rule{Required: true, Min: 1, Max: 8}.Matching("[a-z]+")

func (s *sample) Fields(f *Fields) {
	f.Text("Name", &s.Name, nameRule)
	f.Int("Count", &s.Count, &Rule{Min: 1, Max: 10})
	f.Bool("On", &s.On)
	f.Time("At", &s.At, nil)
	f.Blob("Data", &s.Data, &Rule{Max: 4})
	f.Texts("Names", &s.Names, &Rule{Max: 2}, &Rule{Enum: []string{"A", "B"}})
	f.Map("Tags", &s.Tags, nil, &Rule{Max: 3}, nil)
	Struct(f, "Inner", &s.Inner, nil)
	List(f, "List", &s.List, nil)
}

func ptr[T any](v T) *T { return &v }

func full() *sample {
	return &sample{
		Name: ptr("a\"\\\n\x01ü\u2028"), Count: ptr(int64(-7)), On: ptr(true), At: time.UnixMilli(1700000000123).UTC(),
		Data: []byte{0, 1, 254, 255}, Names: []string{"", "B"}, Tags: map[string]string{"k\"": "v\t", "x": ""},
		Inner: &inner{ID: ptr("id")}, List: []inner{{}, {ID: ptr(strings.Repeat("x", 300))}},
	}
}

func TestShapesComeBackAsTheyWere(t *testing.T) {
	for _, format := range []Format{JSON, CBOR} {
		for _, want := range []*sample{{}, full(), {Data: []byte{}, Names: []string{}, Tags: map[string]string{}, List: []inner{}}} {
			body := Encode(format, nil, want)
			got := &sample{}
			if err := Decode(format, body, got); err != nil {
				t.Fatalf("%d: %v: %q", format, err, body)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%d: got %+v, want %+v from %q", format, got, want, body)
			}
		}
	}
}

// TestJSONIsThatOfTheStandardLibrary compares with another decoder.
func TestJSONIsThatOfTheStandardLibrary(t *testing.T) {
	var got map[string]any
	if err := json.Unmarshal(Encode(JSON, nil, full()), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"Name": *full().Name, "Count": -7.0, "On": true, "At": 1700000000.123, "Data": "AAH+/w==", "Names": []any{"", "B"},
		"Tags": map[string]any{"k\"": "v\t", "x": ""}, "Inner": map[string]any{"Id": "id"},
		"List": []any{map[string]any{}, map[string]any{"Id": strings.Repeat("x", 300)}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestCBORGolden has bodies as the Java SDK writes them: tagged milliseconds, byte strings, indefinite and
// definite lengths, and what RFC 8949 allows besides.
func TestCBORGolden(t *testing.T) {
	for text, want := range map[string]*sample{
		// {_ "Data": h'0102', "At": 1(1700000000123)}
		"bf6444617461420102624174c11b0000018bcfe5687bff": {Data: []byte{1, 2}, At: time.UnixMilli(1700000000123).UTC()},
		// the time as a float of seconds, 1(1700000000.5)
		"a1624174c1fb41d954fc40200000": {At: time.UnixMilli(1700000000500).UTC()},
		// {"Count": 24, "On": false, "Names": [_ "A"], "Inner": {"Id": (_ "x" "y")}}
		"a465436f756e741818624f6ef4654e616d65739f6141ff65496e6e6572a16249647f61786179ff": {
			Count: ptr(int64(24)), On: ptr(false), Names: []string{"A"}, Inner: &inner{ID: ptr("xy")},
		},
		// unknown fields are passed over: {"zz": [1, {2: h''}, null, 1.5 as half], "Name": "a"}
		"a2627a7a8401a10240f6f93e00644e616d656161": {Name: ptr("a")},
	} {
		body, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		got := &sample{}
		if err := Decode(CBOR, body, got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	if got := hex.EncodeToString(Encode(CBOR, nil, &sample{Data: []byte{1, 2}, At: time.UnixMilli(1700000000123)})); got != "bf624174c11b0000018bcfe5687b6444617461420102ff" {
		t.Errorf("written as %s", got)
	}
}

func TestWrongTypesAreNamedAsAWSDoes(t *testing.T) {
	for body, want := range map[string]string{
		`{"Name": 1}`:               "NUMBER_VALUE can not be converted to a String",
		`{"Name": true}`:            "TRUE_VALUE can not be converted to a String",
		`{"Name": []}`:              "Start of list found where not expected",
		`{"Name": {}}`:              "Start of structure or map found where not expected.",
		`{"Count": "1"}`:            "STRING_VALUE can not be converted to an Integer",
		`{"Count": 1e400}`:          "NUMBER_VALUE can not be converted to an Integer",
		`{"Names": "x"}`:            "Expected list or null",
		`{"Data": "abc"}`:           "Blob can not be converted: Base64 encoded length is expected a multiple of 4 bytes but found: 3",
		`{"Data": "ab=c"}`:          "Blob is not valid base64: 0 of 4 characters are",
		`{"At": 1e30}`:              "NUMBER_VALUE can not be converted to a Date",
		`{"List": [1]}`:             "Unexpected field type",
		`{"On": "true"}`:            "STRING_VALUE can not be converted to an Boolean",
		`{"Inner": {"Id": false}}`:  "FALSE_VALUE can not be converted to a String",
		`{"Tags": {"a": {}}}`:       "Start of structure or map found where not expected.",
		`{"Names": [null, "x", 1]}`: "Unexpected field type",
	} {
		var wrong *TypeError
		if err := Decode(JSON, []byte(body), &sample{}); !errors.As(err, &wrong) || wrong.Message != want {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
}

func TestWhatIsNotItsFormatIsRefused(t *testing.T) {
	deep := strings.Repeat("[", 1000)
	for _, body := range []string{
		"{", "}", `{"Name"}`, `{"Name": "a",}`, `{,}`, `{"Name": "a" "b": 1}`, `{"On": tru}`, `{"x": ` + deep, "{}{}", "\x00",
		`{"Name": "` + strings.Repeat("x", 100), `{"Names": ["a" "b"]}`, `{"Names": [,]}`,
	} {
		if err := Decode(JSON, []byte(body), &sample{}); !errors.Is(err, ErrSyntax) {
			t.Errorf("%.60q: %v", body, err)
		}
	}
	for _, text := range []string{
		"ff", "bf", "a1", "a164", "a1644e616d65", "a1644e616d657a7fffffff61", "a16444617461" + "5b7fffffffffffffff", "bb7fffffffffffffff",
		"a1627a7a" + strings.Repeat("81", 1000) + "00", "a1627a7a1c", "a10101", "a06161", strings.Repeat("c1", 1000) + "a0", "a1624e6e5f5fff",
	} {
		body, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := Decode(CBOR, body, &sample{}); !errors.Is(err, ErrSyntax) {
			var wrong *TypeError
			if !errors.As(err, &wrong) {
				t.Errorf("%.60s: %v", text, err)
			}
		}
	}
}

func TestEscapesInBinaryDataAreRead(t *testing.T) {
	for _, text := range []string{`\/\/\/\/`, `//\u002f/`, `////`} {
		got := &sample{}
		if err := Decode(JSON, []byte(`{"Data": "`+text+`"}`), got); err != nil || !bytes.Equal(got.Data, []byte{255, 255, 255}) {
			t.Errorf("%s: %v, %v", text, got.Data, err)
		}
	}
}

func TestViolationsAreListedAsAWSDoes(t *testing.T) {
	s := &sample{Count: ptr(int64(11)), Data: make([]byte, 5), Names: []string{"A", "C"}, Tags: map[string]string{"long": ""}, Inner: &inner{}, List: []inner{{ID: ptr("x")}}}
	want := "7 validation errors detected: Value null at 'name' failed to satisfy constraint: Member must not be null; " +
		"Value '11' at 'count' failed to satisfy constraint: Member must have value less than or equal to 10; " +
		"Value 'java.nio.HeapByteBuffer[pos=0 lim=5 cap=5]' at 'data' failed to satisfy constraint: Member must have length less than or equal to 4; " +
		"Value '[A, C]' at 'names' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [A, B]]; " +
		"Value '{long=}' at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 3, Member must have length greater than or equal to 0]; " +
		"Value null at 'inner.id' failed to satisfy constraint: Member must not be null; " +
		"Value 'x' at 'list.1.member.id' failed to satisfy constraint: Member must have length greater than or equal to 2"
	if got := Check(s).String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if v := Check(&sample{Name: ptr("")}); v.String() != "2 validation errors detected: Value '' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z]+; "+
		"Value '' at 'name' failed to satisfy constraint: Member must have length greater than or equal to 1" {
		t.Error(v)
	}
	if v := Check(&sample{Name: ptr("a")}); !v.None() {
		t.Error(v)
	}
	many := &sample{Name: ptr("a"), List: make([]inner, 1000)}
	if v := Check(many); !strings.HasPrefix(v.String(), "10 validation errors") {
		t.Error(v)
	}
}

func TestEventStreamMessagesComeBack(t *testing.T) {
	m := Message{Headers: []Header{{":event-type", "SubscribeToShardEvent"}, {":x", ""}}, Payload: []byte("{}")}
	b := AppendMessage(AppendMessage(nil, m), Message{})
	got, rest, err := ParseMessage(b)
	if err != nil || !reflect.DeepEqual(got, m) {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, rest, err = ParseMessage(rest); err != nil || len(rest) != 0 || got.Headers != nil || len(got.Payload) != 0 {
		t.Errorf("the empty one: %+v, %d bytes left, %v", got, len(rest), err)
	}
	// An empty message from the specification's test vectors.
	if hex.EncodeToString(AppendMessage(nil, Message{})) != "000000100000000005c248eb7d98c8ff" {
		t.Errorf("an empty message is %x", AppendMessage(nil, Message{}))
	}
	whole := AppendMessage(nil, m)
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 1
		if _, _, err := ParseMessage(b); !errors.Is(err, ErrFrame) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if _, _, err := ParseMessage(whole[:i]); !errors.Is(err, ErrFrame) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, format := range []Format{JSON, CBOR} {
		f.Add(Encode(format, nil, full()), format == CBOR)
	}
	f.Fuzz(func(t *testing.T, body []byte, cbor bool) {
		format := JSON
		if cbor {
			format = CBOR
		}
		s := &sample{}
		if Decode(format, body, s) != nil {
			return
		}
		if !cbor && len(body) > 0 && !json.Valid(body) && !bytes.ContainsFunc(body, func(r rune) bool { return r < ' ' }) {
			t.Errorf("%q is no JSON", body)
		}
		_ = Check(s).String()
		for _, to := range []Format{JSON, CBOR} {
			again := &sample{}
			once := Encode(to, nil, s)
			if err := Decode(to, once, again); err != nil {
				t.Fatalf("%q from %q: %v", once, body, err)
			}
			if twice := Encode(to, nil, again); !bytes.Equal(once, twice) {
				t.Errorf("%q became %q", once, twice)
			}
		}
	})
}

func FuzzParseMessage(f *testing.F) {
	f.Add(AppendMessage(nil, Message{Headers: []Header{{":a", "b"}}, Payload: []byte("x")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, rest, err := ParseMessage(b); err == nil && !bytes.Equal(AppendMessage(nil, m), b[:len(b)-len(rest)]) {
			t.Errorf("%x is written as %x", b, AppendMessage(nil, m))
		}
	})
}
