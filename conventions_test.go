// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package caddybroker_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

const modulePath = "github.com/caddy-broker/caddy-broker"

const header = `// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

`

// mayImport says which of our packages each of our packages may import, tests
// included. Every package has a row. The arrows point one way: cmd → root →
// module, caddyfile → its rooms → supervisor, failover. Of the rooms, proxy knows
// neither child nor broker, child not broker, and none admin or command.
var mayImport = map[string][]string{
	"cmd/caddy": {"."},
	".":         {"caddyfile", "module"},
	"caddyfile": {"module/announce", "module/broker", "module/child", "module/cluster", "module/console", "module/document", "module/policyconfig"},

	"module": {"module/admin", "module/announce", "module/broker", "module/child", "module/command", "module/console", "module/internal/adopted", "module/logfile", "module/proxy"},
	"module/admin": {
		"module/console",
		"module/internal/assumed", "failover", "internal/plain", "failover/report", "failover/address", "module/proxy", "module/broker", "module/child", "module/document",
		"module/internal/indoubt", "module/internal/overview", "module/internal/proxytest", "supervisor", "supervisor/control", "supervisor/sockets",
	},
	"module/announce": {"module/internal/assumed", "failover/address", "module/child", "module/cluster", "module/internal/lifecycle", "module/internal/parlance"},
	"module/broker": {
		"internal/lockorder", "module/internal/admindir",
		"module/internal/assumed", "failover", "failover/report", "failover/address", "failover/affinity", "internal/options", "internal/plain", "module/child", "module/cluster", "module/document", "module/internal/block",
		"module/internal/eventhub", "module/internal/handover", "module/internal/hold", "module/internal/history", "module/internal/indoubt", "module/internal/memory", "module/internal/metrics", "module/internal/overview", "module/internal/parentlog", "module/internal/parlance", "module/internal/poolstate", "module/internal/probe", "module/internal/environment", "module/internal/generations",
		"module/internal/proxystatus", "module/internal/proxytest", "module/internal/socket", "module/internal/statefile", "module/internal/voice", "module/policyconfig",
		"supervisor", "supervisor/account", "supervisor/control", "supervisor/exits", "supervisor/halog", "supervisor/memory", "supervisor/restart", "supervisor/sockets", "supervisor/users",
	},
	"module/child": {
		"internal/lockorder",
		"module/internal/assumed", "failover", "failover/report", "failover/address", "module/proxy", "module/cluster", "module/internal/indoubt", "module/internal/memory", "module/internal/parlance",
		"module/internal/poolstate", "module/internal/probe", "module/internal/proxytest", "module/internal/socket", "module/logfile", "module/internal/testwait",
		"supervisor", "supervisor/account", "supervisor/control", "supervisor/relay",
	},
	"module/logfile": {"internal/lockorder"},
	"module/cluster": {
		"internal/lockorder",
		"failover/address", "failover/membership", "internal/options",
		"module/internal/block", "module/internal/parlance", "module/internal/testwait",
	},
	"module/command": {
		"module/internal/assumed", "failover", "failover/address", "failover/report", "internal/options", "internal/plain", "module/broker", "module/child", "module/document", "module/internal/generations", "module/internal/indoubt", "module/internal/overview", "module/internal/parentlog", "module/internal/proxytest", "module/internal/winservice",
		"supervisor", "supervisor/control", "supervisor/exits",
	},
	"module/console": {
		"failover/report", "internal/plain", "module/broker", "module/child", "module/cluster", "module/internal/history", "module/internal/indoubt",
		"module/internal/lifecycle", "module/internal/overview", "module/internal/parlance", "supervisor", "supervisor/exits",
	},
	"module/document": {"internal/lockorder"},
	"module/proxy": {
		"internal/lockorder",
		"failover/affinity", "module/internal/assumed", "failover", "failover/report", "failover/address", "failover/membership", "internal/options", "internal/sidebyside", "module/internal/block",
		"module/internal/fault", "module/internal/indoubt", "module/internal/lifecycle", "module/internal/metrics", "module/internal/parlance",
		"module/internal/poolstate", "module/internal/proxystatus", "module/internal/proxytest", "module/internal/socket",
		"module/internal/testwait", "module/cluster", "module/policyconfig", "module/reach", "module/sources",
	},
	"module/reach": {
		"internal/lockorder",
		"failover", "failover/report", "failover/address", "module/internal/assumed", "module/internal/fault", "module/internal/indoubt", "module/internal/proxytest",
		"module/internal/socket", "module/internal/testwait", "module/policyconfig", "module/sources",
	},
	"module/sources":              {"internal/lockorder", "failover", "failover/report", "failover/address", "failover/membership", "module/internal/parlance"},
	"module/internal/admindir":    {"module/internal/parlance", "supervisor/sockets", "supervisor/users"},
	"module/internal/adopted":     {},
	"module/internal/history":     {"failover/report", "internal/lockorder"},
	"module/internal/lifecycle":   {},
	"module/internal/memory":      {},
	"module/internal/metrics":     {},
	"module/internal/overview":    {"failover/report", "supervisor", "supervisor/exits"},
	"module/internal/poolstate":   {"failover", "failover/report", "failover/address", "failover/affinity", "module/internal/parlance", "module/internal/proxytest"},
	"module/internal/proxytest":   {"failover", "failover/report", "failover/address"},
	"module/policyconfig":         {"failover/address", "internal/options", "module/internal/block"},
	"module/internal/assumed":     {},
	"module/internal/block":       {"internal/options"},
	"module/internal/environment": {"supervisor"},
	"module/internal/generations": {"internal/lockorder", "module/internal/statefile"},
	"module/internal/fault":       {"module/internal/assumed", "module/internal/proxystatus"},
	"module/internal/indoubt":     {"internal/lockorder", "internal/plain"},
	"module/internal/parentlog":   {"internal/lockorder", "internal/plain", "module/internal/assumed"},
	"module/internal/parlance":    {},
	"module/internal/probe":       {"internal/options", "internal/plain", "module/internal/block"},
	"module/internal/proxystatus": {},
	"module/internal/eventhub":    {"internal/lockorder"},
	"module/internal/hold":        {"internal/lockorder", "module/internal/proxystatus"},
	"module/internal/handover": {
		"internal/plain", "module/internal/indoubt", "module/internal/statefile", "supervisor", "supervisor/exits", "supervisor/sockets",
	},
	"module/internal/socket":     {"internal/lockorder"},
	"module/internal/statefile":  {"module/internal/indoubt", "module/internal/testwait"},
	"module/internal/testwait":   {},
	"module/internal/voice":      {"supervisor", "supervisor/control", "supervisor/memory"},
	"module/internal/winservice": {},

	"supervisor":          {"internal/plain", "internal/sidebyside", "supervisor/account", "supervisor/answers", "supervisor/control", "supervisor/exits", "supervisor/halog", "supervisor/memory", "supervisor/output", "supervisor/relay", "supervisor/restart", "supervisor/sockets", "supervisor/users"},
	"supervisor/account":  {"internal/plain"},
	"supervisor/answers":  {},
	"supervisor/control":  {},
	"supervisor/exits":    {"internal/plain", "supervisor/account"},
	"supervisor/halog":    {"internal/plain"},
	"supervisor/memory":   {},
	"supervisor/output":   {},
	"supervisor/relay":    {},
	"supervisor/restart":  {},
	"supervisor/sockets":  {"internal/fdstore", "internal/sidebyside"},
	"supervisor/users":    {},
	"failover":            {"internal/lockorder", "failover/affinity", "failover/address", "failover/membership", "failover/report", "failover/tracker"},
	"failover/affinity":   {"internal/lockorder"},
	"failover/address":    {"internal/options"},
	"failover/membership": {"failover/address"},
	"failover/report":     {"failover/address", "failover/membership", "internal/plain"},
	"failover/tracker":    {"internal/lockorder", "failover/address", "failover/report"},

	"internal/lockorder":  {},
	"internal/options":    {},
	"internal/plain":      {},
	"internal/fdstore":    {},
	"internal/sidebyside": {},

	"integration":         {"integration/browser", "integration/harness", "internal/fdstore", "internal/sidebyside"},
	"integration/browser": {},
	"integration/leaky":   {"."},
	"integration/harness": {"internal/fdstore"},
	"bench":               {"bench/backend", "bench/client", "bench/peers", "bench/plot", "bench/report", "bench/soak", "integration/harness"},
	"bench/backend":       {"integration/harness"},
	"bench/client":        {"integration/harness"},
	"bench/peers":         {"integration/harness"},
	"bench/plot":          {},
	"bench/report":        {},
	"bench/soak":          {"bench/backend", "bench/peers", "integration/harness"},
}

