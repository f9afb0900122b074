// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A page is a page of documentation whose console blocks are run as printed.
type page struct {
	name string
	// started says that the configuration of docs/production.md serves already.
	started bool
}

// pagesRun are the pages whose blocks are run, each in order in one directory.
var pagesRun = []page{
	{name: "README.md"},
	{name: "docs/production.md", started: true},
	{name: "docs/maintenance.md", started: true},
}

// notRun are the blocks of commands that are not run, by page and first line, with
// the reason.
var notRun = map[string]map[string]string{
	"README.md": {
		"go run ./cmd/caddy broker run --ha --config examples/quickstart/Caddyfile   # serve":          "the block below runs the same with a program that is built once; .ci/run runs the tests",
		"caddy broker run --ha                                      # the Caddyfile in this directory": "two ways to start the same; TestQuickstart and TestStockCommand start both",
		"xcaddy build --with github.com/caddy-broker/caddy-broker=.":                                   "it builds a Caddy, which .ci/run does in the step xcaddy",
	},
	"docs/commands.md": {
		"$ caddy broker status": "it shows a broker with several troubles at once; TestStatus has the output of each",
	},
	"docs/console.md": {
		"$ ssh -L 2019:localhost:2019 the-balancer": "it needs another machine",
	},
	"docs/json.md": {
		"caddy adapt --pretty --config Caddyfile": "it is a command of Caddy's, with an output of its own",
	},
	"docs/platforms.md": {
		`> caddy broker service install --config C:\caddy\Caddyfile`: "it needs Windows",
	},
	"docs/performance.md": {
		"bench/install.sh                                                # nginx and HAProxy, from Debian's packages": "hours of measurements",
	},
	"docs/supervision.md": {
		"$ caddy broker upgrade": "it needs two versions of the program; TestUpgradeParent has them",
	},
}

// pagesApart are the pages whose commands are tested elsewhere.
var pagesApart = map[string]string{
	"docs/install.md": "packages are made, installed and removed by .ci/run",
}

// codeBlock is a fenced block of a page.
type codeBlock struct {
	language string
	lines    []string
}

// blocksOf returns the fenced blocks of a page, whose path is from the root.
func blocksOf(t *testing.T, path string) []codeBlock {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", path))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []codeBlock
	inside := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && !inside:
			blocks = append(blocks, codeBlock{language: fence})
			inside = true
		case isFence:
			inside = false
		case inside:
			last := &blocks[len(blocks)-1]
			last.lines = append(last.lines, line)
		}
	}
	if inside {
		t.Errorf("%s: the last block does not end", path)
	}
	return blocks
}

// commands reports whether the block shows what one types into a shell.
func (b codeBlock) commands() bool { return b.language == "sh" || b.language == "console" }

// Every block of every page is of a kind that some test reads, and every block of
// commands is run or has a reason in notRun.
func TestEveryBlockIsTested(t *testing.T) {
	t.Parallel()
	run := map[string]bool{}
	for _, p := range pagesRun {
		run[p.name] = true
	}
	known := map[string]string{
		"caddyfile":  "TestDocumentedCaddyfiles",
		"json":       "TestDocumentedCaddyfiles",
		"console":    "TestDocumentedCommands",
		"sh":         "TestDocumentedCommands",
		"keepalived": "TestTwoMachines",
		"xml":        "TestDocumentedLaunchdJob",
		"text":       "something to read",
		"http":       "an answer, as the tests of module/proxy want it",
		"mermaid":    "a drawing",
	}
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]map[string]bool{}
	for _, path := range append(pages, "../README.md") {
		name := strings.TrimPrefix(filepath.ToSlash(path), "../")
		used[name] = map[string]bool{}
		for _, b := range blocksOf(t, name) {
			if known[b.language] == "" {
				t.Errorf("%s: no test knows what to do with a block in %q: %q", name, b.language, first(b))
			}
			if !b.commands() || pagesApart[name] != "" {
				continue
			}
			used[name][first(b)] = true
			if notRun[name][first(b)] == "" && (!run[name] || b.language != "console") {
				t.Errorf("%s: the block %q is neither run nor in notRun with a reason", name, first(b))
			}
		}
	}
	for name, blocks := range notRun {
		for line := range blocks {
			if !used[name][line] {
				t.Errorf("notRun has a block of %s that is not there: %q", name, line)
			}
		}
	}
}

func first(b codeBlock) string {
	if len(b.lines) == 0 {
		return ""
	}
	return b.lines[0]
}
