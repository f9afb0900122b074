// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/module/internal/proxytest"
	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
	"github.com/caddy-broker/caddy-broker/module/sources"
)

// listens makes the pool take what backends announce.
func listens(o option) option {
	return func(h map[string]any) {
		set("update_uris_supported", true)(h)
		set("reconnect_supported", true)(h)
		o(h)
	}
}

func (p *proxy) pool() *failover.Pool { return p.policy.claim.entry.pool }

// start makes the configuration count as started, so that pool and sources work.
func (p *proxy) start() *proxy {
	p.policy.activate()
	return p
}

// look makes the sources look at the pool now, not within a second.
func (p *proxy) look() { p.policy.claim.entry.members.Kick() }

// members are the pool's addresses in status, and their states.
func (p *proxy) members() map[string]report.UpstreamStatus {
	all := make(map[string]report.UpstreamStatus)
	for _, u := range p.pool().Status().Upstreams {
		all[strings.TrimPrefix(u.URI, "http://")] = u
	}
	return all
}

func (p *proxy) awaitMember(address, state string) {
	p.t.Helper()
	testwait.Until(p.t, address+" is "+state, func() bool { return p.members()[address].State == state })
}

func (p *proxy) refused() map[string]uint64 {
	_, refused := p.policy.claim.entry.members.Counts()
	return refused
}

func (p *proxy) updates() map[sources.Update]uint64 {
	updates, _ := p.policy.claim.entry.members.Counts()
	return updates
}

// announcing serves a list as a backend does, and plain answers elsewhere.
type announcing struct {
	kind string
	say  atomic.Pointer[string]
	asks atomic.Int64
	// streams are those that are being sent.
	streams atomic.Int64
	push    chan string // events of the stream
}

func newAnnouncing(tb testing.TB, a *announcing) *backendServer {
	return newBackendServer(tb, "announcing", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != parlance.PathURIs {
			return
		}
		a.asks.Add(1)
		w.Header().Set("Content-Type", a.kind)
		if a.kind != parlance.TypeEvents {
			_, _ = io.WriteString(w, *a.say.Load())
			return
		}
		a.streams.Add(1)
		defer a.streams.Add(-1)
		for {
			w.(http.Flusher).Flush()
			select {
			case event := <-a.push:
				_, _ = io.WriteString(w, event)
			case <-r.Context().Done():
				return
			}
		}
	})
}

func (a *announcing) list(addresses ...string) *announcing {
	text := strings.Join(addresses, "\n")
	a.say.Store(&text)
	return a
}

func TestBackendAnnouncesList(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	other := newBackendServer(t, "other", nil)
	a := (&announcing{kind: parlance.TypeURIs + "; charset=utf-8"}).list("http://"+other.addr(), "http://10.9.8.7:80")
	first := newAnnouncing(t, a)
	p := newProxy(t, upstreams(first.addr()), listens(set("update_uris_allow", []string{other.addr()}))).start()
	p.awaitMember(other.addr(), "up")
	if m := p.members()[other.addr()]; !m.Pushed {
		t.Error("status does not say that it was pushed")
	}
	if n := a.asks.Load(); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
	if got := p.refused()["not_allowed"]; got != 1 {
		t.Errorf("%d addresses refused, want the one that is not allowed", got)
	}
	first.Close()
	if got := p.do("GET", ""); got.header.Get("X-Backend") != "other" {
		t.Errorf("after the loss of the known backend: %d from %q", got.status, got.header.Get("X-Backend"))
	}
}

// A backend that has nothing of ours there is left alone; one that is not up is
// not asked; one that came back is asked anew.
func TestBackendIsAskedOncePerStart(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	var asks atomic.Int64
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == parlance.PathURIs {
			asks.Add(1)
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>welcome</html>")
		}
	})
	srv := &http.Server{Handler: handler}
	first := proxytest.ListenAgain(t)
	addr := first.Addr().String()
	go srv.Serve(first)
	p := newProxy(t, upstreams(addr), listens(set("timeout", int64(100*time.Millisecond)))).start()
	p.awaitMember(addr, "up")
	testwait.Until(t, "the backend was asked", func() bool { return asks.Load() == 1 })
	_ = srv.Close()
	testwait.Until(t, "a request found it down", func() bool {
		p.do("GET", "") // its time may be over before it has dialled
		return p.members()[addr].State == "down"
	})
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	again := &http.Server{Handler: handler}
	go again.Serve(l)
	defer again.Close()
	testwait.Until(t, "the backend was asked anew", func() bool { return asks.Load() == 2 })
	if u := p.updates(); len(u) != 0 {
		t.Errorf("updates %v were counted", u)
	}
}

// A backend that gave no answer, or said that it was not ready, is asked again soon.
func TestBackendIsAskedAgain(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	x := newBackendServer(t, "x", nil)
	var asks atomic.Int64
	first := newBackendServer(t, "first", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != parlance.PathURIs {
			return
		}
		switch asks.Add(1) {
		case 1:
			panic(http.ErrAbortHandler)
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			w.Header().Set("Content-Type", parlance.TypeURIs)
			_, _ = io.WriteString(w, x.addr())
		}
	})
	p := newProxy(t, upstreams(first.addr()), listens(set("update_uris_allow", []string{x.addr()}))).start()
	testwait.Until(t, "it is asked for the third time", func() bool { p.look(); return asks.Load() == 3 })
	p.awaitMember(x.addr(), "up")
	if n := asks.Load(); n != 3 {
		t.Errorf("asked %d times", n)
	}
}

