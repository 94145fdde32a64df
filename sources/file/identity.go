package file

import (
	"bytes"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/engine/record"
	"github.com/millrace-io/millrace/engine/stream"
)

// headSize is how much of the first line tells one file from another of the same path.
const headSize = 4 << 10

// identity is the producer that a file is to the stream. It follows from the file's path and its
// first line, so it needs no state of its own. Files that took each other's place and begin with
// the same line are told apart by a generation, as far as that can be noticed.
type identity struct {
	path       string // absolute
	head       string
	generation int

	producer record.Producer
	// position is how far the file was read, and known whether that was ever said.
	position int64
	known    bool
}

// identify finds the latest generation of a file.
func (r *reader) identify(path string, head string) identity {
	latest := r.generation(path, head, 0)
	for latest.known {
		next := r.generation(path, head, latest.generation+1)
		if !next.known {
			break
		}
		latest = next
	}
	return latest
}

func (r *reader) generation(path, head string, n int) identity {
	id := identity{path: path, head: head, generation: n}
	parts := []string{r.env.Pipeline, r.env.Name, path, head}
	if n > 0 {
		parts = append(parts, strconv.Itoa(n))
	}
	id.producer = record.Producer{ID: stream.ProducerID(parts...), Epoch: 1}
	if id.position, id.known = r.read[id.producer.ID]; !id.known {
		id.position, id.known = r.w.Position(id.producer.ID)
	}
	return id
}

// rotated finds what a file was before it was renamed, and maybe packed, by a tool like logrotate:
// a file whose path is the beginning of this one's ("app.log" of "app.log.1.gz"), with the same
// first line, that was read before. size is that of the content, -1 if not known.
func (r *reader) rotated(path, head string, size int64) (identity, bool) {
	dir, name := filepath.Split(path)
	for i := strings.LastIndexAny(name, ".-"); i > 0; i = strings.LastIndexAny(name[:i], ".-") {
		best, found := identity{}, false
		for n := 0; ; n++ {
			id := r.generation(dir+name[:i], head, n)
			if !id.known {
				break
			}
			if (size < 0 || id.position <= size) && (!found || id.position > best.position) {
				best, found = id, true
			}
		}
		if found {
			return best, true
		}
	}
	return identity{}, false
}

// headOf is what identity takes from the beginning of a content; complete is false when more
// content might change it. What all files of a kind begin with is left out.
func headOf(content []byte, format string) (head string, complete bool) {
	begin := bytes.TrimLeft(content, bom+" \t\r\n[{")
	ends := "\n"
	if format == "json" {
		ends = "\n}" // arrays may be on one line
	}
	if n := bytes.IndexAny(begin, ends); n >= 0 {
		return string(bytes.TrimSuffix(begin[:n], []byte("\r"))), true
	}
	return string(begin), len(content) >= headSize
}
