// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// dynamic sets the source of upstreams.
func dynamic(config map[string]any) option { return with("dynamic_upstreams", config) }

// multi is `dynamic multi`.
func multi(sources ...map[string]any) option {
	return dynamic(map[string]any{"source": "multi", "sources": sources})
}

// TestDynamicMulti: the lists of several sources are one pool, and a source that
// fails leaves the others; a source is told when one of its backends failed.
func TestDynamicMulti(t *testing.T) {
	good := newBackendServer(t, "good", nil)
	fails := func(*http.Request) ([]string, error) { return nil, errors.New("no answer") }
	t.Run("lists add up", func(t *testing.T) {
		_, one := source(t, fixed(deadAddress(t), deadAddress(t)))
		_, two := source(t, fixed(good.addr()))
		p := newProxy(t, multi(one, two))
		if a := p.do("POST", "body"); a.status != 200 || a.body != "body" {
			t.Errorf("got %+v", a)
		}
	})
	t.Run("told of a failure", func(t *testing.T) {
		lost := newRawBackend(t, rawRequest.swallow)
		list, one := source(t, fixed(lost.addr(), good.addr()))
		p := newProxy(t, dynamic(one)).learn(lost.addr(), good.addr())
		if a := p.do("PUT", "body"); a.status != 200 || a.body != "body" {
			t.Errorf("got %+v", a)
		}
		if lost.seen.Load() != 1 || list.resets != 1 {
			t.Errorf("the first was asked %d times, and its source was told %d times", lost.seen.Load(), list.resets)
		}
	})
	t.Run("one fails", func(t *testing.T) {
		_, one := source(t, fails)
		_, two := source(t, fixed(good.addr()))
		if a := newProxy(t, multi(one, two)).do("GET", ""); a.status != 200 {
			t.Errorf("got %+v", a)
		}
	})
	t.Run("the configured ones stand in", func(t *testing.T) {
		_, one := source(t, fails)
		withAndWithout(t, func(t *testing.T, policy option) {
			if a := newProxy(t, policy, dynamic(one), upstreams(good.addr())).do("GET", ""); a.status != 200 {
				t.Errorf("got %+v", a)
			}
		})
	})
	t.Run("no list", func(t *testing.T) {
		_, one := source(t, fixed())
		withAndWithout(t, func(t *testing.T, policy option) {
			p := newProxy(t, policy, dynamic(one))
			if p.policy != nil {
				p = newProxy(t, policy, dynamic(one), set("timeout", "50ms"))
			}
			if a := p.do("GET", ""); a.status != 503 {
				t.Errorf("got %+v", a)
			}
		})
	})
	t.Run("list that changes", func(t *testing.T) {
		old, next := newBackendServer(t, "old", nil), newBackendServer(t, "next", nil)
		list := []string{old.addr()}
		_, one := source(t, func(*http.Request) ([]string, error) { return list, nil })
		p := newProxy(t, dynamic(one))
		for _, want := range []string{"old", "next", "old"} {
			if a := p.do("GET", ""); a.header.Get("X-Backend") != want {
				t.Errorf("got %+v, want %s", a, want)
			}
			if list = []string{next.addr()}; want == "next" {
				list = []string{old.addr()}
			}
		}
	})
}

// TestDynamicAddresses: `dynamic a` finds the addresses of a name.
func TestDynamicAddresses(t *testing.T) {
	b := newBackendServer(t, "b", nil)
	_, port, _ := net.SplitHostPort(b.addr())
	server := newRecordServer(t, map[string][]dnsmessage.ResourceBody{
		"backends.test.": {&dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}},
	})
	a := map[string]any{"source": "a", "name": "backends.test", "port": port, "versions": map[string]any{"ipv4": true}, "resolver": map[string]any{"addresses": []string{server}}}
	withAndWithout(t, func(t *testing.T, policy option) {
		if a := newProxy(t, policy, dynamic(a)).do("POST", "body"); a.status != 200 || a.body != "body" {
			t.Errorf("got %+v", a)
		}
	})
}

// TestDynamicServices: `dynamic srv` finds names and ports, the names with a dot
// at their end.
func TestDynamicServices(t *testing.T) {
	b := newBackendServer(t, "b", nil)
	target := dnsmessage.MustNewName("backend.test.")
	name := fmt.Sprintf("of%d.test", portOf(t, b.addr())) // Caddy keeps what it found by name
	server := newRecordServer(t, map[string][]dnsmessage.ResourceBody{
		"_http._tcp." + name + ".": {
			&dnsmessage.SRVResource{Priority: 1, Port: portOf(t, deadAddress(t)), Target: target},
			&dnsmessage.SRVResource{Priority: 2, Port: portOf(t, b.addr()), Target: target},
		},
		"backend.test.": {&dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}},
	})
	resolver := map[string]any{"addresses": []string{server}}
	p := newProxy(t, dynamic(map[string]any{
		"source": "srv", "service": "http", "proto": "tcp", "name": name, "resolver": resolver,
	}), with("transport", map[string]any{"protocol": "http", "resolver": resolver}))
	for range 3 {
		if a := p.do("POST", "body"); a.status != 200 || a.body != "body" {
			t.Errorf("got %+v", a)
		}
	}
	if n := len(p.policy.claim.entry.pool.Status().Upstreams); n != 2 {
		t.Errorf("the pool has %d addresses, want both", n)
	}
}

func portOf(t *testing.T, address string) uint16 {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return uint16(a.Port)
}

// newRecordServer answers questions with its records.
func newRecordServer(t *testing.T, records map[string][]dnsmessage.ResourceBody) string {
	t.Helper()
	return serveRecords(t, func(q dnsmessage.Question) ([]dnsmessage.ResourceBody, dnsmessage.RCode) {
		return records[q.Name.String()], dnsmessage.RCodeSuccess
	})
}

// serveRecords answers questions about names with what it is told to.
func serveRecords(t *testing.T, of func(dnsmessage.Question) ([]dnsmessage.ResourceBody, dnsmessage.RCode)) string {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = pc.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m.Response, m.Authoritative, m.Additionals = true, true, nil
			var records []dnsmessage.ResourceBody
			records, m.RCode = of(q)
			for _, body := range records {
				_, isA := body.(*dnsmessage.AResource)
				if isA == (q.Type == dnsmessage.TypeA) && (isA || q.Type == dnsmessage.TypeSRV) {
					m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}, Body: body})
				}
			}
			if out, err := m.Pack(); err == nil {
				_, _ = pc.WriteTo(out, from)
			}
		}
	}()
	return "udp/" + pc.LocalAddr().String()
}
