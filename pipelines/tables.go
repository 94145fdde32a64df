package pipelines

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/bucket"
	"github.com/millrace-io/millrace/engine/checkpoint"
	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/config"
	"github.com/millrace-io/millrace/engine/flow"
	"github.com/millrace-io/millrace/engine/table"
	"github.com/millrace-io/millrace/sql"
	"github.com/millrace-io/millrace/sql/agg"
)

// tableHead is what all tables have; the rest says where the content is.
type tableHead struct {
	// Type of the place: file, or s3 for an object in S3-compatible storage.
	Type string `yaml:"type" required:"true"`
	// Format of the content: csv with a line of column names, ndjson, or parquet.
	Format string `yaml:"format" enum:"csv,ndjson,parquet" required:"true"`
	// Schema of the rows, as that of a stream. Columns that it does not name are left out.
	Schema schemaSpec `yaml:"schema" required:"true"`
	// Key are columns that no two rows have in common. A content that breaks this is refused, and the one
	// before stays in use. Without it a row of the stream is joined with every row that it matches.
	Key []string `yaml:"key"`
	// Refresh is how often the content is looked at. A new one is joined from the next chunk on. 0s reads
	// it once, at the start.
	Refresh config.Duration `yaml:"refresh" min:"0s" max:"720h"`
	// Memory is what the rows may take. All tables together have a quarter of the pipeline's memory at
	// most. Default: an equal part of that.
	Memory config.Size `yaml:"memory" min:"64KiB"`
	// Delimiter between the cells of csv, one character. Default: a comma.
	Delimiter string `yaml:"delimiter"`
	// Header says that the first line of csv has the names of the columns. Without it the cells are in
	// the order of the schema.
	Header bool `yaml:"header"`
}

// SetDefaults implements config.Defaulter.
func (t *tableHead) SetDefaults() {
	*t = tableHead{Refresh: config.Duration(defaultRefresh), Header: true}
}

const defaultRefresh = 10 * time.Minute

// Validate implements config.Validator.
func (t *tableHead) Validate() []config.Problem {
	var found []config.Problem
	switch {
	case t.Format != table.CSV && t.Format != "" && (t.Delimiter != "" || !t.Header):
		found = append(found, config.Problemf("format", "delimiter and header are for format: csv"))
	case t.Delimiter != "" && (len(t.Delimiter) != 1 || strings.ContainsAny(t.Delimiter, "\"\r\n")):
		found = append(found, config.Problemf("delimiter", "%q is not one character such as , ; | or a tab (\"\\t\")", t.Delimiter))
	}
	if t.Schema.Schema == nil {
		return found
	}
	for i, name := range t.Key {
		f := t.Schema.Schema.Index(name)
		path := fmt.Sprintf("key[%d]", i)
		switch {
		case f < 0:
			found = append(found, config.Problemf(path, "%s", config.Unknown("column", name, "columns", t.Schema.Schema.Names())))
		case !agg.Groupable(t.Schema.Schema.Fields[f].Type):
			found = append(found, config.Problemf(path, "column %q is of type %s, which cannot be a key", name, t.Schema.Schema.Fields[f].Type))
		}
	}
	return found
}

// fileTable is a table in a file.
type fileTable struct {
	// Path of the file.
	Path string `yaml:"path" required:"true"`
}

// objectTable is a table in an object.
type objectTable struct {
	bucket.Access `yaml:",inline"`
	// Path of the object in the bucket.
	Path string `yaml:"path" required:"true"`
}

// Validate implements config.Validator.
func (t *objectTable) Validate() []config.Problem {
	found := t.Access.Validate()
	if t.Endpoint == bucket.Embedded {
		found = append(found, config.Problemf("endpoint", "a table is read from a store that is there before the process; name its endpoint, or use type: file"))
	}
	return found
}

// tableTypes are the places of tables.
var tableTypes = []string{"file", "s3"}

func tablePlace(kind string) any {
	switch kind {
	case "file":
		return &fileTable{}
	case "s3":
		return &objectTable{}
	}
	return nil
}

// Table is a declared reference table.
type Table struct {
	Name string
	// Type is file or s3.
	Type string
	Spec table.Spec `json:"-"`
}

// tableEntry is a table with its place in the file.
type tableEntry struct {
	Table
	at     *config.Node
	head   tableHead
	broken bool
}

