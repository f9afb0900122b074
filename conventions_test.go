// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package caddybroker_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/caddy-broker/caddy-broker"

const header = `// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

`

// mayImport says which of our packages each of our packages may import, tests
// included. The arrows point one way: cmd → root → caddyfile → module →
// supervisor, failover → internal. A folder below one of these counts as part of it.
var mayImport = map[string][]string{
	"cmd":         {"."},
	".":           {"caddyfile", "module"},
	"caddyfile":   {"module"},
	"module":      {"supervisor", "failover", "internal"},
	"supervisor":  {},
	"failover":    {"internal"},
	"internal":    {},
	"integration": {},
	"bench":       {"integration"},
}

// coreImports are the modules, beside the standard library, that packages which
// know nothing of Caddy may import outside their tests.
var coreImports = map[string][]string{
	"supervisor": {"golang.org/x/sys"},
	"failover":   {"github.com/cespare/xxhash/v2"},
	"internal":   {},
}

// goFile is a file of this repository with its imports and comments.
type goFile struct {
	path string // slashes, relative to the root
	src  []byte
	ast  *ast.File
}

func (f goFile) dir() string  { return path.Dir(f.path) }
func (f goFile) test() bool   { return strings.HasSuffix(f.path, "_test.go") }
func (f goFile) area() string { return area(f.dir()) }

// area is the first folder of a path inside the repository.
func area(dir string) string {
	first, _, _ := strings.Cut(dir, "/")
	return first
}

func (f goFile) imports() []string {
	var paths []string
	for _, spec := range f.ast.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the compiler says so
		}
		paths = append(paths, p)
	}
	return paths
}

func readGoFiles(t *testing.T) []goFile {
	t.Helper()
	var files []goFile
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			hidden := name != "." && strings.HasPrefix(d.Name(), ".")
			if hidden || d.Name() == "testdata" || name == "tools" {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		files = append(files, goFile{filepath.ToSlash(name), src, parsed})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, known := range []string{"cmd/caddy/main.go", "failover/doc.go", "supervisor/doc.go"} {
		if !slices.ContainsFunc(files, func(f goFile) bool { return f.path == known }) {
			t.Fatalf("%s was not found: is this the root of the repository?", known)
		}
	}
	return files
}

func TestEveryFileNamesItsLicense(t *testing.T) {
	for _, f := range readGoFiles(t) {
		// A build constraint may stand between the header and the package.
		if !strings.HasPrefix(string(f.src), header) {
			t.Errorf("%s does not begin with the two SPDX lines and an empty one", f.path)
		}
	}
}

func TestEveryPackageHasOneComment(t *testing.T) {
	comments := map[string][]string{} // by folder and package
	for _, f := range readGoFiles(t) {
		name := f.dir() + ": " + f.ast.Name.Name
		if strings.HasSuffix(f.ast.Name.Name, "_test") {
			continue
		}
		if _, known := comments[name]; !known {
			comments[name] = nil
		}
		if f.ast.Doc == nil {
			continue
		}
		comments[name] = append(comments[name], f.path)
		want := "Package " + f.ast.Name.Name + " "
		if f.ast.Name.Name == "main" {
			want = "Command " + path.Base(f.dir()) + " "
		}
		if !strings.HasPrefix(f.ast.Doc.Text(), want) {
			t.Errorf("%s: the package comment does not begin with %q", f.path, want)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(comments)) {
		if n := len(comments[name]); n != 1 {
			t.Errorf("%s has %d package comments %v, want one", name, n, comments[name])
		}
	}
}

func TestImportsPointOneWay(t *testing.T) {
	for _, f := range readGoFiles(t) {
		from := f.area()
		allowed, ok := mayImport[from]
		if !ok {
			t.Errorf("%s: folder %q is not in the list of what may import what", f.path, from)
			continue
		}
		for _, imported := range f.imports() {
			to, ours := strings.CutPrefix(imported, modulePath)
			if !ours {
				continue
			}
			to = area(strings.TrimPrefix(to, "/"))
			if to == "" {
				to = "."
			}
			if to != from && !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s; %s may import %v", f.path, imported, from, allowed)
			}
		}
	}
}

func TestCoresDoNotKnowCaddy(t *testing.T) {
	for _, f := range readGoFiles(t) {
		allowed, core := coreImports[f.area()]
		if !core {
			continue
		}
		for _, imported := range f.imports() {
			if strings.HasPrefix(imported, "github.com/caddyserver/") {
				t.Errorf("%s imports %s; %s knows nothing of Caddy", f.path, imported, f.area())
				continue
			}
			standard := !strings.Contains(area(imported), ".")
			ours := strings.HasPrefix(imported, modulePath) // TestImportsPointOneWay
			if f.test() || standard || ours {
				continue
			}
			if !slices.ContainsFunc(allowed, func(module string) bool {
				return imported == module || strings.HasPrefix(imported, module+"/")
			}) {
				t.Errorf("%s imports %s; beside the standard library %s may import %v", f.path, imported, f.area(), allowed)
			}
		}
	}
}
