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

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
)

// failed ends an attempt that got no response and decides what follows. It
// returns true if the request goes once more to the same backend, on a new
// connection. Otherwise either ex.final is the answer, or Caddy asks the policy
// for another backend.
func (ex *exchange) failed(req *http.Request, err error) bool {
	f, t := ex.policy, ex.try.Load()
	if t.conn != nil {
		err = t.conn.reason(err)
	}
	if ex.body != nil {
		ex.body.detach()
	}
	o, kind, e := ex.examine(t, err)
	if o == failover.LostReused && !e.written && !t.idled() && slices.Contains(ex.reattached, ex.backend) {
		// It had its new connection, and lost that one too.
		o = failover.Lost
	}
	e.safe, e.promise, e.replayable = ex.req.Safe, ex.promise, ex.resumable()
	if e.written {
		ex.wrote()
		if !e.unprocessed {
			ex.lost = ex.backend
		}
	}
	ex.last = fault{kind, err}
	if o == failover.DialFailed {
		f.backends.note(ex.backend, kind.Incurable)
	}
	ex.end(o, &attemptError{kind, err})
	ex.settled(false)
	if ex.conclude(o, kind, err) {
		return false
	}
	if e.written && e.promise == noProof && e.replayable {
		e.operator = f.retries.matches(req)
	}
	why := e.weigh()
	if o == failover.Neutral && (why != proofOperator || errors.Is(err, errSoTimeout)) {
		why = noProof // a limit of ours has ended it, not the backend
	}
	// A connection that was stale says nothing of the backend, so that attempt is
	// made up for even then.
	if why == noProof || ex.req.Spent() && o != failover.LostReused {
		ex.fail(kind, err, "")
		return false
	}
	if c := f.logger.Check(zap.DebugLevel, "sending request again"); c != nil {
		c.Write(zap.String("upstream", ex.backend.member.Name), zap.String("proof", string(why)), zap.Error(err))
	}
	ex.replayed = ex.replayed || e.written
	if o == failover.LostReused {
		return ex.reattach()
	}
	if ex.repeats++; f.maxRetries > 0 && ex.repeats > f.maxRetries {
		ex.fail(kind, err, "")
	}
	return false
}

// examine says what a failed attempt means for the pool, and what is known of it.
func (ex *exchange) examine(t *try, err error) (failover.Outcome, proxystatus.Fault, evidence) {
	e := evidence{written: t.written(), unprocessed: t.unprocessed.Load(), began: t.began()}
	var stream http2.StreamError
	switch reset := errors.As(err, &stream); {
	case ex.run.Context().Err() != nil || t.left || ex.body != nil && ex.body.failure() != nil:
		if !ex.joined {
			return failover.DialAborted, faultRequest, e
		}
		return failover.Neutral, faultRequest, e
	case answersItself(err):
		e.written = false
		if !ex.joined {
			return failover.DialAborted, faultRequest, e
		}
		return failover.Neutral, faultRequest, e
	case !t.taken && (errors.Is(err, errHung) || errors.Is(err, errAbandoned) || errors.Is(err, errNoTime) || errors.Is(err, errQueued)):
		return failover.DialAborted, faultDialTimeout, e
	case !t.taken && !t.dialed.Load():
		// net/http refuses to send it: that says nothing of any backend.
		return failover.DialAborted, faultUnsendable, e
	case !t.taken:
		kind := dialFault(err)
		if kind == faultLocal {
			return failover.DialAborted, kind, e
		}
		return failover.DialFailed, kind, e
	case errors.Is(err, errHung):
		e.hung, e.written = true, true
		return failover.Hung, faultNoAnswer, e
	case isLocalFault(err):
		return failover.Neutral, faultLocal, e
	case t.tr.http == nil && isLocalPath(err):
		e.written = false
		return failover.Neutral, faultLocal, e
	case isOwnDeadline(err):
		e.written = true
		return failover.Neutral, lossFault(err), e
	case reset && stream.Code == http2.ErrCodeRefusedStream:
		e.unprocessed = true
		return failover.LostReused, faultTerminated, e
	case t.proto == protoHTTP2 && !e.written && !e.unprocessed && !reset && !t.conn.aborted() && !isLoss(err):
		return failover.Neutral, faultUnsendable, e
	case t.lost.Load() || t.unprocessed.Load():
		return failover.LostReused, faultTerminated, e
	case t.reused && !e.began && !reset:
		return failover.LostReused, lossFault(err), e
	default:
		return failover.Lost, lossFault(err), e
	}
}

// conclude answers what no other backend could do better: what the transport has
// answered itself, a client that left or whose body cannot be read, a request that cannot be sent, and a fault of this
// machine.
func (ex *exchange) conclude(o failover.Outcome, kind proxystatus.Fault, err error) bool {
	switch {
	case ex.run.Context().Err() != nil:
		ex.stop(ex.run.Context().Err())
	case kind == faultRequest && answersItself(err):
		ex.failRequest(err)
	case kind == faultRequest:
		if cause := ex.bodyFailure(); cause != nil {
			ex.failRequest(cause)
		} else {
			ex.stop(context.Canceled)
		}
	case kind == faultUnsendable, kind == faultLocal && o != failover.LostReused:
		ex.fail(kind, err, "")
	default:
		return false
	}
	return true
}

// wrote notes that a byte of the request may have been written to the backend.
func (ex *exchange) wrote() {
	ex.sent = ex.backend
	ex.attempt.Written()
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
func (ex *exchange) reattach() bool {
	ex.reattached = append(ex.reattached, ex.backend)
	if err := ex.ask(); err != nil {
		ex.refuse(err)
		return false
	}
	same := ex.attempt.Member() == ex.backend.member
	if same && !ex.held {
		return true
	}
	ex.ahead, ex.fresh = true, same
	return false
}

// attemptError is what the pool shows as a member's last error.
type attemptError struct {
	kind proxystatus.Fault
	err  error
}

func (e *attemptError) Error() string { return e.kind.Error + ": " + e.err.Error() }

func (e *attemptError) Unwrap() error { return e.err }
