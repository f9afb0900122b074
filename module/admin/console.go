// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"net/http"
	"strings"

	"github.com/caddy-broker/caddy-broker/module/child"
	"github.com/caddy-broker/caddy-broker/module/console"
)

func init() {
	console.Register(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = serveAdmin(w, r) }))
}

// adminConsole is the page for operators. A child has none: its parent knows more.
func adminConsole(w http.ResponseWriter, r *http.Request, parts []string) error {
	if child.Supervised() {
		return failure(http.StatusNotFound, "the console is at the broker's own admin endpoint, not at that of its child")
	}
	if len(parts) > 0 {
		return failure(http.StatusNotFound, "no resource %q of the console", strings.Join(parts, "/"))
	}
	console.Handler{ReadOnly: !mayPost(r), Events: "events"}.ServeHTTP(w, r)
	return nil
}
