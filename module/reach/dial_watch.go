// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"net/http/httptrace"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
)

// dialError is the error of a dial with its cause, which the DialError of
// Caddy's transport keeps to itself.
type dialError struct{ err, cause error }

func (e *dialError) Error() string { return e.err.Error() }

func (e *dialError) Unwrap() []error { return []error{e.err, e.cause} }

// dialWatch learns why a dial fails. It is the context of the dial, with hooks of
// its own in place of the request's, which nothing in a dial calls:
// [httptrace.WithClientTrace] would join them, for more than the rest of it costs.
type dialWatch struct {
	context.Context
	hooks context.Context

	mu    lockorder.Mutex[dialWatch]
	cause error // the first one
}

func newDialWatch(ctx context.Context) *dialWatch {
	w := &dialWatch{Context: ctx}
	w.hooks = httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		DNSDone:     func(info httptrace.DNSDoneInfo) { w.note(info.Err) },
		ConnectDone: func(_, _ string, err error) { w.note(err) },
	})
	return w
}

// Value finds the hooks before anything else, and of the request's variables
// only what was kept for dials.
func (w *dialWatch) Value(key any) any {
	if v := w.hooks.Value(key); v != nil {
		return v
	}
	if key == caddyhttp.VarsCtxKey {
		if e := errandOf(w.Context); e != nil {
			return e.dialVars()
		}
	}
	return w.Context.Value(key)
}

func (w *dialWatch) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause == nil && err != nil {
		w.cause = err
	}
}

func (w *dialWatch) explain(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause == nil {
		return err
	}
	return &dialError{err, w.cause}
}
