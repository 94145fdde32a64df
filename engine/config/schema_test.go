package config_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/millrace-io/millrace/engine/config"
)

func shopSchema(t *testing.T) (*jsonschema.Schema, string) {
	t.Helper()
	s := config.NewSchemas(map[string]string{"github.com/millrace-io/millrace/engine/config_test.shop.Motto": "What we say."})
	root := s.Of(&shop{Workers: 5, Pause: time.Minute})
	root.Defs = s.Defs()
	text, err := json.MarshalIndent(root, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("shop.json", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("shop.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled, string(text)
}

func TestSchemaAgreesWithTheDecoder(t *testing.T) {
	s, text := shopSchema(t)
	validate := func(text string) error {
		var v map[string]any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if at, ok := v["since"].(time.Time); ok {
			v["since"] = at.Format(time.RFC3339)
		}
		return s.Validate(v)
	}
	if err := validate(good); err != nil {
		t.Error(err)
	}
	for _, want := range []string{`"default": 5`, `"default": "1m"`, `"description": "What we say."`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	data, err := os.ReadFile("testdata/bad/types.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range strings.Split("\n"+string(data), "\n=== ")[1:] {
		name, rest, _ := strings.Cut(c, "\n")
		text, _, _ := strings.Cut(rest, "\n--- want\n")
		// JSON has these as plain numbers and texts, or not at all.
		if strings.HasPrefix(name, "hex") || strings.Contains(name, "time") || name == "nan" || name == "infinite" {
			continue
		}
		if validate(text) == nil {
			t.Errorf("%s: the schema accepts it", name)
		}
	}
}
