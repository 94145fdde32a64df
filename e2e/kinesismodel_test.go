package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

const (
	typeJSON = "application/x-amz-json-1.1"
	typeCBOR = "application/x-amz-cbor-1.1"
)

// fields is a request or an answer as it is written: strings, numbers, booleans, []byte, time.Time, []any and fields.
type fields = map[string]any

// written is a body with encoders that are not the server's: times as AWS clients write them in each format.
func written(t *testing.T, format string, v any) (body []byte) {
	t.Helper()
	var err error
	if format == typeJSON {
		body, err = json.Marshal(timed(v, func(at time.Time) any { return float64(at.UnixMilli()) / 1000 }))
	} else {
		body, err = cbor.Marshal(timed(v, func(at time.Time) any { return cbor.Tag{Number: 1, Content: at.UnixMilli()} }))
	}
	must(t, err)
	return body
}

func timed(v any, write func(time.Time) any) any {
	switch v := v.(type) {
	case time.Time:
		return write(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = timed(v[i], write)
		}
		return out
	case fields:
		out := fields{}
		for k := range v {
			out[k] = timed(v[k], write)
		}
		return out
	}
	return v
}

// parsed reads a body. CBOR must be a map with texts as keys, and nothing behind it.
func parsed(t *testing.T, format string, body []byte) (out fields) {
	t.Helper()
	if len(body) == 0 {
		return nil
	}
	if format == typeJSON {
		must(t, json.Unmarshal(body, &out))
		return out
	}
	mode, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, IntDec: cbor.IntDecConvertSignedOrFail, UTF8: cbor.UTF8RejectInvalid}.DecMode()
	must(t, err)
	var raw map[string]any
	if err := mode.Unmarshal(body, &raw); err != nil {
		t.Fatalf("%v in %x", err, body)
	}
	return textual(t, raw).(fields)
}

// textual turns maps with any keys into fields.
func textual(t *testing.T, v any) any {
	switch v := v.(type) {
	case map[any]any:
		out := fields{}
		for k := range v {
			name, ok := k.(string)
			if !ok {
				t.Errorf("a key %v", k)
			}
			out[name] = textual(t, v[k])
		}
		return out
	case map[string]any:
		for k := range v {
			v[k] = textual(t, v[k])
		}
		return v
	case []any:
		for i := range v {
			v[i] = textual(t, v[i])
		}
	}
	return v
}

// post sends a body as an SDK does, and parses the answer.
func (s *server) post(operation, format string, body []byte) (status int, answer fields) {
	s.t.Helper()
	status, text := s.raw(operation, format, body)
	return status, parsed(s.t, format, text)
}

// raw sends a body as an SDK does. The answer is to be in the same format.
func (s *server) raw(operation, format string, body []byte) (status int, answer []byte) {
	s.t.Helper()
	q, err := http.NewRequestWithContext(s.t.Context(), "POST", "http://"+s.address+"/", bytes.NewReader(body))
	must(s.t, err)
	q.Header.Set("X-Amz-Target", "Kinesis_20131202."+operation)
	q.Header.Set("Content-Type", format)
	q.Header.Set("X-Amz-Date", "20261122T010203Z")
	q.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AK/20261122/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=00")
	resp, err := http.DefaultClient.Do(q)
	must(s.t, err)
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	must(s.t, err)
	if got := resp.Header.Get("Content-Type"); got != format {
		s.t.Errorf("%s in %s is answered in %s", operation, format, got)
	}
	return resp.StatusCode, answer
}

// samples are texts for the patterns of the model.
var samples = map[string]string{
	`[a-z0-9]{20}-[a-z0-9]{3}`:                 "abcdefghij0123456789-abc",
	`arn:aws.*:kinesis:.*:\d{12}:stream/\S+`:   "arn:aws:kinesis:us-east-1:000000000000:stream/none",
	`arn:aws.*:kinesis:.*:\d{12}:.*stream/\S+`: "arn:aws:kinesis:us-east-1:000000000000:stream/none",
	`^(arn):aws.*:kinesis:.*:\d{12}:.*stream\/[a-zA-Z0-9_.-]+\/consumer\/[a-zA-Z0-9_.-]+:[0-9]+`: "arn:aws:kinesis:us-east-1:000000000000:stream/none/consumer/c:1",
	`[a-zA-Z0-9_.-]+`:    "none",
	`0|([1-9]\d{0,38})`:  "0",
	`0|([1-9]\d{0,128})`: "0",
	"":                   "x",
}

// sample is a value that keeps the rules: of a structure, only what is required.
func (m *apiModel) sample(t *testing.T, name string) any {
	s := m.Shapes[name]
	switch s.Type {
	case "string":
		if len(s.Enum) > 0 {
			return s.Enum[0]
		}
		text, ok := samples[s.Pattern]
		if !ok || s.Pattern != "" && !regexp.MustCompile("^(?:"+s.Pattern+")$").MatchString(text) {
			t.Fatalf("%s: no sample for the pattern %s", name, s.Pattern)
		}
		return text
	case "integer", "long":
		if s.Min != nil {
			return *s.Min
		}
		return int64(24)
	case "boolean":
		return true
	case "timestamp":
		return time.UnixMilli(1700000000123).UTC()
	case "blob":
		return []byte{0, 255}
	case "list":
		return []any{m.sample(t, s.Member.Shape)}
	case "map":
		return fields{"k": m.sample(t, s.Value.Shape)}
	}
	out := fields{}
	for _, member := range s.Required {
		out[member] = m.sample(t, s.Members[member].Shape)
	}
	return out
}

