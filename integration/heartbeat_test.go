// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// heartbeaten has servers of every kind: plain, with TLS, and the one that Caddy makes for
// the redirects of automatic HTTPS, for localhost and another name.
const heartbeaten = `{
	admin {$ADMIN}
	http_port {$PORT}
	https_port {$TLS}
	skip_install_trust
	metrics {
		per_host
	}
	log {
		level DEBUG
	}
}
http://:{$OTHER} {
	log
	respond plain
	handle_errors {
		respond error
	}
}
localhost, site.example {
	tls internal
	log
	respond secret
}
`

// TestHeartbeatsTouchNothing: heartbeats are in no access log and no metric, on no kind of
// server.
func TestHeartbeatsTouchNothing(t *testing.T) {
	t.Parallel()
	b := startBroker(t, heartbeaten, "PORT="+freePort(t), "TLS="+freePort(t), "OTHER="+freePort(t))
	// What a heartbeat says is no TLS, which net/http notes at level debug: so they are seen to come.
	if err := harness.Until(t.Context(), soon, func() error {
		if n := strings.Count(b.Process().Output(), "TLS handshake error from 127.0.0.1:0"); n < 4 {
			return fmt.Errorf("%d heartbeats seen", n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for raw := range strings.Lines(b.Process().Output()) {
		var l struct{ Level, Logger, Msg string }
		if err := json.Unmarshal([]byte(raw), &l); err != nil {
			t.Errorf("a line that is none of a log: %s", raw)
			continue
		}
		if strings.Contains(l.Logger, "access") {
			t.Errorf("nobody has asked for anything: %s", raw)
		}
		if l.Level == "warn" && (strings.Contains(l.Msg, "skipped because") || strings.Contains(l.Msg, "open interface")) {
			t.Errorf("a warning that says nothing: %s", raw)
		}
	}
	for _, path := range []string{"/metrics", "/broker/children/default/admin/metrics"} {
		n, err := b.Metric(t.Context(), path, "caddy_http_requests_total")
		if err != nil || n != 0 {
			t.Errorf("%s: %v requests, %v", path, n, err)
		}
	}
}
