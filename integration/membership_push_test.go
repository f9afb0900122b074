// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// announcer is a backend that tells the balancer of others.
type announcer struct {
	addr string
	push chan string // events, sent in a stream
	srv  *http.Server
}

// newAnnouncer serves on a host of this machine until the test ends.
func newAnnouncer(t *testing.T, host string) *announcer {
	t.Helper()
	a := &announcer{addr: net.JoinHostPort(host, freePort(t)), push: make(chan string)}
	a.srv = &http.Server{Handler: a}
	l, err := net.Listen("tcp", a.addr)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = a.srv.Serve(l) }()
	t.Cleanup(func() { _ = a.srv.Close() })
	return a
}

func (a *announcer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/.well-known/broker-uris" {
		w.Header().Set(harness.BackendName, "announcer")
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for {
		w.(http.Flusher).Flush()
		select {
		case event := <-a.push:
			_, _ = io.WriteString(w, event)
		case <-r.Context().Done():
			return
		}
	}
}

// say sends a list as soon as somebody listens.
func (a *announcer) say(t *testing.T, list ...string) {
	t.Helper()
	a.send(t, "event: uris\ndata: "+strings.Join(list, "\ndata: ")+"\n\n")
}

// reconnect asks for its clients to be moved.
func (a *announcer) reconnect(t *testing.T, to string) {
	t.Helper()
	a.send(t, "event: reconnect\ndata: "+to+"\n\n")
}

func (a *announcer) send(t *testing.T, event string) {
	t.Helper()
	select {
	case a.push <- event:
	case <-t.Context().Done():
		t.Fatal("nobody listens to what the backend announces")
	}
}

// Lists come while backends are lost: no safe request fails, and the last of the
// announced ones serves.
func TestPushDuringFailover(t *testing.T) {
	t.Parallel()
	backends, env := newBackends(t)
	start(t, backends...)
	a := newAnnouncer(t, "127.0.0.1")
	port, spare := freePort(t), "127.0.0.1:"+freePort(t)
	front := startBroker(t, `{
	admin {$ADMIN}
}
http://:{$PORT} {
	reverse_proxy {$B1} {$B2} {$ANNOUNCER} {
		lb_policy failover {
			pool pushed
			randomize false
			update_uris_allow {$B3} {$SPARE}
		}
	}
}
`, append(env, "PORT="+port, "ANNOUNCER="+a.addr, "SPARE="+spare)...)
	one, two, three := backends[0], backends[1], backends[2]
	load := harness.Load{
		Client: &harness.Client{Addr: "127.0.0.1:" + port}, Rate: 200, Name: "push",
		Requests: []harness.Request{{Method: "GET"}, {Method: "GET", Path: "/?delay=50ms"}},
	}
	run := load.Start(t.Context())
	sent(t, run, 50)
	kill := func(stop func() error) {
		t.Helper()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	kill(one.Kill)
	a.say(t, three.Addr, spare)
	sent(t, run, 50)
	start(t, one)
	a.say(t, three.Addr)
	kill(one.Kill)
	a.say(t, spare)
	a.say(t, three.Addr)
	kill(two.Kill)
	awaitMembers(t, front, "pushed", one.Addr+" down", two.Addr+" down", a.addr+" up", three.Addr+" up")
	sent(t, run, 50)
	kill(a.srv.Close)
	sent(t, run, 100)
	if by := served(t, run.Stop()); by["announcer"] == 0 || by["three"] == 0 {
		t.Errorf("answers by backend: %v", by)
	}
}

// A list that comes while requests wait for a backend serves them.
func TestListWhileRequestsWait(t *testing.T) {
	t.Parallel()
	backends, env := newBackends(t)
	one, two := backends[0], backends[1]
	start(t, one, two)
	list := filepath.Join(t.TempDir(), "list")
	port := freePort(t)
	startBroker(t, `{
	admin {$ADMIN}
}
http://:{$PORT} {
	reverse_proxy {$B1} {
		lb_policy failover {
			update_uris_url {$LIST}
		}
	}
}
`, append(env, "PORT="+port, "LIST="+list)...)
	get(t, "127.0.0.1:"+port)
	if err := one.Kill(); err != nil {
		t.Fatal(err)
	}
	load := harness.Load{Client: &harness.Client{Addr: "127.0.0.1:" + port}, Rate: 100, Name: "wait"}
	run := load.Start(t.Context())
	err := harness.Until(t.Context(), soon, func() error {
		if n := run.InFlight(); n < 50 {
			return fmt.Errorf("%d requests wait", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// A list is there at once and whole, or not at all.
	if err := os.WriteFile(list+".new", []byte(two.Addr+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(list+".new", list); err != nil {
		t.Fatal(err)
	}
	sent(t, run, 50)
	results := run.Stop()
	t.Log(results)
	for _, r := range results {
		if r.Fate != harness.OK || r.Header.Get(harness.BackendName) != "two" {
			t.Errorf("%s: %s %d from %q (%v)", r.ID, r.Fate, r.Status, r.Header.Get(harness.BackendName), r.Err)
		}
	}
}
