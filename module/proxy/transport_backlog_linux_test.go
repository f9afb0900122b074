// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
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
	t.Parallel() // it waits, and its pool is its own
	for name, options := range map[string][]option{
		"timeout":           {set("timeout", "300ms")},
		"lb_try_duration":   {lb("try_duration", "300ms")},
		"one after another": {set("timeout", "300ms"), set("nested", map[string]any{"connection_timeout": "100ms"})},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, append(options, upstreams(fullAddress(t)))...)
			for range 2 {
				a := p.do("POST", "body")
				if a.status != 503 && a.status != 504 || !strings.HasPrefix(a.header.Get(proxystatus.Header), "caddy-broker; error=") {
					t.Errorf("got %+v, want 503 or 504 with Proxy-Status", a)
				}
			}
		})
	}
}

// pendingTo lists the ports from which the kernel is still trying to connect to a
// TCP address. The kernel's table is read piece by piece: what is listed together
// need not have been there at the same time.
func pendingTo(tb testing.TB, address string) map[string]bool {
	tb.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		tb.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(address)
	n, _ := strconv.Atoi(port)
	ports := make(map[string]bool)
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		const sent = "02" // SYN_SENT
		if len(fields) > 3 && fields[2] == fmt.Sprintf("0100007F:%04X", n) && fields[3] == sent {
			ports[fields[1]] = true
		}
	}
	return ports
}

// TestHandlersShareTheDialsOfABackend: two handlers, and the one of an earlier
// configuration, make no more dials to a backend that takes none than one does.
func TestHandlersShareTheDialsOfABackend(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	if testing.Short() {
		t.Skip("it waits for dials to expire")
	}
	full := fullAddress(t)
	// The dials pend until the test is over: when one has failed, few are made.
	named, pend, warm := set("pool", t.Name()), set("nested", map[string]any{"connection_timeout": "1m"}), set("backup", true)
	before := newProxy(t, named, pend, upstreams(full)).start()
	one := newProxy(t, named, pend, upstreams(full), warm).start()
	two := one.beside(named, pend, upstreams(full), warm).start()
	var requests sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 20 {
		for _, p := range []*proxy{before, one, two} {
			requests.Go(func() {
				req, _ := http.NewRequestWithContext(ctx, http.MethodGet, p.URL, nil)
				if res, err := p.Client().Do(req); err == nil {
					_ = res.Body.Close()
				}
			})
		}
	}
	most := 0
	var last map[string]bool
	watch := func() int {
		now, both := pendingTo(t, full), 0
		for port := range now {
			if last[port] { // between the two it was there
				both++
			}
		}
		last, most = now, max(most, both)
		return both
	}
	testwait.Until(t, "as many dials pend as may", func() bool { return watch() >= failover.DialWidth })
	over := time.After(500 * time.Millisecond) // the others would follow in no time
	for followed := false; !followed; watch() {
		select {
		case <-over:
			followed = true
		case <-time.After(10 * time.Millisecond):
		}
	}
	cancel()
	requests.Wait()
	if most > 16 {
		t.Errorf("%d dials were pending, want 16 at most", most)
	}
	t.Logf("%d dials were pending", most)
}
