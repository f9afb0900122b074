// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
)

// pathLists is a dynamic source with a list for each path.
type pathLists struct{ lists map[string][]string }

// GetUpstreams returns new values each time, as such sources must.
func (s pathLists) GetUpstreams(r *http.Request) ([]*reverseproxy.Upstream, error) {
	var list []*reverseproxy.Upstream
	for _, a := range s.lists[r.URL.Path] {
		list = append(list, &reverseproxy.Upstream{Dial: a})
	}
	return list, nil
}

// TestDynamicUpstreams under the policy: their addresses join the pool, and a
// request goes to those of its own list only.
func TestDynamicUpstreams(t *testing.T) {
	one, two := newBackendServer(t, "one", nil), newBackendServer(t, "two", nil)
	p := newProxy(t, with("dynamic_upstreams", map[string]any{"source": "multi"}))
	lists := map[string][]string{"/one": {one.addr()}, "/two": {deadAddress(t), two.addr()}}
	p.handler.DynamicUpstreams = pathLists{lists}
	for range 3 {
		for path, want := range map[string]string{"/one": "one", "/two": "two"} {
			res, err := p.Client().Get(p.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if got := res.Header.Get("X-Backend"); res.StatusCode != 200 || got != want {
				t.Errorf("%s: got %d from %q, want %s", path, res.StatusCode, got, want)
			}
		}
	}
}

// TestDynamicGoesWithItsSource: after a reload without the source, what it named
// gets nothing, although the pool is the same.
func TestDynamicGoesWithItsSource(t *testing.T) {
	one, two := newBackendServer(t, "one", nil), newBackendServer(t, "two", nil)
	_, s := source(t, fixed(one.addr()))
	named := set("pool", t.Name())
	before := newProxy(t, named, upstreams(two.addr()), dynamic(s)).learn(two.addr(), one.addr())
	beside := before.beside(named, upstreams(two.addr()), dynamic(s)).start()
	after := newProxy(t, named, upstreams(two.addr()))
	after.start()
	if before.pool() != after.pool() {
		t.Fatal("the pools differ")
	}
	// The handler of the first configuration may still have requests, whose list
	// has nothing that is a member now.
	if a := before.do("GET", ""); a.header.Get("X-Backend") != "two" {
		t.Errorf("got %+v from the earlier configuration, want the configured backend", a)
	}
	if n := len(after.members()); n != 1 {
		t.Errorf("%d members, want the configured one: %v", n, after.members())
	}
	after.end()
	for _, p := range []*proxy{before, beside} {
		if a := p.do("GET", ""); a.header.Get("X-Backend") != "one" {
			t.Errorf("got %+v after the return to the first configuration", a)
		}
	}
}

// TestDynamicRequestOutlivesItsSource: a request that waits for an address of its
// list is not left waiting when a reload takes that from the pool.
func TestDynamicRequestOutlivesItsSource(t *testing.T) {
	two := newBackendServer(t, "two", nil)
	_, s := source(t, fixed(deadAddress(t)))
	named := set("pool", t.Name())
	before := newProxy(t, named, upstreams(two.addr()), dynamic(s)).start()
	answer := make(chan clientAnswer)
	go func() { answer <- before.do("GET", "") }()
	testwait.Until(t, "the request waits", func() bool { return before.pool().Status().Waiting == 1 })
	newProxy(t, named, upstreams(two.addr())).start()
	if a := <-answer; a.header.Get("X-Backend") != "two" {
		t.Errorf("got %+v, want the configured backend", a)
	}
}

// TestDynamicWithoutAListedMember: a request none of whose addresses may be a
// member is refused, not left waiting.
func TestDynamicWithoutAListedMember(t *testing.T) {
	one, two := newBackendServer(t, "one", nil), newBackendServer(t, "two", nil)
	_, s := source(t, fixed(one.addr()))
	p := newProxy(t, upstreams(two.addr()), dynamic(s)).learn(two.addr(), one.addr())
	u, _ := address.ParseDial(one.addr())
	u.Scheme = address.SchemeHTTP
	if _, err := p.pool().RemoveURIs([]address.URI{u}); err != nil {
		t.Fatal(err)
	}
	if a := p.do("GET", ""); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("got %+v", a)
	}
	if n := one.count.Load() + two.count.Load(); n != 0 {
		t.Errorf("%d requests reached a backend", n)
	}
}

// TestDynamicInOneOfTwoHandlers: handlers that share a pool by its name go on, also
// over a reload, whichever of them is asked first.
func TestDynamicInOneOfTwoHandlers(t *testing.T) {
	one, two := newBackendServer(t, "one", nil), newBackendServer(t, "two", nil)
	_, s := source(t, fixed(one.addr()))
	named, static := set("pool", t.Name()), upstreams(two.addr())
	var listed, plain *proxy
	check := func(when string) {
		t.Helper()
		if a := plain.do("GET", ""); a.header.Get("X-Backend") != "two" {
			t.Errorf("%s: got %+v without a source", when, a)
		}
		if a := listed.do("GET", ""); a.header.Get("X-Backend") != "one" {
			t.Errorf("%s: got %+v with a source", when, a)
		}
	}
	plain = newProxy(t, named, static)
	listed = plain.beside(named, static, dynamic(s)).learn(two.addr(), one.addr())
	check("at first")
	before, older := listed, plain
	plain = newProxy(t, named, static)
	listed = plain.beside(named, static, dynamic(s))
	check("after a reload")
	plain, listed = older, before
	check("from the earlier configuration")
}
