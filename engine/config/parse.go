package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// Limits of a file. They are far above what people write and keep a hostile file from costing more
// than a moment.
const (
	maxFile  = int(MiB)
	maxDepth = 32
)

// document is what nodes need to know of the file they are in.
type document struct {
	// lines of the file without their ends.
	lines []string
}

// clamp moves a place into the file: the YAML library reports what is missing at the end of a file in
// the line behind it.
func (doc *document) clamp(line, column int) (int, int) {
	if line > len(doc.lines) {
		line, column = len(doc.lines), math.MaxInt
	}
	line = max(line, 1)
	if line > len(doc.lines) {
		return line, 1
	}
	return line, max(min(column, utf8.RuneCountInString(doc.lines[line-1])+1), 1)
}

// ReadFile reads a configuration file of at most 1 MiB.
func ReadFile(path string) ([]byte, error) { return readRegular(path, maxFile) }

// readRegular reads a file, but no directory, device or pipe, which may never end.
func readRegular(path string, limit int) ([]byte, error) {
	// Without the check before it, opening a pipe that nobody writes to would block.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("open %s: not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(data) > limit {
		err = fmt.Errorf("read %s: larger than %v", path, Size(limit))
	}
	return data, err
}

// Parse reads one YAML document and resolves ${…} in its scalars. It returns nil if there is no
// document to decode; what is wrong is among the decoder's errors either way.
func (d *Decoder) Parse(data []byte) *Node {
	d.doc = &document{lines: splitLines(data)}
	if !d.checkBytes(data) {
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data),
		yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
	if err != nil {
		d.errorAt(1, 1, "", "the YAML reader: %v", err)
		return nil
	}
	var first, second yaml.Node
	if err := loader.Load(&first); errors.Is(err, io.EOF) {
		d.errorAt(1, 1, "", "the file is empty")
		return nil
	} else if err != nil {
		d.syntax(err)
		return nil
	}
	switch err := loader.Load(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		d.syntax(err)
	default:
		d.errorAt(max(second.Line, 1), max(second.Column, 1), "", "a second document begins here; a file holds one (remove the line with ---)")
	}
	if first.Kind != yaml.DocumentNode || len(first.Content) != 1 {
		d.errorAt(1, 1, "", "the file is empty")
		return nil
	}
	c := converter{d: d}
	root := c.convert(first.Content[0], nil, "", 0)
	return root
}

// checkBytes finds what the YAML library would report without a place.
func (d *Decoder) checkBytes(data []byte) bool {
	if len(data) > maxFile {
		d.errorAt(1, 1, "", "the file is larger than %v", Size(maxFile))
		return false
	}
	for i, line := range d.doc.lines {
		for at, r := range line {
			if r == utf8.RuneError && !strings.HasPrefix(line[at:], "\uFFFD") {
				d.errorAt(i+1, utf8.RuneCountInString(line[:at])+1, "", "the file is not UTF-8 text")
				return false
			}
			if r < ' ' && r != '\t' || r == 0x7f {
				d.errorAt(i+1, utf8.RuneCountInString(line[:at])+1, "", "control character %U is not allowed; in double quotes write \\x%02x", r, r)
				return false
			}
		}
	}
	return true
}

func splitLines(data []byte) []string {
	text := strings.TrimPrefix(string(data), "\uFEFF")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	return strings.Split(strings.ReplaceAll(text, "\r", "\n"), "\n")
}

// converter turns the library's nodes into ours.
type converter struct{ d *Decoder }

func (c *converter) convert(y, key *yaml.Node, path string, depth int) *Node {
	n := &Node{Path: path, Line: y.Line, Column: y.Column, KeyLine: y.Line, KeyColumn: y.Column, doc: c.d.doc}
	if key != nil {
		n.KeyLine, n.KeyColumn = key.Line, key.Column
	}
	if depth > maxDepth {
		c.d.Errorf(n, "nested deeper than %d levels", maxDepth)
		return n
	}
	if y.Style&yaml.TaggedStyle != 0 {
		c.d.Errorf(n, "tags (%s) are not supported; remove it", quote(y.Tag))
		n.bad = true
		return n
	}
	switch y.Kind {
	case yaml.MappingNode:
		c.mapping(n, y, depth)
	case yaml.SequenceNode:
		n.Kind = List
		for i, item := range y.Content {
			n.Items = append(n.Items, c.convert(item, nil, fmt.Sprintf("%s[%d]", path, i), depth+1))
		}
	case yaml.AliasNode:
		c.d.Errorf(n, "aliases (%s) are not supported; write the value out", quote("*"+y.Value))
		n.bad = true
	default:
		c.scalar(n, y)
	}
	return n
}

func (c *converter) mapping(n *Node, y *yaml.Node, depth int) {
	n.Kind = Mapping
	first := make(map[string]int)
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || key.Style&yaml.TaggedStyle != 0:
			c.d.errorAt(key.Line, key.Column, n.Path, "a key must be plain text")
			continue
		case key.Tag == "!!merge":
			c.d.errorAt(key.Line, key.Column, n.Path, "merge keys (<<) are not supported; write the keys out")
			continue
		case first[key.Value] > 0:
			c.d.errorAt(key.Line, key.Column, n.Path, "duplicate key %s; the first is in line %d", quote(key.Value), first[key.Value])
			continue
		}
		first[key.Value] = key.Line
		n.Keys = append(n.Keys, key.Value)
		n.Values = append(n.Values, c.convert(value, key, join(n.Path, key.Value), depth+1))
	}
}

func (c *converter) scalar(n *Node, y *yaml.Node) {
	const quotes = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	n.raw, n.quoted = y.Value, y.Style&quotes != 0
	n.text = n.raw
	if !n.quoted && y.Tag == "!!null" {
		return
	}
	n.Kind = Scalar
	if strings.Contains(n.raw, "${") {
		c.d.interpolate(n)
	}
}
