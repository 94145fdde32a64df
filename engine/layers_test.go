// Package engine_test holds the rules that the whole tree obeys.
package engine_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/millrace-io/millrace"

// layers is the order of docs/architecture.md, lowest first. A package belongs to the longest entry
// that is its path or a parent of it, and imports from its own layer and those below.
var layers = [][]string{
	{"engine/record", "engine/config", "engine/vfs", "engine/jsonscan", "engine/loopback"},
	{"engine/stream", "engine/checkpoint", "engine/column", "engine/bucket"},
	{"engine/stream/disk", "engine/stream/jetstream", "engine/stream/kafka", "engine/stream/streamtest"},
	{"sql"},
	{"engine/flow"},
	{"engine/table"},
	contracts,
	{"sinks/encode", "sinks/serve"},
	{"sinks/objects"},
	{"sources/*", "sinks/*", "transforms/*", "engine/api"},
	{"pipelines"},
	{"cmd"},
}

// contracts are the packages whose children are components.
var contracts = []string{"sources", "sinks", "transforms"}

// fences are libraries that few packages may import, so that those alone have to change with them.
var fences = []struct {
	library string
	only    []string
	// packages of the library that may be imported; nil means all.
	packages []string
	tests    bool // tests elsewhere may import it too
}{
	{library: "github.com/apache/arrow/go", only: []string{"engine/column"}, packages: []string{"arrow", "arrow/array", "arrow/memory"}},
	{library: "github.com/xwb1989/sqlparser", only: []string{"sql/parse"}},
	{library: "github.com/parquet-go/parquet-go", only: []string{"sinks/encode", "engine/table"}, tests: true},
}

// source is one Go file, as far as the rules go.
type source struct {
	path string // from the module's root, with slashes
	file *ast.File
	fset *token.FileSet
}

func (s source) dir() string  { return path.Dir(s.path) }
func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

func (s source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.path, s.fset.Position(n.Pos()).Line)
}

// imports calls f with every imported path.
func (s source) imports(f func(spec *ast.ImportSpec, imported string)) {
	for _, spec := range s.file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic(err) // the parser accepted it
		}
		f(spec, imported)
	}
}

