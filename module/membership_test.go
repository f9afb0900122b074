// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/caddy-broker/caddy-broker/failover"
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

// members are the pool's addresses in status, and their states.
func (p *proxy) members() map[string]failover.UpstreamStatus {
	all := make(map[string]failover.UpstreamStatus)
	for _, u := range p.pool().Status().Upstreams {
		all[strings.TrimPrefix(u.URI, "http://")] = u
	}
	return all
}

func (p *proxy) awaitMember(address, state string) {
	p.t.Helper()
	eventually(p.t, address+" is "+state, func() bool { return p.members()[address].State == state })
}

func (p *proxy) refused() map[string]uint64 {
	_, refused := p.policy.claim.entry.members.counts.read()
	return refused
}

func (p *proxy) updates() map[updateKey]uint64 {
	updates, _ := p.policy.claim.entry.members.counts.read()
	return updates
}

// announcing serves a list as a backend does, and plain answers elsewhere.
type announcing struct {
	kind string
	say  atomic.Pointer[string]
	asks atomic.Int64
	push chan string // events of the stream
}

func newAnnouncing(tb testing.TB, a *announcing) *backendServer {
	return newBackendServer(tb, "announcing", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != pathURIs {
			return
		}
		a.asks.Add(1)
		w.Header().Set("Content-Type", a.kind)
		if a.kind != typeEvents {
			_, _ = io.WriteString(w, *a.say.Load())
			return
		}
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
	other := newBackendServer(t, "other", nil)
	a := (&announcing{kind: typeURIs + "; charset=utf-8"}).list("http://"+other.addr(), "http://10.9.8.7:80")
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
	var asks atomic.Int64
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == pathURIs {
			asks.Add(1)
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>welcome</html>")
		}
	})
	srv := httptest.NewServer(handler)
	addr := srv.Listener.Addr().String()
	p := newProxy(t, upstreams(addr), listens(set("timeout", int64(100*time.Millisecond)))).start()
	p.awaitMember(addr, "up")
	eventually(t, "the backend was asked", func() bool { return asks.Load() == 1 })
	srv.Close()
	p.do("GET", "")
	p.awaitMember(addr, "down")
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	again := &http.Server{Handler: handler}
	go again.Serve(l)
	defer again.Close()
	eventually(t, "the backend was asked anew", func() bool { return asks.Load() == 2 })
	if u := p.updates(); len(u) != 0 {
		t.Errorf("updates %v were counted", u)
	}
}

func TestStreamOfEvents(t *testing.T) {
	x, y := newBackendServer(t, "x", nil), newBackendServer(t, "y", nil)
	a := &announcing{kind: typeEvents, push: make(chan string)}
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
	eventually(t, "its clients moved", func() bool { return p.do("GET", "").header.Get("X-Backend") == "y" })
	a.push <- "event: reconnect\ndata: http://10.1.1.1:80\n\n"
	a.push <- "event: uris\ndata: http://" + y.addr() + "\n\n"
	eventually(t, "x is gone, which nobody names", func() bool { _, ok := p.members()[x.addr()]; return !ok })
	if n := len(p.members()); n != 2 {
		t.Errorf("%d members, want 2", n)
	}
	if n := a.asks.Load(); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
}

func TestAnnouncementsAreNotWanted(t *testing.T) {
	x := newBackendServer(t, "x", nil)
	a := &announcing{kind: typeEvents, push: make(chan string)}
	first := newAnnouncing(t, a)
	p := newProxy(t, upstreams(first.addr(), x.addr()), listens(set("update_uris_supported", false)), set("reconnect_supported", true)).start()
	a.push <- "event: uris\ndata: http://" + x.addr() + "\n\n"
	a.push <- "event: reconnect\ndata: http://" + x.addr() + "\n\n"
	eventually(t, "reconnect is obeyed all the same", func() bool { return p.do("GET", "").header.Get("X-Backend") == "x" })
	if u := p.updates(); u[updateKey{"backend", "accepted"}] != 0 {
		t.Errorf("updates %v", u)
	}
}

