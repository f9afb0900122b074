// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/quic-go/quic-go/http3"

	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
)

func init() {
	caddy.RegisterModule(Guard{})
}

// GuardName is the Guard's name as a handler.
const GuardName = "broker_guard"

// Guard is the first handler of every server in a supervised child, and the first
// of its error routes. It keeps account of the requests in progress, and makes clients
// come back on a new connection: those of a child that is on its way out, and those whose
// request's body was not read to its end.
// A child puts it there by itself; it is not for use in a configuration, and does
// nothing outside of a child.
type Guard struct {
	// Open says that the server has handlers that may execute a request and keep no account
	// of that: whether one that they had in progress was executed is not known.
	Open bool `json:"open,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (Guard) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers." + GuardName,
		New: func() caddy.Module { return new(Guard) },
	}
}

// Provision lets the server that the guard belongs to tell of its connections, and
// follows those of HTTP/2 from the first on.
func (Guard) Provision(ctx caddy.Context) error {
	rt := runtime.Load()
	if srv, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok && rt != nil {
		srv.RegisterConnState(rt.connState)
		var once sync.Once
		srv.RegisterConnContext(func(ctx context.Context, _ net.Conn) context.Context {
			if server, ok := ctx.Value(http.ServerContextKey).(*http.Server); ok {
				once.Do(func() { rt.followHTTP2(server) })
			}
			return ctx
		})
	}
	return nil
}

func (g Guard) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	rt := runtime.Load()
	if rt == nil {
		return next.ServeHTTP(w, r)
	}
	if r.ProtoMajor == 3 {
		if s, ok := r.Context().Value(http3.ServerContextKey).(*http3.Server); ok {
			rt.addHTTP3(s)
		}
	}

	if r.ProtoMajor > 1 {
		growStack() // for HTTP/3; one over HTTP/2 has it, unless it came in clear text
	}
	before := r.Context()
	ctx, cancel := context.WithCancelCause(before)
	defer cancel(nil)
	q := &inflight{cancel: cancel, http3: r.ProtoMajor == 3, client: r.RemoteAddr, ctx: remember(ctx)}
	rt.begin(q, r, g.Open)
	caddyhttp.SetVar(before, indoubt.PlaceVar, indoubt.Place(&q.entry))
	rt.requests.add(q)
	defer func() {
		rt.requests.remove(q)
		q.entry.End() // nobody else looks at it any more
		rt.answered.Add(1)
	}()
	if q.http3 && rt.closing.Load() && !rt.moving.Load() && r.Context().Value(caddyhttp.ErrorCtxKey) == nil {
		// It came on a connection that is about to be cut. Whoever cuts it knows of
		// every request that did not find this out.
		w.Header().Set("Retry-After", "1")
		return caddyhttp.Error(http.StatusServiceUnavailable, errStopping)
	}
	body := watchBody(r)
	gw := &guardWriter{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, rt: rt, q: q, body: body}
	// Placeholders, error routes and the access log are about this very request: what
	// handlers do to a copy, a body that was read among it, would be lost to them.
	*r = *r.WithContext(&q.ctx)
	// They go on with it after the guard, whose context has ended then.
	defer func() { *r = *r.WithContext(before) }()
	err := next.ServeHTTP(gw, r)
	if before.Value(caddyhttp.ErrorCtxKey) == nil { // else it is the page for an answer that was counted
		q.entry.Answered(gw.answer(err))
	}
	if !gw.wrote {
		// The server writes the header itself.
		gw.prepare()
	}
	body.settle(w)
	return err
}

// guardWriter sets Connection: close when the header is written, so that no
// handler can have removed it, and notices the requests that only receive.
type guardWriter struct {
	caddyhttp.ResponseWriterWrapper
	rt     *childRuntime
	q      *inflight
	body   *guardBody // nil for none
	wrote  bool
	status int // that was written
}

// answer is the status of the answer to a request whose handlers have ended with err.
func (w *guardWriter) answer(err error) int {
	if w.wrote || err == nil {
		return w.status
	}
	if failed, ok := errors.AsType[caddyhttp.HandlerError](err); ok && failed.StatusCode != 0 {
		return failed.StatusCode
	}
	return http.StatusInternalServerError
}

func (w *guardWriter) WriteHeader(status int) {
	if !w.wrote && status >= 200 {
		w.wrote, w.status = true, status
		w.prepare()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *guardWriter) prepare() {
	h := w.Header()
	if w.rt.closing.Load() && !w.q.http3 && !w.rt.awaitsQuiet(w.q.ctx.server) { // HTTP/3 forbids the field: clients would discard the answer
		// On HTTP/2 exactly this value makes the server send GOAWAY, in most cases before the answer.
		h["Connection"] = []string{"close"}
	}
	w.body.settle(w.ResponseWriter)
	if t := h["Content-Type"]; len(t) == 1 && strings.HasPrefix(t[0], "text/event-stream") {
		w.q.stream.Store(true)
	}
}

func (w *guardWriter) Write(b []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

// ReadFrom lets the kernel move the bytes where it can.
func (w *guardWriter) ReadFrom(r io.Reader) (int64, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriterWrapper.ReadFrom(r)
}

// Flush is for handlers that ask for an [http.Flusher], which servers' writers are.
func (w *guardWriter) Flush() { _ = w.FlushError() }

// FlushError flushes, for [http.ResponseController].
func (w *guardWriter) FlushError() error {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	//nolint:bodyclose // there is no body
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack gives the connection away; it is remembered, because only closing it
// can end an upgraded connection.
func (w *guardWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	//nolint:bodyclose // there is no body
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("taking over connection: %w", err)
	}
	w.q.hijacked.Store(&conn)
	return conn, rw, nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Guard)(nil)
	_ caddyhttp.MiddlewareHandler = (*Guard)(nil)
	_ http.Hijacker               = (*guardWriter)(nil)
	_ http.Flusher                = (*guardWriter)(nil)
)
