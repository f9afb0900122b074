// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// locking is a site beside one with a module that keeps its database locked.
const locking = `{
	admin {$ADMIN}
	skip_install_trust
	auto_https disable_redirects
}
http://:{$PORT} {
	header X-Generation ANSWER
	reverse_proxy {$B1} {$B2} {$B3} {
		lb_policy failover
	}
}
https://localhost:{$TLS} {
	tls internal
	acme_server
}
`

// A module that cannot be loaded twice is replaced all the same. Nobody is refused
// or cut off for it, also not when the new configuration cannot be loaded and the
// old one is started again.
func TestReplaceStopFirst(t *testing.T) {
	t.Parallel()
	backends, env := newBackends(t)
	start(t, backends...)
	port := freePort(t)
	b := startBroker(t, strings.Replace(locking, "ANSWER", "first", 1), append(env, "PORT="+port, "TLS="+freePort(t))...)
	old := awaitActive(t, b, 0)
	load := harness.Load{
		Client: &harness.Client{Addr: "127.0.0.1:" + port}, Rate: 50, Name: "r",
		Requests: []harness.Request{{Method: "POST", Body: []byte("order")}, {Method: "POST", Path: "/?delay=300ms", Body: []byte("order")}},
	}
	run := load.Start(t.Context())
	sent(t, run, 10)

	if out, err := reload(t, b, strings.Replace(locking, "ANSWER", "second", 1)); err != nil {
		t.Fatalf("caddy reload: %v\n%s", err, out)
	}
	if got := get(t, "127.0.0.1:"+port).Header.Get("X-Generation"); got != "second" {
		t.Errorf("generation %q answers after a reload", got)
	}
	second := awaitActive(t, b, old)
	operate(t, b, "restart")
	third := awaitActive(t, b, second)

	out, err := reload(t, b, strings.Replace(locking, "tls internal", "tls /none.pem /none.key", 1))
	if err == nil || !strings.Contains(out, "started again") {
		t.Errorf("a reload that must fail: %v\n%s", err, out)
	}
	awaitActive(t, b, third)
	if got := get(t, "127.0.0.1:"+port).Header.Get("X-Generation"); got != "second" {
		t.Errorf("generation %q answers after a failed reload", got)
	}
	sent(t, run, 10)
	for _, r := range run.Stop().Failed() {
		t.Errorf("%s: %s: %v %s", r.ID, r.Fate, r.Err, r.Body)
	}

	out, err = reload(t, b, strings.Replace(locking, "skip_install_trust", "skip_install_trust\n\tbroker {\n\t\tstandby 1\n\t}", 1))
	if err == nil || !strings.Contains(out, "acme_server") {
		t.Errorf("a standby beside it: %v\n%s", err, out)
	}
}
