// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/module/internal/fault"
)

// pipeConn is a conn over a pipe, and its other end.
func pipeConn(t *testing.T, secure bool) (*Conn, net.Conn) {
	t.Helper()
	one, other := net.Pipe()
	c := newConn(one, newBackend(new(failover.Member), nil), secure)
	t.Cleanup(func() {
		_ = c.Close()
		_ = other.Close()
	})
	return c, other
}

func TestPoisonedConnWritesNothing(t *testing.T) {
	c, _ := pipeConn(t, false)
	c.Poison()
	if n, err := c.Write([]byte("x")); n != 0 || !errors.Is(err, errPoisoned) {
		t.Errorf("wrote %d, %v", n, err)
	}
	c.Abort(fault.ErrHung)
	if n, err := c.Write([]byte("x")); n != 0 || !errors.Is(err, fault.ErrHung) {
		t.Errorf("after an abort: wrote %d, %v, want the reason", n, err)
	}
	c.Abort(fault.ErrSoTimeout)
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, fault.ErrHung) {
		t.Errorf("read %v, want the first reason", err)
	}
	if len(c.Backend.conns) != 0 {
		t.Error("a closed connection is still registered")
	}
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closing again: %v", err)
	}
	if err := c.CloseWrite(); !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("closing one direction of a pipe: %v", err)
	}
}

// failing is a connection whose writes fail; its reads wait for its end.
type failing struct {
	net.Conn
	n   int
	err error
}

func (f failing) Write(p []byte) (int, error) { return min(f.n, len(p)), f.err }

// TestFailedWriteWaitsForTheAnswer: for a second if none comes, and for as long as
// it is read when it comes.
func TestFailedWriteWaitsForTheAnswer(t *testing.T) {
	for _, tc := range []struct {
		name  string
		proto uint32
		err   error
		act   func(c *Conn)
		want  time.Duration
	}{
		{"no answer", protoHTTP1, errors.New("reset"), nil, answerWait},
		{"answer", protoHTTP1, errors.New("reset"), func(c *Conn) { c.readSome.Store(true); time.Sleep(5 * time.Second); _ = c.Close() }, 5 * time.Second},
		{"closed", protoHTTP1, errors.New("reset"), func(c *Conn) { time.Sleep(time.Millisecond); _ = c.Close() }, time.Millisecond},
		{"own deadline", protoHTTP1, &net.OpError{Op: "write", Err: timeoutError{}}, nil, answerWait},
		{"HTTP/2", protoHTTP2, errors.New("reset"), nil, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				one, other := net.Pipe()
				defer other.Close()
				c := newConn(failing{one, 1, tc.err}, newBackend(new(failover.Member), nil), false)
				defer c.Close()
				c.proto.Store(tc.proto)
				if tc.act != nil {
					go tc.act(c)
				}
				began := time.Now()
				if n, err := c.Write([]byte("xyz")); n != 1 || !errors.Is(err, tc.err) {
					t.Errorf("got %d, %v", n, err)
				}
				if d := time.Since(began); d != tc.want {
					t.Errorf("took %s, want %s", d, tc.want)
				}
				if c.written.Load() != 1 {
					t.Errorf("%d bytes count as written", c.written.Load())
				}
			})
		})
	}
}

type timeoutError struct{}

func (timeoutError) Error() string   { return "timeout" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

// TestTLSCountsRequestsOnly: of what TLS writes after the handshake, only records
// that can hold a part of a request count.
func TestTLSCountsRequestsOnly(t *testing.T) {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	cfg := s.TLS.Clone()
	s.Close()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				defer nc.Close()
				_ = tls.Server(nc, cfg).Handshake()
				_, _ = nc.Read(make([]byte, 1000)) // the request
				_, _ = nc.Read(make([]byte, 1000)) // and the end
			}()
			nc, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			c := newConn(nc, newBackend(new(failover.Member), nil), true)
			tc := tls.Client(c, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
			if err := tc.Handshake(); err != nil {
				t.Fatal(err)
			}
			base := c.written.Load()
			if _, err := tc.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
				t.Fatal(err)
			}
			sent := c.written.Load()
			if sent == base {
				t.Error("the shortest request does not count")
			}
			_ = tc.Close()
			if n := c.written.Load(); n != sent {
				t.Errorf("closing counts as %d bytes of a request", n-sent)
			}
		})
	}
}
