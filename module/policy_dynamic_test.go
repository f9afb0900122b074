// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
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
	after := newProxy(t, named, upstreams(two.addr()))
	after.start()
	if before.pool() != after.pool() {
		t.Fatal("the pools differ")
	}
	if n := len(after.members()); n != 1 {
		t.Errorf("%d members, want the configured one: %v", n, after.members())
	}
	after.end()
	if a := before.do("GET", ""); a.header.Get("X-Backend") != "one" {
		t.Errorf("got %+v after the return to the first configuration", a)
	}
}