// coreImports are the modules, beside the standard library, that packages which
// know nothing of Caddy may import outside their tests. Every package in the
// folders of supervisor and failover has a row.
var coreImports = map[string][]string{
	"supervisor":          {"golang.org/x/sys"},
	"supervisor/account":  {"golang.org/x/sys"},
	"supervisor/answers":  {},
	"supervisor/control":  {"golang.org/x/sys"},
	"supervisor/exits":    {},
	"supervisor/halog":    {},
	"supervisor/memory":   {},
	"supervisor/output":   {},
	"supervisor/relay":    {"golang.org/x/sys"},
	"supervisor/restart":  {},
	"supervisor/sockets":  {"golang.org/x/sys"},
	"supervisor/users":    {},
	"failover":            {},
	"failover/affinity":   {"github.com/cespare/xxhash/v2"},
	"failover/address":    {},
	"failover/membership": {},
	"failover/report":     {},
	"failover/tracker":    {},
	"internal/lockorder":  {},
	"internal/options":    {},
	"internal/plain":      {},
}

// The bounds of one package, without its tests.
const (
	maxFiles = 45
	maxLines = 5000
)

// goFile is a file of this repository with its imports and comments.
type goFile struct {
	path string // slashes, relative to the root
	src  []byte
	ast  *ast.File
}

