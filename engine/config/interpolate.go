package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// maxInterpolated bounds what all the ${…} of a file amount to.
const maxInterpolated = 4 * int(MiB)

// interpolate resolves the references in a scalar: ${env:NAME}, ${env:NAME:-default} (used when the
// variable is unset or empty) and ${file:PATH} (relative to the configuration file; one line end at
// its end is cut). $${ stands for ${. It works on parsed scalars, so a value never becomes structure.
func (d *Decoder) interpolate(n *Node) {
	var out strings.Builder
	for rest, at := n.raw, 0; ; {
		i := strings.Index(rest, "${")
		if i < 0 {
			out.WriteString(rest)
			break
		}
		s := span{rawAt: at + i}
		value, width := "${", 3
		if i > 0 && rest[i-1] == '$' {
			i, s.rawAt = i-1, s.rawAt-1
		} else {
			end := strings.IndexByte(rest[i:], '}')
			if end < 0 {
				d.Errorf(n, "${ without its }; write $${ for the characters themselves")
				n.bad = true
				return
			}
			width = end + 1
			reference := rest[i : i+width]
			var err error
			if value, err = d.lookup(reference); err != nil {
				d.Errorf(n, "%v", err)
				n.bad = true
			}
			n.Interpolated = true
			d.remember(value, reference)
		}
		out.WriteString(rest[:i])
		s.at, s.len, s.rawLen = out.Len(), len(value), width
		out.WriteString(value)
		n.spans = append(n.spans, s)
		rest, at = rest[i+width:], at+i+width
	}
	n.text = out.String()
}

// lookup is the value of one reference.
func (d *Decoder) lookup(reference string) (string, error) {
	kind, name, _ := strings.Cut(reference[2:len(reference)-1], ":")
	var value string
	var err error
	switch kind {
	case "env":
		value, err = d.env(name)
	case "file":
		value, err = d.file(name)
	default:
		return "", fmt.Errorf("unknown reference %s; write ${env:NAME}, ${env:NAME:-default} or ${file:PATH}, and $${ for the characters ${ themselves", quote(reference))
	}
	if err != nil {
		return "", err
	}
	if !utf8.ValidString(value) {
		return "", fmt.Errorf("the value of %s is not UTF-8 text", quote(reference))
	}
	if d.interpolated += len(value); d.interpolated > maxInterpolated {
		return "", fmt.Errorf("all ${…} together are larger than %v", Size(maxInterpolated))
	}
	return value, nil
}

func (d *Decoder) env(reference string) (string, error) {
	name, fallback, hasFallback := strings.Cut(reference, ":-")
	if name == "" || strings.ContainsAny(name, " =:$") {
		return "", fmt.Errorf("%s is no name of an environment variable", quote(name))
	}
	value, ok := d.options.Getenv(name)
	switch {
	case hasFallback && value == "":
		return fallback, nil
	case !ok:
		return "", fmt.Errorf("environment variable %s is not set; set it, or write ${env:%s:-default}", name, name)
	}
	return value, nil
}

func (d *Decoder) file(name string) (string, error) {
	if name == "" {
		return "", errors.New("${file:} without a path")
	}
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(d.name), path)
	}
	data, err := d.options.ReadFile(path)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return "", fmt.Errorf("read %s: %w", quote(path), err)
	}
	text := strings.TrimSuffix(string(data), "\n")
	return strings.TrimSuffix(text, "\r"), nil
}

// remember keeps a resolved value so that no message repeats it.
func (d *Decoder) remember(value, reference string) {
	if strings.TrimSpace(value) != "" {
		d.resolved[value] = reference
	}
}
