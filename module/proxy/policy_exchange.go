// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
	"github.com/caddy-broker/caddy-broker/module/reach"
)

// exchange is one run of a reverse_proxy handler for one client request, over
// all its attempts. It is made when the policy is first asked for a backend, and
// found again by the transport through the request's variables.
//
// It belongs to the goroutine of the handler, except where noted.
type exchange struct {
	policy *Failover
	// run identifies the handler run: Caddy passes the same pointer for each
	// attempt of one run, and another one for another.
	run   *http.Request
	w     http.ResponseWriter
	req   failover.Request
	place indoubt.Place // hears how far the request has got; may be told by any goroutine

	try   atomic.Pointer[try] // the present attempt; nil before the first
	first try                 // room for the first, so that most requests need no other

	body    *requestBody // nil without one, and where Caddy holds it itself
	promise proof

	rehearsal  rehearsal
	read       bool             // there is no body, or Caddy has read it
	keepsFor2  bool             // the body is kept for the case that the backend speaks HTTP/2
	repeats    int              // how often it went on to another attempt
	sent       *reach.Backend   // the last one it may have been written to
	lost       *reach.Backend   // the last one that may have executed it without an answer
	replayed   bool             // it was sent again after a byte had been written
	hand       atHand           // a response that lb_retry_match may reject, or has rejected
	last       *attemptError    // how the last attempt failed that did
	reattached []*reach.Backend // each gets one more attempt on a new connection
	final      error            // what every further attempt is answered
	cookie     string           // Set-Cookie that was added for a response
	response   responseBody
	forget     func() bool // no watching over the end of the run any more; nil before
}

// exchange finds the exchange of a request that goes through the policy's
// handler; nil for requests that do not, such as health checks.
func (f *Failover) exchange(ctx context.Context) *exchange {
	vars, ok := ctx.Value(caddyhttp.VarsCtxKey).(map[string]any)
	if !ok {
		return nil
	}
	ex, _ := vars[f.varKey].(*exchange)
	return ex
}

// begin makes the exchange of a new run.
func (f *Failover) begin(r *http.Request, w http.ResponseWriter) *exchange {
	ex := &exchange{policy: f, run: r, w: w}
	ex.req.Safe = isSafe(r.Method)
	f.key(r, &ex.req)
	ex.req.Client = clientOf(r)
	if f.tryDuration > 0 {
		ex.req.Deadline = time.Now().Add(f.tryDuration)
	}
	ex.req.Checker = &f.listed
	ex.req.Present = f.waiting
	if r.ProtoMajor == 1 && r.Body != nil {
		ex.req.Present = func() bool { return f.serving() && ex.clientPresent() }
	}
	if w != nil && len(w.Header()[proxystatus.Header]) > 0 {
		// An error of ours led here, to another attempt to answer the client.
		w.Header().Del(proxystatus.Header)
		w.Header().Del(proxystatus.RetryAfterHeader)
	}
	caddyhttp.SetVar(r.Context(), f.varKey, ex)
	ex.place = placeOf(r)
	ex.place.Carried(f.claim.entry.name)
	if f.looped(r) {
		ex.refuseLoop()
	}
	return ex
}

// placeOf is where the account of a request is kept.
func placeOf(r *http.Request) indoubt.Place {
	if place, ok := caddyhttp.GetVar(r.Context(), indoubt.PlaceVar).(indoubt.Place); ok {
		return place
	}
	return indoubt.Nowhere
}

// owes reports whether, after a round trip, something is left to give back that
// only the handler would: a place for the response, or a kept body. Most responses
// end with their connection, which net/http closes when the request's context
// ends. It does not where the response is not what the connection carries (HTTP/2,
// an upgrade, no body at all), or where Caddy has taken the context's end away.
func (ex *exchange) owes(req *http.Request) bool {
	if ex.body != nil && ex.body.owes() {
		return true
	}
	return ex.response.owes(req.Context().Done() == ex.run.Context().Done())
}

