// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"maps"
	"net/http"
	"net/url"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
)

// net/http dials on a goroutine of its own, and may do so when the handler has gone
// on to write variables. So a dial gets copies of the few by which reverse_proxy
// tells its dialer something, and nothing else of the map.

// serverNameVar is one of ours: the name that the TLS handshake asks for, where it
// depends on the request.
const serverNameVar = "caddy_broker.server_name"

// tryKey is the context key by which a dial finds its attempt.
type tryKey struct{}

// tryOf is the attempt that the context belongs to; nil for none.
func tryOf(ctx context.Context) *try {
	t, _ := ctx.Value(tryKey{}).(*try)
	return t
}

// Value finds the attempt itself, and then what its request's context has.
func (t *try) Value(key any) any {
	if key == (tryKey{}) {
		return t
	}
	return t.Context.Value(key)
}

// noteVars keeps for dials what the request says before it is sent.
func (t *try) noteVars(req *http.Request) {
	rt := t.transport()
	if name := rt.serverName(req); name != "" {
		t.noteVar(serverNameVar, name)
	}
	for _, name := range rt.dialVars {
		if v := caddyhttp.GetVar(t.Context, name); v != nil {
			t.noteVar(name, v)
		}
	}
}

// noteVar keeps a variable for dials that begin later.
func (t *try) noteVar(name string, value any) {
	vars := maps.Clone(t.dialVars())
	if vars == nil {
		vars = make(map[string]any, 1)
	}
	vars[name] = value
	t.vars.Store(&vars)
}

// dialVars is what dials may read of the request's variables. It is not written.
func (t *try) dialVars() map[string]any {
	if vars := t.vars.Load(); vars != nil {
		return *vars
	}
	return nil
}

// hookProxy keeps for dials which proxy carries the request: net/http asks for it
// before it dials.
func (t *transport) hookProxy() {
	proxy := t.http.Proxy
	if proxy == nil {
		return
	}
	t.http.Proxy = func(req *http.Request) (*url.URL, error) {
		u, err := proxy(req)
		if u != nil && err == nil {
			if tr := tryOf(req.Context()); tr != nil {
				tr.noteVar(assumed.ForwardProxyVar, u)
			}
		}
		return u, err
	}
}
