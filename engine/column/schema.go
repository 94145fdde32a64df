// Package column is the columnar side of Millrace: schemas, batches of rows as Arrow columns,
// and the decoders and encoders between rows of bytes and columns. It is the only package that
// imports Arrow.
//
// The invariant to remember: a Batch is immutable once built. Filters narrow its selection in a
// shallow copy and never touch the columns.
package column

// Kind is the type of a column without its parameters.
type Kind uint8

// The kinds (docs/schema.md), and how a Column stores them.
const (
	Invalid   Kind = iota
	Boolean        // Bools
	Int            // Int32s
	BigInt         // Int64s
	Float          // Float32s
	Double         // Float64s
	Decimal        // Int64s up to 18 digits, else Fixed, 16 bytes big-endian two's complement
	String         // Offsets and Bytes, or IDs and Dict
	Binary         // Offsets and Bytes
	Date           // Int32s, days since the epoch
	Time           // Int64s, microseconds since midnight
	Timestamp      // Int64s, microseconds since the epoch, UTC
	UUID           // Fixed, 16 bytes
	JSON           // Offsets and Bytes, compact JSON text
	List           // Offsets and Children[0]
	Struct         // Children
)

// Type is the type of a column. The zero Type is invalid.
type Type struct {
	Kind Kind
	// Precision and Scale of a Decimal; precision is 1 to 38.
	Precision, Scale int
	// Elem is the element type of a List.
	Elem *Type
	// Fields of a Struct.
	Fields []Field
}

// Field is a named column. Every column may hold nulls.
type Field struct {
	Name string
	Type Type
}

// Schema is the ordered columns of a stream, transform or query.
type Schema struct{ Fields []Field }

// Index is the place of a top-level field, or -1.
func (s *Schema) Index(name string) int {
	for i := range s.Fields {
		if s.Fields[i].Name == name {
			return i
		}
	}
	return -1
}

// Names are the names of the top-level fields, in order.
func (s *Schema) Names() []string {
	names := make([]string, len(s.Fields))
	for i := range s.Fields {
		names[i] = s.Fields[i].Name
	}
	return names
}
