// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

const measured = `{
	admin {$ADMIN}
	broker {
		restart_delay 100ms
		max_restart_delay 100ms
	}
	metrics
}

http://:{$PORT} {
	bind 127.0.0.1
	reverse_proxy {$B1} {$B2} {
		lb_policy failover {
			pool shop
			randomize false
		}
	}
}
`

// TestMetricsOfTheSitesAreTheParents: one scrape of the endpoint that everybody
// scrapes has the children, the pools and the sites, each value once.
func TestMetricsOfTheSitesAreTheParents(t *testing.T) {
	t.Parallel()
	backends, env := newBackends(t)
	start(t, backends[:2]...)
	port := freePort(t)
	b := startBroker(t, measured, append(env, "PORT="+port)...)
	for range 3 {
		if res := get(t, "127.0.0.1:"+port); res.Fate != harness.OK {
			t.Fatalf("got %+v", res)
		}
	}
	up := fmt.Sprintf(`caddy_failover_upstream_up{pool="shop",upstream="http://%s"} 1`, backends[0].Addr)
	wants := []string{
		`caddy_broker_child_up{child="default"} 1`,
		up,
		fmt.Sprintf(`caddy_failover_requests_total{outcome="answered",pool="shop",status="2xx",upstream="http://%s"} 3`, backends[0].Addr),
		`caddy_http_requests_total{handler="reverse_proxy",server="srv0"} 3`,
	}
	text := getPath(t, b.AdminAddr(), "/metrics")
	for _, want := range wants {
		if n := strings.Count(text, want+"\n"); n != 1 {
			t.Errorf("%q is there %d times, want once:\n%s", want, n, text)
		}
	}
	for name, lines := range map[string]string{
		"the parent's process": `(?m)^process_start_time_seconds `,
		"the Go runtime":       `(?m)^go_goroutines `,
	} {
		if n := len(regexp.MustCompile(lines).FindAllString(text, -1)); n != 1 {
			t.Errorf("metrics of %s are there %d times, want once", name, n)
		}
	}
	if strings.Contains(text, "broker_guard") {
		t.Error("the handler that nobody configured is measured")
	}

	// While there is no child to ask, the rest is still there.
	operate(t, b, "stop")
	text = getPath(t, b.AdminAddr(), "/metrics")
	if !strings.Contains(text, `caddy_broker_child_up{child="default"} 0`+"\n") || strings.Contains(text, up) {
		t.Errorf("of a stopped child:\n%s", text)
	}
}

// told is what metrics are to say of a backend.
type told struct{ up, drained bool }

