// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// H2 sends requests over HTTP/2 connections used in turn. It honours GOAWAY and
// REFUSED_STREAM: a request that the server says it did not process is sent
// again on another connection (RFC 9113 6.8 and 8.7). Nothing else is repeated.
type H2 struct {
	Addr string
	TLS  *tls.Config
	// Conns is how many connections there are at a time.
	Conns int
	// Timeout bounds one request from when it was due.
	Timeout time.Duration

	repeated atomic.Int64
	turn     atomic.Int64

	mu    sync.Mutex
	conns map[int]*h2Conn // by mu; the number of a connection in the turn
	old   []*h2Conn       // by mu; they said GOAWAY
}

// Repeated is how many requests were sent again because the server had not
// processed them.
func (c *H2) Repeated() int64 { return c.repeated.Load() }

// Do sends one request and returns its fate. due is when it was to be sent.
func (c *H2) Do(ctx context.Context, id string, due time.Time, req harness.Request) *harness.Result {
	res := &harness.Result{ID: id, Method: req.Method, Due: due}
	ctx, cancel := context.WithDeadline(ctx, due.Add(c.Timeout))
	defer cancel()
	slot := int(c.turn.Add(1)) % c.Conns
	for {
		res.Err = c.try(ctx, slot, req, res)
		if !errors.Is(res.Err, errUnprocessed) || ctx.Err() != nil {
			break
		}
		c.repeated.Add(1)
	}
	res.End = time.Now()
	res.Fate = harness.FateOf(ctx, res)
	return res
}

func (c *H2) try(ctx context.Context, slot int, req harness.Request, res *harness.Result) error {
	conn, err := c.conn(ctx, slot)
	if err != nil {
		return err
	}
	res.Dialed = time.Now()
	return conn.roundTrip(ctx, req, res)
}

// conn returns the connection of a slot, a new one where it is of no more use.
// Dialling is done under the lock: whoever else wants this slot would dial too.
func (c *H2) conn(ctx context.Context, slot int) (*h2Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn := c.conns[slot]; conn != nil {
		if conn.usable() {
			return conn, nil
		}
		c.old = append(c.old, conn) // its last streams may still be answered
		delete(c.conns, slot)
	}
	conn, err := dialH2(ctx, c.Addr, c.TLS)
	if err != nil {
		return nil, err
	}
	if c.conns == nil {
		c.conns = map[int]*h2Conn{}
	}
	c.conns[slot] = conn
	return conn, nil
}

// Close closes all connections.
func (c *H2) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.close()
	}
	for _, conn := range c.old {
		conn.close()
	}
	c.conns, c.old = nil, nil
}
