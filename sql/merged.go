package sql

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/column"
	"github.com/millrace-io/millrace/sql/ast"
)

// longestCure is how long a SELECT may be that a message repeats, in bytes.
const longestCure = 300

// oneStream refuses a term of UNION ALL that reads another stream than the first one, and says how the
// rows of both come together; see docs/decisions/0021.
func (c *composer) oneStream(first, term ast.Body, plan plan, known *withNames) error {
	for _, t := range ast.Tables(&ast.Query{Body: term}) {
		if c.from == nil || t.Name == c.from.Name || known.find(t.Name) != nil {
			continue
		}
		if in, ok := c.resolve(t.Name); !ok || in.Table {
			continue
		}
		return t.Errorf("UNION ALL of the streams %q and %q needs a stream that both go to: declare %s under streams:, make two queries of this one, %s and %s, and read merged%s",
			c.from.Name, t.Name, declaration(plan), insertion(first, plan), insertion(term, plan), apart(plan))
	}
	return nil
}

// declaration is a stream for the rows of a plan as a pipeline file has it.
func declaration(p plan) string {
	var fields []string
	for _, f := range p.output().Fields {
		fields = append(fields, fmt.Sprintf("%s: %s", f.Name, typeText(f.Type)))
	}
	times := ""
	if name := p.eventTime(); name != "" {
		times = fmt.Sprintf(", event_time: %s, watermark: 1m", name)
	}
	return fmt.Sprintf("merged: {schema: {%s}%s}", strings.Join(fields, ", "), times)
}

// apart says what the watermark of the stream is, if it has one.
func apart(p plan) string {
	if p.eventTime() == "" {
		return ""
	}
	return "; watermark is how far apart in event time the two may be when they are written"
}

// typeText is a type within {} of a pipeline file.
func typeText(t column.Type) string {
	if t.Kind == column.Decimal {
		return fmt.Sprintf("%q", t)
	}
	return t.String()
}

// insertion is a term as a query of its own. What has no name there gets that of the stream's column.
func insertion(term ast.Body, p plan) string {
	if s, ok := term.(*ast.Select); ok && len(s.Items) == len(p.output().Fields) {
		named := *s
		named.Items = slices.Clone(s.Items)
		for i, item := range s.Items {
			if item.Expr == nil {
				continue
			}
			if _, err := outputName(item); err != nil {
				named.Items[i].Alias = p.output().Fields[i].Name
			}
		}
		term = &named
	}
	text := ast.FormatQuery(&ast.Query{Body: term})
	if len(text) > longestCure {
		text = "SELECT …"
	}
	return `"INSERT INTO merged ` + text + `"`
}
