// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
)

// blindly sends the request through a transport whose connections are not ours
// (HTTP/3, FastCGI and others): how far it got is not known, except that a
// DialError says that it got nowhere, and over HTTP/3 that there was no connection.
func (t *transport) blindly(ex *exchange, tr *try, req *http.Request) (*http.Response, error) {
	if tr.clientLeft() {
		tr.mark(markLeft)
		return nil, context.Canceled
	}
	sever := func() {}
	switch {
	case ex.body != nil:
		body := ex.body.attempt(tr)
		req.Body, sever = body, func() { body.detached.Store(true) }
	case ex.held(req):
		body := &severable{body: req.Body}
		req.Body, sever = body, body.sever
	}
	ex.connected(tr)
	ex.place.Written()
	ctx, cancel := context.WithCancelCause(ownVars(req.Context()))
	hung, giveUp := context.WithCancelCause(context.Background())
	ended := tr.Backend.Block(func(cause error) { cancel(cause); giveUp(cause) })
	tr.cancel = func(cause error) { cancel(cause); ended() }
	var asked, connected atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	res, err := await(hung, func() (*http.Response, error) {
		res, err := t.RoundTripper.RoundTrip(req.WithContext(traced))
		if err != nil && tr.way().SpeaksHTTP() && !connected.Load() {
			err = unsentError{err, asked.Load()} // it has returned: it will not get there any more
		}
		return res, err
	})
	if err == nil {
		tr.Backend.Member.Touch()
		return res, nil
	}
	sever()
	var (
		dial   reverseproxy.DialError
		unsent unsentError
	)
	if !errors.As(err, &dial) && !errors.As(err, &unsent) {
		tr.got = gotConn
	}
	tr.hangUp()
	return nil, err
}

// unsentError is the error of a request that had no connection.
type unsentError struct {
	error
	asked bool // for one
}

func (e unsentError) Unwrap() error { return e.error }

// unasked reports whether a request failed before a connection was asked for.
func unasked(err error) bool {
	var unsent unsentError
	return errors.As(err, &unsent) && !unsent.asked
}

// hangUp ends what a transport that is not ours still does for the attempt.
func (t *try) hangUp() {
	if t.cancel != nil {
		t.cancel(nil)
	}
}

// await waits for a round trip until a hang verdict: not every transport ends with
// the context. One that goes on has the rest of its life for itself, and its
// response is thrown away.
func await(hung context.Context, roundTrip func() (*http.Response, error)) (*http.Response, error) {
	type end struct {
		res      *http.Response
		err      error
		panicked any
	}
	ended := make(chan end, 1)
	go func() {
		var e end
		defer func() {
			e.panicked = recover()
			ended <- e
		}()
		e.res, e.err = roundTrip() //nolint:bodyclose // the receiver has it
	}()
	select {
	case e := <-ended:
		switch {
		case e.panicked != nil:
			panic(e.panicked) // where net/http and Caddy expect it
		case e.err != nil && hung.Err() != nil:
			e.err = context.Cause(hung)
		}
		return e.res, e.err
	case <-hung.Done():
	}
	go func() {
		if e := <-ended; e.res != nil && e.res.Body != nil {
			_ = e.res.Body.Close()
		}
	}()
	return nil, context.Cause(hung)
}

// severable is a body that Caddy holds, for a transport that may outlive the
// request: then it reads no more of what Caddy uses for another one.
type severable struct {
	mu   lockorder.Mutex[severable] // guards body, and is held while it is read, which never waits
	body io.ReadCloser
}

// Read reads until the body is severed.
func (s *severable) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.body == nil {
		return 0, errBodyDetached
	}
	return s.body.Read(p)
}

// Close does nothing: the body is Caddy's.
func (*severable) Close() error { return nil }

func (s *severable) sever() {
	s.mu.Lock()
	s.body = nil
	s.mu.Unlock()
}
