package control

import (
	"context"
	"time"

	"github.com/millrace-io/millrace/engine/column/versions"
)

// Schema is a version of the schema of a stream whose records decide on it.
type Schema struct {
	// Version counts from 1.
	Version int64 `json:"version"`
	// Origin says what it is from: sample, file or records.
	Origin  string    `json:"origin"`
	Created time.Time `json:"created"`
	Columns []Column  `json:"columns"`
}

// Column is a column of a Schema.
type Column struct {
	Name string `json:"name"`
	// Type is as a pipeline file spells it.
	Type string `json:"type"`
	// Fixed columns keep their types.
	Fixed bool `json:"fixed,omitempty"`
}

// schema is the latest version of a stream's schema, nil if records do not decide on it.
func (l *Local) schema(ctx context.Context, name, incarnation string) (*Schema, error) {
	v, err := versions.Latest(ctx, l.backend.Meta(), name, incarnation)
	if err != nil || v.Number == 0 {
		return nil, err
	}
	s := &Schema{Version: v.Number, Origin: v.Origin, Created: v.Created}
	fixed := map[string]bool{}
	for _, names := range [][]string{v.Declared, v.Fixed} {
		for _, n := range names {
			fixed[n] = true
		}
	}
	for _, f := range v.Schema.Fields {
		s.Columns = append(s.Columns, Column{Name: f.Name, Type: f.Type.String(), Fixed: fixed[f.Name]})
	}
	return s, nil
}
