package selection

import (
	"fmt"

	"github.com/millrace-io/millrace/engine/config"
)

// Columns are what leaves, in order. In a file they are a list of texts ("expression AS name") or
// names with their expressions (name: expression).
type Columns []Column

// Column is one entry of Columns.
type Column struct {
	// Name of the column; empty when Text holds it.
	Name string
	// Text is an expression, or "expression AS name" or "*" when Name is empty.
	Text string
}

// path is where the entry at place i stands, from the transform.
func (c Column) path(i int) string {
	if c.Name != "" {
		return "columns." + c.Name
	}
	return fmt.Sprintf("columns[%d]", i)
}

// DecodeNode implements config.NodeDecoder.
func (c *Columns) DecodeNode(n *config.Node, d *config.Decoder) {
	*c = nil
	nodes := n.Items
	switch n.Kind {
	case config.List:
	case config.Mapping:
		nodes = n.Values
	default:
		d.Errorf(n, `expected a list such as [country, "price * quantity AS total"] or names with expressions (total: price * quantity)`)
		return
	}
	if len(nodes) == 0 {
		d.Errorf(n, "no columns; name at least one")
		return
	}
	for i, node := range nodes {
		var column Column
		d.Decode(node, &column.Text)
		if n.Kind == config.Mapping {
			column.Name = n.Keys[i]
		}
		*c = append(*c, column)
	}
}

// JSONSchema implements config.SchemaProvider.
func (c *Columns) JSONSchema(*config.Schemas) *config.Schema {
	return &config.Schema{AnyOf: []*config.Schema{
		{Type: config.Types{"array"}, Items: config.Text(), MinItems: 1},
		{Type: config.Types{"object"}, Additional: &config.Additional{Schema: config.Text()}, MinProperties: 1},
	}}
}
