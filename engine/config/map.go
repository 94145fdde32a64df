package config

// Map is a mapping whose keys are ids that the user chose, in the order of the file.
type Map[T any] []Entry[T]

// maxIDs bounds the entries of a Map.
const maxIDs = 1000

// Entry is one id of a Map. Node is its value in the file, for messages.
type Entry[T any] struct {
	ID    string
	Value T
	Node  *Node
}

// Get is the entry of an id, nil if there is none.
func (m Map[T]) Get(id string) *Entry[T] {
	for i := range m {
		if m[i].ID == id {
			return &m[i]
		}
	}
	return nil
}

// IDs are the ids in the order of the file.
func (m Map[T]) IDs() []string {
	ids := make([]string, len(m))
	for i := range m {
		ids[i] = m[i].ID
	}
	return ids
}

// DecodeNode implements NodeDecoder. Elements that are Defaulters start with their defaults.
func (m *Map[T]) DecodeNode(n *Node, d *Decoder) {
	if n.Kind == Null {
		return
	}
	if n.Kind != Mapping {
		d.wrongType(n, "ids with their settings (id: {key: value})")
		return
	}
	if len(n.Keys) > maxIDs {
		d.Errorf(n, "more than %d entries", maxIDs)
		return
	}
	for i, id := range n.Keys {
		e := Entry[T]{ID: id, Node: n.Values[i]}
		if def, ok := any(&e.Value).(Defaulter); ok {
			def.SetDefaults()
		}
		d.Decode(e.Node, &e.Value)
		*m = append(*m, e)
	}
}
