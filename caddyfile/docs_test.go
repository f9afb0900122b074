// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package brokerfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// Every Caddyfile in the documentation is one that Caddy takes, and so is every
// configuration in JSON.
func TestDocumentedCaddyfiles(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	t.Setenv("BROKER_KEY", "a-secret-of-sixteen-and-more")
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range append(pages, "../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, part := range strings.Split(string(text), "```json\n")[1:] {
			block, _, ended := strings.Cut(part, "```")
			if !ended {
				t.Errorf("%s: block %d in JSON does not end", page, i+1)
			}
			found++
			t.Run(filepath.Base(page)+"/json", func(t *testing.T) {
				validate(t, []byte(here(t, block)))
			})
		}
		for i, part := range strings.Split(string(text), "```caddyfile\n")[1:] {
			block, _, ended := strings.Cut(part, "```")
			if !ended {
				t.Errorf("%s: block %d does not end", page, i+1)
			}
			found++
			t.Run(filepath.Base(page), func(t *testing.T) {
				config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(here(t, whole(block))), map[string]any{"filename": "Caddyfile"})
				if err != nil {
					t.Fatalf("%v in\n%s", err, block)
				}
				validate(t, config)
			})
		}
	}
	if found < 15 {
		t.Errorf("only %d Caddyfiles found", found)
	}
}

// whole makes a Caddyfile of a part of one.
func whole(block string) string {
	first := strings.TrimSpace(block)
	if strings.HasPrefix(first, "lb_policy") {
		first = "reverse_proxy a:8080 b:8080 {\n" + first + "\n}"
	}
	if strings.HasPrefix(first, "reverse_proxy") {
		first = "http://localhost:8080 {\n" + first + "\n}"
	}
	return first
}

// here puts what is on this machine in the place of what a page makes up: a program,
// and the directory of the logs.
func here(t *testing.T, config string) string {
	t.Helper()
	return strings.NewReplacer("./worker", os.Args[0], "/var/log/caddy", t.TempDir()).Replace(config)
}
