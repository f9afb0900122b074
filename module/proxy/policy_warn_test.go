// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/logging"
)

// warnings are what is logged when a handler is loaded, in level WARN or above.
func warnings(t *testing.T, handler json.RawMessage) string {
	t.Helper()
	loading.Lock()
	defer loading.Unlock()
	file := filepath.Join(t.TempDir(), "log")
	writer, _ := json.Marshal(map[string]any{"output": "file", "filename": file})
	base, err := caddy.ProvisionContext(&caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true},
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "WARN", WriterRaw: writer}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContextWithCause(base)
	_, err = ctx.LoadModuleByID("http.handlers.reverse_proxy", handler)
	cancel(nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(text)
}

// A preferred backend that is in no list is said at load, whether the pool has a
// name or not: by a slip of the pen it would get all requests.
func TestSlipInPriorityURIs(t *testing.T) {
	prefer := func(addresses ...string) option { return set("priority_uris", addresses) }
	list := upstreams("10.0.0.1:80", "10.0.0.2:80", "unix//run/app.sock")
	for _, tc := range []struct {
		name    string
		options []option
		warns   string
	}{
		{"listed", []option{list, prefer("10.0.0.2:80", "http://10.0.0.1:80", "unix//run/app.sock")}, ""},
		{"a slip", []option{list, prefer("10.0.0.2:80", "10.0.0.3:80")}, "http://10.0.0.3:80"},
		{"a slip in a named pool", []option{list, prefer("10.0.0.2:8080"), set("pool", "named")}, "http://10.0.0.2:8080"},
		{"a slip in a path", []option{list, prefer("unix//run/ap.sock")}, "unix//run/ap.sock"},
		{"perhaps in another list", []option{list, prefer("10.0.0.3:80"), set("update_uris_url", "http://10.0.0.9/list")}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := warnings(t, handlerConfig(append(tc.options, set("priority_backup", true))...))
			if warned := strings.Contains(got, "priority_uris names a backend"); warned != (tc.warns != "") || !strings.Contains(got, tc.warns) {
				t.Errorf("warned %q, want one about %q", got, tc.warns)
			}
		})
	}
}
