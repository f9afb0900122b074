// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
	"github.com/caddy-broker/caddy-broker/module/proxy"
)

const (
	// beatEvery is the time between two heartbeats.
	beatEvery = time.Second
	// probeTime is how long an own request may take, for this process to call
	// itself alive.
	probeTime = 5 * time.Second
	// EchoTime is how long the pools may take to answer. What they do takes far less
	// than a millisecond. A busy process is not taken for dead: it has this and then
	// the whole watchdog before it is ended.
	EchoTime = 2 * time.Second
)

// heartbeat tells the parent that this process lives, as often as it can prove
// it: since the last time it answered a request, or it answers one of its own
// through each of its servers, and its pools answer, which pools waits for. It ends
// with ctx.
func (rt *childRuntime) heartbeat(ctx context.Context, pools func(), beat func() error) {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	var answered uint64
	echo := echo{of: pools}
	for {
		now := rt.answered.Load()
		if echo.heard(time.Now()) && (now != answered || rt.probeAll()) {
			answered = now
			if beat() != nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// echoPools returns when all pools have answered that they live.
func echoPools() {
	for _, p := range proxy.List() {
		p.Echo()
	}
}

// echo asks something again and again whether it is there, without waiting for it.
type echo struct {
	of    func() // returns when it has answered
	asked time.Time
	back  chan struct{} // closed when it has; nil before it is asked
}

// heard reports whether the last answer came in time, or may still do so, and asks
// anew when it came. While none comes one goroutine waits for it, not more.
func (e *echo) heard(now time.Time) bool {
	if e.back != nil {
		select {
		case <-e.back:
		default:
			return now.Sub(e.asked) < EchoTime
		}
	}
	back := make(chan struct{})
	e.asked, e.back = now, back
	go func() {
		defer close(back)
		e.of()
	}()
	return true
}

// probeAll sends one request into every listener's own queue, where it waits for
// no user. The server answers it before any handler has it, so that it is in no access
// log and in no metric, also of servers that Caddy makes by itself. Any sign of life
// counts: one behind a listener wrapper may just hang up.
func (rt *childRuntime) probeAll() bool {
	rt.mu.Lock()
	listeners := make([]*listener, 0, len(rt.listeners))
	for l := range rt.listeners {
		listeners = append(listeners, l)
	}
	rt.mu.Unlock()
	for _, l := range listeners {
		if !l.probe() && !closed(l.closed) {
			return false
		}
	}
	return true
}

func (l *listener) probe() bool {
	ours, theirs := net.Pipe()
	defer ours.Close()
	if !l.inject(probeConn{theirs, l.Addr()}) {
		_ = theirs.Close()
		return false // the one before is still in the queue
	}
	_ = ours.SetDeadline(time.Now().Add(probeTime))
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = io.WriteString(ours, assumed.HandlerlessRequest)
	}()
	var b [1]byte
	_, err := ours.Read(b[:])
	_ = ours.Close()
	<-written
	ne, isNet := err.(net.Error) //nolint:errorlint // a pipe's own error
	return !isNet || !ne.Timeout()
}

// probeConn is one end of a pipe with addresses that a server can parse.
type probeConn struct {
	net.Conn
	local net.Addr
}

func (c probeConn) LocalAddr() net.Addr  { return c.local }
func (c probeConn) RemoteAddr() net.Addr { return probeAddr }

var probeAddr net.Addr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}
