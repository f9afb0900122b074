// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
)

// net/http dials on a goroutine of its own, and may do so when the handler has gone
// on to write variables. So a dial gets copies of the few by which reverse_proxy
// tells its dialer something, and nothing else of the map.

// serverNameVar is one of ours: the name that the TLS handshake asks for, where it
// depends on the request.
const serverNameVar = "caddy_broker.server_name"

// Errand is an attempt of a request as its dials see it. It is the context of the
// attempt's round trip, so that they find it.
type Errand struct {
	context.Context //nolint:containedctx // it is one

	// Attempt is the attempt for the pool; of it dials ask only when it is abandoned.
	Attempt *failover.Attempt
	// Backend is where the request goes.
	Backend *Backend
	// ConnectBy is when it has to have a connection; zero for no such time.
	ConnectBy time.Time
	// Fresh says that only a new connection will do.
	Fresh bool
	// Run is the request, which may be at another attempt by now.
	Run interface{ Latest() *Errand }

	dialed atomic.Bool
	vars   atomic.Pointer[map[string]any] // what dials may read of the request's variables; nil for nothing
}

// errandKey is the context key by which a dial finds its attempt.
type errandKey struct{}

// errandOf is the attempt that the context belongs to; nil for none.
func errandOf(ctx context.Context) *Errand {
	e, _ := ctx.Value(errandKey{}).(*Errand)
	return e
}

// Value finds the attempt itself, and then what its request's context has.
func (e *Errand) Value(key any) any {
	if key == (errandKey{}) {
		return e
	}
	return e.Context.Value(key)
}

// Dialed reports whether a new connection was asked for since the attempt began.
func (e *Errand) Dialed() bool { return e.dialed.Load() }

// Begin prepares an errand for the round trip of a request, and keeps for dials what
// the request says before it is sent.
func (w *Way) Begin(e *Errand, req *http.Request) {
	e.Context = req.Context()
	e.dialed.Store(false) // what came before is of the attempt before
	if name := w.serverName(req); name != "" {
		e.note(serverNameVar, name)
	}
	for _, name := range w.dialVars {
		if v := caddyhttp.GetVar(e.Context, name); v != nil {
			e.note(name, v)
		}
	}
}

// note keeps a variable for dials that begin later.
func (e *Errand) note(name string, value any) {
	vars := maps.Clone(e.dialVars())
	if vars == nil {
		vars = make(map[string]any, 1)
	}
	vars[name] = value
	e.vars.Store(&vars)
}

// dialVars is what dials may read of the request's variables. It is not written.
func (e *Errand) dialVars() map[string]any {
	if vars := e.vars.Load(); vars != nil {
		return *vars
	}
	return nil
}

// serverName is the name that TLS asks for, where it depends on the request.
func (w *Way) serverName(r *http.Request) string {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok || !w.nameless {
		return ""
	}
	return repl.ReplaceAll(w.tlsName, "")
}

// hookProxy keeps for dials which proxy carries the request: net/http asks for it
// before it dials.
func (w *Way) hookProxy() {
	proxy := w.http.Proxy
	if proxy == nil {
		return
	}
	w.http.Proxy = func(req *http.Request) (*url.URL, error) {
		u, err := proxy(req)
		if u != nil && err == nil {
			if e := errandOf(req.Context()); e != nil {
				e.note(assumed.ForwardProxyVar, u)
			}
		}
		return u, err
	}
}
