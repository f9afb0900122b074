// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"io"
	"sync"

	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
)

// errBodyDetached is what an attempt reads that has been given up.
var errBodyDetached = errors.New("reading the request body for an attempt that was given up")

// bodyView is a requestBody as one attempt reads it.
type bodyView struct {
	body *requestBody
	try  *try

	over    chan struct{} // closed when the attempt reads no more
	endOnce sync.Once

	off   int   // in what is kept; guarded by body.mu
	given int64 // to the attempt; guarded by body.mu
}

// end ends the attempt's reading, whether or not the client sends something.
func (v *bodyView) end() { v.endOnce.Do(func() { close(v.over) }) }

func (v *bodyView) detached() bool {
	select {
	case <-v.over:
		return true
	default:
		return false
	}
}

// Read replays what is kept, then reads from the client. What another attempt may go on
// with is waited for on a goroutine of its own, so that a client that stalls does not
// hold an attempt that was given up.
func (v *bodyView) Read(p []byte) (int, error) {
	rb := v.body
	for {
		if n, err, ok := v.replay(p); ok {
			return n, err
		}
		next := rb.ahead(len(p))
		if next == nil {
			break
		}
		select {
		case <-next:
		case <-v.over:
		}
	}
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
	case v.detached() && v.given == rb.length:
		// A transport that has it all looks for the end, and an error would cost it the
		// response that is at hand.
		return 0, io.EOF, true
	case v.detached():
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
	if again || v.detached() {
		// HTTP/2 closes the body of a stream that ended before it begins to read,
		// and would then wait for the client.
		v.end()
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
