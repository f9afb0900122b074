// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
	"github.com/caddy-broker/caddy-broker/module/internal/fault"
)

// caddyRequest is a request as Caddy's reverse proxy sends it.
func caddyRequest(r *http.Request, to reverseproxy.DialInfo) *http.Request {
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, new(caddyhttp.Server))
	return r.WithContext(context.WithValue(r.Context(), assumed.DialInfoKey, to))
}

// TestADialThatComesLateIsNotMade: net/http begins to dial for an attempt when the
// request is at another backend already.
func TestADialThatComesLateIsNotMade(t *testing.T) {
	first, second, other := newServer(t, nil), newServer(t, nil), newServer(t, nil)
	for _, s := range []*httptest.Server{first, second, other} {
		s.Start()
	}
	w := newTested(t, setup{}, first.Listener.Addr().String(), second.Listener.Addr().String())
	w.Backend(w.members[0])
	now := &Errand{Attempt: newAttempt(t, w.members[1].Name), Backend: w.Backend(w.members[1])}
	ctx := &Errand{Context: t.Context(), Run: lastErrand{now}}
	if _, err := w.http.DialContext(ctx, "tcp", first.Listener.Addr().String()); !errors.Is(err, fault.ErrAbandoned) || now.Dialed() {
		t.Errorf("got %v, noted as a dial of the second attempt: %t", err, now.Dialed())
	}
	for what, to := range map[string]*httptest.Server{"its own": second, "a proxy's": other} {
		nc, err := w.http.DialContext(ctx, "tcp", to.Listener.Addr().String())
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		_ = nc.Close()
	}
	if !now.Dialed() {
		t.Error("the dials are not noted")
	}
}

// TestDialersHaveTheirOwnVariables: a dial that outlives its attempt does not read
// what later handlers write.
func TestDialersHaveTheirOwnVariables(t *testing.T) {
	w := newTested(t, setup{transport: map[string]any{"proxy_protocol": "v1"}})
	r := caddyRequest(httptest.NewRequest("GET", "http://x/", nil), reverseproxy.DialInfo{})
	caddyhttp.SetVar(r.Context(), assumed.ProxyProtocolVar, "here")
	caddyhttp.SetVar(r.Context(), "another", "here")
	e := new(Errand)
	w.Begin(e, r)
	dialing := newDialWatch(r.WithContext(e).Context())
	caddyhttp.SetVar(r.Context(), assumed.ProxyProtocolVar, "changed")
	if got := caddyhttp.GetVar(dialing, assumed.ProxyProtocolVar); got != "here" {
		t.Errorf("the dial does not see what was set before: %v", got)
	}
	if got := caddyhttp.GetVar(dialing, "another"); got != nil {
		t.Errorf("the dial shares the variables of the request: %v", got)
	}
	if errandOf(dialing) != e {
		t.Error("the dial does not find its attempt")
	}
}

// TestHandshakeThatIsAbandoned: the pool may give a dial up at any moment, and a
// hang verdict may end its connection at the same time.
func TestHandshakeThatIsAbandoned(t *testing.T) {
	for range 100 {
		c, _ := pipeConn(t, true)
		abandoned, giveUp := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			c.Backend.Release(fault.ErrHung)
		}()
		c.abandonOn(abandoned)
		<-ended
		giveUp()
		if err := c.Reason(nil); !errors.Is(err, fault.ErrHung) {
			t.Fatalf("the reason is %v", err)
		}
	}
}
