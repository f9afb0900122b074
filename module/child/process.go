// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"errors"
	"net"
)

// Supervised reports whether this process is a supervised child.
func Supervised() bool { return runtime.Load() != nil }

// Leaving is closed when this process accepts nothing new any more. It is nil, and
// so never ready, in a process that is no supervised child.
func Leaving() <-chan struct{} {
	if rt := runtime.Load(); rt != nil {
		return rt.leaving
	}
	return nil
}

// AwaitActive returns when this process is the one that serves: before that, its
// pools have yet to hear what the parent knows. One that is no supervised child is.
func AwaitActive(ctx context.Context) error {
	rt := runtime.Load()
	if rt == nil {
		return nil
	}
	select {
	case <-rt.activated:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Flush returns when the parent has what was changed of the pools, so that nothing
// that follows undoes it, or with the reason why not. Without a parent there is
// nothing to do.
func Flush(ctx context.Context) error {
	if !Supervised() {
		return nil
	}
	return reporter.Load().flush(ctx)
}

// Connect makes a connection to the parent, for what address says.
func Connect(address string) (net.Conn, error) {
	rt := runtime.Load()
	if rt == nil {
		return nil, errors.New("connecting to the broker: this process has none")
	}
	return rt.link.Connect(address)
}
