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
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
)

// TestUpgrade: a tunnel works in both directions, ends in each on its own, and
// counts until it has ended.
func TestUpgrade(t *testing.T) {
	b := newRawBackend(t, func(r rawRequest) bool {
		r.reply("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: echo\n\n")
		_, _ = io.Copy(r.conn, r.conn)
		_, _ = io.WriteString(r.conn, "bye")
		return false
	})
	p := newProxy(t, upstreams(deadAddress(t), b.addr()))
	c, err := net.Dial("tcp", p.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	br := bufio.NewReader(c)
	res, err := http.ReadResponse(br, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("got %v, %v", res, err)
	}
	fmt.Fprint(c, "hello")
	got := make([]byte, 5)
	if _, err := io.ReadFull(br, got); err != nil || string(got) != "hello" {
		t.Fatalf("got %q, %v", got, err)
	}
	if n := p.policy.claim.entry.pool.Status().Upstreams[1].Requests; n != 1 {
		t.Errorf("%d requests in progress, want the tunnel", n)
	}
	_ = c.(*net.TCPConn).CloseWrite()
	if rest, err := io.ReadAll(br); err != nil || string(rest) != "bye" {
		t.Errorf("got %q, %v after closing one direction", rest, err)
	}
	testwait.Until(t, "the tunnel has ended", func() bool {
		return p.policy.claim.entry.pool.Status().Upstreams[1].Requests == 0
	})
}

// TestTrailersAndChunks pass both ways, also when the request is sent again.
func TestTrailersAndChunks(t *testing.T) {
	good := newBackendServer(t, "good", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprintf(w, "%s %v %s", body, r.TransferEncoding, r.Trailer.Get("X-Check"))
		w.Header().Set("X-Sum", "42")
	})
	for name, first := range map[string]string{
		"refused": deadAddress(t),
		"lost":    newRawBackend(t, func(r rawRequest) bool { _, _ = io.ReadAll(r.Body); return false }).addr(),
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, upstreams(first, good.addr()))
			req, err := http.NewRequest("PUT", p.URL, struct{ io.Reader }{strings.NewReader("body")})
			if err != nil {
				t.Fatal(err)
			}
			req.Trailer = http.Header{"X-Check": {"sum"}}
			res, err := p.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			text, _ := io.ReadAll(res.Body)
			if string(text) != "body [chunked] sum" || res.Trailer.Get("X-Sum") != "42" {
				t.Errorf("got %d %q, trailer %v", res.StatusCode, text, res.Trailer)
			}
		})
	}
}

// TestInterimResponsesReachTheClient.
func TestInterimResponsesReachTheClient(t *testing.T) {
	b := newRawBackend(t, func(r rawRequest) bool {
		r.reply("HTTP/1.1 103 Early Hints\nLink: </a.css>\n\n")
		return r.ok()
	})
	p := newProxy(t, upstreams(b.addr()))
	c, err := net.Dial("tcp", p.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	br := bufio.NewReader(c)
	for _, want := range []int{103, 200} {
		res, err := http.ReadResponse(br, nil)
		if err != nil || res.StatusCode != want {
			t.Fatalf("got %v, %v, want %d", res, err, want)
		}
	}
}

// TestExpectContinue: the client sends its body when the backend asks for it.
func TestExpectContinue(t *testing.T) {
	b := newBackendServer(t, "b", nil)
	p := newProxy(t, upstreams(deadAddress(t), b.addr()))
	c, err := net.Dial("tcp", p.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	br := bufio.NewReader(c)
	if res, err := http.ReadResponse(br, nil); err != nil || res.StatusCode != 100 {
		t.Fatalf("got %v, %v, want 100", res, err)
	}
	fmt.Fprint(c, "body")
	res, err := http.ReadResponse(br, nil)
	for err == nil && res.StatusCode == 100 {
		res, err = http.ReadResponse(br, nil)
	}
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("got %v, %v, want 200", res, err)
	}
}

// TestStreamBothWays: a call that sends and receives at the same time, as gRPC
// does, over h2c on both sides.
func TestStreamBothWays(t *testing.T) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	b := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		w.WriteHeader(200)
		rc := http.NewResponseController(w)
		_ = rc.Flush()
		br := bufio.NewReader(r.Body)
		for {
			line, err := br.ReadString('\n')
			if err != nil {
				break
			}
			fmt.Fprintf(w, "re: %s", line)
			_ = rc.Flush()
		}
		w.Header().Set("Grpc-Status", "0")
	}))
	b.Config.Protocols = protocols
	b.Start()
	defer b.Close()
	p := newProxy(t, h2c, upstreams(deadAddress(t), b.Listener.Addr().String()))
	front := httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	front.Config.Protocols = protocols
	front.Start()
	defer front.Close()
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	defer client.CloseIdleConnections()

	pr, pw := io.Pipe()
	req, err := http.NewRequestWithContext(context.Background(), "POST", front.URL, pr)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	br := bufio.NewReader(res.Body)
	for i := range 3 {
		fmt.Fprintf(pw, "message %d\n", i)
		if line, err := br.ReadString('\n'); err != nil || line != fmt.Sprintf("re: message %d\n", i) {
			t.Fatalf("got %q, %v", line, err)
		}
	}
	_ = pw.Close()
	if _, err := io.ReadAll(br); err != nil || res.Trailer.Get("Grpc-Status") != "0" {
		t.Errorf("got trailer %v, %v", res.Trailer, err)
	}
}

// TestStreamEndsWithItsBackend: while the client only listens, the end of the
// backend ends the call; nobody waits for the client's next message.
func TestStreamEndsWithItsBackend(t *testing.T) {
	for _, say := range []string{"", "message\n"} {
		t.Run(say, func(t *testing.T) {
			protocols := new(http.Protocols)
			protocols.SetUnencryptedHTTP2(true)
			b := newH2Backend(t, func(h2Stream) bool { return false })
			p := newProxy(t, h2c, upstreams(b.addr()), set("max_reconnect_attempts", 0)).quiet()
			front := httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
			front.Config.Protocols = protocols
			front.Start()
			defer front.Close()
			client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
			defer client.CloseIdleConnections()
			pr, pw := io.Pipe()
			defer pw.Close()
			go func() { _, _ = io.WriteString(pw, say) }()
			res, err := client.Post(front.URL, "application/grpc", pr)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != 502 {
				t.Errorf("got %d, want 502", res.StatusCode)
			}
		})
	}
}
