// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// say runs a broker command that must succeed.
func say(t *testing.T, b *harness.Broker, command ...string) {
	t.Helper()
	if out, err := b.Run(t.Context(), append(append([]string{"broker"}, command...), "--address", b.AdminAddr())...); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
}

// A drain is about a backend: sites and addresses that come, go and change places
// around it move it to nothing else, whether the sites are served by a child or by
// the process itself.
func TestDrainStaysWithItsBackendOverReloads(t *testing.T) {
	t.Parallel()
	const head = "{\n\tadmin {$ADMIN}\n}\n"
	site := func(port string, backends ...string) string {
		return fmt.Sprintf("http://:{$%s} {\n\treverse_proxy %s {\n\t\tlb_policy failover\n\t}\n}\n", port, strings.Join(backends, " "))
	}
	for _, adapter := range []string{"broker", "caddyfile"} {
		t.Run(adapter, func(t *testing.T) {
			backends, env := newBackends(t)
			start(t, backends...)
			b := newBroker(t, head+site("P1", "{$B1}", "{$B2}")+site("P2", "{$B1}", "{$B3}"),
				append(env, "P1="+freePort(t), "P2="+freePort(t))...)
			b.Args = []string{"run", "--config", "{}", "--adapter", adapter}
			if err := b.Start(); err != nil {
				t.Fatal(err)
			}
			awaitPools(t, b, func(pools []pool) error {
				if len(pools) != 2 {
					return fmt.Errorf("the pools are %v, want two", pools)
				}
				return nil
			})
			say(t, b, "drain", backends[2].Addr)
			for _, sites := range []string{
				site("P2", "{$B1}", "{$B3}") + site("P1", "{$B1}", "{$B2}"),
				site("P1", "{$B1}", "{$B2}") + site("P2", "{$B2}", "{$B1}", "{$B3}"),
				site("P2", "{$B3}", "{$B2}"),
			} {
				if err := b.Write(head + sites); err != nil {
					t.Fatal(err)
				}
				if out, err := b.Run(t.Context(), "reload", "--adapter", adapter, "--config", "{}"); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				awaitPools(t, b, func(pools []pool) error {
					if len(pools) != strings.Count(sites, "reverse_proxy") {
						return fmt.Errorf("the pools are %v", pools)
					}
					for _, p := range pools {
						for _, u := range p.Upstreams {
							if (u.State == "drained") != (u.URI == "http://"+backends[2].Addr) {
								return fmt.Errorf("pool %s has %v, want %s drained alone", p.Name, p.Upstreams, backends[2].Addr)
							}
						}
					}
					return nil
				})
			}
		})
	}
}

// What the operator has got an answer to is not undone by processes that change:
// not by a standby that was loaded before, and not by what a replaced process still
// has to say.
func TestDrainOutlivesTheProcessesAroundIt(t *testing.T) {
	t.Parallel()
	backends, env := newBackends(t)
	start(t, backends...)
	port := freePort(t)
	b := startBroker(t, `{
	admin {$ADMIN}
	broker {
		standby 1
		restart_delay 100ms
	}
}
http://:{$PORT} {
	reverse_proxy {$B1} {$B2} {$B3} {
		lb_policy failover {
			randomize false
		}
	}
}
`, append(env, "PORT="+port)...)
	active, standby := awaitStandby(t, b)

	// It keeps the first process in being, until its backend dies.
	client := &harness.Client{Addr: "127.0.0.1:" + port}
	held := make(chan *harness.Result, 1)
	go func() {
		held <- client.Do(t.Context(), "held", time.Now(), harness.Request{Method: "POST", Path: "/?delay=1h", Body: []byte("x")})
	}()
	if err := harness.Until(t.Context(), soon, func() error {
		if got := executions(t, backends); got["held"] == 0 {
			return fmt.Errorf("executed are %v", got)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}

	say(t, b, "drain", backends[2].Addr)
	if err := b.Admin(t.Context(), "POST", "/broker/children/default/promote", nil); err != nil {
		t.Fatal(err)
	}
	if now := awaitActive(t, b, active); now != standby {
		t.Fatalf("process %d serves, the standby was %d", now, standby)
	}
	awaitState(t, b, backends[2], "drained")

	say(t, b, "resume", backends[2].Addr)
	say(t, b, "drain", backends[1].Addr)
	if err := backends[0].Kill(); err != nil { // the replaced process notices, and reports
		t.Fatal(err)
	}
	if r := <-held; r.Fate == harness.OK {
		t.Fatalf("the request of the replaced process ended with %d", r.Status)
	}
	start(t, backends[0])
	if _, err := b.AwaitChild(t.Context(), "default", func(c *harness.Child) bool {
		spare := false
		for _, p := range c.Processes {
			if p.Pid == active {
				return false
			}
			spare = spare || p.State == "standby"
		}
		return spare
	}); err != nil {
		t.Fatal(err)
	}
	if err := killProcess(t, standby); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, b, standby)
	awaitState(t, b, backends[1], "drained")
	awaitState(t, b, backends[2], "up", "trial")
}