// mistake is a request with one thing wrong, and how it is answered.
type mistake struct {
	body fields
	kind string
	text string
}

// mistakes makes all of a structure: put puts it into a request.
func (m *apiModel) mistakes(t *testing.T, name, path string, put func(any) fields) (list []mistake) {
	s := m.Shapes[name]
	base := m.sample(t, name).(fields)
	with := func(member string, v any) fields {
		out := maps.Clone(base)
		out[member] = v
		return put(out)
	}
	for _, member := range slices.Sorted(maps.Keys(s.Members)) {
		of := s.Members[member].Shape
		at := path + strings.ToLower(member[:1]) + member[1:]
		for _, wrong := range []any{true, int64(1), "none", []any{}, fields{}} {
			if text := mistyped(m.Shapes[of].Type, wrong); text != "" {
				list = append(list, mistake{with(member, wrong), "SerializationException", text})
			}
		}
		null := mistake{with(member, nil), "", ""}
		if s.requires(member) {
			null.kind, null.text = "ValidationException", violations(fmt.Sprintf("Value null at '%s' failed to satisfy constraint: Member must not be null", at))
			without := maps.Clone(base)
			delete(without, member)
			list = append(list, mistake{put(without), null.kind, null.text})
		}
		list = append(list, null)
		for _, v := range m.outside(t, of) {
			for i := range v.broken {
				v.broken[i] = fmt.Sprintf("Value %s at '%s' failed to satisfy constraint: %s", quote(v.value), at, v.broken[i])
			}
			list = append(list, mistake{with(member, v.value), "ValidationException", violations(v.broken...)})
		}
		switch inner := m.Shapes[of]; {
		case inner.Type == "structure":
			list = append(list, m.mistakes(t, of, at+".", func(v any) fields { return with(member, v) })...)
		case inner.Type == "list" && m.Shapes[inner.Member.Shape].Type == "structure":
			list = append(list, m.mistakes(t, inner.Member.Shape, at+".1.member.", func(v any) fields { return with(member, []any{v}) })...)
		}
	}
	return list
}

func violations(list ...string) string {
	s := ""
	if len(list) > 1 {
		s = "s"
	}
	return fmt.Sprintf("%d validation error%s detected: %s", len(list), s, strings.Join(list, "; "))
}

// mistyped is what AWS says of a value that is none of the type; empty when it is one.
func mistyped(kind string, v any) string {
	_, list := v.([]any)
	_, object := v.(fields)
	switch {
	case list && kind == "list", object && (kind == "map" || kind == "structure"):
		return ""
	case list:
		return "Start of list found where not expected"
	case object:
		return "Start of structure or map found where not expected."
	case kind == "list", kind == "map":
		return "Expected " + kind + " or null"
	case kind == "structure":
		return "Unexpected field type"
	}
	want := map[string]string{"string": "a String", "integer": "an Integer", "long": "a Long", "boolean": "an Boolean", "timestamp": "a Date", "blob": "a Blob"}[kind]
	is := ""
	switch v.(type) {
	case bool:
		is = "boolean"
	case int64:
		is = "integer timestamp"
	case string:
		is = "string blob" // "none" is base64 too; in CBOR it is not a blob, and that has a test of its own
	}
	if strings.Contains(is, kind) {
		return ""
	}
	token := map[string]string{"boolean": "TRUE_VALUE", "integer timestamp": "NUMBER_VALUE", "string blob": "STRING_VALUE"}[is]
	return token + " can not be converted to " + want
}

// beyond is a value that breaks rules.
type beyond struct {
	value  any
	broken []string
}

