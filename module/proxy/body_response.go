// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"io"
	"net/http"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
	"github.com/caddy-broker/caddy-broker/module/reach"
)

// responseBody is the body of a response on its way to the client. It tells the
// exchange when the response has ended, and is otherwise what it wraps. It is a
// part of the exchange, so that it costs no memory of its own.
type responseBody struct {
	io.ReadCloser
	try   *try // that it answers
	begun bool

	mu    lockorder.Mutex[responseBody] // guards state, and is held while the place is given back
	state responseState
}

// responseState is where a response is.
type responseState uint8

const (
	responseNone responseState = iota // it is not there yet, or has ended
	responseOpen
	responseOver // none, for good: the handler's run has ended, or its client has left
)

// wrap puts itself around the body of the response to t.
func (b *responseBody) wrap(t *try, res *http.Response) {
	b.mu.Lock()
	b.ReadCloser, b.try, b.begun = res.Body, t, false
	over := b.state == responseOver
	b.state = responseOpen
	if t.conn.HTTP1() && res.StatusCode != http.StatusSwitchingProtocols && res.Body != http.NoBody {
		t.conn.Carry(b)
	}
	b.mu.Unlock()
	tunnel, _ := res.Body.(io.ReadWriteCloser)
	switch {
	case res.StatusCode == http.StatusSwitchingProtocols && tunnel != nil:
		res.Body = &tunnelBody{responseBody: b, rwc: tunnel}
	case res.StatusCode == http.StatusSwitchingProtocols:
		res.Body = b
	case res.Body == nil, res.Body == http.NoBody && !t.ex.policy.retries.responses:
		b.finish()
	default:
		res.Body = b
	}
	if over {
		b.leave()
		b.finish()
	}
}

// Read reads what the backend sends. With the first one it is clear that the
// response is the answer: nothing needs to be kept for another attempt.
func (b *responseBody) Read(p []byte) (int, error) {
	if !b.begun && !b.try.ex.policy.retries.buffered {
		b.begun = true
		b.try.ex.release()
	}
	n, err := b.ReadCloser.Read(p)
	if n > 0 && !b.try.way().Owned() {
		b.try.Backend.Member.Touch() // no connection tells of it
	}
	if err != nil {
		b.finish()
	}
	return n, err
}

// Close ends the response.
func (b *responseBody) Close() error {
	err := b.ReadCloser.Close()
	b.finish()
	return err
}

// owes reports whether the response is there and only its handler would end it.
// Otherwise it ends with its connection: net/http closes that, if the response has
// not been read to its end, when the request's context ends. joint says that this
// is when the handler's run ends.
func (b *responseBody) owes(joint bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state != responseOpen {
		return false
	}
	c := b.try.conn
	return !joint || c == nil || !c.Carries(b)
}

// finish notes that the response has ended. It is called by the handler. Where the
// response is rejected, or may still be, the request's body is needed for longer.
func (b *responseBody) finish() {
	b.end(nil)
	ex := b.try.ex
	if ex.rejecting() || ex.policy.retries.buffered {
		return
	}
	ex.release()
	if ex.forget != nil {
		ex.forget()
	}
}

// EndWith ends the response with the connection that it comes from.
func (b *responseBody) EndWith(c *reach.Conn) { b.end(c) }

// end gives the place back, once. With a connection it does so only if that is
// what the response comes from.
func (b *responseBody) end(of *reach.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.giveBack(of)
}

// leave ends the response for a handler that never will: its run is over.
func (b *responseBody) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.giveBack(nil)
	b.state = responseOver
}

// giveBack does what end says. b.mu is held.
func (b *responseBody) giveBack(of *reach.Conn) {
	t := b.try
	if b.state != responseOpen || of != nil && t.conn != of {
		return
	}
	b.state = responseNone
	if t.conn != nil {
		t.conn.Drop(b)
	}
	t.hangUp()
	t.Attempt.Done()
}

// tunnelBody is the body of 101 Switching Protocols: the connection itself.
type tunnelBody struct {
	*responseBody
	rwc io.ReadWriteCloser
}

// Read reads from the backend; the end of one direction is not the end.
func (t *tunnelBody) Read(p []byte) (int, error) { return t.rwc.Read(p) }

// Write writes to the backend.
func (t *tunnelBody) Write(p []byte) (int, error) { return t.rwc.Write(p) }

// CloseWrite ends the direction to the backend.
func (t *tunnelBody) CloseWrite() error {
	if cw, ok := t.rwc.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return fmt.Errorf("closing one direction of %T: %w", t.rwc, http.ErrNotSupported)
}

// Interface guards
var (
	_ io.ReadCloser      = (*responseBody)(nil)
	_ io.ReadWriteCloser = (*tunnelBody)(nil)
)
