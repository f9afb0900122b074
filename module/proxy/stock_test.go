// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
)

// The tests of the files stock_*_test.go are about what users of a stock
// reverse_proxy rely on: it has to hold with the policy in place.

// withAndWithout runs a test with a stock policy and with ours: the first run
// shows that the test asks for what Caddy really does.
func withAndWithout(t *testing.T, test func(t *testing.T, policy option)) {
	t.Helper()
	t.Run("stock", func(t *testing.T) {
		test(t, lb("selection_policy", map[string]any{"policy": "first"}))
	})
	t.Run("failover", func(t *testing.T) {
		test(t, func(map[string]any) {})
	})
}

// nothingLeft waits until no request is in progress for the pool.
func (p *proxy) nothingLeft() {
	p.t.Helper()
	if p.policy == nil {
		return
	}
	testwait.Until(p.t, "no request is in progress", func() bool {
		for _, u := range p.policy.claim.entry.pool.Status().Upstreams {
			if u.Requests != 0 {
				return false
			}
		}
		return p.policy.claim.entry.budget.used.Load() == 0
	})
}

// fakeLists are what the test's sources of upstreams return, by name.
var fakeLists = make(map[string]*fakeList)

// fakeList is what one of them returns, and how often its cache was dropped.
type fakeList struct {
	of     func(r *http.Request) ([]string, error)
	resets int
}

func init() { caddy.RegisterModule(new(fakeSource)) }

// fakeSource is a module that finds upstreams, as `dynamic srv` does.
type fakeSource struct {
	Name string `json:"name"`
}

// CaddyModule returns the Caddy module information.
func (*fakeSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.upstreams.test_list",
		New: func() caddy.Module { return new(fakeSource) },
	}
}

// GetUpstreams returns new values each time, as such modules must.
func (s *fakeSource) GetUpstreams(r *http.Request) ([]*reverseproxy.Upstream, error) {
	list := fakeLists[s.Name]
	if list == nil {
		return nil, fmt.Errorf("no list %q", s.Name)
	}
	addresses, err := list.of(r)
	var ups []*reverseproxy.Upstream
	for _, a := range addresses {
		ups = append(ups, &reverseproxy.Upstream{Dial: a})
	}
	return ups, err
}

// ResetCache counts.
func (s *fakeSource) ResetCache(*http.Request) error {
	fakeLists[s.Name].resets++
	return nil
}

// source makes a source of the test, and its configuration.
func source(t *testing.T, of func(r *http.Request) ([]string, error)) (*fakeList, map[string]any) {
	t.Helper()
	list := &fakeList{of: of}
	fakeLists[t.Name()+fmt.Sprint(len(fakeLists))] = list
	for name, l := range fakeLists {
		if l == list {
			t.Cleanup(func() { delete(fakeLists, name) })
			return list, map[string]any{"source": "test_list", "name": name}
		}
	}
	return nil, nil
}

// fixed is a source that always returns the same.
func fixed(addresses ...string) func(*http.Request) ([]string, error) {
	return func(*http.Request) ([]string, error) { return addresses, nil }
}

// learn makes the pool know the addresses of a dynamic list, one after another:
// each gets requests from its first answered ping on, and who has a backend stays.
func (p *proxy) learn(addresses ...string) *proxy {
	p.t.Helper()
	if p.policy == nil || !p.policy.dynamic {
		return p
	}
	var list reverseproxy.UpstreamPool
	p.policy.activate()
	for i, a := range addresses {
		list = append(list, &reverseproxy.Upstream{Dial: a})
		p.policy.dynamics.list(list)
		testwait.Until(p.t, "it has answered a ping", func() bool { return len(p.policy.claim.entry.pool.Members()) == i+1 })
	}
	return p
}

// behind puts front, another handler of Caddy, before the proxy.
func (p *proxy) behind(front caddyhttp.MiddlewareHandler) *proxy {
	p.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, &caddyhttp.Server{})
		err := front.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
			return p.handler.ServeHTTP(w, r, nil)
		}))
		if err != nil {
			p.answerError(w, err)
		}
	})
	return p
}

// Interface guards
var (
	_ reverseproxy.UpstreamSource        = (*fakeSource)(nil)
	_ reverseproxy.CachingUpstreamSource = (*fakeSource)(nil)
)
