// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package brokerfile

import (
	"strings"
	"testing"
)

func TestConsoleDirective(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ block, readOnly, want string }{
		{"broker_console", "", ""},
		{"broker_console /status {\nread_only\nauthenticated_before\n}", "true", ""},
		{"broker_console {\nreadonly\n}", "", `unknown option "readonly" of broker_console: allowed are read_only, authenticated_before`},
		{"broker_console {\nread_only yes\n}", "", "option read_only: it has a value; expecting none"},
		{"broker_console {\nread_only\nread_only\n}", "", "option read_only is already given: remove one"},
		{"broker_console /a /b", "", "argument"},
	} {
		config, _, err := Adapter{}.Adapt([]byte("http://localhost {\n"+c.block+"\n}\n"), map[string]any{"filename": "Caddyfile"})
		switch {
		case c.want != "":
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got %v, want %q", c.block, err, c.want)
			}
		case err != nil:
			t.Errorf("%s: %v", c.block, err)
		case !strings.Contains(string(config), `"handler":"broker_console"`), c.readOnly != "" && !strings.Contains(string(config), `"read_only":true`):
			t.Errorf("%s: %s", c.block, config)
		}
	}
}