// outside are values below and above the bounds, against the pattern and not among the values.
func (m *apiModel) outside(t *testing.T, name string) (list []beyond) {
	s := m.Shapes[name]
	number := s.Type == "integer" || s.Type == "long"
	what := "length"
	if number {
		what = "value"
	}
	size := func(n int64, broken string) {
		v := beyond{m.sized(t, name, n), []string{broken}}
		if text, ok := v.value.(string); ok && s.Pattern != "" && !regexp.MustCompile("^(?:"+s.Pattern+")$").MatchString(text) {
			v.broken = append([]string{"Member must satisfy regular expression pattern: " + s.Pattern}, v.broken...)
		}
		list = append(list, v)
	}
	if s.Min != nil && (*s.Min > 0 || number) {
		size(*s.Min-1, fmt.Sprintf("Member must have %s greater than or equal to %d", what, *s.Min))
	}
	if s.Max != nil {
		size(*s.Max+1, fmt.Sprintf("Member must have %s less than or equal to %d", what, *s.Max))
	}
	if s.Pattern != "" {
		list = append(list, beyond{"no match!", []string{"Member must satisfy regular expression pattern: " + s.Pattern}})
	}
	if len(s.Enum) > 0 {
		list = append(list, beyond{"NONE_OF_THEM", []string{"Member must satisfy enum value set: [" + strings.Join(s.Enum, ", ") + "]"}})
	}
	if s.Type == "list" && m.Shapes[s.Member.Shape].Type == "string" {
		for _, v := range m.outside(t, s.Member.Shape) {
			list = append(list, beyond{[]any{v.value}, []string{"Member must satisfy constraint: " + m.together(s.Member.Shape)}})
		}
	}
	if s.Type == "map" {
		for _, v := range m.outside(t, s.Key.Shape) {
			list = append(list, beyond{fields{v.value.(string): "v"}, []string{"Map keys must satisfy constraint: " + m.together(s.Key.Shape)}})
		}
		for _, v := range m.outside(t, s.Value.Shape) {
			list = append(list, beyond{fields{"k": v.value}, []string{"Map value must satisfy constraint: " + m.together(s.Value.Shape)}})
		}
	}
	return list
}

// together is how the rules of a list's or map's members are worded.
func (m *apiModel) together(name string) string {
	s := m.Shapes[name]
	var list []string
	if s.Max != nil {
		list = append(list, fmt.Sprintf("Member must have length less than or equal to %d", *s.Max))
	}
	if s.Min != nil {
		list = append(list, fmt.Sprintf("Member must have length greater than or equal to %d", *s.Min))
	}
	if len(s.Enum) > 0 {
		list = append(list, "Member must satisfy enum value set: ["+strings.Join(s.Enum, ", ")+"]")
	}
	return "[" + strings.Join(list, ", ") + "]"
}

// sized is a value of a length, or a number, that breaks no other rule if it can.
func (m *apiModel) sized(t *testing.T, name string, n int64) any {
	s := m.Shapes[name]
	switch s.Type {
	case "string":
		if n == 0 {
			return ""
		}
		text := m.sample(t, name).(string)
		return text + strings.Repeat("1", int(n)-len(text))
	case "blob":
		return make([]byte, n)
	case "list":
		list := []any{}
		for range n {
			list = append(list, m.sample(t, s.Member.Shape))
		}
		return list
	case "map":
		out := fields{}
		for i := range n {
			out[fmt.Sprintf("k%03d", i)] = m.sample(t, s.Value.Shape)
		}
		return out
	}
	return n
}

// quote is a value as answers repeat it: not more than this server does.
func quote(v any) string {
	text := ""
	switch v := v.(type) {
	case string:
		text = v
	case []byte:
		text = fmt.Sprintf("java.nio.HeapByteBuffer[pos=0 lim=%d cap=%d]", len(v), len(v))
	case []any:
		if len(v) > 0 {
			if _, ok := v[0].(fields); ok {
				return fmt.Sprintf("'[%d members]'", len(v))
			}
		}
		var list []string
		for _, x := range v {
			list = append(list, x.(string))
		}
		text = "[" + strings.Join(list, ", ") + "]"
	case fields:
		var list []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			list = append(list, k+"="+v[k].(string))
		}
		text = "{" + strings.Join(list, ", ") + "}"
	default:
		text = fmt.Sprint(v)
	}
	const repeated = 2304
	if len(text) > repeated {
		text = text[:repeated] + "..."
	}
	return "'" + text + "'"
}

// TestKinesisRequestsAreHeldToTheModel breaks each rule of each field of each request once, in both formats.
func TestKinesisRequestsAreHeldToTheModel(t *testing.T) {
	m := loadModel(t)
	s := serving(t, "--instant")
	tried := 0
	for _, op := range slices.Sorted(maps.Keys(m.Operations)) {
		in := m.Operations[op].Input.Shape
		for _, x := range m.mistakes(t, in, "", func(v any) fields { return v.(fields) }) {
			for _, format := range []string{typeJSON, typeCBOR} {
				tried++
				status, answer := s.post(op, format, written(t, format, x.body))
				kind, _ := answer["__type"].(string)
				text, _ := answer["message"].(string)
				if kind == "SerializationException" {
					text, _ = answer["Message"].(string)
				}
				switch {
				case x.kind == "" && (kind == "ValidationException" && strings.Contains(text, "detected:") || kind == "SerializationException"):
					t.Errorf("%s %s %.200s: a null that may be is answered with %s: %s", op, format, fmt.Sprint(x.body), kind, text)
				case x.kind != "" && (status != http.StatusBadRequest || kind != x.kind || text != x.text):
					t.Errorf("%s %s %.200s:\n got %d %s: %.600s\nwant 400 %s: %.600s", op, format, fmt.Sprint(x.body), status, kind, text, x.kind, x.text)
				}
			}
		}
	}
	if tried < 2000 {
		t.Errorf("only %d requests were tried", tried)
	}
	t.Logf("%d requests", tried)
}
