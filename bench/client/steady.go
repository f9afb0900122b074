// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// Steady keeps a number of connections busy: each sends its next request as soon
// as it has the answer to the last one. It measures how much a proxy can do, and
// says nothing about latency, because a slow answer delays the next request.
type Steady struct {
	Addr  string
	Conns int
	// TLS is used when not nil; HTTP2 needs it.
	TLS   *tls.Config
	HTTP2 bool

	answered atomic.Int64
}

// Answered is how many good answers there were so far.
func (s *Steady) Answered() int64 { return s.answered.Load() }

// roundTripper sends one GET and returns the status.
type roundTripper interface {
	get(ctx context.Context) (int, error)
	close()
}

// Run sends requests until ctx ends. Any answer but 200, and any error, ends it
// early and is returned: what is measured is a proxy that works.
func (s *Steady) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for range s.Conns {
		conn, err := s.dial(ctx)
		if err != nil {
			cancel(err)
			break
		}
		wg.Go(func() {
			stop := context.AfterFunc(ctx, conn.close)
			defer stop()
			defer conn.close()
			for ctx.Err() == nil {
				status, err := conn.get(ctx)
				if err == nil && status != 200 {
					err = fmt.Errorf("status %d", status)
				}
				if err != nil {
					cancel(fmt.Errorf("sending requests to %s: %w", s.Addr, err))
					return
				}
				s.answered.Add(1)
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

func (s *Steady) dial(ctx context.Context) (roundTripper, error) {
	if s.HTTP2 {
		conn, err := dialH2(ctx, s.Addr, s.TLS)
		return &h2Single{conn}, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr)
	if err == nil && s.TLS != nil {
		secure := tls.Client(conn, s.TLS)
		err = secure.HandshakeContext(ctx)
		conn = secure
	}
	if err != nil {
		return nil, err
	}
	return &h1Single{
		conn: conn, r: bufio.NewReader(conn),
		request: []byte("GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\n\r\n"),
	}, nil
}

// h2Single is a connection with one stream at a time.
type h2Single struct{ conn *h2Conn }

func (c *h2Single) close() { _ = c.conn.conn.Close() }

func (c *h2Single) get(ctx context.Context) (int, error) {
	var res harness.Result
	err := c.conn.roundTrip(ctx, harness.Request{Method: "GET"}, &res)
	return res.Status, err
}

// h1Single writes the same bytes each time and reads no more of an answer than
// it must: the machine is to be busy with the proxy.
type h1Single struct {
	conn    net.Conn
	r       *bufio.Reader
	request []byte
}

func (c *h1Single) close() { _ = c.conn.Close() }

func (c *h1Single) get(context.Context) (int, error) {
	if _, err := c.conn.Write(c.request); err != nil {
		return 0, err
	}
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < len("HTTP/1.1 200") {
		return 0, fmt.Errorf("bad status line %q", line)
	}
	status, err := strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, fmt.Errorf("bad status line %q", line)
	}
	length := -1
	for {
		line, err = c.r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("content-length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, err
			}
		}
	}
	if length < 0 {
		return 0, errors.New("the answer has no Content-Length")
	}
	_, err = c.r.Discard(length)
	return status, err
}
