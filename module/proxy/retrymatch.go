// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"
)

// transportErrorVar is the placeholder that expressions of lb_retry_match know
// a failed attempt by.
const transportErrorVar = "http.reverse_proxy.is_transport_error"

// retryMatch is lb_retry_match: the operator's word that a request may be sent
// again when it, or the response to it, matches.
//
// Whether a failed attempt is repeated is decided by the transport, which asks
// the user's matchers itself and tells Caddy by the type of the error. To Caddy
// the matchers say no, so that it never repeats anything by itself. Responses
// are matched by Caddy, between a guard that refuses where the request could not
// be sent again and one that looks for another backend before the response is
// rejected.
type retryMatch struct {
	policy *Failover
	user   caddyhttp.MatcherSets
	// responses: a response may be rejected.
	responses bool
	// buffered: Caddy reads responses (response_buffers) before they are matched.
	buffered bool
}

// loadRetryMatch loads the user's matchers and leaves guarded ones to the handler.
func loadRetryMatch(ctx caddy.Context, f *Failover, lb *reverseproxy.LoadBalancing) (*retryMatch, error) {
	m := &retryMatch{policy: f}
	sets, err := ctx.LoadModule(lb, "RetryMatchRaw")
	if err != nil {
		return nil, fmt.Errorf("loading lb_retry_match: %w", err)
	}
	if err := m.user.FromInterface(sets); err != nil {
		return nil, fmt.Errorf("loading lb_retry_match: %w", err)
	}
	// Without any matcher Caddy repeats every GET.
	lb.RetryMatch = caddyhttp.MatcherSets{{never{}}}
	for _, set := range m.user {
		guarded := append(caddyhttp.MatcherSet{retryGuard{f}}, set...)
		lb.RetryMatch = append(lb.RetryMatch, append(guarded, retryElsewhere{f}))
		for _, matcher := range set {
			_, expression := matcher.(*caddyhttp.MatchExpression)
			m.responses = m.responses || expression
		}
	}
	m.buffered = m.responses && f.handler.ResponseBuffers != 0
	return m, nil
}

// any reports whether the user configured lb_retry_match at all.
func (m *retryMatch) any() bool { return len(m.user) > 0 }

// matches reports whether the operator allows to send a request again whose
// attempt failed.
func (m *retryMatch) matches(req *http.Request) bool {
	if !m.any() {
		return false
	}
	if repl, ok := req.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set(transportErrorVar, true)
		defer repl.Delete(transportErrorVar)
	}
	match, err := m.user.AnyMatchWithError(req)
	if err != nil {
		m.policy.logger.Error("matching request for retry", zap.Error(err))
		return false
	}
	return match
}

// never matches nothing.
type never struct{}

// MatchWithError returns false.
func (never) MatchWithError(*http.Request) (bool, error) { return false, nil }

// retryGuard stands before the user's matchers of one set. It says no to every
// failed attempt, about which has been decided, and to a response when the
// request could not be sent again.
type retryGuard struct{ policy *Failover }

// MatchWithError reports whether a response may be rejected.
func (g retryGuard) MatchWithError(r *http.Request) (bool, error) {
	ex := g.policy.exchange(r.Context())
	return ex != nil && !asksOfFailure(r) && ex.mayReject(), nil
}

// asksOfFailure reports whether Caddy asks about an attempt that failed.
func asksOfFailure(r *http.Request) bool {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return false
	}
	_, failed := repl.Get(transportErrorVar)
	return failed
}

// retryElsewhere stands behind them: when it is asked, the operator rejects the
// response. It says no where there is no other backend.
type retryElsewhere struct{ policy *Failover }

// MatchWithError reports whether the request goes to another backend, and keeps the
// response meanwhile.
func (e retryElsewhere) MatchWithError(r *http.Request) (bool, error) {
	ex := e.policy.exchange(r.Context())
	return ex != nil && ex.putAside(), nil
}

// mayReject reports whether the request could be sent to another backend instead
// of taking the response it has. It may not after a failure that is the answer.
func (ex *exchange) mayReject() bool {
	return ex.final == nil && ex.hand.state == handOffered && ex.resumable() && !ex.spent()
}

// Interface guards
var (
	_ caddyhttp.RequestMatcherWithError = never{}
	_ caddyhttp.RequestMatcherWithError = retryGuard{}
	_ caddyhttp.RequestMatcherWithError = retryElsewhere{}
)
