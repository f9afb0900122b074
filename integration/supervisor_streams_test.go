// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// streams is a backend whose answers never end by themselves: an echo on upgraded
// connections, and events. At heldPath it answers when it is told to.
type streams struct {
	addr    string
	arrived chan struct{} // sent to for each request at heldPath
	release func()        // lets all of them be answered
}

const heldPath = "/stream/held"

func newStreams(t *testing.T) *streams {
	t.Helper()
	s := &streams{arrived: make(chan struct{})}
	released := make(chan struct{})
	s.release = sync.OnceFunc(func() { close(released) })
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			echo(w)
			return
		}
		if r.URL.Path == heldPath {
			s.arrived <- struct{}{}
			<-released
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		flush := http.NewResponseController(w)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			if _, err := fmt.Fprintf(w, "data: %d\n\n", n); err != nil || flush.Flush() != nil {
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
			}
		}
	}))
	t.Cleanup(func() {
		s.release() // or the server would wait for it
		srv.Close()
	})
	s.addr = srv.Listener.Addr().String()
	return s
}

// hold sends one request that is answered when it is released, and returns when
// it has arrived.
func (s *streams) hold(t *testing.T, addr string) *harness.Run {
	t.Helper()
	load := harness.Load{
		Client: &harness.Client{Addr: addr}, Rate: 1, Count: 1, Name: "held",
		Requests: []harness.Request{{Method: "POST", Path: heldPath}},
	}
	run := load.Start(t.Context())
	select {
	case <-s.arrived:
	case <-time.After(soon):
		t.Fatalf("the request has not arrived: %d in flight", run.InFlight())
	}
	return run
}

// echo takes the connection over and sends everything back.
func echo(w http.ResponseWriter) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	for {
		line, err := rw.ReadString('\n')
		if err != nil {
			return
		}
		if _, err := io.WriteString(conn, line); err != nil {
			return
		}
	}
}

// streamClients use such a backend through the broker. What they have is cut by
// the end of a drain; what must not fail is to get it again at once.
type streamClients struct {
	addr string

	mu                      sync.Mutex
	streams, sockets, items int
	failed                  []string
}

func (c *streamClients) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("%d event streams and %d WebSockets, %d items over them", c.streams, c.sockets, c.items)
}

// run connects again whenever it is cut, until ctx ends.
func (c *streamClients) run(ctx context.Context, use func(context.Context) error) {
	for ctx.Err() == nil {
		if err := use(ctx); err != nil && ctx.Err() == nil {
			c.mu.Lock()
			c.failed = append(c.failed, err.Error())
			c.mu.Unlock()
		}
	}
}

func (c *streamClients) count(what *int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*what++
}

// open sends a request and returns the connection after the header of its answer.
func (c *streamClients) open(ctx context.Context, header string, status int) (net.Conn, *bufio.Reader, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return nil, nil, err
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, "GET /stream/a HTTP/1.1\r\nHost: "+c.addr+"\r\n"+header+"\r\n"); err != nil {
		return nil, nil, err
	}
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, nil, err
	}
	if resp.StatusCode != status {
		return nil, nil, fmt.Errorf("status %d, want %d", resp.StatusCode, status)
	}
	return conn, r, nil
}

// eventStream reads events until it is cut; an error is that it was not begun.
func (c *streamClients) eventStream(ctx context.Context) error {
	conn, r, err := c.open(ctx, "Accept: text/event-stream\r\n", http.StatusOK)
	if err != nil {
		return fmt.Errorf("opening event stream: %w", err)
	}
	defer conn.Close()
	c.count(&c.streams)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil
		}
		if strings.HasPrefix(line, "data: ") {
			c.count(&c.items)
		}
	}
}

// webSocket sends and receives until it is cut.
func (c *streamClients) webSocket(ctx context.Context) error {
	conn, r, err := c.open(ctx, "Connection: Upgrade\r\nUpgrade: websocket\r\n", http.StatusSwitchingProtocols)
	if err != nil {
		return fmt.Errorf("opening WebSocket: %w", err)
	}
	defer conn.Close()
	c.count(&c.sockets)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		if _, err := fmt.Fprintf(conn, "%d\n", n); err != nil {
			return nil
		}
		line, err := r.ReadString('\n')
		if err != nil {
			return nil
		}
		if line != fmt.Sprintf("%d\n", n) {
			return errors.New("the echo is " + line)
		}
		c.count(&c.items)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