func (f goFile) dir() string { return path.Dir(f.path) }
func (f goFile) test() bool  { return strings.HasSuffix(f.path, "_test.go") }

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
		from := f.dir()
		allowed, ok := mayImport[from]
		if !ok {
			t.Errorf("%s: package %q is not in the list of what may import what", f.path, from)
			continue
		}
		for _, imported := range f.imports() {
			to, ours := strings.CutPrefix(imported+"/", modulePath+"/")
			if !ours {
				continue
			}
			to = path.Clean(to)
			if to != from && !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s; %s may import %v", f.path, imported, from, allowed)
			}
		}
	}
}

func TestRulesNameExistingPackages(t *testing.T) {
	exists := map[string]bool{}
	for _, f := range readGoFiles(t) {
		exists[f.dir()] = true
	}
	for _, dir := range slices.Concat(slices.Collect(maps.Keys(mayImport)), slices.Collect(maps.Keys(coreImports))) {
		if !exists[dir] {
			t.Errorf("a rule names package %q, which does not exist", dir)
		}
	}
}

func TestPackagesAreSmall(t *testing.T) {
	files, lines := map[string]int{}, map[string]int{}
	for _, f := range readGoFiles(t) {
		if f.test() {
			continue
		}
		files[f.dir()]++
		lines[f.dir()] += bytes.Count(f.src, []byte("\n"))
	}
	for _, dir := range slices.Sorted(maps.Keys(files)) {
		if files[dir] > maxFiles || lines[dir] > maxLines {
			t.Errorf("package %s has %d files with %d lines, more than %d files or %d lines: split it", dir, files[dir], lines[dir], maxFiles, maxLines)
		}
	}
}

func TestCoresDoNotKnowCaddy(t *testing.T) {
	for _, f := range readGoFiles(t) {
		if a := area(f.dir()); a != "supervisor" && a != "failover" {
			continue
		}
		allowed, ok := coreImports[f.dir()]
		if !ok {
			t.Errorf("%s: package %q is not in the list of what cores may import", f.path, f.dir())
			continue
		}
		for _, imported := range f.imports() {
			if strings.HasPrefix(imported, "github.com/caddyserver/") {
				t.Errorf("%s imports %s; %s knows nothing of Caddy", f.path, imported, f.dir())
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
				t.Errorf("%s imports %s; beside the standard library %s may import %v", f.path, imported, f.dir(), allowed)
			}
		}
	}
}

// link matches a link of Markdown to a file of this repository, to a heading of one, or
// to a heading of the same page; heading is a heading.
var (
	link    = regexp.MustCompile(`\]\(([^)#:\s]*)(?:#([^)\s]+))?\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
)

func TestPagesLinkToWhatThereIs(t *testing.T) {
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, found := range link.FindAllStringSubmatch(string(text), -1) {
			target := filepath.FromSlash(page)
			if found[1] != "" {
				target = filepath.Join(filepath.Dir(page), filepath.FromSlash(found[1]))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to a file that is not there: %v", page, err)
				continue
			}
			if found[2] != "" && !slices.Contains(anchors(t, target), found[2]) {
				t.Errorf("%s links to #%s, which %s does not have", page, found[2], target)
			}
		}
	}
}

// anchors are the names by which the headings of a page can be linked to.
func anchors(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, found := range heading.FindAllStringSubmatch(string(text), -1) {
		names = append(names, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			default:
				return -1
			}
		}, found[1]))
	}
	return names
}
