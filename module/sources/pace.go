// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"context"
	"net"
	"time"
)

// What one backend may say on a stream. More is read no faster, and what is none of our
// events for long ends the stream: a list of a thousand addresses and a comment now and
// then are far below.
const (
	// Events: streamBurst of one stream are taken as they come, then one in each
	// streamPause.
	streamBurst = 20
	streamPause = time.Second
	// Lines: as many as three full lists have, then a hundred a second.
	lineBurst = 3000
	linePause = 10 * time.Millisecond
	// Bytes on the connection: 256 KiB, then 32 KiB a second.
	byteBurst = 256 << 10
	bytePause = time.Second / (32 << 10)
	// idleLines and idleBytes are what may come without an event of ours, beyond one line
	// or 64 bytes a second.
	idleLines     = 4096
	idleLinePause = time.Second
	idleBytes     = 256 << 10
	idleBytePause = time.Second / 64
)

// pace spaces what comes: each unit costs pause, and burst of them may be owed.
type pace struct {
	pause time.Duration
	burst int
	paid  time.Time
}

// next is how long so many units that came now have to wait.
func (p *pace) next(now time.Time, units int) time.Duration {
	if p.paid.Before(now) {
		p.paid = now
	}
	p.paid = p.paid.Add(time.Duration(units) * p.pause)
	return max(0, p.paid.Sub(now)-time.Duration(p.burst)*p.pause)
}

// wait takes the time that so many units cost. It ends with ctx.
func (p *pace) wait(ctx context.Context, units int) {
	d := p.next(time.Now(), units)
	if d == 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// pacedConn is a connection that is read no faster than its pace allows.
type pacedConn struct {
	net.Conn
	ctx   context.Context
	bytes pace
}

func newPacedConn(ctx context.Context, conn net.Conn) *pacedConn {
	return &pacedConn{Conn: conn, ctx: ctx, bytes: pace{pause: bytePause, burst: byteBurst}}
}

func (c *pacedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.bytes.wait(c.ctx, n)
	return n, err
}
