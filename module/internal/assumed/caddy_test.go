// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package assumed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
)

// fakePolicy is a selection policy that notes what Caddy does with it.
type fakePolicy struct {
	owner     caddy.Module
	before    http.RoundTripper // the transport that it found
	dynamic   bool              // dynamic upstreams were there
	transport *fakeTransport
	asked     []*http.Request
}

func init() {
	caddy.RegisterModule(new(fakePolicy))
	caddy.RegisterModule(new(fakeSource))
}

func (*fakePolicy) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.reverse_proxy.selection_policies.assumed", New: func() caddy.Module { return new(fakePolicy) }}
}

// last is the policy that was provisioned last.
var last *fakePolicy

func (f *fakePolicy) Provision(ctx caddy.Context) error {
	last, f.owner = f, Owner(ctx)
	h, ok := f.owner.(*reverseproxy.Handler)
	if !ok {
		return nil
	}
	f.before, f.dynamic = h.Transport, h.DynamicUpstreams != nil
	f.transport = &fakeTransport{RoundTripper: h.Transport}
	h.Transport = f.transport
	h.LoadBalancing.Retries, h.LoadBalancing.RetryMatch = EndlessRetries, caddyhttp.MatcherSets{{never{}}}
	return nil
}

// never matches no request.
type never struct{}

func (never) MatchWithError(*http.Request) (bool, error) { return false, nil }

func (f *fakePolicy) Select(pool reverseproxy.UpstreamPool, r *http.Request, _ http.ResponseWriter) *reverseproxy.Upstream {
	f.asked = append(f.asked, r)
	return pool[0]
}

// fakeTransport is what the policy puts before the handler's transport.
type fakeTransport struct {
	http.RoundTripper
	errs   []error // of the attempts, in order; then it goes on to what it wraps
	got    []*http.Request
	bodies []io.ReadCloser
}

func (t *fakeTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.got, t.bodies = append(t.got, r), append(t.bodies, r.Body)
	if n := len(t.got); n <= len(t.errs) {
		return nil, t.errs[n-1]
	}
	if t.RoundTripper == nil {
		return nil, errors.New("no more attempts")
	}
	return t.RoundTripper.RoundTrip(r)
}

// fakeSource is a source of dynamic upstreams.
type fakeSource struct{}

func (*fakeSource) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.reverse_proxy.upstreams.assumed", New: func() caddy.Module { return new(fakeSource) }}
}

func (*fakeSource) GetUpstreams(*http.Request) ([]*reverseproxy.Upstream, error) {
	return []*reverseproxy.Upstream{{Dial: "127.0.0.1:1"}}, nil
}

var loading sync.Mutex

// newContext is what a module is loaded with.
func newContext(t *testing.T) caddy.Context {
	t.Helper()
	return newLoggingContext(t, caddy.BaseLog{Level: "PANIC"})
}

// newLoggingContext is a context with this log.
func newLoggingContext(t *testing.T, log caddy.BaseLog) caddy.Context {
	t.Helper()
	loading.Lock() // Caddy loads one configuration at a time
	defer loading.Unlock()
	base, err := caddy.ProvisionContext(&caddy.Config{
		Admin:      &caddy.AdminConfig{Disabled: true},
		StorageRaw: json.RawMessage(fmt.Sprintf(`{"module": "file_system", "root": %q}`, t.TempDir())),
		Logging:    &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: log}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(base)
	t.Cleanup(cancel)
	return ctx
}

// newHandler is a reverse_proxy to addr with the fake policy.
func newHandler(t *testing.T, addr, more string) (*reverseproxy.Handler, *fakePolicy) {
	t.Helper()
	mod, err := newContext(t).LoadModuleByID("http.handlers.reverse_proxy", json.RawMessage(fmt.Sprintf(
		`{"upstreams": [{"dial": %q}], "load_balancing": {"selection_policy": {"policy": "assumed"}}%s}`, addr, more)))
	if err != nil {
		t.Fatal(err)
	}
	h := mod.(*reverseproxy.Handler)
	return h, h.LoadBalancing.SelectionPolicy.(*fakePolicy)
}

// run lets h answer a request, as Caddy's server does.
func run(h *reverseproxy.Handler, method string, body io.Reader) (*httptest.ResponseRecorder, error) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, "http://localhost/", body)
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, &caddyhttp.Server{})
	return w, h.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil }))
}

