package pipelines

import (
	"time"

	"github.com/millrace-io/millrace/engine/config"
)

// testSpec is an entry of tests.
type testSpec struct {
	// Start is the time of the first input. Default: that of the latest event in the input, so that
	// none lies in the future.
	Start time.Time `yaml:"start"`
	// Input is what comes into the streams, one after the other.
	Input []testInputSpec `yaml:"input" required:"true"`
	// Tables are the rows of reference tables: {column: value}, by table. A file that has none here is read
	// as it is.
	Tables config.Map[rowsSpec] `yaml:"tables"`
	// Expect says what comes out: rows by the query, transform or sink that gives them or, for a sink,
	// gets them. Their order does not matter, and columns that an expected row does not name may be
	// anything. [] means that no row comes.
	Expect config.Map[rowsSpec] `yaml:"expect"`
	// Rejected are the rows that are rejected. Any other one fails the test.
	Rejected []testRejectSpec `yaml:"rejected"`
	// Tolerance is how far floats may be from what is expected, relative to the larger one.
	Tolerance float64 `yaml:"tolerance" min:"0" max:"1"`
	// Close says that the input ends, which closes all windows. Without it they stay open, as when a
	// pipeline is stopped.
	Close bool `yaml:"close"`
}

// SetDefaults implements config.Defaulter.
func (t *testSpec) SetDefaults() { *t = testSpec{Tolerance: 1e-9, Close: true} }

// Validate implements config.Validator.
func (t *testSpec) Validate() []config.Problem {
	var found []config.Problem
	if len(t.Expect) == 0 && len(t.Rejected) == 0 {
		found = append(found, config.Problemf("", "the test expects nothing; add expect: {query: [rows]} or rejected: [rows]"))
	}
	for i := 1; i < len(t.Input); i++ {
		if t.Input[i].At != 0 && t.Input[i].At < t.Input[i-1].At {
			found = append(found, config.Problemf("input", "time goes back from %s to %s; write the input in the order of at", t.Input[i-1].At, t.Input[i].At))
		}
		t.Input[i].At = max(t.Input[i].At, t.Input[i-1].At)
	}
	return found
}

// testInputSpec is rows that come at one time.
type testInputSpec struct {
	// Stream that they come into.
	Stream string `yaml:"stream" required:"true"`
	// At is when, counted from start. Default: right behind what came before.
	At config.Duration `yaml:"at" min:"0s"`
	// Rows are {field: value}, or a text for a record as it is, such as one that is broken.
	Rows rowsSpec `yaml:"rows" required:"true"`
}

// testRejectSpec is a row that is rejected.
type testRejectSpec struct {
	// Step that rejects it: a stream (it is no row of the schema), a transform, a query or a sink.
	Step string `yaml:"step" required:"true"`
	// Code is why, such as late or type-mismatch.
	Code string `yaml:"code"`
	// Contains is a part of the record.
	Contains string `yaml:"contains"`
}

// rowsSpec is a list of rows.
type rowsSpec []*config.Node

// maxTestRows bounds the rows of one list.
const maxTestRows = 100_000

// DecodeNode implements config.NodeDecoder.
func (r *rowsSpec) DecodeNode(n *config.Node, d *config.Decoder) {
	switch {
	case n.Kind != config.List:
		d.Errorf(n, "expected a list of rows ([{field: value}])")
	case len(n.Items) > maxTestRows:
		d.Errorf(n, "more than %d rows", maxTestRows)
	default:
		*r = n.Items
	}
}

// JSONSchema implements config.SchemaProvider.
func (*rowsSpec) JSONSchema(*config.Schemas) *config.Schema {
	return &config.Schema{Type: config.Types{"array"}, Items: &config.Schema{Type: config.Types{"object", "string"}}}
}
