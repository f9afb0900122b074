// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// formerParent is, with other addresses, what the version before has saved of a parent's
// configuration: options in the app, the sites in the child, the source as it was read.
const formerParent = `{"admin":{"listen":"ADMIN"},"apps":{"broker":{"children":{"default":{"config":{"apps":{"http":{"servers":{"srv0":` +
	`{"listen":[":PORT"],"logs":{},"routes":[{"handle":[{"body":"from the version before","handler":"static_response"}]}]}}}}}}},` +
	`"drain_timeout":5000000000,"source":{"adapter":"broker","file":"FILE"},"standby":1}}}`

// TestFilesOfTheVersionBefore: what it has saved is resumed, and what is in use as a file,
// or loaded through the API, goes on working; it can be changed then.
func TestFilesOfTheVersionBefore(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(t *testing.T, b *harness.Broker, former string){
		"saved, resumed": func(t *testing.T, b *harness.Broker, former string) {
			dir := filepath.Join(b.Dir, "config", "caddy")
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "autosave.json"), []byte(former), 0o600); err != nil {
				t.Fatal(err)
			}
			b.Args = []string{"run", "--resume"}
		},
		"a file": func(t *testing.T, b *harness.Broker, former string) {
			file := filepath.Join(b.Dir, "former.json")
			if err := os.WriteFile(file, []byte(former), 0o600); err != nil {
				t.Fatal(err)
			}
			b.Args = []string{"run", "--config", file}
		},
		"a file, adapted": func(t *testing.T, b *harness.Broker, former string) {
			file := filepath.Join(b.Dir, "former.json")
			if err := os.WriteFile(file, []byte(former), 0o600); err != nil {
				t.Fatal(err)
			}
			b.Args = []string{"run", "--config", file, "--adapter", "broker"}
		},
		"loaded": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := freePort(t)
			b := newBroker(t, "{\n\tadmin {$ADMIN}\n}\n")
			former := strings.NewReplacer("ADMIN", b.AdminAddr(), "PORT", port, "FILE", filepath.Join(b.Dir, "Caddyfile")).Replace(formerParent)
			if begin != nil {
				begin(t, b, former)
			}
			if err := b.Start(); err != nil {
				t.Fatal(err)
			}
			if begin == nil {
				awaitActive(t, b, 0)
				res, err := http.Post("http://"+b.AdminAddr()+"/load", "application/json", strings.NewReader(former))
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				if res.StatusCode != http.StatusOK {
					t.Fatalf("loading it is answered with %s", res.Status)
				}
			}
			child, err := b.AwaitChild(t.Context(), "default", func(c *harness.Child) bool {
				return c.State == "active" && len(c.Processes) == 2 && c.Processes[1].State == "standby"
			})
			if err != nil {
				t.Fatal(err)
			}
			if res := get(t, "127.0.0.1:"+port); res.Body != "from the version before" {
				t.Errorf("the site says %q", res.Body)
			}
			// What is shown is the user's, and can be loaded again and changed.
			var shown json.RawMessage
			if err := b.Admin(t.Context(), http.MethodGet, "/config/", &shown); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(shown), "children") || !strings.Contains(string(shown), `"standby":1`) {
				t.Errorf("shown is %s", shown)
			}
			changed := strings.Replace(string(shown), "the version before", "this one", 1)
			res, err := http.Post("http://"+b.AdminAddr()+"/load", "application/json", strings.NewReader(changed))
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				t.Fatalf("loading what is shown is answered with %s", res.Status)
			}
			awaitActive(t, b, child.Pid)
			if res := get(t, "127.0.0.1:"+port); res.Body != "from this one" {
				t.Errorf("then the site says %q", res.Body)
			}
		})
	}
}
