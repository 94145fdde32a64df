package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/millrace-io/millrace/e2e/rig"
)

// parts are those of a pipeline file, of which some are measured apart from the others.
type parts struct {
	Version    int                       `yaml:"version" json:"version"`
	Name       string                    `yaml:"name" json:"name"`
	Memory     string                    `yaml:"memory" json:"memory"`
	Streams    map[string]any            `yaml:"streams" json:"streams"`
	Sources    map[string]map[string]any `yaml:"sources" json:"sources,omitempty"`
	Tables     map[string]any            `yaml:"tables" json:"tables,omitempty"`
	Transforms map[string]any            `yaml:"transforms" json:"transforms,omitempty"`
	Queries    map[string]map[string]any `yaml:"queries" json:"queries,omitempty"`
	Sinks      map[string]map[string]any `yaml:"sinks" json:"sinks,omitempty"`
}

// pipe runs parts over a data directory to their end.
func (b *bench) pipe(ctx context.Context, p parts, data, name string) (figures, rig.Summary, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return figures{}, rig.Summary{}, err
	}
	file := filepath.Join(b.dir, name+".yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return figures{}, rig.Summary{}, err
	}
	return b.millrace(ctx, file, data, b.root, b.env()...)
}

// complete fails when a query did not read all events, or did not take all that it read.
func complete(t rig.Task, n int) error {
	i := slices.IndexFunc(t.Steps, func(s rig.Step) bool { return s.Name == t.Name })
	if i < 0 || t.Steps[i].Late+t.Steps[i].Bad != 0 || t.In() != int64(n) {
		return fmt.Errorf("of %d events some are missing, late or bad: %+v", n, t.Steps)
	}
	return nil
}

// perEvent is the CPU time of an event in microseconds.
func perEvent(f figures, n int) float64 { return float64(f.cpu.Nanoseconds()) / 1e3 / float64(n) }