// agree waits until all that is said of upstreams at an admin endpoint is what their pool
// knows, though no health check of Caddy's is configured.
func agree(t *testing.T, admin, port string, want map[*harness.Backend]told) {
	t.Helper()
	number := map[bool]int{true: 1}
	if err := harness.Until(t.Context(), soon, func() error {
		get(t, "127.0.0.1:"+port)
		text := getPath(t, admin, "/metrics")
		var list []struct {
			Address string
			Fails   int
		}
		if err := json.Unmarshal([]byte(getPath(t, admin, "/reverse_proxy/upstreams")), &list); err != nil || len(list) != len(want) {
			return fmt.Errorf("listed are %v, %w", list, err)
		}
		for backend, is := range want {
			healthy := is.up && !is.drained
			for _, line := range []string{
				fmt.Sprintf(`caddy_reverse_proxy_upstreams_healthy{upstream="%s"} %d`, backend.Addr, number[healthy]),
				fmt.Sprintf(`caddy_failover_upstream_up{pool="shop",upstream="http://%s"} %d`, backend.Addr, number[is.up]),
				fmt.Sprintf(`caddy_failover_upstream_drained{pool="shop",upstream="http://%s"} %d`, backend.Addr, number[is.drained]),
			} {
				if !strings.Contains(text, line+"\n") {
					return fmt.Errorf("there is no %s", line)
				}
			}
			for _, u := range list {
				if u.Address == backend.Addr && (u.Fails == 0) != healthy {
					return fmt.Errorf("listed are %v", list)
				}
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// TestStandardMetricsAgree: what Caddy says of upstreams, in metrics and in its own list, is
// what their pool knows: at the parent, which asks the child, and where there is but one process.
func TestStandardMetricsAgree(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"supervised": nil, "in one process": {"broker", "run", "--config", "{}"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backends, env := newBackends(t)
			start(t, backends[:2]...)
			port := freePort(t)
			text := measured
			if args != nil {
				text = regexp.MustCompile(`broker \{[^}]*\}`).ReplaceAllLiteralString(text, "broker off")
			}
			b := newBroker(t, text, append(env, "PORT="+port)...)
			b.Args = args
			if err := b.Start(); err != nil {
				t.Fatal(err)
			}
			if args == nil {
				awaitActive(t, b, 0)
			} else if err := harness.Until(t.Context(), soon, func() error { return b.Admin(t.Context(), "GET", "/config/", nil) }); err != nil {
				t.Fatalf("%v\n%s", err, b.Process().Output())
			}
			check := func(first, second told) {
				t.Helper()
				agree(t, b.AdminAddr(), port, map[*harness.Backend]told{backends[0]: first, backends[1]: second})
			}
			check(told{up: true}, told{up: true})
			if err := backends[0].Stop(); err != nil {
				t.Fatal(err)
			}
			check(told{}, told{up: true})
			start(t, backends[0])
			check(told{up: true}, told{up: true})
			if out, err := b.Run(t.Context(), "broker", "drain", "http://"+backends[1].Addr, "--address", b.AdminAddr()); err != nil {
				t.Fatalf("drain: %v\n%s", err, out)
			}
			check(told{up: true}, told{up: true, drained: true})
		})
	}
}

// TestMetricsOfLoads: every load is told of, whichever way it came, by Caddy's metrics and
// ours.
func TestMetricsOfLoads(t *testing.T) {
	t.Parallel()
	backends, env := newBackends(t)
	start(t, backends[:2]...)
	b := startBroker(t, measured, append(env, "PORT="+freePort(t))...)
	loads := func(want int) {
		t.Helper()
		text := getPath(t, b.AdminAddr(), "/metrics")
		for _, line := range []string{
			fmt.Sprintf("caddy_broker_reload_success %d\n", want),
			fmt.Sprintf("caddy_config_last_reload_successful %d\n", want),
			"caddy_broker_in_doubt 0\n",
		} {
			if !strings.Contains(text, line) {
				t.Errorf("after load %d there is no %s, but:\n%s", want, line, grepLines(text, "caddy_failover_upstream"))
			}
		}
	}
	loads(1)
	change := func(text string, want int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, "http://"+b.AdminAddr()+"/config/apps/http/servers/srv0/routes/0/handle/0/load_balancing", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Fatalf("changed to %s: %s, want %d", text, res.Status, want)
		}
	}
	change(`{"selection_policy":{"policy":"failover","pool":"shop","randomize":7}}`, http.StatusInternalServerError) // as Caddy answers it
	loads(0)
	change(`{"selection_policy":{"policy":"failover","pool":"shop","randomize":false,"backup":true}}`, http.StatusOK)
	loads(1)
}

// TestChildsAdminAPI: its own paths, a slash at the end and redirections included.
func TestChildsAdminAPI(t *testing.T) {
	t.Parallel()
	b := startBroker(t, answering, "PORT="+freePort(t))
	for _, path := range []string{"/config", "/config/", "/config/apps/http"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
			"http://"+b.AdminAddr()+"/broker/children/default/admin"+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || !strings.Contains(string(text), `"servers":`) {
			t.Errorf("%s: got %s (%v), want the child's configuration", path, text, err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// grepLines are the lines of a text that begin with prefix.
func grepLines(text, prefix string) string {
	var found []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) {
			found = append(found, line)
		}
	}
	return strings.Join(found, "")
}
