// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/caddy-broker/caddy-broker/module/cluster"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/module/internal/socket"
	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
)

func TestForbiddenAnnouncements(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	var touched atomic.Int64
	secret := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { touched.Add(1) }))
	defer secret.Close()
	secretAddr := secret.Listener.Addr().String()
	_, port, _ := net.SplitHostPort(secretAddr)
	a := (&announcing{kind: parlance.TypeURIs}).list("http://"+secretAddr, "http://localhost:"+port, "http://169.254.169.254:80",
		"http://[::1]:"+port, "http://0.0.0.0:"+port, "http://[::ffff:127.0.0.2]:"+port, "unix//run/secret.sock")
	first := newAnnouncing(t, a)
	p := newProxy(t, upstreams(first.addr()), listens(set("update_uris_allow", []string{"*:*", "0.0.0.0/0:*", "[::/0]:*"}))).start()
	testwait.Until(t, "the list was looked at", func() bool { return p.refused()["special_address"] >= 7 })
	if n := len(p.members()); n != 1 {
		t.Errorf("%d members, want the configured one", n)
	}
	if touched.Load() != 0 {
		t.Error("it was dialled")
	}
}

func TestNameThatLeadsElsewhere(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
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
	a := (&announcing{kind: parlance.TypeURIs}).list("http://app.test:" + port)
	first := newAnnouncing(t, a)
	resolver := with("transport", map[string]any{"protocol": "http", "resolver": map[string]any{"addresses": []string{"udp/" + dns.addr}}})
	p := newProxy(t, upstreams(first.addr()), resolver, listens(set("update_uris_allow", []string{"*.test:*"}))).start()
	testwait.Until(t, "the name was refused at the dial", func() bool { return p.refused()["special_address"] > 0 })
	p.awaitMember("app.test:"+port, "down")
	testwait.Until(t, "status says where it leads", func() bool {
		return strings.Contains(p.members()["app.test:"+port].LastError, "127.0.0.1")
	})
	if touched.Load() != 0 {
		t.Error("it was dialled")
	}
	if dns.asked.Load() == 0 {
		t.Error("the name was never looked up: the test shows nothing")
	}
	// The same name with the same address is dialled when the operator named it.
	p2 := newProxy(t, upstreams(first.addr()), resolver, set("pool", "second"),
		listens(set("update_uris_allow", []string{"*.test:*", "127.0.0.1:" + port}))).start()
	testwait.Until(t, "it was dialled", func() bool { return touched.Load() > 0 })
	_ = p2
}

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

// A balancer of the own network is not dialled either by a name that leads there.
func TestNameThatLeadsToTheOwnNetwork(t *testing.T) {
	peer := newBackendServer(t, "peer", nil)
	_, port, _ := net.SplitHostPort(peer.addr())
	first := newAnnouncing(t, (&announcing{kind: parlance.TypeURIs}).list("http://app.test:"+port, "http://PEER.test.:"+port))
	inNetwork(t, &parlance.NetworkState{Name: "edge1", All: []string{"https://" + peer.addr(), "http://peer.test:" + port}})
	p := newProxy(t, upstreams(first.addr()), withNameServer(t, "127.0.0.1"),
		listens(set("update_uris_allow", []string{"*.test:*", peer.addr()}))).start()
	testwait.Until(t, "both were refused", func() bool { p.look(); return p.refused()["own_network"] > 1 })
	p.awaitMember("app.test:"+port, "down")
	if n := len(p.members()); n != 2 {
		t.Errorf("%d members, want two: the name in the network's own list is known at once", n)
	}
	cluster.SetState(nil)
	p.awaitMember("app.test:"+port, "up")
}

// withNameServer makes the transport ask one that answers every question so.
func withNameServer(t *testing.T, answer string) option {
	dns := newNameServer(t, answer)
	return with("transport", map[string]any{"protocol": "http", "resolver": map[string]any{"addresses": []string{"udp/" + dns.addr}}})
}

// activeCheck is an active health check of /health.
func activeCheck(key string, value any) option {
	return with("health_checks", map[string]any{"active": map[string]any{"uri": "/health", "interval": "1h", key: value}})
}

// The health check of what was announced goes to the port, or to the target, that
// the operator gave for it.
func TestHealthCheckOfAnnounced(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	if testing.Short() {
		t.Skip("it waits for health checks")
	}
	for _, name := range []string{"name", "address"} {
		for _, key := range []string{"port", "upstream"} {
			t.Run(key+" for "+name, func(t *testing.T) {
				var wrong, checks atomic.Int64
				app := newBackendServer(t, "app", func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/health" {
						wrong.Add(1)
						w.WriteHeader(http.StatusNotFound)
					}
				})
				health := newBackendServer(t, "health", func(http.ResponseWriter, *http.Request) { checks.Add(1) })
				_, port, _ := net.SplitHostPort(app.addr())
				member := app.addr()
				if name == "name" {
					member = "app.test:" + port
				}
				var check option
				if key == "port" {
					check = activeCheck(key, health.Listener.Addr().(*net.TCPAddr).Port)
				} else {
					check = activeCheck(key, health.addr())
				}
				first := newAnnouncing(t, (&announcing{kind: parlance.TypeURIs}).list("http://"+member))
				p := newProxy(t, upstreams(first.addr()), withNameServer(t, "127.0.0.1"), check,
					listens(set("update_uris_allow", []string{"*.test:*", app.addr()}))).start()
				p.awaitMember(member, "up")
				if wrong.Load() != 0 || checks.Load() == 0 {
					t.Errorf("%d checks at the member itself, %d where they belong", wrong.Load(), checks.Load())
				}
			})
		}
	}
}

// health_port does not lead to a socket of this process or its parent. The
// address is of no machine, so nothing could come of a dial.
func TestHealthPortOfOwnSocket(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	health := newBackendServer(t, "health", nil)
	port := health.Listener.Addr().(*net.TCPAddr).Port
	socket.SetParent([]netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(port))})
	t.Cleanup(func() { socket.SetParent(nil) })
	first := newAnnouncing(t, (&announcing{kind: parlance.TypeURIs}).list("http://192.0.2.1:80"))
	p := newProxy(t, upstreams(first.addr()), activeCheck("port", port),
		listens(set("update_uris_allow", []string{"192.0.2.0/24:*"}))).start()
	testwait.Until(t, "the check was refused", func() bool { return p.refused()["own_socket"] > 0 })
	p.awaitMember("192.0.2.1:80", "down")
}
