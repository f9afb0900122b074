// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"io"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
	"github.com/caddy-broker/caddy-broker/module/reach"
)

// atHand is a response that lb_retry_match rejected. It stays open until another
// backend has answered: where none does, it is the answer, as it came.
//
// Invariants: res, body, try and attempt belong together, and res is nil for none;
// given is true only with a response, and nothing is sent any more then.
type atHand struct {
	offer   *http.Response // what the last backend answered, which may yet be rejected
	res     *http.Response
	body    io.ReadCloser // of res, before Caddy closes it
	try     *try
	attempt *failover.Attempt
	lost    *reach.Backend // what may have executed the request before
	given   bool
}

// leftOpen is the body of a response while Caddy closes it.
type leftOpen struct{ io.ReadCloser }

// Close does nothing.
func (leftOpen) Close() error { return nil }

// rejecting reports whether there is an answer already, and a better one is wanted.
func (ex *exchange) rejecting() bool {
	t := ex.try.Load()
	return ex.hand.res != nil || t != nil && t.rejected
}

// putAside chooses another backend instead of taking the response that is offered,
// and keeps that. It reports whether there is one. An interval between attempts is
// waited for before, since the next one has its time from the choice on.
func (ex *exchange) putAside() bool {
	f, t, a := ex.policy, ex.try.Load(), ex.attempt
	if f.tryInterval > 0 {
		ex.pause(f.tryInterval)
	}
	t.rejected = true
	if err := ex.next(); err != nil {
		t.rejected, t.kept = false, true
		ex.qualify(ex.hand.offer, ex.lost)
		return false
	}
	ex.repeats++
	ex.replayed = true
	res := ex.hand.offer
	ex.hand = atHand{res: res, body: res.Body, try: t, attempt: a, lost: ex.lost}
	ex.sent, ex.lost = ex.lost, nil // the backend has answered
	res.Body = leftOpen{res.Body}
	if ex.body != nil && !ex.body.sent() {
		ex.drop() // the next attempt ends its upload, and the response may end with that
	}
	if c := f.logger.Check(zap.DebugLevel, "sending request again"); c != nil {
		c.Write(zap.String("upstream", a.Member().Name), zap.String("proof", string(proofOperator)), zap.Int("status", res.StatusCode))
	}
	return true
}

// handOut reports whether the request is answered with the response at hand instead
// of an error. It is not where an attempt after it is in doubt, which the client
// has to hear.
func (ex *exchange) handOut() bool {
	if ex.hand.res == nil || ex.lost != nil && !ex.req.Safe {
		return false
	}
	ex.hand.given = true
	return true
}

// upstream is what Caddy takes the response at hand from: its placeholders name
// the backend, and its counters saw the response before.
func (h *atHand) upstream() *reverseproxy.Upstream {
	return &reverseproxy.Upstream{Dial: h.try.Backend.Upstream.Dial, Host: new(reverseproxy.Host)}
}

// give returns the response at hand as the answer.
func (ex *exchange) give() *http.Response {
	h := ex.hand
	ex.hand = atHand{offer: h.res}
	h.try.rejected, h.try.kept = false, true
	ex.try.Store(h.try)
	ex.attempt = h.attempt
	if c := ex.policy.cookie; c != nil {
		c.announce(ex)
	}
	ex.qualify(h.res, h.lost)
	ex.release()
	h.res.Body = h.body
	return h.res
}

// qualify makes a response say that another backend, lost before it, may have
// executed the request: the client is not to repeat it.
func (ex *exchange) qualify(res *http.Response, lost *reach.Backend) {
	if lost == nil || ex.req.Safe {
		return
	}
	f := ex.policy
	f.claim.entry.doubt(ex, lost, ex.last.kind, ex.last.err)
	proxystatus.Announce(res.Header, proxystatus.Received(f.proxyName, res.StatusCode, proxystatus.InDoubt), "")
}

// drop closes the response at hand: it is not wanted any more.
func (ex *exchange) drop() {
	if ex.hand.res == nil {
		return
	}
	_ = ex.hand.body.Close()
	ex.hand = atHand{}
}
