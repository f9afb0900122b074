// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// stallPatience is long enough for any machine, and ends a test whose request is held.
const stallPatience = 20 * time.Second

// stallingClient begins a request with a body, sends the beginning of that, and nothing
// more until it has the answer's status.
func stallingClient(t *testing.T, protocol, url, method string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stallPatience)
	defer cancel()
	if protocol == "HTTP/1" {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", url[len("http://"):])
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(stallPatience))
		_, _ = fmt.Fprintf(c, "%s / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nbegin", method)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("while the upload stalls: %v", err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	defer client.CloseIdleConnections()
	pr, pw := io.Pipe()
	defer pw.Close()
	go func() { _, _ = io.WriteString(pw, "begin") }()
	req, err := http.NewRequestWithContext(ctx, method, url, pr)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = 100
	res, err := client.Do(req)
	if err != nil {
		t.Fatalf("while the upload stalls: %v", err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// begun waits for the beginning of the body, so that the proxy waits for the rest of it.
func (s h2Stream) begun() bool {
	for {
		f, err := s.fr.ReadFrame()
		if err != nil {
			return false
		}
		if d, ok := f.(*http2.DataFrame); ok && len(d.Data()) > 0 {
			return true
		}
	}
}

// TestStalledUploadHoldsNoAttempt: what a backend says, or its end, is acted on though
// the client of that request sends nothing more: its attempt is over, and the next one,
// where there may be one, begins.
func TestStalledUploadHoldsNoAttempt(t *testing.T) {
	gone := func(h2Stream) bool { return false }
	for _, c := range []struct {
		name, method string
		say          func(h2Stream) bool
		status       int
		first, other int64 // how often it is sent
	}{
		{"refuses", "POST", h2Stream.refuse, 200, 2, 1},
		{"refuses", "PUT", h2Stream.refuse, 200, 2, 1},
		{"goes away", "POST", h2Stream.goAway, 200, 2, 1},
		{"goes away", "PUT", h2Stream.goAway, 200, 2, 1},
		{"closes", "POST", gone, 502, 1, 0},
		{"closes", "PUT", gone, 200, 1, 1},
		{"answers", "POST", h2Stream.ok, 200, 1, 0},
		{"answers", "PUT", h2Stream.ok, 200, 1, 0},
	} {
		for _, front := range []string{"HTTP/1", "HTTP/2"} {
			t.Run(fmt.Sprintf("backend %s, %s over %s", c.name, c.method, front), func(t *testing.T) {
				b := newH2Backend(t, func(s h2Stream) bool { return s.begun() && c.say(s) })
				other := newH2Backend(t, func(s h2Stream) bool { return s.begun() && s.ok() })
				p := newProxy(t, h2c, upstreams(b.addr(), other.addr())).quiet()
				site := httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
				site.Config.Protocols = new(http.Protocols)
				site.Config.Protocols.SetHTTP1(true)
				site.Config.Protocols.SetUnencryptedHTTP2(true)
				site.Start()
				defer site.Close()
				status := stallingClient(t, front, site.URL, c.method)
				if status != c.status || b.seen.Load() != c.first || other.seen.Load() != c.other {
					t.Errorf("got %d, sent %d times, and %d times to the other; want %d, %d, %d", status, b.seen.Load(), other.seen.Load(), c.status, c.first, c.other)
				}
			})
		}
	}
}
