// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"io"
	"sync/atomic"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
	"github.com/caddy-broker/caddy-broker/module/internal/fault"
)

// errBodyDetached is what an attempt reads that has been given up.
var errBodyDetached = errors.New("reading the request body for an attempt that was given up")

// readingLock is the class of requestBody.reading.
type readingLock struct{}

// requestBody is the body of one client request over all its attempts. It is
// read from the client exactly once, while it streams to the backend: nothing is
// read ahead and nothing is held back. What was read is kept, if asked and as far
// as the budget allows, so that another attempt can begin with it and then go on
// with what the client still sends.
type requestBody struct {
	src    io.ReadCloser
	length int64 // as declared; negative when unknown
	budget *budget
	client uint32 // who sends it
	// open says that it may be one side of a conversation, which ends with the backend's:
	// it is kept only for what fails after its end.
	open bool

	// reading serialises reads from the client: an attempt that was given up may
	// still be blocked in one, and what it gets belongs to all.
	reading lockorder.Mutex[readingLock]

	mu     lockorder.Mutex[requestBody] // guards what follows
	view   *bodyView
	keep   bool
	kept   []byte
	read   int64 // from the client
	end    error // io.EOF or why reading failed, once reading ended
	closed bool  // by an attempt, before its end
}

// newRequestBody keeps what is read from src, which a client sends, if keep is set.
// length is the declared one, negative when unknown.
func newRequestBody(src io.ReadCloser, length int64, keep bool, client uint32, b *budget) *requestBody {
	return &requestBody{src: src, length: length, budget: b, client: client, keep: keep && b.allows(max(length, 1))}
}

// attempt is the body for the next attempt. Attempts before it read no more.
func (rb *requestBody) attempt(t *try) *bodyView {
	v := &bodyView{body: rb, try: t}
	rb.mu.Lock()
	if rb.view != nil {
		rb.view.detached.Store(true)
	}
	if rb.read != int64(len(rb.kept)) {
		rb.end = fault.ErrBodyNotKept // rather than to send it without its beginning
	}
	rb.view = v
	rb.mu.Unlock()
	return v
}

// detach ends the reading of the present attempt. What it may still be waiting
// for belongs to the next one.
func (rb *requestBody) detach() {
	rb.mu.Lock()
	if rb.view != nil {
		rb.view.detached.Store(true)
	}
	rb.mu.Unlock()
}

// replayable reports whether another attempt would send the same body: all that
// was read is kept, and reading has not failed.
func (rb *requestBody) replayable() bool {
	rb.mu.Lock()
	defer rb.mu.Unlock()
	return !rb.closed && (rb.end == nil || rb.ended()) && rb.read == int64(len(rb.kept))
}

// failure is why reading from the client failed, or nil.
func (rb *requestBody) failure() error {
	rb.mu.Lock()
	defer rb.mu.Unlock()
	if rb.closed || rb.ended() {
		return nil
	}
	return rb.end
}

// ended reports whether the whole body was read. Readers return io.EOF itself.
func (rb *requestBody) ended() bool { return rb.end == io.EOF } //nolint:errorlint // a wrapped one is a failure

// sent reports whether the present attempt has read all of the body.
func (rb *requestBody) sent() bool {
	rb.mu.Lock()
	defer rb.mu.Unlock()
	return rb.ended() && (rb.view == nil || rb.view.off >= len(rb.kept))
}

// unread reports whether the client may still have something to send.
func (rb *requestBody) unread() bool {
	rb.mu.Lock()
	defer rb.mu.Unlock()
	return rb.end == nil
}

// owes reports whether anything is kept, or may be.
func (rb *requestBody) owes() bool {
	rb.mu.Lock()
	defer rb.mu.Unlock()
	return rb.keep || cap(rb.kept) > 0
}

// release gives back what was kept: no attempt will follow. What the present
// attempt has yet to send of it stays until it is sent.
func (rb *requestBody) release() {
	rb.mu.Lock()
	rb.keep = false
	if rb.view == nil || rb.view.detached.Load() || rb.view.off >= len(rb.kept) {
		rb.drop()
	}
	rb.mu.Unlock()
}