// tree parses all files of the module. It reads them itself: a test that asks `go list` is
// cached as passing, because the go command does not see what it read.
func tree(t *testing.T) []source {
	t.Helper()
	var all []source
	fset := token.NewFileSet()
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel("..", name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			// e2e is a module of its own.
			if rel == "e2e" || d.Name() == "testdata" || (rel != "." && strings.HasPrefix(d.Name(), ".")) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		all = append(all, source{path: rel, file: file, fset: fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %d files found; is this the module's root?", len(all))
	}
	return all
}

// matches reports whether dir is pattern or below it, and how long the match is. In a pattern
// "sinks/*" the star stands for one name.
func matches(pattern, dir string) (length int, ok bool) {
	if parent, ok := strings.CutSuffix(pattern, "/*"); ok {
		return len(parent) + 1, strings.HasPrefix(dir, parent+"/")
	}
	return len(pattern), dir == pattern || strings.HasPrefix(dir, pattern+"/")
}

// layer is the place of a package in layers, or -1.
func layer(dir string) int {
	best, at := -1, -1
	for i, patterns := range layers {
		for _, pattern := range patterns {
			if n, ok := matches(pattern, dir); ok && n > best {
				best, at = n, i
			}
		}
	}
	return at
}

// shared are the packages below a contract that its components share.
var shared = map[string]bool{"sinks/encode": true, "sinks/objects": true, "sinks/serve": true}

// component is the directory of the component that a package belongs to, "" if it is none.
func component(dir string) string {
	parts := strings.Split(dir, "/")
	for _, c := range contracts {
		if parts[0] == c && len(parts) > 1 && !shared[parts[0]+"/"+parts[1]] {
			return parts[0] + "/" + parts[1]
		}
	}
	return ""
}

// mayImport says why a package may not import another one of the module; "" if it may.
func mayImport(from, to string) string {
	switch a, b := layer(from), layer(to); {
	case a < 0:
		return fmt.Sprintf("%s is in no layer; add it to layers in engine/layers_test.go", from)
	case b < 0:
		return fmt.Sprintf("%s is in no layer; add it to layers in engine/layers_test.go", to)
	case a < b:
		return fmt.Sprintf("%s is a layer above %s", to, from)
	}
	if a, b := component(from), component(to); a != "" && b != "" && a != b {
		return fmt.Sprintf("components do not import each other: %s and %s", a, b)
	}
	return ""
}

func TestImportsGoOneWay(t *testing.T) {
	for _, s := range tree(t) {
		s.imports(func(spec *ast.ImportSpec, imported string) {
			to, ours := strings.CutPrefix(imported, module+"/")
			if !ours {
				return
			}
			if strings.HasPrefix(to+"/", "e2e/") {
				t.Errorf("%s: the e2e module uses this one, not the other way round", s.at(spec))
				return
			}
			// Tests may reach up for something real to test against.
			if why := mayImport(s.dir(), to); why != "" && !s.isTest() {
				t.Errorf("%s: %s", s.at(spec), why)
			}
		})
	}
}

func TestRecordNeedsOnlyTheStandardLibrary(t *testing.T) {
	for _, s := range tree(t) {
		if s.dir() != "engine/record" || s.isTest() {
			continue
		}
		s.imports(func(spec *ast.ImportSpec, imported string) {
			if strings.Contains(strings.Split(imported, "/")[0], ".") {
				t.Errorf("%s: imports %s", s.at(spec), imported)
			}
		})
	}
}

func TestFencedLibrariesStayInOnePackage(t *testing.T) {
	for _, s := range tree(t) {
		s.imports(func(spec *ast.ImportSpec, imported string) {
			for _, f := range fences {
				rest, ok := strings.CutPrefix(imported, f.library)
				if !ok || (f.tests && s.isTest()) {
					continue
				}
				inside := slices.ContainsFunc(f.only, func(only string) bool { _, ok := matches(only, s.dir()); return ok })
				if !inside {
					t.Errorf("%s: only %s imports %s", s.at(spec), strings.Join(f.only, " and "), f.library)
				}
				if f.packages != nil && !anySuffix(rest, f.packages) {
					t.Errorf("%s: of %s only %s may be imported", s.at(spec), f.library, strings.Join(f.packages, ", "))
				}
			}
		})
	}
}

// anySuffix reports whether p is one of packages behind a major version: /v15/arrow/array.
func anySuffix(p string, packages []string) bool {
	_, p, _ = strings.Cut(strings.TrimPrefix(p, "/"), "/")
	for _, want := range packages {
		if p == want {
			return true
		}
	}
	return false
}

func TestNothingRunsBeforeMain(t *testing.T) {
	for _, s := range tree(t) {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: no init functions; components are listed in cmd/millrace/components.go", s.at(f))
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range tree(t) {
		if !s.isTest() {
			documented[s.dir()] = documented[s.dir()] || s.file.Doc != nil
		}
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s: no package comment", dir)
		}
	}
}

// Sleeping waits too long or not long enough; inside a synctest bubble it costs nothing.
func TestNothingSleeps(t *testing.T) {
	for _, s := range tree(t) {
		virtual := false
		s.imports(func(_ *ast.ImportSpec, imported string) {
			virtual = virtual || (s.isTest() && imported == "testing/synctest")
		})
		if virtual {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" {
					t.Errorf("%s: time.Sleep", s.at(n))
				}
			}
			return true
		})
	}
}

// The rules themselves, on packages that need not exist.
func TestLayerRules(t *testing.T) {
	for _, c := range []struct {
		from, to string
		ok       bool
	}{
		{"engine/stream", "engine/record", true},
		{"engine/record", "engine/stream", false},
		{"engine/config", "engine/vfs", true},
		{"engine/checkpoint", "engine/stream", true},
		{"engine/stream", "engine/stream/disk", false},
		{"engine/stream/disk", "engine/stream", true},
		{"engine/stream/disk", "engine/stream/disk/segment", true},
		{"engine/flow", "engine/stream/disk", true},
		{"sql/plan", "sql", true},
		{"sql", "engine/flow", false},
		{"engine/flow", "sql/parse", true},
		{"engine/flow", "sinks", false},
		{"sinks", "engine/flow", true},
		{"sinks", "sinks/s3", false},
		{"sinks", "sinks/encode", false},
		{"sinks/encode", "sinks", true},
		{"sinks/encode/parquet", "sinks", true},
		{"sinks/s3", "sinks/encode/parquet", true},
		{"sinks/s3", "sinks/s3/embedded", true},
		{"sinks/file", "sinks/objects", true},
		{"sinks/objects", "sinks/s3", false},
		{"sinks/s3", "sinks/file", false},
		{"sinks/s3", "sources/file", false},
		{"sinks/s3", "pipelines", false},
		{"engine/api/kinesis", "engine/api/auth", true},
		{"pipelines", "sinks/s3", true},
		{"cmd/millrace", "pipelines", true},
		{"pipelines", "cmd/millrace", false},
		{"attic", "engine/record", false},
	} {
		if why := mayImport(c.from, c.to); (why == "") != c.ok {
			t.Errorf("%s imports %s: allowed %v (%s), want %v", c.from, c.to, why == "", why, c.ok)
		}
	}
}
