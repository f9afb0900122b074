// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// TestMetricsOfTheChild: what is measured of the processes at this moment, and how long
// requests have waited for a backend.
func TestMetricsOfTheChild(t *testing.T) {
	t.Parallel()
	backends, env := newBackends(t)
	start(t, backends[:2]...)
	port := freePort(t)
	b := startBroker(t, strings.Replace(measured, "	broker {", "	broker {\n		standby 1", 1), append(env, "PORT="+port)...)
	metrics := func() string { return getPath(t, b.AdminAddr(), "/metrics") }
	await := func(lines ...string) {
		t.Helper()
		if err := harness.Until(t.Context(), soon, func() error {
			text := metrics()
			for _, line := range lines {
				if !strings.Contains(text, line+"\n") {
					return fmt.Errorf("there is no %s in\n%s", line, regexp.MustCompile(`(?m)^caddy_(broker|failover)_.*$`).FindAllString(text, -1))
				}
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	const child = `{child="default"} `
	await(`caddy_broker_child_standby{child="default",state="wanted"} 1`,
		`caddy_broker_child_standby{child="default",state="ready"} 1`,
		"caddy_broker_child_in_flight"+child+"0")
	for name, most := range map[string]float64{"caddy_broker_child_memory_bytes": 1 << 40, "caddy_broker_child_last_heartbeat_seconds": 60} {
		found := regexp.MustCompile(`(?m)^` + name + `\{child="default"\} (.*)$`).FindStringSubmatch(metrics())
		if found == nil {
			t.Errorf("there is no %s", name)
			continue
		}
		if n, err := strconv.ParseFloat(found[1], 64); err != nil || n <= 0 || n > most {
			t.Errorf("%s is %s", name, found[1])
		}
	}

	// One request is in progress at a backend that stands still.
	if err := backends[0].Pause(); err != nil {
		t.Fatal(err)
	}
	asked := make(chan *harness.Result, 1)
	ask := func() {
		client := &harness.Client{Addr: "127.0.0.1:" + port}
		asked <- client.Do(t.Context(), t.Name(), time.Now(), harness.Request{Method: "GET"})
	}
	go ask()
	await("caddy_broker_child_in_flight" + child + "1")
	if err := backends[0].Resume(); err != nil {
		t.Fatal(err)
	}
	if res := <-asked; res.Fate != harness.OK {
		t.Errorf("got %+v", res)
	}
	await("caddy_broker_child_in_flight" + child + "0")

	// One waits until a backend is back.
	for _, backend := range backends[:2] {
		if err := backend.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	go ask()
	await(`caddy_failover_waiting{pool="shop"} 1`)
	start(t, backends[0])
	if res := <-asked; res.Fate != harness.OK {
		t.Errorf("got %+v", res)
	}
	await(`caddy_failover_wait_seconds_count{outcome="served",pool="shop"} 1`,
		`caddy_failover_wait_seconds_bucket{outcome="served",pool="shop",le="300"} 1`,
		`caddy_failover_wait_seconds_count{outcome="refused",pool="shop"} 0`)
}