// drop forgets what was kept. rb.mu is held.
func (rb *requestBody) drop() {
	rb.keep, rb.kept = false, nil
	if rb.view != nil {
		rb.view.off = 0
	}
	rb.budget.free(rb)
}

// giveWay gives up what is kept, unless an attempt needs it. It does not wait for
// one that is busy with it.
func (rb *requestBody) giveWay() bool {
	if !rb.mu.TryLock() {
		return false
	}
	defer rb.mu.Unlock()
	if rb.view == nil || rb.view.detached.Load() || rb.view.off < len(rb.kept) {
		return false
	}
	rb.keep, rb.kept, rb.view.off = false, nil, 0
	return true
}

// grow makes room for at least n more bytes if the budget allows. rb.mu is held.
func (rb *requestBody) grow(n int64) bool {
	need := int64(len(rb.kept)) + n
	if need <= int64(cap(rb.kept)) {
		return true
	}
	size := max(need, min(2*int64(cap(rb.kept)), rb.budget.share()))
	if !rb.budget.allows(need) || !rb.budget.take(rb, size-int64(cap(rb.kept))) {
		return false
	}
	kept := make([]byte, len(rb.kept), size)
	copy(kept, rb.kept)
	rb.kept = kept
	return true
}

// fetch reads from the client on behalf of v.
func (rb *requestBody) fetch(v *bodyView, p []byte) (int, error) {
	n, err := rb.src.Read(p)
	rb.mu.Lock()
	defer rb.mu.Unlock()
	if n > 0 {
		rb.read += int64(n)
		v.given += int64(n)
		room := rb.keep && rb.grow(int64(n))
		switch {
		case v.detached.Load():
			// The attempt that goes on needs it, room or not.
			rb.keep = room
			rb.kept = append(rb.kept, p[:n]...)
		case room:
			rb.kept = append(rb.kept, p[:n]...)
			v.off += n
		case rb.keep:
			rb.drop()
		}
	}
	if err != nil {
		rb.end = err
	}
	return n, err
}

// bodyView is a requestBody as one attempt reads it.
type bodyView struct {
	body     *requestBody
	try      *try
	detached atomic.Bool

	off   int   // in what is kept; guarded by body.mu
	given int64 // to the attempt; guarded by body.mu
}

// Read replays what is kept, then reads from the client.
func (v *bodyView) Read(p []byte) (int, error) {
	if n, err, ok := v.replay(p); ok {
		return n, err
	}
	rb := v.body
	rb.reading.Lock()
	defer rb.reading.Unlock()
	// An earlier attempt may have read something in the meantime.
	if n, err, ok := v.replay(p); ok {
		return n, err
	}
	return rb.fetch(v, p)
}

func (v *bodyView) replay(p []byte) (n int, err error, ok bool) {
	rb := v.body
	rb.mu.Lock()
	defer rb.mu.Unlock()
	if v.try.upload != nil {
		v.try.upload.Wrote() // what was read before
	}
	switch {
	case v.detached.Load() && v.given == rb.length:
		// A transport that has it all looks for the end, and an error would cost it the
		// response that is at hand.
		return 0, io.EOF, true
	case v.detached.Load():
		return 0, errBodyDetached, true
	case v.off < len(rb.kept):
		n = copy(p, rb.kept[v.off:])
		v.off += n
		v.given += int64(n)
		if !rb.keep && v.off == len(rb.kept) {
			rb.drop()
		}
		return n, nil, true
	default:
		return 0, rb.end, rb.end != nil
	}
}

// Close ends the attempt's reading. The client's body is closed too, which ends a
// Read that waits for the client, unless another attempt may want to go on
// reading: because what was read is kept for it, or because nothing was read nor
// written. Then the server closes it when the handler returns.
func (v *bodyView) Close() error {
	rb := v.body
	rb.mu.Lock()
	again := rb.keep && (!rb.open || rb.end != nil) || rb.read == 0 && !v.try.has(markHeader)
	if again || v.detached.Load() {
		// HTTP/2 closes the body of a stream that ended before it begins to read,
		// and would then wait for the client.
		v.detached.Store(true)
		rb.mu.Unlock()
		return nil
	}
	if rb.end == nil {
		rb.closed = true
	}
	rb.drop() // the response came before all that was kept was sent
	rb.mu.Unlock()
	return assumed.Closer(rb.src).Close()
}
