package expr

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/millrace-io/millrace/sql/ast"
)

// FuzzJSONWalk walks paths through any bytes. Of what encoding/json takes for JSON, a value that is
// found is the one that it finds.
func FuzzJSONWalk(f *testing.F) {
	for _, doc := range []string{`{"a":{"b":[1,{"c":"x\"y"}]}}`, `[1,2,3]`, `{"a":`, `{"a":1}x`, `"\ud800"`, ` { "a" : [ ] } `, ``, `[`, `[1,`, `{"a":{"b":[`} {
		f.Add([]byte(doc), "$.a.b[0]")
		f.Add([]byte(doc), `$['a']."b"[-1]`)
		f.Add([]byte(doc), "$")
	}
	f.Fuzz(func(t *testing.T, doc []byte, path string) {
		steps, err := jsonPath(&ast.String{Value: "$" + path})
		if err != nil {
			return
		}
		raw, ok := walk(doc, steps)
		if _, fits := appendJSONText(nil, raw); ok && !fits && string(raw) != "null" && json.Valid(doc) {
			t.Errorf("%q in %q is %q, which has no text", path, doc, raw)
		}
		if compact, ok := appendCompact(nil, doc); ok && !json.Valid(compact) {
			t.Errorf("%q is made %q, which is no JSON", doc, compact)
		}
		var tree any
		if json.Unmarshal(doc, &tree) != nil {
			return
		}
		// Written again, no key is there twice: of those the first counts here, the last in encoding/json.
		if doc, err = json.Marshal(tree); err != nil {
			t.Fatal(err)
		}
		want, there := lookUp(tree, steps)
		if raw, ok = walk(doc, steps); ok != there {
			t.Fatalf("%q in %q: found is %v, want %v", path, doc, ok, there)
		}
		if !ok {
			return
		}
		var got any
		if err := json.Unmarshal(raw, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q in %q is %q, want %v: %v", path, doc, raw, want, err)
		}
	})
}

func lookUp(tree any, steps []step) (any, bool) {
	for _, s := range steps {
		switch v := tree.(type) {
		case map[string]any:
			next, ok := v[s.key]
			if s.array || !ok {
				return nil, false
			}
			tree = next
		case []any:
			i := s.index
			if i < 0 {
				i += len(v)
			}
			if !s.array || i < 0 || i >= len(v) {
				return nil, false
			}
			tree = v[i]
		default:
			return nil, false
		}
	}
	return tree, true
}
