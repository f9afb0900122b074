// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy/fastcgi"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"

	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/module/internal/proxytest"
)

// Shorter names for what other packages use, too.
var (
	deadAddress = proxytest.DeadAddress
	revive      = proxytest.Revive
)

// proxy is a reverse_proxy with the failover policy behind a real server.
type proxy struct {
	*httptest.Server
	t       testing.TB
	handler *reverseproxy.Handler
	policy  *Failover
	ctx     caddy.Context
	cancel  context.CancelCauseFunc
	giveUp  context.CancelFunc // ends all requests that are in progress
	asked   atomic.Int64       // how often Caddy asked the policy
	errors  atomic.Int64       // errors that the handler returned
	place   indoubt.Place      // of every request, if there is one
}

// option is a part of a handler's configuration.
type option func(handler map[string]any)

// set sets keys of the policy.
func set(key string, value any) option {
	return func(h map[string]any) {
		h["load_balancing"].(map[string]any)["selection_policy"].(map[string]any)[key] = value
	}
}

// lb sets a key of load_balancing.
func lb(key string, value any) option {
	return func(h map[string]any) { h["load_balancing"].(map[string]any)[key] = value }
}

// with sets a key of the handler.
func with(key string, value any) option {
	return func(h map[string]any) { h[key] = value }
}

func upstreams(addresses ...string) option {
	var list []any
	for _, a := range addresses {
		list = append(list, map[string]any{"dial": a})
	}
	return with("upstreams", list)
}

// handlerConfig is a reverse_proxy with an ordered failover pool. Backends are not
// asked for addresses, so that they see the requests of the test alone.
func handlerConfig(options ...option) json.RawMessage {
	h := map[string]any{
		"load_balancing": map[string]any{
			"selection_policy": map[string]any{
				"policy": "failover", "randomize": false,
				"update_uris_supported": false, "reconnect_supported": false,
			},
		},
	}
	for _, o := range options {
		o(h)
	}
	raw, err := json.Marshal(h)
	if err != nil {
		panic(err)
	}
	return raw
}

var loading sync.Mutex

// load provisions a handler as Caddy does.
func load(tb testing.TB, raw json.RawMessage) (*reverseproxy.Handler, caddy.Context, context.CancelCauseFunc, error) {
	tb.Helper()
	loading.Lock() // Caddy loads one configuration at a time
	defer loading.Unlock()
	cfg := &caddy.Config{
		Admin:      &caddy.AdminConfig{Disabled: true},
		StorageRaw: json.RawMessage(fmt.Sprintf(`{"module": "file_system", "root": %q}`, tb.TempDir())),
		Logging:    &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: proxytest.LogLevel()}}}},
	}
	base, err := caddy.ProvisionContext(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := caddy.NewContextWithCause(base)
	mod, err := ctx.LoadModuleByID("http.handlers.reverse_proxy", raw)
	if err != nil {
		cancel(nil)
		return nil, ctx, nil, err
	}
	return mod.(*reverseproxy.Handler), ctx, cancel, nil
}

// newProxy starts a proxy that ends with the test.
func newProxy(tb testing.TB, options ...option) *proxy {
	tb.Helper()
	h, ctx, cancel, err := load(tb, handlerConfig(options...))
	if err != nil {
		tb.Fatal(err)
	}
	return serveProxy(tb, h, ctx, cancel)
}

// beside starts another proxy of the same configuration.
func (p *proxy) beside(options ...option) *proxy {
	p.t.Helper()
	loading.Lock()
	mod, err := p.ctx.LoadModuleByID("http.handlers.reverse_proxy", handlerConfig(options...))
	loading.Unlock()
	if err != nil {
		p.t.Fatal(err)
	}
	return serveProxy(p.t, mod.(*reverseproxy.Handler), p.ctx, func(error) {})
}

func serveProxy(tb testing.TB, h *reverseproxy.Handler, ctx caddy.Context, cancel context.CancelCauseFunc) *proxy {
	p := &proxy{t: tb, handler: h, ctx: ctx, cancel: cancel}
	if f, ok := h.LoadBalancing.SelectionPolicy.(*Failover); ok {
		p.policy = f
		h.LoadBalancing.SelectionPolicy = counting{f, &p.asked}
	}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	requests, giveUp := context.WithCancel(context.Background())
	p.giveUp = giveUp
	p.Config.BaseContext = func(net.Listener) context.Context { return requests }
	p.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, clientConnKey{}, c)
	}
	p.Start()
	tb.Cleanup(p.end)
	return p
}

// quiet keeps the pool from pinging, so that only requests find out.
func (p *proxy) quiet() *proxy {
	pools.mu.Lock()
	defer pools.mu.Unlock()
	p.policy.claim.entry.started = true
	return p
}

func (p *proxy) end() {
	p.giveUp() // closing connections is not enough: clients send a GET again on a new one
	p.Client().CloseIdleConnections()
	p.CloseClientConnections()
	p.Close()
	p.cancel(nil)
}

// counting counts how often the policy is asked.
type counting struct {
	*Failover
	n *atomic.Int64
}

func (c counting) Select(pool reverseproxy.UpstreamPool, r *http.Request, w http.ResponseWriter) *reverseproxy.Upstream {
	c.n.Add(1)
	return c.Failover.Select(pool, r, w)
}

func (p *proxy) serve(w http.ResponseWriter, r *http.Request) {
	repl := caddy.NewReplacer()
	r = caddyhttp.PrepareRequest(r, repl, w, &caddyhttp.Server{})
	if p.place != nil {
		caddyhttp.SetVar(r.Context(), indoubt.PlaceVar, p.place)
	}
	err := p.handler.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil }))
	if err == nil {
		return
	}
	p.answerError(w, err)
}

// answerError answers as Caddy's server does where nothing handles errors.
func (p *proxy) answerError(w http.ResponseWriter, err error) {
	p.errors.Add(1)
	status := http.StatusInternalServerError
	if he, ok := err.(caddyhttp.HandlerError); ok {
		status = he.StatusCode
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, err.Error())
}

// answer is what the client got.
type clientAnswer struct {
	status int
	header http.Header
	body   string
}

// do sends a request and reads the whole answer.
func (p *proxy) do(method, body string, header ...string) clientAnswer {
	p.t.Helper()
	var rd io.Reader
	if body != "" {
		rd = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, p.URL+"/path", rd)
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := p.Client().Do(req)
	if err != nil {
		p.t.Fatalf("%s: %v", method, err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return clientAnswer{res.StatusCode, res.Header, string(b)}
}

// backendServer counts what it executed, by method.
type backendServer struct {
	*httptest.Server
	name  string
	count atomic.Int64
}

// newBackendServer answers pings by itself and counts everything else.
func newBackendServer(tb testing.TB, name string, serve http.HandlerFunc) *backendServer {
	tb.Helper()
	b := &backendServer{name: name}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions && r.RequestURI == "*" {
			return
		}
		b.count.Add(1)
		w.Header().Set("X-Backend", name)
		if serve != nil {
			serve(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body) // net/http does not echo while it reads
		_, _ = w.Write(body)
	}))
	tb.Cleanup(b.Close)
	return b
}

func (b *backendServer) addr() string { return b.Listener.Addr().String() }

// prepared is a request as Caddy's server hands it to handlers.
func prepared(r *http.Request, remote string) *http.Request {
	r.RemoteAddr = remote
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, &caddyhttp.Server{})
}