func (l *loader) loadTable(e config.Entry[*config.Node]) {
	t := &tableEntry{Table: Table{Name: e.ID}, at: e.Node}
	t.head.SetDefaults()
	t.Type = typeOf(e.Node)
	place := tablePlace(t.Type)
	if place == nil {
		l.unknownType(e.Node, "table", tableTypes)
	}
	t.broken = !l.entry(e.Node, &t.head, place) || place == nil || t.head.Schema.Schema == nil
	h := t.head
	t.Spec = table.Spec{
		Name: e.ID, Format: h.Format, Schema: h.Schema.Schema, Key: h.Key, Memory: int64(h.Memory), Refresh: h.Refresh.Std(),
		CSV: table.CSVOptions{NoHeader: !h.Header},
	}
	if h.Delimiter != "" {
		t.Spec.CSV.Delimiter = h.Delimiter[0]
	}
	switch p := place.(type) {
	case *fileTable:
		t.Spec.Source = &table.File{Path: p.Path}
	case *objectTable:
		t.Spec.Source = &table.Object{Access: p.Access, Key: p.Path}
	}
	l.tables = append(l.tables, t)
	l.declare(&node{kind: "table", id: e.ID, at: e.Node, table: t})
}

// shareTables gives tables without a memory of their own an equal part of what is left for them.
func (l *loader) shareTables() {
	most := int64(l.spec.Memory) / 4
	left, shared := most, 0
	for _, t := range l.tables {
		if left -= t.Spec.Memory; t.Spec.Memory == 0 {
			shared++
		}
		if left < 0 {
			l.d.Errorf(t.at.Get("memory"), "tables have a quarter of the pipeline's memory at most, %.1f MiB, and with this one they have more; lower it, or raise memory: of the file", float64(most)/(1<<20))
			return
		}
	}
	for _, t := range l.tables {
		if t.Spec.Memory == 0 {
			t.Spec.Memory = left / int64(shared)
		}
	}
}

// describeTables says what of the tables that a query joins decides on its rows, for its generation.
func (l *loader) describeTables(q *sql.Query) []string {
	var out []string
	for _, name := range q.Tables() {
		t := l.nodes[name].table
		out = append(out, fmt.Sprintf("%s %s %v %s", name, t.Spec.Format, t.Spec.CSV, column.Type{Kind: column.Struct, Fields: t.Spec.Schema.Fields}))
	}
	return out
}

// tableMemory is what the tables of the pipeline may take, in bytes.
func (p *Pipeline) tableMemory() int64 {
	n := int64(0)
	for _, t := range p.Tables {
		n += t.Spec.Memory
	}
	return n
}

// table is a declared one, nil if there is none of the name.
func (p *Pipeline) table(name string) *Table {
	for _, t := range p.Tables {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// openTables makes the tables that queries join.
func (r *Run) openTables(ctx context.Context) error {
	r.tables = map[string]*table.Table{}
	if len(r.pipeline.Tables) == 0 {
		return nil
	}
	pinned, err := r.pinnedTables(ctx)
	if err != nil {
		return err
	}
	for _, t := range r.pipeline.Tables {
		if slices.ContainsFunc(r.pipeline.Queries, func(q *Query) bool { return slices.Contains(q.Query.Tables(), t.Name) }) {
			r.tables[t.Name] = table.New(t.Spec, r.tableOptions(t.Name, pinned[t.Name]))
		}
	}
	return nil
}

func (r *Run) tableOptions(name string, pinned []int64) table.Options {
	return table.Options{
		Dir: filepath.Join(r.o.Data, "tables", r.pipeline.Name, name), Key: "tables/" + r.pipeline.Name + "/" + name,
		Meta: r.backend.Meta(), Pinned: pinned, Now: r.o.Now, Log: r.o.Log,
	}
}

// pinnedTables are the versions of tables that pending plans of the pipeline name.
func (r *Run) pinnedTables(ctx context.Context) (map[string][]int64, error) {
	keys, err := r.backend.Meta().List(ctx, "tasks/"+r.pipeline.Name+"/")
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", err)
	}
	pinned := map[string][]int64{}
	for _, key := range keys {
		doc, err := checkpoint.Read(ctx, r.backend.Meta(), key)
		if err != nil || doc.Pending == nil {
			continue // what cannot be read is reported by its task
		}
		for name, v := range doc.Pending.Plan.Cut.Tables {
			pinned[name] = append(pinned[name], v.Number)
		}
	}
	return pinned, nil
}

// joins are the tables of a query: those of this run, or, for a configuration of the past, what reads
// their versions as they were declared then.
func (r *Run) joins(of consumerOf, q *Query) map[string]flow.ReferenceTable {
	out := map[string]flow.ReferenceTable{}
	for _, name := range q.Query.Tables() {
		t := r.tables[name]
		if of.past {
			t = table.New(of.pipeline.table(name).Spec, r.tableOptions(name, nil))
		}
		out[name] = t
	}
	return out
}
