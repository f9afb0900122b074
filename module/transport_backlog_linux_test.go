// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fullAddress is an address whose queue of connections is full: dialling it takes
// until one gives up.
func fullAddress(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	rc, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		tb.Fatal(err)
	}
	if err := rc.Control(func(fd uintptr) { err = syscall.Listen(int(fd), 0) }); err != nil {
		tb.Fatal(err)
	}
	for range 100 {
		c, err := net.DialTimeout("tcp", l.Addr().String(), 200*time.Millisecond)
		if err != nil {
			return l.Addr().String()
		}
		tb.Cleanup(func() { _ = c.Close() })
	}
	tb.Fatal("the queue takes any number of connections")
	return ""
}

// TestClientThatIsStillThere gets an answer, although the error of the last dial
// says that it was cancelled.
func TestClientThatIsStillThere(t *testing.T) {
	for name, options := range map[string][]option{
		"timeout":           {set("timeout", "300ms")},
		"lb_try_duration":   {lb("try_duration", "300ms")},
		"one after another": {set("timeout", "300ms"), set("nested", map[string]any{"connection_timeout": "100ms"})},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, append(options, upstreams(fullAddress(t)))...)
			for range 2 {
				a := p.do("POST", "body")
				if a.status != 503 && a.status != 504 || !strings.HasPrefix(a.header.Get(headerProxyStatus), "caddy-broker; error=") {
					t.Errorf("got %+v, want 503 or 504 with Proxy-Status", a)
				}
			}
		})
	}
}
