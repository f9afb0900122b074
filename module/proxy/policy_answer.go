// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
	"github.com/caddy-broker/caddy-broker/module/internal/fault"
	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
)

// finalError is the error of a request that is not tried any more. It hides what
// it was made of: Caddy asks once more for anything that has a dial error in it,
// and takes a cancelled dial for a client that left.
type finalError struct{ text string }

func (e *finalError) Error() string { return e.text }

// fail answers the request with a fault, or with the response that is at hand. retry
// is the Retry-After, "" for none.
func (ex *exchange) fail(kind proxystatus.Fault, err error, retry string) {
	if ex.handOut() {
		return
	}
	f := ex.policy
	details := ""
	if ex.sent != nil && !ex.req.Safe {
		details, retry = proxystatus.InDoubt, ""
		f.claim.entry.doubt(ex, ex.sent, kind, err)
	}
	ex.announce(kind, details, retry)
	ex.conclusion(caddyhttp.Error(kind.Status, &finalError{fmt.Sprintf("pool %s: %v", f.claim.entry.name, err)}))
}

// failRequest answers a request whose body could not be read, or that the transport
// does not take, as Caddy would: whatever found that may have said with which status.
func (ex *exchange) failRequest(err error) {
	details := ""
	if ex.sent != nil && !ex.req.Safe {
		details = proxystatus.InDoubt
		ex.policy.claim.entry.doubt(ex, ex.sent, fault.Request, err)
	}
	ex.announce(fault.Request, details, "")
	status := http.StatusBadRequest
	if fault.IsTimeout(err) {
		status = http.StatusGatewayTimeout
	}
	ex.conclusion(caddyhttp.Error(status, err))
}

// stop ends the request without an answer: nobody waits for it.
func (ex *exchange) stop(err error) { ex.conclusion(err) }

// conclusion is the last word: every further attempt gets it.
func (ex *exchange) conclusion(err error) {
	ex.final = err
	ex.closeUnread()
	ex.drop()
	ex.release()
}

// closeUnread makes the client's connection end with its answer if its request's body was
// not read to the end. What is left of it would be read as the next request:
// net/http looks for that by the type of the body, which Caddy's own wrapper hides.
func (ex *exchange) closeUnread() {
	r := ex.run
	if ex.w == nil || r.ProtoMajor != 1 || r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody || ex.read {
		return
	}
	if ex.body == nil || ex.body.unread() {
		assumed.CloseAfterReply(ex.w)
	}
}

func (ex *exchange) announce(kind proxystatus.Fault, details, retry string) {
	if ex.w != nil {
		proxystatus.Announce(ex.w.Header(), proxystatus.Field(ex.policy.proxyName, kind, details), retry)
	}
}

// refuse answers a request for which the pool has no member.
func (ex *exchange) refuse(err error) {
	// Asked first: it holds the error of a backend, which is not that of the request.
	var none *report.UnavailableError
	refused := errors.As(err, &none)
	switch {
	case !refused && errors.Is(err, failover.ErrClientGone) && !ex.policy.serving():
		ex.fail(fault.Unavailable, errors.New("this configuration is being replaced"), "1")
	case !refused && (errors.Is(err, failover.ErrClientGone) || errors.Is(err, context.Canceled)):
		ex.stop(context.Canceled)
	case !refused:
		ex.fail(fault.Unavailable, err, proxystatus.RetryAfter(time.Second))
	case ex.failedFor(none) && (none.Reason == report.ReasonSpent || none.Reason == report.ReasonNoFailover || ex.policy.hopeless()):
		ex.fail(ex.last.kind, ex.last.err, "")
	case none.Reason == report.ReasonClosed:
		ex.fail(fault.Unavailable, errors.New(none.Reason.String()), "1")
	default:
		text := none.Reason.String()
		if none.Last != nil {
			text += "; last error: " + none.Last.Error()
		}
		ex.fail(fault.Unavailable, errors.New(text), proxystatus.RetryAfter(none.RetryAfter))
	}
}

// failedFor finds out why the request failed. Where it was only given up, or not
// even tried, the pool knows why its backends are down.
func (ex *exchange) failedFor(none *report.UnavailableError) bool {
	if (ex.last == nil || errors.Is(ex.last.err, fault.ErrAbandoned)) && none.Last != nil {
		var known *attemptError
		if !errors.As(none.Last, &known) {
			known = &attemptError{fault.Dial(none.Last), none.Last}
		}
		ex.last = known
	}
	return ex.last != nil
}
