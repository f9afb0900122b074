// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"maps"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
)

// RoundTrip sends the request to the backend that the policy chose. An error for
// which Caddy shall ask the policy once more is a DialError; every other one is
// the answer, and never one.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ex := t.policy.exchange(req.Context())
	if ex == nil {
		return t.RoundTripper.RoundTrip(req)
	}
	if ex.final != nil {
		return nil, ex.final
	}
	if ex.hand.state == handGiven {
		return ex.give(), nil
	}
	if ex.rehearsal == rehearsalOn {
		ex.rehearsal = rehearsalOver
		return nil, reverseproxy.NewDialError(errRehearsed)
	}
	if ex.try.Load() == &ex.first {
		ex.takeBody(req)
	}
	returned := false
	defer func() {
		if !returned {
			ex.unwind()
		} else if ex.owes(req) {
			ex.watch()
		}
	}()
	ex.hook(req)
	t.policy.markLoop(ex, req)
	for {
		began := time.Now()
		res, err := t.attempt(ex, req)
		if err == nil {
			t.policy.claim.entry.counters.answered(time.Since(began))
			res = ex.answered(res)
			returned = true
			return res, nil
		}
		next := ex.failed(req, err)
		if next == againHere {
			continue
		}
		returned = true
		if next == another || ex.hand.state == handGiven {
			return nil, reverseproxy.NewDialError(ex.last.err)
		}
		return nil, ex.final
	}
}

// unwind ends what a panic below has left open.
func (ex *exchange) unwind() {
	t := ex.try.Load()
	t.finish(report.Neutral, nil)
	ex.drop()
	ex.response.leave()
	t.Attempt.Done()
	if ex.body != nil {
		ex.body.detach()
		ex.body.release()
	}
}

// takeBody puts itself between the client's body and the attempts.
func (ex *exchange) takeBody(req *http.Request) {
	f := ex.policy
	ex.promise = promise(req, f.options.TrackMessages)
	if !carriesBody(req) || assumed.Buffered(req.Body) {
		ex.read = true
		return
	}
	keep := ex.promise != noProof || f.retries.any()
	// Without any of these, HTTP/2 alone can say that a request may be sent again
	// after something of it was written.
	ex.keepsFor2 = !keep && f.way.MaySpeakHTTP2()
	ex.body = newRequestBody(req.Body, req.ContentLength, keep || ex.keepsFor2, ex.req.Client, &f.claim.entry.budget)
	ex.body.open = ex.keepsFor2 && req.ContentLength < 0
}

func carriesBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }

// held reports whether Caddy holds the body itself, and has a new one for each
// attempt that it makes.
func (ex *exchange) held(req *http.Request) bool { return ex.body == nil && carriesBody(req) }

// attempt sends the request once.
func (t *transport) attempt(ex *exchange, req *http.Request) (*http.Response, error) {
	tr := ex.try.Load()
	tr.marks.Store(0) // what came before is of the attempt before
	way := t.policy.way
	if !way.Owned() {
		return t.blindly(ex, tr, req)
	}
	way.Begin(&tr.Errand, req)
	switch {
	case way.Cancels():
		var ctx context.Context
		ctx, tr.cancel = context.WithCancelCause(&tr.Errand)
		req = req.WithContext(ctx)
	case tr == &ex.first:
		// The request is Caddy's copy for this attempt, and nothing has seen it yet:
		// to give it the context in place costs no memory.
		*req = *req.WithContext(&tr.Errand)
	default:
		req = req.WithContext(&tr.Errand)
	}
	if ex.body != nil {
		req.Body, req.GetBody = ex.body.attempt(tr), tr.body
	}
	tr.request = req
	res, err := t.RoundTripper.RoundTrip(req)
	tr.settle()
	if err != nil && tr.cancel != nil {
		if cause := context.Cause(req.Context()); cause != nil {
			err = cause
		}
		tr.cancel(nil)
	}
	return res, err
}

// ownVars gives an attempt a copy of the request's variables. A transport whose
// connections are not ours may still read them when the handler has gone on to
// write them.
func ownVars(ctx context.Context) context.Context {
	vars, ok := ctx.Value(caddyhttp.VarsCtxKey).(map[string]any)
	if !ok {
		return ctx
	}
	return context.WithValue(ctx, caddyhttp.VarsCtxKey, maps.Clone(vars))
}

// resumable reports whether the body can be sent from its beginning.
func (ex *exchange) resumable() bool { return ex.body == nil || ex.body.replayable() }

// answered ends the attempt with a response.
func (ex *exchange) answered(res *http.Response) *http.Response {
	f, tr := ex.policy, ex.try.Load()
	ex.drop() // a better answer is there
	if f.retries.responses {
		ex.sent = tr.Backend // lb_retry_match may still reject the response
		tr.Attempt.Written()
		ex.hand = atHand{state: handOffered, res: res, try: tr}
	} else {
		ex.release()
	}
	tr.Attempt.Status = res.StatusCode
	tr.finish(report.Answered, nil)
	if f.cookie != nil {
		f.cookie.announce(ex)
	}
	if tr.conn.HTTP1() {
		tr.conn.Hear(res.Header)
	}
	ex.settled(true)
	ex.closeUnread()
	ex.response.wrap(tr, res)
	return res
}