func TestTheOwnerOfAPolicyIsTheModuleBefore(t *testing.T) {
	h, f := newHandler(t, "127.0.0.1:1", "")
	if f.owner != caddy.Module(h) {
		t.Errorf("the owner is %T, want the handler", f.owner)
	}
	outer, err := newContext(t).LoadModuleByID("http.reverse_proxy.selection_policies.header",
		json.RawMessage(`{"field": "X", "fallback": {"policy": "assumed"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if last.owner != outer {
		t.Errorf("the owner of a fallback is %T, want the policy that has it", last.owner)
	}
	alone, err := newContext(t).LoadModuleByID("http.reverse_proxy.selection_policies.assumed", nil)
	if err != nil {
		t.Fatal(err)
	}
	if f := alone.(*fakePolicy); f.owner != nil {
		t.Errorf("the owner of a module without one is %T", f.owner)
	}
}

func TestThePolicyComesBetween(t *testing.T) {
	h, f := newHandler(t, "127.0.0.1:1", `, "transport": {"protocol": "http"}, "dynamic_upstreams": {"source": "assumed"}`)
	if _, ok := f.before.(*reverseproxy.HTTPTransport); !ok {
		t.Errorf("the policy found transport %T, want Caddy's", f.before)
	}
	if f.dynamic || h.DynamicUpstreams == nil {
		t.Errorf("dynamic upstreams were loaded before the policy, or not at all")
	}
	if h.Transport != http.RoundTripper(f.transport) || h.LoadBalancing.Retries != EndlessRetries {
		t.Errorf("the handler does not keep what its policy set: %T, %d", h.Transport, h.LoadBalancing.Retries)
	}
}

func TestOnlyADialErrorIsAskedAgain(t *testing.T) {
	const again = 100
	dial := reverseproxy.NewDialError(errors.New("refused"))
	for _, tc := range []struct {
		name   string
		method string
		errs   []error
		want   int
	}{
		{"many dial errors", http.MethodPost, append(repeat(dial, again), errors.New("other")), again + 1},
		{"a wrapped one", http.MethodPost, []error{fmt.Errorf("proxy: %w", dial), caddyhttp.Error(502, errors.New("last"))}, 2},
		{"an error with a status", http.MethodPost, []error{caddyhttp.Error(502, errors.New("last")), dial}, 1},
		{"an error of a GET", http.MethodGet, []error{errors.New("last"), dial}, 1},
		{"the client has left", http.MethodPost, []error{context.Canceled, dial}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, f := newHandler(t, "127.0.0.1:1", "")
			f.transport.errs = tc.errs
			_, _ = run(h, tc.method, nil)
			if len(f.asked) != tc.want || len(f.transport.got) != tc.want {
				t.Errorf("asked %d times, sent %d times, want %d", len(f.asked), len(f.transport.got), tc.want)
			}
		})
	}
}

func repeat(err error, n int) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

func TestARunHasOneRequest(t *testing.T) {
	h, f := newHandler(t, "127.0.0.1:1", "")
	f.transport.errs = append(repeat(reverseproxy.NewDialError(errors.New("refused")), 2), caddyhttp.Error(502, errors.New("last")),
		caddyhttp.Error(502, errors.New("last")))
	_, _ = run(h, http.MethodGet, nil)
	_, _ = run(h, http.MethodGet, nil)
	if len(f.asked) != 4 {
		t.Fatalf("asked %d times, want 4", len(f.asked))
	}
	if f.asked[0] != f.asked[1] || f.asked[1] != f.asked[2] || f.asked[2] == f.asked[3] {
		t.Errorf("requests %p %p %p, then %p: want one for each run", f.asked[0], f.asked[1], f.asked[2], f.asked[3])
	}
}

func TestAnAttemptHasItsOwnRequest(t *testing.T) {
	h, f := newHandler(t, "127.0.0.1:1", "")
	f.transport.errs = append(repeat(reverseproxy.NewDialError(errors.New("refused")), 1), caddyhttp.Error(502, errors.New("last")))
	_, _ = run(h, http.MethodGet, nil)
	if len(f.transport.got) != 2 {
		t.Fatalf("%d attempts, want 2", len(f.transport.got))
	}
	one, two := f.transport.got[0], f.transport.got[1]
	if one == two || one == f.asked[0] {
		t.Error("an attempt does not have a request of its own")
	}
	trace := httptrace.ContextClientTrace(one.Context())
	if trace == nil || trace == httptrace.ContextClientTrace(two.Context()) {
		t.Error("an attempt does not have a client trace of its own")
	}
}

func TestABufferedBodyHasAKnownType(t *testing.T) {
	for _, tc := range []struct {
		name, more string
		buffered   bool
	}{
		{"buffered completely", `, "request_buffers": 4096`, true},
		{"buffered in part", `, "request_buffers": 8`, false},
		{"not buffered", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, f := newHandler(t, "127.0.0.1:1", tc.more)
			f.transport.errs = append(repeat(reverseproxy.NewDialError(errors.New("refused")), 1), caddyhttp.Error(502, errors.New("last")))
			_, _ = run(h, http.MethodPost, io.MultiReader(strings.NewReader("a body of some "), strings.NewReader("length")))
			if len(f.transport.bodies) != 2 {
				t.Fatalf("%d attempts, want 2", len(f.transport.bodies))
			}
			for i, body := range f.transport.bodies {
				if Buffered(body) != tc.buffered {
					t.Errorf("attempt %d: body %T is buffered: %t, want %t", i+1, body, Buffered(body), tc.buffered)
				}
			}
			if same := f.transport.bodies[0] == f.transport.bodies[1]; same == tc.buffered {
				t.Errorf("the attempts have the same body: %t", same)
			}
		})
	}
}

// slowBody waits in Read until it is closed, as a client's does.
type slowBody struct{ closed, reading chan struct{} }

func (b slowBody) Read([]byte) (int, error) {
	close(b.reading)
	<-b.closed
	return 0, io.ErrClosedPipe
}

func (b slowBody) Close() error { close(b.closed); return nil }

func TestTheClientsBodyCanBeClosed(t *testing.T) {
	h, f := newHandler(t, "127.0.0.1:1", "")
	f.transport.errs = []error{caddyhttp.Error(502, errors.New("last"))}
	body := slowBody{make(chan struct{}), make(chan struct{})}
	_, _ = run(h, http.MethodPost, body)
	if len(f.transport.bodies) != 1 {
		t.Fatal("no attempt was made")
	}
	wrapper := f.transport.bodies[0]
	inner := Closer(wrapper)
	if inner == io.Closer(wrapper) {
		t.Fatalf("%T has no embedded ReadCloser any more", wrapper)
	}
	read := make(chan error, 1)
	go func() {
		_, err := wrapper.Read(make([]byte, 1))
		read <- err
	}()
	<-body.reading
	// Nothing was read, so that the wrapper itself would close nothing.
	if err := inner.Close(); err != nil {
		t.Error(err)
	}
	if err := <-read; !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the read ended with %v", err)
	}
	if plain := io.NopCloser(nil); Closer(plain) == nil {
		t.Error("a body without a wrapper is closed by nobody")
	}
}

func TestTheTransportDialsForThreeSeconds(t *testing.T) {
	_, f := newHandler(t, "127.0.0.1:1", `, "transport": {"protocol": "http"}`)
	if got := time.Duration(f.before.(*reverseproxy.HTTPTransport).DialTimeout); got != DialTimeout {
		t.Errorf("the transport dials for %s unless told otherwise, want %s", got, DialTimeout)
	}
	if got := f.before.(*reverseproxy.HTTPTransport).KeepAlive.MaxIdleConnsPerHost; got != IdleConns {
		t.Errorf("the transport keeps %d idle connections unless told otherwise, want %d", got, IdleConns)
	}
}

func TestADialKnowsItsRequest(t *testing.T) {
	_, f := newHandler(t, "127.0.0.1:1", `, "transport": {"protocol": "http"}`)
	tr := f.before.(*reverseproxy.HTTPTransport).Transport
	type found struct {
		vars map[string]any
		info reverseproxy.DialInfo
	}
	dialed := make(chan found, 1)
	tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		vars, _ := ctx.Value(caddyhttp.VarsCtxKey).(map[string]any)
		info, _ := reverseproxy.GetDialInfo(ctx)
		dialed <- found{vars, info}
		return nil, reverseproxy.NewDialError(errors.New("refused"))
	}
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:1/", nil)
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, &caddyhttp.Server{})
	r.RequestURI = ""
	caddyhttp.SetVar(r.Context(), "mine", true)
	ctx := context.WithValue(r.Context(), DialInfoKey, reverseproxy.DialInfo{Address: "127.0.0.1:2"})
	if res, err := tr.RoundTrip(r.WithContext(ctx)); err == nil {
		_ = res.Body.Close()
		t.Error("the dial did not fail")
	}
	got := <-dialed
	if got.vars["mine"] != true {
		t.Errorf("the dial does not see the variables of its request: %v", got.vars)
	}
	if got.info.Address != "127.0.0.1:2" {
		t.Errorf("the dial does not see what to dial: %+v", got.info)
	}
}

// TestVariablesOfReverseProxy lets Caddy set and read them.
func TestVariablesOfReverseProxy(t *testing.T) {
	t.Run("HTTP/1 only", func(t *testing.T) {
		h, f := newHandler(t, "127.0.0.1:1", "")
		f.transport.errs = []error{caddyhttp.Error(502, errors.New("last"))}
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "http://localhost/", nil)
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "websocket")
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, &caddyhttp.Server{})
		_ = h.ServeHTTP(w, r, nil)
		if caddyhttp.GetVar(r.Context(), HTTP1OnlyVar) != true {
			t.Errorf("%s is not set for a WebSocket", HTTP1OnlyVar)
		}
	})
	t.Run("forward proxy", func(t *testing.T) {
		_, f := newHandler(t, "127.0.0.1:1", `, "transport": {"protocol": "http", "network_proxy": {"from": "url", "url": "http://127.0.0.1:1"}}`)
		r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:2/", nil)
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, &caddyhttp.Server{})
		r.RequestURI = ""
		if res, err := f.before.RoundTrip(r); err == nil {
			_ = res.Body.Close()
		}
		if caddyhttp.GetVar(r.Context(), ForwardProxyVar) == nil {
			t.Errorf("%s is not set although a forward proxy is configured", ForwardProxyVar)
		}
	})
}

func TestValidatingIsTheFirstArgument(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want bool
	}{
		{[]string{"caddy", "validate", "--config", "F"}, true},
		{[]string{"caddy", "adapt", "--validate"}, true},
		{[]string{"caddy", "run"}, false},
		{[]string{"caddy", "broker", "run", "validate"}, false},
		{[]string{"caddy"}, false},
	} {
		if got := Validating(tc.args); got != tc.want {
			t.Errorf("Validating(%q) = %t", tc.args, got)
		}
	}
	commands := caddycmd.Commands()
	for _, name := range []string{"validate", "adapt"} {
		if _, ok := commands[name]; !ok {
			t.Errorf("Caddy has no command %q any more", name)
		}
	}
}

func TestUntilExitingEndsWithEither(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over, cause := make(chan struct{}), errors.New("exiting")
		ctx, cancel := untilExiting(t.Context(), cause, func() bool {
			select {
			case <-over:
				return true
			default:
				return false
			}
		})
		defer cancel()
		time.Sleep(10 * exitingPoll)
		if ctx.Err() != nil {
			t.Fatal("ended before Caddy exits")
		}
		close(over)
		time.Sleep(exitingPoll)
		synctest.Wait()
		if !errors.Is(context.Cause(ctx), cause) {
			t.Errorf("ended with %v", context.Cause(ctx))
		}
	})
}
