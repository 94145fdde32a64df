package pipelines

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/engine/column/versions"
	"github.com/millrace-io/millrace/engine/config"
)

// Lock is a lock file: a schema for people to read, to keep beside the pipeline file and to edit.
type Lock struct {
	// Version of the stream's schema that the file was written from; 0 when it was not.
	Version int64
	Schema  *column.Schema
}

// lockSpec is the file as YAML.
type lockSpec struct {
	// Version of the schema when the file was written. Do not change it: it tells an edit from an old
	// copy.
	Version int64 `yaml:"version" min:"0"`
	// Schema is the fields with their types, as in a pipeline file.
	Schema schemaSpec `yaml:"schema" required:"true"`
}

// ReadLock reads a lock file. An error of type config.Errors holds every mistake in it.
func ReadLock(path string) (Lock, error) {
	data, err := config.ReadFile(path)
	if err != nil {
		return Lock{}, err
	}
	return parseLock(path, data)
}

func parseLock(path string, data []byte) (Lock, error) {
	d := config.NewDecoder(path, config.Options{Getenv: func(string) (string, bool) { return "", false }})
	var spec lockSpec
	if root := d.Parse(data); root != nil {
		d.Decode(root, &spec)
	}
	if err := d.Err(); err != nil {
		return Lock{}, err
	}
	if spec.Schema.Schema.Index(versions.Rest) >= 0 {
		return Lock{}, fmt.Errorf("%s: the name %s is that of the column for unknown fields; remove it", path, versions.Rest)
	}
	return Lock{Version: spec.Version, Schema: spec.Schema.Schema}, nil
}

// Write replaces the file, whole or not at all. head says in a few lines where the schema is from.
func (l Lock) Write(path, head string) error {
	var b bytes.Buffer
	for line := range strings.Lines(head) {
		b.WriteString("# " + line)
	}
	b.WriteByte('\n')
	if l.Version > 0 {
		fmt.Fprintf(&b, "version: %d\n", l.Version)
	}
	b.WriteString("schema:\n")
	WriteFields(&b, l.Schema.Fields, "  ", nil)
	if same, err := parseLock(path, b.Bytes()); err != nil || !same.equal(l.Schema) {
		return fmt.Errorf("write %s: the schema has names that a file cannot hold: %w", path, errors.Join(err))
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(b.Bytes())
	err = errors.Join(err, temporary.Chmod(0o644), temporary.Sync(), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return nil
}

// equal reports whether the file has a schema, the column for unknown fields aside.
func (l Lock) equal(s *column.Schema) bool {
	a, b := column.Type{Kind: column.Struct, Fields: l.Schema.Fields}, column.Type{Kind: column.Struct, Fields: withoutRest(s).Fields}
	return a.Equal(b)
}

// WriteFields writes fields as the lines of a schema in YAML. comment, if not nil, is what to say
// behind a field.
func WriteFields(w io.Writer, fields []column.Field, indent string, comment func(column.Field) string) {
	for _, f := range fields {
		line := indent + yamlName(f.Name) + ": " + yamlType(f.Type)
		if comment != nil {
			if text := comment(f); text != "" {
				line += "  # " + text
			}
		}
		fmt.Fprintln(w, line)
	}
}

// yamlType is a type in YAML's flow style.
func yamlType(t column.Type) string {
	switch t.Kind {
	case column.List:
		return "[" + yamlType(*t.Elem) + "]"
	case column.Struct:
		fields := make([]string, len(t.Fields))
		for i, f := range t.Fields {
			fields[i] = yamlName(f.Name) + ": " + yamlType(f.Type)
		}
		return "{" + strings.Join(fields, ", ") + "}"
	case column.Decimal:
		return strconv.Quote(t.String()) // it has a comma
	}
	return t.String()
}

var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// yamlWords would be no text without quotes.
var yamlWords = regexp.MustCompile(`(?i)^(true|false|null)$`)

// yamlName is a key in YAML.
func yamlName(name string) string {
	if plainName.MatchString(name) && !yamlWords.MatchString(name) {
		return name
	}
	return strconv.Quote(name)
}
