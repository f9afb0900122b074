// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/module/internal/fault"
	"github.com/caddy-broker/caddy-broker/module/reach"
)

// How long a connection may have been idle and still be taken. A request that
// could not be sent again must not meet a backend that is just closing it.
const (
	idleLimit       = 4 * time.Second
	idleLimitUnsafe = time.Second
	// idleMargin is what is left of the patience that a backend advertises.
	idleMargin = time.Second
)

// try is one attempt as net/http carries it out: which connections it took, and
// how far it got on them.
type try struct {
	reach.Errand // for its dials

	ex *exchange
	// request is what net/http was given, to end it by.
	request *http.Request
	cancel  context.CancelCauseFunc // nil where ending the connection does
	soTimer *time.Timer
	upload  *failover.Upload // of the body, from the connection on

	// Of the round trip's own goroutine.
	conn   *reach.Conn // the connection in use; nil also when it is not one of ours
	got    got
	reused bool // the connection had been there before

	marks atomic.Uint32 // from any goroutine
}

// got is what an attempt got from net/http.
type got uint8

const (
	gotNothing got = iota
	gotUnfit       // a connection that was not to be used
	gotConn        // one that was fit to be used
)

// mark is something that happened to an attempt.
type mark uint32

const (
	markSecond      mark = 1 << iota // a second connection was asked for after something was written
	markHeader                       // HTTP/2: the header was written
	markFirstByte                    // of a response, 1xx included
	markInterim                      // and that was a 1xx
	markUnprocessed                  // HTTP/2: the backend did not process the request
	markLeft                         // the client has left
	markHTTP2                        // its connection speaks HTTP/2
)

func (t *try) mark(m mark) { t.marks.Or(uint32(m)) }

func (t *try) has(m mark) bool { return t.marks.Load()&uint32(m) != 0 }

// way is how it is sent.
func (t *try) way() *reach.Way { return t.ex.policy.way }

// gotConn is called when net/http has a connection for the request, before
// anything is written to it, on the goroutine of the round trip.
func (t *try) gotConn(info httptrace.GotConnInfo) {
	repeat := t.written()
	c := t.way().Offered(info.Conn)
	t.conn, t.got, t.reused = c, gotUnfit, info.Reused
	if c == nil {
		t.got = gotConn
		return
	}
	// net/http opens more than it uses: one that was idle, too, the backend may
	// have given up.
	t.reused = info.Reused || info.WasIdle || c.WasWarm()
	switch {
	case repeat:
		// net/http is about to send the request once more by itself. HTTP/2
		// does so only for what the backend did not process.
		if c.HTTP2() {
			t.mark(markUnprocessed)
		}
		t.mark(markSecond)
		t.end(fault.ErrSecondConnection)
	case t.clientLeft():
		t.mark(markLeft)
		t.end(context.Canceled)
	case c.HTTP1() && t.stale(c, info):
		// net/http finds that nothing was written and takes another one.
		c.Poison()
	default:
		t.got = gotConn
		if c.HTTP2() {
			t.mark(markHTTP2)
		}
		if t.ex.keepsFor2 && c.HTTP1() {
			t.ex.body.release()
		}
		c.Take(t.idled() && t.ex.promise == noProof, &t.ex.place)
		t.limit(c)
		t.ex.connected(t)
	}
}

// limit starts the time that the backend has for the response header.
func (t *try) limit(c *reach.Conn) {
	so := t.Backend.Member.Limits().SoTimeout
	if so <= 0 {
		return
	}
	t.settle()
	t.soTimer = time.AfterFunc(so, func() {
		if t.cancel != nil {
			t.cancel(fault.ErrSoTimeout)
		} else {
			c.Abort(fault.ErrSoTimeout)
		}
	})
}

// settle stops what runs for the attempt: it has ended, or its response began.
func (t *try) settle() {
	if t.soTimer != nil {
		t.soTimer.Stop()
	}
}

// stale reports whether the backend may be about to close the connection.
func (t *try) stale(c *reach.Conn, info httptrace.GotConnInfo) bool {
	if t.Fresh {
		return t.reused
	}
	if !info.WasIdle {
		return false
	}
	limit := idleLimit
	if t.ex.promise == noProof {
		limit = idleLimitUnsafe
	} else if told := c.Patience(); told > 0 {
		limit = told - idleMargin
	}
	return info.IdleTime > limit
}

// shares reports whether the connection may carry other requests beside this one.
func (t *try) shares() bool { return t.conn.HTTP2() || !t.way().Owned() && t.way().SpeaksHTTP() }

// idled reports whether the connection had been idle: it was no new one, although
// that may have been asked for. net/http tries another one by itself only where
// it had used the first.
func (t *try) idled() bool { return t.conn.HTTP1() && t.reused }

// clientLeft reports whether the response is not waited for any more.
func (t *try) clientLeft() bool {
	return t.ex.run.Context().Err() != nil || !t.ex.clientPresent()
}

// end makes net/http give the attempt up without a byte written to the
// connection just taken.
func (t *try) end(cause error) {
	if t.conn.HTTP1() {
		t.conn.Poison()
	}
	if t.cancel != nil {
		t.cancel(cause)
		return
	}
	// Without it the poisoned connection alone ends the attempt, but only after every
	// idle connection was tried.
	t.way().GiveUp(t.request)
}

// written reports whether a byte of the request may have been written. For
// HTTP/1 it is exact; where the connection is not ours, it may have been as soon
// as there was one.
func (t *try) written() bool {
	switch {
	case t.has(markSecond):
		return true
	case t.got == gotNothing:
		return false
	case t.conn == nil:
		return true
	case t.conn.HTTP2():
		return t.has(markHeader)
	default:
		return t.conn.Written()
	}
}

// began reports whether a byte of a response came that is not a 1xx.
func (t *try) began() bool {
	switch {
	case t.got != gotConn || t.has(markInterim):
		return false
	case t.way().Layered() || t.conn == nil:
		return t.has(markFirstByte)
	default:
		return t.conn.ReadSome()
	}
}

// body is the request's GetBody: it is called when net/http or its HTTP/2 part
// is about to repeat a request with a body by itself. It may, as long as nothing
// was written.
func (t *try) body() (io.ReadCloser, error) {
	if !t.written() && t.ex.resumable() {
		return t.ex.body.attempt(t), nil
	}
	if t.conn.HTTP2() {
		t.mark(markUnprocessed) // HTTP/2 repeats nothing else
	}
	if !t.written() {
		return nil, fault.ErrBodyNotKept
	}
	return nil, fault.ErrSecondConnection
}