// What no backend may do: send the balancer to its own sockets, to this machine,
// to metadata services, or anywhere it was not told that it may go.
func TestForbiddenAnnouncements(t *testing.T) {
	var touched atomic.Int64
	secret := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { touched.Add(1) }))
	defer secret.Close()
	secretAddr := secret.Listener.Addr().String()
	_, port, _ := net.SplitHostPort(secretAddr)
	a := (&announcing{kind: typeURIs}).list("http://"+secretAddr, "http://localhost:"+port, "http://169.254.169.254:80",
		"http://[::1]:"+port, "http://0.0.0.0:"+port, "http://[::ffff:127.0.0.1]:"+port, "unix//run/secret.sock")
	first := newAnnouncing(t, a)
	p := newProxy(t, upstreams(first.addr()), listens(set("update_uris_allow", []string{"*:*", "0.0.0.0/0:*", "[::/0]:*"}))).start()
	eventually(t, "the list was looked at", func() bool { return p.refused()["special_address"] >= 7 })
	if n := len(p.members()); n != 1 {
		t.Errorf("%d members, want the configured one", n)
	}
	if touched.Load() != 0 {
		t.Error("it was dialled")
	}
}

// A name that is allowed and leads elsewhere later is not dialled there.
func TestNameThatLeadsElsewhere(t *testing.T) {
	var touched atomic.Int64
	secret, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	go func() {
		for {
			c, err := secret.Accept()
			if err != nil {
				return
			}
			touched.Add(1)
			_ = c.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(secret.Addr().String())
	dns := newNameServer(t, "127.0.0.1")
	a := (&announcing{kind: typeURIs}).list("http://app.test:" + port)
	first := newAnnouncing(t, a)
	resolver := with("transport", map[string]any{"protocol": "http", "resolver": map[string]any{"addresses": []string{"udp/" + dns.addr}}})
	p := newProxy(t, upstreams(first.addr()), resolver, listens(set("update_uris_allow", []string{"*.test:*"}))).start()
	eventually(t, "the name was refused at the dial", func() bool { return p.refused()["special_address"] > 0 })
	p.awaitMember("app.test:"+port, "down")
	if err := p.members()["app.test:"+port].LastError; !strings.Contains(err, "127.0.0.1") {
		t.Errorf("status says %q", err)
	}
	if touched.Load() != 0 {
		t.Error("it was dialled")
	}
	if dns.asked.Load() == 0 {
		t.Error("the name was never looked up: the test shows nothing")
	}
	// The same name with the same address is dialled when the operator named it.
	p2 := newProxy(t, upstreams(first.addr()), resolver, set("pool", "second"),
		listens(set("update_uris_allow", []string{"*.test:*", "127.0.0.1:" + port}))).start()
	eventually(t, "it was dialled", func() bool { return touched.Load() > 0 })
	_ = p2
}

// newNameServer answers every question for an IPv4 address.
func newNameServer(t *testing.T, answer string) *nameServer {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{addr: pc.LocalAddr().String()}
	t.Cleanup(func() { _ = pc.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) == 0 {
				continue
			}
			s.asked.Add(1)
			q := m.Questions[0]
			m.Header.Response, m.Header.Authoritative = true, true
			m.Additionals = nil
			if q.Type == dnsmessage.TypeA {
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1},
					Body:   &dnsmessage.AResource{A: netip.MustParseAddr(answer).As4()},
				}}
			}
			if out, err := m.Pack(); err == nil {
				_, _ = pc.WriteTo(out, from)
			}
		}
	}()
	return s
}

type nameServer struct {
	addr  string
	asked atomic.Int64
}

func TestListInFile(t *testing.T) {
	x, y := newBackendServer(t, "x", nil), newBackendServer(t, "y", nil)
	path := filepath.Join(t.TempDir(), "list")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write("http://" + x.addr() + " ,\n")
	p := newProxy(t, set("update_uris_url", path)).start() // and no other address
	if got := p.do("GET", ""); got.header.Get("X-Backend") != "x" {
		t.Fatalf("got %d from %q", got.status, got.header.Get("X-Backend"))
	}
	for _, bad := range []string{"", "<html>", "not a list", strings.Repeat("http://10.0.0.1:80\n", 10000)} {
		write(bad)
	}
	write(y.addr() + "," + x.addr() + "\n")
	p.awaitMember(y.addr(), "up")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write("http://" + y.addr())
	eventually(t, "x is gone", func() bool { _, ok := p.members()[x.addr()]; return !ok })
	if got := p.do("GET", ""); got.header.Get("X-Backend") != "y" {
		t.Errorf("got %d from %q", got.status, got.header.Get("X-Backend"))
	}
}

