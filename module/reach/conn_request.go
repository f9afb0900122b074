// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
)

// What a request says of its connection, and asks of it.

// Take is called each time the connection is about to carry a request of its own.
// unsure says that the request could not be sent again, and that the backend may have
// closed the connection meanwhile. to, if it is not nil, hears of the first byte of the
// request before it is written (HTTP/1).
func (c *Conn) Take(unsure bool, to *indoubt.Place) {
	if c.secure && c.established.CompareAndSwap(false, true) {
		_ = c.Conn.SetDeadline(time.Time{})
		c.kept()
	}
	c.readSome.Store(false)
	c.unsure.Store(unsure)
	if c.HTTP1() {
		c.place.Store(to)
	}
}

// Written reports whether a byte was written of the request that the connection was
// last offered to (HTTP/1).
func (c *Conn) Written() bool { return c.written.Load() > 0 }

// ReadSome reports whether a byte was read since the connection was last taken.
func (c *Conn) ReadSome() bool { return c.readSome.Load() }

// WasWarm reports whether the connection had been held ready.
func (c *Conn) WasWarm() bool { return c.warm }

// Patience is how long the backend says it keeps an idle connection; 0 when it said
// nothing.
func (c *Conn) Patience() time.Duration { return time.Duration(c.keepAlive.Load()) }

// Hear remembers how long the backend says it keeps an idle connection.
func (c *Conn) Hear(h http.Header) {
	v := h["Keep-Alive"]
	if len(v) == 0 {
		return
	}
	for part := range strings.SplitSeq(v[0], ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if !strings.EqualFold(name, "timeout") {
			continue
		}
		if s, err := strconv.Atoi(value); err == nil && s >= 0 && s < int(time.Hour/time.Second) {
			c.keepAlive.Store(int64(max(time.Duration(s)*time.Second, 1)))
		}
	}
}

// Carry says which response the connection carries (HTTP/1 only). It ends with the
// connection, unless that was closed before.
func (c *Conn) Carry(answer carried) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.shut {
		c.answer = answer
	}
}

// Drop says that it does not carry that response any more.
func (c *Conn) Drop(answer carried) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answer == answer {
		c.answer = nil
	}
}

// Carries reports whether the response ends with the connection.
func (c *Conn) Carries(answer carried) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answer == answer
}

// HTTP1 reports whether there is a connection and it speaks HTTP/1.
func (c *Conn) HTTP1() bool { return c != nil && c.proto.Load() == protoHTTP1 }

// HTTP2 reports whether there is a connection and it speaks HTTP/2.
func (c *Conn) HTTP2() bool { return c != nil && c.proto.Load() == protoHTTP2 }

// Offered finds the conn below what net/http offers to a request, of which nothing is
// written yet: nil when there is none.
func (w *Way) Offered(nc net.Conn) *Conn {
	c := connOf(nc)
	if c != nil {
		c.learn(nc, w.h2c)
		c.written.Store(0)
	}
	return c
}

// connOf finds the conn below what net/http uses: nil when there is none.
func connOf(nc net.Conn) *Conn {
	for nc != nil {
		if c, ok := nc.(*Conn); ok {
			return c
		}
		below, ok := nc.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		nc = below.NetConn()
	}
	return nil
}

// learn notes the protocol that nc, whose lowest layer is c, speaks.
func (c *Conn) learn(nc net.Conn, h2c bool) {
	if c.proto.Load() != protoUnknown {
		return
	}
	p := protoHTTP1
	if tc, ok := nc.(*tls.Conn); h2c || ok && tc.ConnectionState().NegotiatedProtocol == "h2" {
		p = protoHTTP2
	}
	c.proto.Store(p)
}
