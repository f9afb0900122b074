// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// Fate is what became of a request.
type Fate string

// The fates.
const (
	OK      Fate = "ok"      // a whole response below 400
	Status  Fate = "status"  // a whole response of 400 or above
	Refused Fate = "refused" // the connection was refused
	Reset   Fate = "reset"   // the connection was reset
	EOF     Fate = "eof"     // the connection ended before the response did
	Timeout Fate = "timeout" // no whole response in time
	Broken  Fate = "broken"  // anything else, see Result.Err
)

// RequestID is the header that names a request in a backend's record.
const RequestID = "X-Request-Id"

// BackendName is the header in which a backend tells its name.
const BackendName = "X-Backend"

// Request is what a client sends.
type Request struct {
	Method string
	Path   string // with query; default "/"
	Header http.Header
	Body   []byte
}

// Result is one request and its fate.
type Result struct {
	ID     string
	Method string
	// Due is when the request was to be sent, Began when its sender turned to it,
	// Dialed when it knew that there was a connection, which a busy machine lets
	// it know late, End when its fate was known.
	Due, Began, Dialed, End time.Time
	Fate                    Fate
	Status                  int
	Header                  http.Header
	Body                    string
	Err                     error
}

// Latency counts from when the request was due, so that waiting is not hidden.
func (r *Result) Latency() time.Duration { return r.End.Sub(r.Due) }

// Client sends requests over HTTP/1.1, each exactly once: net/http's own client
// repeats some by itself. The zero value with Addr set is ready; it is safe for
// concurrent use.
type Client struct {
	// Network is "tcp" when empty, or "unix".
	Network string
	Addr    string
	// From is the address that it comes from; default is the machine's choice.
	From string
	// Host is the Host header; default Addr.
	Host string
	// TLS, when not nil, is used for every connection.
	TLS *tls.Config
	// KeepAlive keeps connections for the next request; otherwise each request
	// has a connection of its own, and says so.
	KeepAlive bool
	// Watch looks at kept connections: one that the server has closed is not
	// used again, as with most clients. Otherwise such a request fails.
	Watch bool
	// Idle is how long a connection is kept without use; 0 is for ever.
	Idle time.Duration
	// Timeout bounds one request from its beginning; default one minute.
	Timeout time.Duration

	mu   sync.Mutex
	idle []*clientConn // by mu
}

type clientConn struct {
	net.Conn
	r    *bufio.Reader
	kept time.Time // since when it is kept

	// watched is closed when something came, or the connection ended, while it
	// was kept; nil unless watched. ended is valid then.
	watched chan struct{}
	ended   error
}

// watch waits for the first byte of the next response or for the end.
func (c *clientConn) watch() {
	c.watched = make(chan struct{})
	go func() {
		defer close(c.watched)
		_, c.ended = c.r.Peek(1)
	}()
}

// over reports whether a connection, kept for at most idle, is of no more use.
func (c *clientConn) over(idle time.Duration) bool {
	if idle > 0 && time.Since(c.kept) > idle {
		return true
	}
	select {
	case <-c.watched: // never when it is nil
		return true
	default:
		return false
	}
}

// Do sends one request and returns its fate. due is when it was to be sent.
func (c *Client) Do(ctx context.Context, id string, due time.Time, req Request) *Result {
	res := &Result{ID: id, Method: req.Method, Due: due}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = time.Minute
	}
	ctx, cancel := context.WithDeadline(ctx, due.Add(timeout))
	defer cancel()
	res.Err = c.do(ctx, req, res)
	res.End = time.Now()
	res.Fate = FateOf(ctx, res)
	return res
}

// FateOf names what became of a request with this status and error.
func FateOf(ctx context.Context, res *Result) Fate {
	var timeout net.Error
	switch err := res.Err; {
	case err == nil && res.Status < 400:
		return OK
	case err == nil:
		return Status
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Reset
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return Timeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return EOF
	default:
		return Broken
	}
}

func (c *Client) do(ctx context.Context, req Request, res *Result) error {
	res.Began = time.Now()
	conn, err := c.conn(ctx)
	if err != nil {
		return err
	}
	res.Dialed = time.Now()
	keep := false
	defer func() {
		if !keep || !c.put(conn) {
			_ = conn.Close()
		}
	}()
	// The deadline of ctx, and its end by the caller, end every read and write.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() {
			keep = false
		}
	}()

	r, err := c.request(ctx, res.ID, req)
	if err != nil {
		return err
	}
	written := r.Write(conn)
	if conn.watched != nil {
		<-conn.watched
		conn.watched = nil
		if conn.ended != nil {
			return errors.Join(written, conn.ended)
		}
	}
	// A server may answer, and close, before it has read all of a request.
	resp, err := http.ReadResponse(conn.r, r)
	for err == nil && resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
		resp, err = http.ReadResponse(conn.r, r)
	}
	if err != nil {
		return errors.Join(written, err)
	}
	defer resp.Body.Close()
	res.Status, res.Header = resp.StatusCode, resp.Header
	body, err := io.ReadAll(resp.Body)
	res.Body = string(body)
	keep = err == nil && written == nil && c.KeepAlive && !resp.Close
	return err
}

func (c *Client) request(ctx context.Context, id string, req Request) (*http.Request, error) {
	path, host := req.Path, c.Host
	if path == "" {
		path = "/"
	}
	if host == "" {
		host = c.Addr
	}
	r, err := http.NewRequestWithContext(ctx, req.Method, "http://"+host+path, bytes.NewReader(req.Body))
	if err != nil {
		return nil, fmt.Errorf("making request: %w", err)
	}
	maps.Copy(r.Header, req.Header)
	r.Header.Set(RequestID, id)
	r.Close = !c.KeepAlive
	return r, nil
}

// conn takes a kept connection or makes a new one.
func (c *Client) conn(ctx context.Context) (*clientConn, error) {
	c.mu.Lock()
	for n := len(c.idle); n > 0; n = len(c.idle) {
		conn := c.idle[n-1]
		c.idle = c.idle[:n-1]
		if conn.over(c.Idle) {
			_ = conn.Close()
			continue
		}
		c.mu.Unlock()
		return conn, nil
	}
	c.mu.Unlock()
	network := c.Network
	if network == "" {
		network = "tcp"
	}
	var dialer net.Dialer
	if c.From != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(c.From)}
	}
	conn, err := dialer.DialContext(ctx, network, c.Addr)
	if err != nil {
		return nil, err
	}
	if c.TLS != nil {
		secure := tls.Client(conn, c.TLS)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		conn = secure
	}
	return &clientConn{Conn: conn, r: bufio.NewReader(conn)}, nil
}

func (c *Client) put(conn *clientConn) bool {
	if conn.r.Buffered() > 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	conn.kept = time.Now()
	if c.Watch {
		conn.watch()
	}
	c.idle = append(c.idle, conn)
	return true
}

// Close closes kept connections.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.idle {
		_ = conn.Close()
	}
	c.idle = nil
}
