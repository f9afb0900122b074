// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// serve answers every connection with f, which gets the number of the connection.
func serve(t *testing.T, f func(n int, c *net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f(n, c.(*net.TCPConn))
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

// readRequest reads until the end of a header.
func readRequest(c net.Conn) {
	var got []byte
	buf := make([]byte, 4096)
	for !strings.Contains(string(got), "\r\n\r\n") {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		got = append(got, buf[:n]...)
	}
}

func TestClientTellsFatesApart(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	answer := func(text string) func(int, *net.TCPConn) {
		return func(_ int, c *net.TCPConn) {
			readRequest(c)
			_, _ = io.WriteString(c, text)
			_ = c.Close()
		}
	}
	tests := []struct {
		name   string
		addr   string
		fate   Fate
		status int
	}{
		{"answered", serve(t, answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")), OK, 200},
		{"redirected", serve(t, answer("HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n")), OK, 301},
		{"interim answer first", serve(t, answer("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")), OK, 204},
		{"error status", serve(t, answer("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")), Status, 502},
		{"cut body", serve(t, answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")), EOF, 200},
		{"cut header", serve(t, answer("HTTP/1.1 200 OK\r\nServer: x\r\n")), EOF, 0},
		{"no answer", serve(t, answer("")), EOF, 0},
		{"garbage", serve(t, answer("hello\r\n\r\n")), Broken, 0},
		{"refused", gone.Addr().String(), Refused, 0},
		{"reset", serve(t, func(_ int, c *net.TCPConn) {
			readRequest(c)
			_ = c.SetLinger(0)
			_ = c.Close()
		}), Reset, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client := &Client{Addr: tt.addr}
			res := client.Do(t.Context(), "1", time.Now(), Request{Method: "POST", Body: []byte("x")})
			if res.Fate != tt.fate || res.Status != tt.status {
				t.Errorf("got %s %d (%v), want %s %d", res.Fate, res.Status, res.Err, tt.fate, tt.status)
			}
		})
	}
}

func TestClientTimesOut(t *testing.T) {
	addr := serve(t, func(_ int, c *net.TCPConn) {
		t.Cleanup(func() { _ = c.Close() })
		readRequest(c)
	})
	res := (&Client{Addr: addr, Timeout: 50 * time.Millisecond}).Do(t.Context(), "1", time.Now(), Request{Method: "GET"})
	if res.Fate != Timeout {
		t.Errorf("got %s (%v), want %s", res.Fate, res.Err, Timeout)
	}
}

// A kept connection that the server closes meanwhile is where net/http's client
// would send the request again.
func TestClientNeverSendsTwice(t *testing.T) {
	var requests atomic.Int64
	addr := serve(t, func(_ int, c *net.TCPConn) {
		readRequest(c)
		requests.Add(1)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		readRequest(c)
		requests.Add(1)
		_ = c.Close()
	})
	client := &Client{Addr: addr, KeepAlive: true}
	defer client.Close()
	for i, want := range []Fate{OK, EOF} {
		if res := client.Do(t.Context(), "1", time.Now(), Request{Method: "GET"}); res.Fate != want {
			t.Errorf("request %d: got %s (%v), want %s", i+1, res.Fate, res.Err, want)
		}
	}
	if n := requests.Load(); n != 2 {
		t.Errorf("2 requests arrived as %d", n)
	}
}

func TestLoadKeepsItsRateWhileAnswersWait(t *testing.T) {
	release := make(chan struct{})
	addr := serve(t, func(_ int, c *net.TCPConn) {
		go func() {
			defer c.Close()
			readRequest(c)
			<-release
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}()
	})
	load := Load{Client: &Client{Addr: addr}, Rate: 1000, Count: 50, Name: "x"}
	run := load.Start(context.Background())
	if err := run.AwaitSent(t.Context(), 50); err != nil {
		t.Fatal(err) // the 50th is only sent if no answer is waited for
	}
	if n := run.InFlight(); n != 50 {
		t.Errorf("%d requests in flight, want 50", n)
	}
	close(release)
	results := run.Wait()
	if len(results) != 50 || len(results.Failed()) != 0 {
		t.Errorf("got %s", results)
	}
	seen := map[string]bool{}
	for _, r := range results {
		seen[r.ID] = true
	}
	if len(seen) != 50 {
		t.Errorf("%d different ids, want 50", len(seen))
	}
}

func TestResultsGap(t *testing.T) {
	start := time.Unix(0, 0)
	at := func(due, end int, fate Fate) *Result {
		return &Result{
			Due: start.Add(time.Duration(due) * time.Second),
			End: start.Add(time.Duration(end) * time.Second), Fate: fate, Status: 200,
		}
	}
	tests := []struct {
		name    string
		results Results
		want    time.Duration
	}{
		{"none", nil, 0},
		{"between successes", Results{at(0, 1, OK), at(1, 2, EOF), at(2, 6, OK)}, 5 * time.Second},
		{"before the first success", Results{at(0, 3, OK), at(3, 4, OK)}, 3 * time.Second},
		{"until a failed end", Results{at(0, 1, OK), at(1, 9, Timeout)}, 8 * time.Second},
		{"answers out of order", Results{at(0, 9, OK), at(1, 2, OK), at(2, 5, OK)}, 4 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.results.Gap(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