// The list is read when all backends are lost, and its addresses serve at once.
func TestListIsReadAfterALoss(t *testing.T) {
	// A connection that is kept would cost the request its one attempt on x.
	x := newBackendServer(t, "x", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	y := newBackendServer(t, "y", nil)
	var gets, unchanged atomic.Int64
	list := "http://" + x.addr()
	var mu sync.Mutex
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		text := list
		mu.Unlock()
		gets.Add(1)
		tag := fmt.Sprintf("%q", text)
		if r.Header.Get("If-None-Match") == tag {
			unchanged.Add(1)
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("ETag", tag)
		_, _ = io.WriteString(w, text)
	}))
	defer srv.Close()
	p := newProxy(t, set("update_uris_url", srv.URL), set("update_uris_allow", []string{x.addr(), y.addr()})).start()
	if got := p.do("GET", ""); got.header.Get("X-Backend") != "x" {
		t.Fatalf("got %d from %q", got.status, got.header.Get("X-Backend"))
	}
	// With nobody there the list is read again and again, and answered shortly.
	x.Close()
	answer := make(chan clientAnswer)
	go func() { answer <- p.do("GET", "") }()
	eventually(t, "the list was asked for conditionally", func() bool { return unchanged.Load() > 0 })
	mu.Lock()
	list = "http://" + y.addr()
	mu.Unlock()
	if got := <-answer; got.header.Get("X-Backend") != "y" {
		t.Errorf("got %d from %q: %s", got.status, got.header.Get("X-Backend"), got.body)
	}
}

func TestBrokenListServers(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("the redirect was followed")
	}))
	defer elsewhere.Close()
	for name, tc := range map[string]struct {
		serve http.HandlerFunc
		err   string
	}{
		"redirect elsewhere": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, "redirects to another server"},
		"redirect for ever":  {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) }, "redirects"},
		"error":              {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, "404"},
		"HTML":               {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, "HTML"},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, "http://10.0.0.1:80\n"); err != nil {
					return
				}
			}
		}, "longer"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(tc.serve)
			defer srv.Close()
			client := newListClient()
			defer client.CloseIdleConnections()
			text, _, err := fetchList(t.Context(), client, srv.URL, listVersion{})
			if err == nil {
				_, err = failover.ParseList(text, "http")
			}
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("error %v, want one with %q", err, tc.err)
			}
		})
	}
}

func TestListFileThatIsNone(t *testing.T) {
	if _, err := readListFile(t.TempDir()); err == nil || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("error %v", err)
	}
}

// A stream that never ends a line is given up.
func TestEndlessLine(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	go func() {
		for {
			if _, err := b.Write([]byte(strings.Repeat("x", 1000))); err != nil {
				return
			}
		}
	}()
	defer b.Close()
	err := follow(t.Context(), a, a, func(string, []byte) { t.Error("an event came of it") })
	if !errors.Is(err, errStreamBroken) {
		t.Errorf("error %v", err)
	}
}

func TestOwnSockets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := l.Addr().(*net.TCPAddr).AddrPort()
	if !new(socketBook).listens(at) {
		t.Errorf("this process is not known to listen at %s", at)
	}
	any, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer any.Close()
	if at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), any.Addr().(*net.TCPAddr).AddrPort().Port()); !new(socketBook).listens(at) {
		t.Errorf("a socket for all addresses is not known to listen at %s", at)
	}
	if at := netip.MustParseAddrPort("192.0.2.1:" + fmt.Sprint(any.Addr().(*net.TCPAddr).Port)); new(socketBook).listens(at) {
		t.Errorf("%s is not of this machine", at)
	}
	book := new(socketBook)
	book.told([]netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:2019")})
	if !book.listens(netip.MustParseAddrPort("192.0.2.1:2019")) {
		t.Error("the parent's socket is not known")
	}
}

// Nothing is left of sources when a pool ends.
func TestSourcesEndWithTheirPool(t *testing.T) {
	a := &announcing{kind: typeEvents, push: make(chan string)}
	first := newAnnouncing(t, a)
	p := newProxy(t, upstreams(first.addr()), listens(set("update_uris_allow", []string{"10.0.0.0/8:*"}))).start()
	eventually(t, "the stream began", func() bool { return a.asks.Load() == 1 })
	entry := p.policy.claim.entry
	p.end()
	if entry.members.work.Wait(); slices.Contains(pools.list(), entry) {
		t.Error("the pool is still there")
	}
}
