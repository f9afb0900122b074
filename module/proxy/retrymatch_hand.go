// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"io"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
	"github.com/caddy-broker/caddy-broker/module/reach"
)

// atHand is a response that lb_retry_match may reject, or has rejected. One that is
// rejected stays open until another backend has answered: where none does, it is the
// answer, as it came.
//
// Invariants: the other fields belong together, and are zero with handEmpty; nothing
// is sent any more with handGiven.
type atHand struct {
	state handState
	res   *http.Response
	try   *try           // that it answers
	body  io.ReadCloser  // of res, before Caddy closes it; from handRejected on
	lost  *reach.Backend // what may have executed the request before; from handRejected on
}

// handState is what is the matter with the response at hand.
type handState uint8

const (
	handEmpty    handState = iota
	handOffered            // the last backend's, which may yet be rejected
	handRejected           // and is, as long as another backend can be found
	handGiven              // it is the answer after all
)

// leftOpen is the body of a response while Caddy closes it.
type leftOpen struct{ io.ReadCloser }

// Close does nothing.
func (leftOpen) Close() error { return nil }

// rejecting reports whether there is an answer already, and a better one is wanted.
func (ex *exchange) rejecting() bool { return ex.hand.state >= handRejected }

// putAside chooses another backend instead of taking the response that is offered,
// and keeps that. It reports whether there is one. An interval between attempts is
// waited for before, since the next one has its time from the choice on.
func (ex *exchange) putAside() bool {
	f, h := ex.policy, &ex.hand
	if f.tryInterval > 0 {
		ex.pause(f.tryInterval)
	}
	h.state, h.body, h.lost = handRejected, h.res.Body, ex.lost
	if err := ex.next(); err != nil {
		ex.qualify(h.res, ex.lost)
		ex.hand = atHand{} // it is the answer, whatever lb_retry_match says
		return false
	}
	ex.repeats++
	ex.replayed = true
	ex.sent, ex.lost = ex.lost, nil // the backend has answered
	h.res.Body = leftOpen{h.body}
	if c := f.logger.Check(zap.DebugLevel, "sending request again"); c != nil {
		c.Write(zap.String("upstream", h.try.Backend.Member.Name), zap.String("proof", string(proofOperator)), zap.Int("status", h.res.StatusCode))
	}
	if ex.body != nil && !ex.body.sent() {
		ex.drop() // the next attempt ends its upload, and the response may end with that
	}
	return true
}

// handOut reports whether the request is answered with the response at hand instead
// of an error. It is not where an attempt after it is in doubt, which the client
// has to hear.
func (ex *exchange) handOut() bool {
	if !ex.rejecting() || ex.lost != nil && !ex.req.Safe {
		return false
	}
	ex.hand.state = handGiven
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
	ex.hand = atHand{}
	ex.try.Store(h.try)
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
	if ex.rejecting() {
		_ = ex.hand.body.Close()
		ex.hand = atHand{}
	}
}