// watch makes the exchange end with its request, whatever the handler does with
// the response: a route that handles it may panic, as one that aborts does, or
// leave its body open. Until the server's handler has ended, or the client has
// left, nothing of the exchange but its place and its kept body is touched.
func (ex *exchange) watch() {
	if ex.forget != nil {
		return
	}
	ex.forget = context.AfterFunc(ex.run.Context(), func() {
		ex.response.leave()
		if ex.body != nil {
			ex.body.detach()
			ex.body.release()
		}
	})
}

// clientPresent reports whether the client is still there, where the request's
// context does not.
func (ex *exchange) clientPresent() bool {
	r := ex.run
	if r.ProtoMajor != 1 || r.Body == nil || ex.body != nil && !ex.body.unread() {
		return true
	}
	return clientPresent(r)
}

// unread reports whether the client may still be sending the request's body.
func (ex *exchange) unread() bool {
	r := ex.run
	switch {
	case ex.body != nil:
		return ex.body.unread()
	case r.Body == nil, r.Body == http.NoBody, ex.try.Load() != nil: // Caddy may hold it, or nothing was read
		return false
	case r.ProtoMajor == 3 && r.ContentLength < 0 && ex.req.Safe:
		return false // HTTP/3 does not say whether a body will follow
	}
	return true
}

// connected notes that the attempt has its connection, and nothing was written yet.
func (ex *exchange) connected(t *try) {
	ex.policy.way.Note(t.Backend, false)
	t.Attempt.Connected()
	if ex.body != nil && t.upload == nil {
		t.upload = new(failover.Upload)
		t.upload.Begin(t.Backend.Member.Flow())
	}
}

// finish ends the attempt for the pool.
func (t *try) finish(o report.Outcome, err error) {
	if t.upload != nil {
		t.upload.End()
	}
	t.Attempt.End(o, err)
}

// release gives back what was kept for another attempt.
func (ex *exchange) release() {
	if ex.body != nil {
		ex.body.release()
	}
}

// hook makes the exchange see how far its attempts get. Caddy makes a trace for
// every attempt of its own; to join that costs less than to add another one,
// which would need a copy of the request.
func (ex *exchange) hook(req *http.Request) {
	way := ex.policy.way
	if !way.Owned() {
		return
	}
	trace := httptrace.ContextClientTrace(req.Context())
	if trace == nil {
		trace = new(httptrace.ClientTrace)
		*req = *req.WithContext(httptrace.WithClientTrace(req.Context(), trace))
	}
	if next := trace.GotConn; next == nil {
		trace.GotConn = ex.gotConn
	} else {
		trace.GotConn = func(info httptrace.GotConnInfo) { next(info); ex.gotConn(info) }
	}
	next := trace.Got1xxResponse
	trace.Got1xxResponse = func(code int, h textproto.MIMEHeader) error {
		if code != http.StatusSwitchingProtocols {
			ex.try.Load().mark(markInterim)
		}
		if next == nil {
			return nil
		}
		return next(code, h)
	}
	if way.Layered() {
		trace.GotFirstResponseByte = func() { ex.try.Load().mark(markFirstByte) }
		if !ex.req.Safe {
			trace.WroteHeaderField = func(string, []string) { // before the header is sent
				if ex.try.Load().has(markHTTP2) {
					ex.place.Written()
				}
			}
		}
		trace.WroteHeaders = func() {
			// It may be late, on another goroutine: the attempt may be the next one by now.
			if t := ex.try.Load(); t.has(markHTTP2) {
				t.mark(markHeader)
				if ex.req.Safe { // of others it was said before, and may have been taken back by now
					ex.place.Written()
				}
			}
		}
	}
}

// Latest is the present attempt, for dials.
func (ex *exchange) Latest() *reach.Errand { return &ex.try.Load().Errand }

func (ex *exchange) gotConn(info httptrace.GotConnInfo) { ex.try.Load().gotConn(info) }