func TestStreamOfEvents(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	x, y := newBackendServer(t, "x", nil), newBackendServer(t, "y", nil)
	a := &announcing{kind: parlance.TypeEvents, push: make(chan string)}
	first := newAnnouncing(t, a)
	p := newProxy(t, upstreams(first.addr()), listens(set("update_uris_allow", []string{x.addr(), y.addr()}))).start()
	a.push <- ": hello\n\nevent: uris\ndata: http://" + x.addr() + "\ndata: http://" + y.addr() + "\n\n"
	p.awaitMember(x.addr(), "up")
	p.awaitMember(y.addr(), "up")
	// Whatever else it says, the last good list stays.
	for _, event := range []string{
		"event: uris\ndata: <html>\n\n", "event: uris\ndata:\n\n", "event: uris\n\n",
		"event: uris\ndata: http://" + x.addr() + "\ndata: https://" + y.addr() + "\n\n",
		"event: other\ndata: http://10.1.1.1:80\n\n", "rubbish\n\n",
	} {
		a.push <- event
	}
	if p.do("GET", "").header.Get("X-Backend") != "announcing" {
		t.Error("the pool is not on its first backend")
	}
	a.push <- "event: reconnect\ndata: http://" + y.addr() + "\n\n"
	testwait.Until(t, "its clients moved", func() bool { return p.do("GET", "").header.Get("X-Backend") == "y" })
	a.push <- "event: reconnect\ndata: http://10.1.1.1:80\n\n"
	a.push <- "event: uris\ndata: http://" + y.addr() + "\n\n"
	testwait.Until(t, "x is gone, which nobody names", func() bool { _, ok := p.members()[x.addr()]; return !ok })
	if n := len(p.members()); n != 2 {
		t.Errorf("%d members, want 2", n)
	}
	if n := a.asks.Load(); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
}

func TestAnnouncementsAreNotWanted(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	x := newBackendServer(t, "x", nil)
	a := &announcing{kind: parlance.TypeEvents, push: make(chan string)}
	first := newAnnouncing(t, a)
	p := newProxy(t, upstreams(first.addr(), x.addr()), listens(set("update_uris_supported", false)), set("reconnect_supported", true)).start()
	a.push <- "event: uris\ndata: http://" + x.addr() + "\n\n"
	a.push <- "event: reconnect\ndata: http://" + x.addr() + "\n\n"
	testwait.Until(t, "reconnect is obeyed all the same", func() bool { return p.do("GET", "").header.Get("X-Backend") == "x" })
	if u := p.updates(); u[sources.Update{Source: "backend", Outcome: "accepted"}] != 0 {
		t.Errorf("updates %v", u)
	}
}

// Nothing is left of sources when a pool ends.
func TestSourcesEndWithTheirPool(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	a := &announcing{kind: parlance.TypeEvents, push: make(chan string)}
	first := newAnnouncing(t, a)
	p := newProxy(t, upstreams(first.addr()), listens(set("update_uris_allow", []string{"10.0.0.0/8:*"}))).start()
	testwait.Until(t, "the stream began", func() bool { return a.streams.Load() == 1 })
	entry := p.policy.claim.entry
	p.end()
	testwait.Until(t, "the stream ended", func() bool { return a.streams.Load() == 0 })
	if slices.Contains(pools.list(), entry) {
		t.Error("the pool is still there")
	}
}

// eventNoter notes the events that Caddy's events app hands to a handler of the
// user's.
type eventNoter chan caddy.Event

func (n eventNoter) Handle(_ context.Context, e caddy.Event) error {
	n <- e
	return nil
}

// Caddy's event handlers hear of members that come and go.
func TestMembershipEventsReachHandlers(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	x := newBackendServer(t, "x", nil)
	a := &announcing{kind: parlance.TypeEvents, push: make(chan string)}
	first := newAnnouncing(t, a)
	p := newProxy(t, upstreams(first.addr()), listens(set("update_uris_allow", []string{x.addr()})))
	heard := make(eventNoter, 10)
	if err := p.policy.events.On("failover_membership", heard); err != nil {
		t.Fatal(err)
	}
	p.start()
	expect := func(change string) {
		t.Helper()
		var e caddy.Event
		select {
		case e = <-heard:
		case <-time.After(10 * time.Second):
		}
		if e.Data["change"] != change || e.Data["upstream"] != "http://"+x.addr() || e.Data["pool"] != p.policy.claim.entry.name {
			t.Errorf("told %v, want that %s was %s", e.Data, x.addr(), change)
		}
	}
	a.push <- "event: uris\ndata: http://" + x.addr() + "\n\n"
	expect("added")
	a.push <- "event: uris\ndata: http://" + first.addr() + "\n\n"
	expect("removed")
}
