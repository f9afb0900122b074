// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/proxytest"
)

// tested is the way of a handler to the backends of a pool that nothing else uses.
type tested struct {
	*Way
	pool    *failover.Pool
	members []*failover.Member
}

// setup is what a test says of its handler, in the words of its JSON; the rest is as by default.
type setup struct {
	transport map[string]any
	handler   map[string]any
	options   func(o *address.Options)
}

// newTested makes a way that ends with the test.
func newTested(t *testing.T, s setup, addresses ...string) tested {
	t.Helper()
	base, err := caddy.ProvisionContext(&caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(base)
	t.Cleanup(cancel)
	if s.transport == nil {
		s.transport = make(map[string]any)
	}
	rt, err := ctx.LoadModuleByID("http.reverse_proxy.transport.http", marshal(t, s.transport))
	if err != nil {
		t.Fatal(err)
	}
	return newTestedThrough(t, ctx, rt.(http.RoundTripper), s, addresses...)
}

func newTestedThrough(t *testing.T, ctx caddy.Context, rt http.RoundTripper, s setup, addresses ...string) tested {
	t.Helper()
	cfg := Config{
		Handler: new(reverseproxy.Handler), Options: new(address.Options), Logger: zap.NewNop(),
		Check:   func(address.URI, netip.Addr, string) error { return nil },
		Refused: func(error) {},
	}
	if err := json.Unmarshal(marshal(t, s.handler), cfg.Handler); err != nil {
		t.Fatal(err)
	}
	*cfg.Options = address.DefaultOptions()
	if s.options != nil {
		s.options(cfg.Options)
	}
	w := New(rt)
	var uris []string
	for _, a := range addresses {
		cfg.Handler.Upstreams = append(cfg.Handler.Upstreams, &reverseproxy.Upstream{Dial: a})
		uris = append(uris, w.Scheme()+"://"+a)
	}
	if err := w.Provision(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	pool := proxytest.NewPool(t, uris...)
	return tested{w, pool, pool.Members()}
}

func marshal(t *testing.T, v any) json.RawMessage {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// newServer answers everything by itself, pings too.
func newServer(t *testing.T, serve http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(serve)
	s.Config.DisableGeneralOptionsHandler = true
	t.Cleanup(s.Close)
	return s
}

// lastErrand is a request whose present attempt is e.
type lastErrand struct{ e *Errand }

func (l lastErrand) Latest() *Errand { return l.e }

// answering is a carrier whose members answer every ping.
type answering struct{}

func (answering) Ping(context.Context, *failover.Member) report.PingResult {
	return report.PingResult{}
}
func (answering) Release(*failover.Member) {}
func (answering) Warm([]*failover.Member)  {}

// newAttempt is an attempt at an address, of a pool of its own.
func newAttempt(t *testing.T, at string) *failover.Attempt {
	t.Helper()
	u, err := address.ParseURI(at)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := failover.New(failover.Config{Name: at, URIs: []address.URI{u}, Options: address.DefaultOptions(), Carrier: answering{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	pool.Start()
	a, err := pool.Next(t.Context(), new(failover.Request))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.End(report.DialAborted, nil) })
	return a
}

// send sends a request to a member, and reads its answer.
func (w tested) send(t *testing.T, m *failover.Member) {
	t.Helper()
	b := w.Backend(m)
	e := &Errand{Attempt: newAttempt(t, m.Name), Backend: b}
	e.Run = lastErrand{e}
	req := httptest.NewRequest(http.MethodGet, "http://"+m.URI.Dial()+"/", nil)
	req.RequestURI, req.URL.Scheme = "", "" // the transport knows it
	req = caddyRequest(req, dialInfoOf(b.Upstream, m.URI))
	w.Begin(e, req)
	res, err := w.transport.RoundTrip(req.WithContext(e))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("the answer is %d", res.StatusCode)
	}
}
