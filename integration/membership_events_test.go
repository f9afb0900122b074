// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// eventLines are the lines of GET /broker/events from now on.
func eventLines(t *testing.T, b *harness.Broker) *bufio.Scanner {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+b.AdminAddr()+"/broker/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return bufio.NewScanner(res.Body)
}

// membershipEvents is what GET /broker/events says of a pool's members from now
// on: each change, and whom it concerns.
func membershipEvents(t *testing.T, b *harness.Broker, pool string) <-chan string {
	t.Helper()
	lines := eventLines(t, b)
	changes := make(chan string, 100)
	go func() {
		defer close(changes)
		event := ""
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "event":
				event = value
			case "data":
				var data struct{ Pool, Change, Upstream, To string }
				if event != "failover_membership" || json.Unmarshal([]byte(value), &data) != nil || data.Pool != pool {
					continue
				}
				changes <- strings.TrimSpace(data.Change + " " + data.Upstream + " " + data.To)
			}
		}
	}()
	return changes
}

// operateURIs adds or removes an address of a pool, as an operator does.
func operateURIs(t *testing.T, b *harness.Broker, method, pool, uri string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+b.AdminAddr()+"/broker/pools/"+pool+"/uris",
		strings.NewReader(`{"uris": ["`+uri+`"]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s", method, uri, res.Status)
	}
}

// Each change of a pool's members is one event, whoever made it.
func TestMembershipEvents(t *testing.T) {
	t.Parallel()
	backends, env := newBackends(t)
	start(t, backends...)
	one, two := backends[0].Addr, backends[1].Addr
	a := newAnnouncer(t, "127.0.0.1")
	front := startBroker(t, `{
	admin {$ADMIN}
}
http://:{$PORT} {
	reverse_proxy {$ANNOUNCER} {
		lb_policy failover {
			pool changing
			update_uris_allow {$B1} {$B2}
		}
	}
}
`, append(env, "PORT="+freePort(t), "ANNOUNCER="+a.addr)...)
	changes := membershipEvents(t, front, "changing")
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-changes:
			if got != want {
				t.Fatalf("told %q, want %q", got, want)
			}
		case <-time.After(soon):
			t.Fatalf("not told %q", want)
		}
	}
	operateURIs(t, front, "POST", "changing", "http://"+one)
	expect("added http://" + one)
	operateURIs(t, front, "DELETE", "changing", "http://"+one)
	expect("removed http://" + one)
	a.say(t, "http://"+two)
	expect("added http://" + two)
	awaitMembers(t, front, "changing", a.addr+" up", two+" up")
	a.say(t, "http://"+two) // nothing new
	a.reconnect(t, "http://"+two)
	expect("reconnect http://" + a.addr + " http://" + two)
	a.say(t, "http://"+a.addr)
	expect("removed http://" + two)
}
