// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
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
		fmt.Sprintf(`caddy_failover_requests_total{outcome="answered",pool="shop",upstream="http://%s"} 3`, backends[0].Addr),
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

// TestStandardMetricsAgree: what Caddy says of upstreams at the parent, in metrics and in
// its own list, is what their pool knows, though no health check of Caddy's is configured.
func TestStandardMetricsAgree(t *testing.T) {
	t.Parallel()
	backends, env := newBackends(t)
	start(t, backends[:2]...)
	port := freePort(t)
	b := startBroker(t, measured, append(env, "PORT="+port)...)
	agree := func(want map[*harness.Backend]bool) {
		t.Helper()
		if err := harness.Until(t.Context(), soon, func() error {
			get(t, "127.0.0.1:"+port)
			text := getPath(t, b.AdminAddr(), "/metrics")
			var list []struct {
				Address string
				Fails   int
			}
			if err := b.Admin(t.Context(), http.MethodGet, "/reverse_proxy/upstreams", &list); err != nil {
				return err
			}
			if len(list) != 2 {
				return fmt.Errorf("listed are %v", list)
			}
			for backend, up := range want {
				value := 0
				if up {
					value = 1
				}
				for _, line := range []string{
					fmt.Sprintf(`caddy_reverse_proxy_upstreams_healthy{upstream="%s"} %d`, backend.Addr, value),
					fmt.Sprintf(`caddy_failover_upstream_up{pool="shop",upstream="http://%s"} %d`, backend.Addr, value),
				} {
					if !strings.Contains(text, line+"\n") {
						return fmt.Errorf("there is no %s", line)
					}
				}
				for _, u := range list {
					if u.Address == backend.Addr && (u.Fails == 0) != up {
						return fmt.Errorf("listed are %v", list)
					}
				}
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	agree(map[*harness.Backend]bool{backends[0]: true, backends[1]: true})
	if err := backends[0].Stop(); err != nil {
		t.Fatal(err)
	}
	agree(map[*harness.Backend]bool{backends[0]: false, backends[1]: true})
	start(t, backends[0])
	agree(map[*harness.Backend]bool{backends[0]: true, backends[1]: true})
	if out, err := b.Run(t.Context(), "broker", "drain", "http://"+backends[1].Addr, "--address", b.AdminAddr()); err != nil {
		t.Fatalf("drain: %v\n%s", err, out)
	}
	agree(map[*harness.Backend]bool{backends[0]: true, backends[1]: false})

	// Loads of all kinds are told of, by Caddy's metrics and ours.
	loads := func(want int) {
		t.Helper()
		text := getPath(t, b.AdminAddr(), "/metrics")
		for _, line := range []string{
			fmt.Sprintf("caddy_broker_reload_success %d\n", want),
			fmt.Sprintf("caddy_config_last_reload_successful %d\n", want),
			fmt.Sprintf("caddy_failover_upstream_drained{pool=\"shop\",upstream=\"http://%s\"} 1\n", backends[1].Addr),
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
