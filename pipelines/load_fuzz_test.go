package pipelines_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/pipelines"
)

// Whatever the file: no panic, an error is a list of mistakes, and a pipeline that loads is whole.
func FuzzLoad(f *testing.F) {
	f.Add(whole)
	for _, c := range badCases(f) {
		f.Add(c.text)
	}
	c := fakes()
	f.Fuzz(func(t *testing.T, text string) {
		p, err := pipelines.Parse("p.yaml", []byte(text), c, pipelines.LoadOptions{Getenv: environment})
		if err != nil {
			var all config.Errors
			if !errors.As(err, &all) || len(all) == 0 {
				t.Fatalf("error is %T", err)
			}
			if strings.Contains(err.Error(), "hunter2") && !strings.Contains(text, "hunter2") {
				t.Errorf("a secret is printed: %v", err)
			}
			return
		}
		for _, q := range p.Queries {
			if q.Query == nil || q.Chains[0].Schema == nil || q.Query.Output() == nil {
				t.Errorf("query %s is not whole", q.Name)
			}
		}
		for _, s := range p.Sinks {
			if _, err := s.Chain.Open(); err != nil || s.Schema == nil || s.Config == nil {
				t.Errorf("sink %s is not whole: %v", s.Name, err)
			}
		}
		_ = fmt.Sprintf("%+v", p)
	})
}
