// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"go.uber.org/zap"
	"golang.org/x/net/http2"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/fault"
	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
	"github.com/caddy-broker/caddy-broker/module/reach"
)

// failed ends an attempt that got no response, decides what follows and prepares
// it: ex.final for an answer, the next attempt for the same backend. For another
// one Caddy has to ask the policy.
func (ex *exchange) failed(req *http.Request, err error) decision {
	f, t := ex.policy, ex.try.Load()
	if t.conn != nil {
		err = t.conn.Reason(err)
	}
	if ex.body != nil {
		ex.body.detach()
	}
	kind, e := ex.examine(t, err)
	if e.outcome == report.LostReused && !e.written && !t.idled() && slices.Contains(ex.reattached, t.Backend) {
		// It had its new connection, and lost that one too.
		e.outcome = report.Lost
	}
	e.safe, e.promise, e.replayable = ex.req.Safe, ex.promise, ex.resumable()
	if e.written {
		t.Attempt.Written()
		if !e.unprocessed {
			ex.sent, ex.lost = t.Backend, t.Backend
		}
	}
	if ex.lost == nil {
		ex.place.Unwritten()
	}
	ex.last = &attemptError{kind, err}
	if e.outcome == report.DialFailed {
		f.way.Note(t.Backend, kind.Incurable)
	}
	t.Attempt.Shared = t.shares()
	t.finish(e.outcome, ex.last)
	ex.settled(false)
	if ex.conclude(e.outcome, kind, err) {
		return giveAnswer
	}
	// The operator's word is asked for where nothing else proves it. It is about
	// backends, and does not cover so_timeout.
	if e.written && e.replayable && (e.promise == noProof || e.outcome == report.Neutral) &&
		!errors.Is(err, fault.ErrSoTimeout) && f.retries.matches(req) {
		e.promise = proofOperator
	}
	e.spent = ex.spent()
	next, why := e.decide()
	if next == giveAnswer {
		ex.fail(kind, err, "")
		return giveAnswer
	}
	if c := f.logger.Check(zap.DebugLevel, "sending request again"); c != nil {
		c.Write(zap.String("upstream", t.Backend.Member.Name), zap.String("proof", string(why)), zap.Error(err))
	}
	ex.replayed = ex.replayed || e.written
	if next == againHere {
		return ex.reattach(t, req)
	}
	ex.repeats++
	return another
}

// examine says what a failed attempt means for the pool, and what is known of it.
func (ex *exchange) examine(t *try, err error) (kind proxystatus.Fault, e evidence) {
	e = evidence{written: t.written(), unprocessed: t.has(markUnprocessed), began: t.began()}
	var stream http2.StreamError
	switch reset := errors.As(err, &stream); {
	case ex.run.Context().Err() != nil || t.has(markLeft) || ex.body != nil && ex.body.failure() != nil:
		if t.Attempt.Dialing() {
			return fault.Request, e.as(report.DialAborted)
		}
		return fault.Request, e.as(report.Neutral)
	case fault.IsAnswer(err):
		e.written = false
		if t.Attempt.Dialing() {
			return fault.Request, e.as(report.DialAborted)
		}
		return fault.Request, e.as(report.Neutral)
	case t.got == gotNothing && (errors.Is(err, fault.ErrHung) || errors.Is(err, fault.ErrAbandoned) || errors.Is(err, fault.ErrNoTime) || errors.Is(err, fault.ErrQueued)):
		return fault.DialTimeout, e.as(report.DialAborted)
	case t.got == gotNothing && (unasked(err) || t.way().Owned() && !t.Dialed()):
		// net/http refuses to send it: that says nothing of any backend.
		return fault.Unsendable, e.as(report.DialAborted)
	case t.got == gotNothing:
		kind := fault.Dial(err)
		switch {
		case kind == fault.Local:
			return kind, e.as(report.DialAborted)
		case t.way().Nameless() && (kind.Incurable || reach.InHandshake(err)):
			return kind, e.as(report.Lost) // its client has chosen the name that TLS asks for
		}
		return kind, e.as(report.DialFailed)
	case errors.Is(err, fault.ErrHung):
		e.written = true
		return fault.NoAnswer, e.as(report.Hung)
	case fault.IsLocal(err):
		return fault.Local, e.as(report.Neutral)
	case !t.way().Owned() && fault.IsLocalPath(err):
		e.written = false
		return fault.Local, e.as(report.Neutral)
	case fault.IsOwnDeadline(err):
		e.written = true
		return fault.Loss(err), e.as(report.Neutral)
	case reset && stream.Code == http2.ErrCodeRefusedStream:
		e.unprocessed = true
		return fault.Terminated, e.as(report.LostReused)
	case t.conn.HTTP2() && !e.written && !e.unprocessed && !reset && !t.conn.Aborted() && !fault.IsLoss(err):
		return fault.Unsendable, e.as(report.Neutral)
	case t.has(markSecond) || t.has(markUnprocessed):
		return fault.Terminated, e.as(report.LostReused)
	case t.reused && !e.began && !reset:
		return fault.Loss(err), e.as(report.LostReused)
	case reset:
		return fault.Loss(err), e.as(report.StreamReset)
	default:
		return fault.Loss(err), e.as(report.Lost)
	}
}

// conclude answers what no other backend could do better: what the transport has
// answered itself, a client that left or whose body cannot be read, a request that
// cannot be sent, and a fault of this machine. A client whose upload stalls is still
// there, although the server ends the request's context then.
func (ex *exchange) conclude(o report.Outcome, kind proxystatus.Fault, err error) bool {
	switch {
	case ex.run.Context().Err() != nil && !fault.IsTimeout(ex.bodyFailure()):
		ex.stop(ex.run.Context().Err())
	case kind == fault.Request && fault.IsAnswer(err):
		ex.failRequest(err)
	case kind == fault.Request:
		if cause := ex.bodyFailure(); cause != nil {
			ex.failRequest(cause)
		} else {
			ex.stop(context.Canceled)
		}
	case kind == fault.Unsendable, kind == fault.Local && o != report.LostReused:
		ex.fail(kind, err, "")
	default:
		return false
	}
	return true
}

// spent reports whether the request was written, or went to another backend, as often
// as it may.
func (ex *exchange) spent() bool {
	limit := ex.policy.maxRetries
	return ex.req.Spent() || limit > 0 && ex.repeats >= limit
}

func (ex *exchange) bodyFailure() error {
	if ex.body == nil {
		return nil
	}
	return ex.body.failure()
}

// reattach asks for the same backend once more. If the pool says another, Caddy
// has to turn the request to it; and Caddy has to come again with a body that it
// holds itself.
func (ex *exchange) reattach(t *try, req *http.Request) decision {
	ex.reattached = append(ex.reattached, t.Backend)
	if err := ex.ask(); err != nil {
		ex.refuse(err)
		return giveAnswer
	}
	if ex.try.Load().Backend.Member != t.Backend.Member || ex.held(req) {
		return another
	}
	return againHere
}

// attemptError is how an attempt failed, and what the pool shows as the last error
// of its member.
type attemptError struct {
	kind proxystatus.Fault
	err  error
}

func (e *attemptError) Error() string { return e.kind.Error + ": " + e.err.Error() }

func (e *attemptError) Unwrap() error { return e.err }
