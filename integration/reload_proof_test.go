// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"flag"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

var (
	faultyRounds = flag.Int("faulty-reloads", 1, "how many rounds of faulty reloads of each kind the broker gets under load")
	faultyAfter  = flag.Duration("faulty-after", 0, "how long a process serves before it crashes or hangs")
)

// proving is a broker whose new processes have to prove themselves, over TLS and without.
const proving = `{
	admin {$ADMIN}
	skip_install_trust
	auto_https disable_redirects
	broker {
		watchdog 1m
		probe GET http://127.0.0.1:{$PORT}/health {
			expect 200
			body_contains fine
		}
		probe GET https://localhost:{$TLS}/ {
			expect 2xx
			header X-Site right
			timeout 10s
		}
	}
}
(site) {
	header X-Site right
	handle /health {
		respond fine
	}
	handle {
		reverse_proxy {$B1} {
			lb_policy failover
		}
	}
}
http://:{$PORT} {
	import site
}
https://localhost:{$TLS} {
	tls internal
	import site
}
`

// TestFaultyReloads: what a new process proves, by itself or by the operator's probes, is
// found out before any user reaches it; the reload says what, and what serves goes on. What
// shows itself afterwards is rolled back. Many rounds are for measuring: they get more
// load.
func TestFaultyReloads(t *testing.T) {
	t.Parallel()
	backends, env := newBackends(t)
	start(t, backends...)
	port, tlsPort := freePort(t), freePort(t)
	b := startBroker(t, proving, append(env, "PORT="+port, "TLS="+tlsPort, "NOBODY=127.0.0.1:"+freePort(t))...)
	awaitTLS(t, "127.0.0.1:"+tlsPort)
	pid := awaitActive(t, b, 0)
	rate := 100.0
	if *faultyRounds > 1 {
		rate = 500
	}
	plain := (&harness.Load{Client: &harness.Client{Addr: "127.0.0.1:" + port}, Rate: rate, Name: "plain"}).Start(t.Context())
	var struck strikes
	slowest := make(map[string]time.Duration)

	for round := range *faultyRounds {
		for _, fault := range []struct{ name, from, to, says string }{
			{"page gone", "respond fine", "respond \"not found\" 404", "probe GET http://127.0.0.1:" + port + "/health: answered 404 Not Found, expected 200: not found"},
			{"wrong answer", "respond fine", "respond wrong", "answered 200 OK without \"fine\" in its body: wrong"},
			{"wrong header", "X-Site right\n\thandle", "X-Site wrong\n\thandle", "with X-Site: wrong, expected X-Site: right"},
			{"certificate missing", "tls internal", "tls missing.crt missing.key", "missing.crt"},
			{"module that cannot load", "http://:{$PORT} {", "http://:{$PORT} {\n\tlog {\n\t\toutput file /proc/none/access.log\n\t}", "/proc/none"},
			{"site gone", "https://localhost:{$TLS} {", "https://other.example:{$TLS} {", "no site of this configuration serves host localhost"},
			// What the pool has reached is known a moment after its first request.
			{"wrong backend port", "{$B1}", "{$NOBODY}", "reaches none of its upstreams"},
		} {
			out, err := reload(t, b, strings.Replace(proving, fault.from, fault.to, 1))
			if err == nil || !strings.Contains(strings.ReplaceAll(out, `\`, ""), fault.says) {
				t.Errorf("%s: the reload ended with %v and does not say %s:\n%s", fault.name, err, fault.says, out)
			}
			if now := awaitActive(t, b, 0); now != pid {
				t.Fatalf("%s: process %d serves, not %d", fault.name, now, pid)
			}
		}
		for _, fault := range []struct {
			name  string
			sends syscall.Signal
			found time.Duration
		}{{"crashing", syscall.SIGSEGV, 0}, {"hanging", syscall.SIGSTOP, hangTime}} {
			header := fmt.Sprintf("X-Site right\n\theader X-New %s-%d\n\thandle", fault.name, round)
			if out, err := reload(t, b, strings.Replace(proving, "X-Site right\n\thandle", header, 1)); err != nil {
				t.Fatalf("%s: %v\n%s", fault.name, err, out)
			}
			bad := awaitActive(t, b, pid)
			awaitStandby(t, b)
			<-time.After(*faultyAfter)
			struck.strike(t, func() error {
				if err := syscall.Kill(bad, fault.sends); err != nil {
					return err
				}
				return awaitEnd(t, bad)
			})
			pid = awaitActive(t, b, bad)
			if site := get(t, "127.0.0.1:"+port).Header.Get("X-New"); site != "" {
				t.Errorf("%s: %s serves on", fault.name, site)
			}
			took := time.Since(struck[len(struck)-1].before)
			slowest[fault.name] = max(slowest[fault.name], took)
			if took > fault.found+2*time.Second {
				t.Errorf("%s: the configuration before serves again after %s", fault.name, took)
			}
		}
	}

	if out, err := reload(t, b, strings.Replace(proving, "X-Site right\n\thandle", "X-Site right\n\theader X-New yes\n\thandle", 1)); err != nil {
		t.Errorf("a reload without a fault: %v\n%s", err, out)
	}
	if now := awaitActive(t, b, pid); get(t, "127.0.0.1:"+port).Header.Get("X-New") != "yes" {
		t.Errorf("process %d does not serve the new configuration", now)
	}
	results := plain.Stop()
	lost := 0
	for _, r := range results.Failed() {
		if lost++; r.Fate == harness.Refused || !struck.hit(r) {
			t.Errorf("%s: %s %d (%v)", r.ID, r.Fate, r.Status, r.Err)
		}
	}
	t.Logf("%d requests, %d lost in processes that crashed or hung; served again after at most %v", len(results), lost, slowest)
}

// TestProofSparesTheInnocent: a backend that has gone by itself, or that is only added, is no
// reason to refuse a configuration.
func TestProofSparesTheInnocent(t *testing.T) {
	t.Parallel()
	backends, env := newBackends(t)
	start(t, backends...)
	port, second := freePort(t), freePort(t)
	const sites = `{
	admin {$ADMIN}
}
http://:{$PORT} {
	reverse_proxy {$B1} {
		lb_policy failover
	}
}
`
	b := startBroker(t, sites, append(env, "PORT="+port, "SECOND="+second, "NOBODY=127.0.0.1:"+freePort(t))...)
	if res := get(t, "127.0.0.1:"+port); res.Status != 200 {
		t.Fatalf("answered %d", res.Status)
	}
	added := sites + "http://:{$SECOND} {\n\treverse_proxy {$NOBODY} {\n\t\tlb_policy failover\n\t}\n}\n"
	if out, err := reload(t, b, added); err != nil {
		t.Errorf("a site whose backend does not run yet: %v\n%s", err, out)
	}
	if err := backends[0].Kill(); err != nil {
		t.Fatal(err)
	}
	if out, err := reload(t, b, strings.Replace(added, "lb_policy failover", "lb_policy failover {\n\t\t\tmax_waiting 10\n\t\t}", 1)); err != nil {
		t.Errorf("a backend that has gone: %v\n%s", err, out)
	}
}
