// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// everySite has what a Caddyfile may listen on: a name with automatic HTTPS and
// the redirects that come with it, plain ports, a unix socket.
const everySite = `{
	admin {$ADMIN}
	http_port {$HTTP}
	https_port {$HTTPS}
	skip_install_trust
}
localhost {
	tls internal
	respond secure
}
http://:{$PLAIN} {
	respond plain
}
http://127.0.0.1:{$OTHER} {
	bind 127.0.0.1
	respond other
}
http://socket.localhost {
	bind unix/{$SOCKET}
	respond socket
}
`

func TestEveryKindOfSiteSurvivesItsChild(t *testing.T) {
	t.Parallel()
	plainHTTP, https, plain, other := freePort(t), freePort(t), freePort(t), freePort(t)
	socket := filepath.Join(t.TempDir(), "site")
	b := startBroker(t, everySite, "HTTP="+plainHTTP, "HTTPS="+https, "PLAIN="+plain, "OTHER="+other, "SOCKET="+socket)
	pid := awaitActive(t, b, 0)
	trustAll := &tls.Config{ServerName: "localhost", InsecureSkipVerify: true}

	clients := []struct {
		client *harness.Client
		body   string
		status int
	}{
		{&harness.Client{Addr: "127.0.0.1:" + https, Host: "localhost", TLS: trustAll}, "secure", 200},
		{&harness.Client{Addr: "127.0.0.1:" + plainHTTP, Host: "localhost"}, "", 308},
		{&harness.Client{Addr: "127.0.0.1:" + plain}, "plain", 200},
		{&harness.Client{Addr: "127.0.0.1:" + other}, "other", 200},
		{&harness.Client{Network: "unix", Addr: socket, Host: "socket.localhost"}, "socket", 200},
	}
	check := func() {
		t.Helper()
		for _, c := range clients {
			res := c.client.Do(t.Context(), "s", time.Now(), harness.Request{Method: "GET"})
			if res.Fate != harness.OK || res.Status != c.status || res.Body != c.body {
				t.Errorf("%s: %s %d %q (%v), want %d %q", c.client.Addr, res.Fate, res.Status, res.Body, res.Err, c.status, c.body)
			}
		}
		if got, err := getHTTP3(t.Context(), https); err != nil || got != "secure" {
			t.Errorf("HTTP/3: %q, %v", got, err)
		}
	}
	// The first certificate is made after the start; from then on it is there
	// before a child serves.
	if err := harness.Until(t.Context(), soon, func() error {
		return clients[0].client.Do(t.Context(), "s", time.Now(), harness.Request{Method: "GET"}).Err
	}); err != nil {
		t.Fatal(err)
	}
	check()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, b, pid)
	check()
}

// getHTTP3 sends a GET over a new HTTP/3 connection. A packet to a process that
// has just died is lost, so the client tries again, as browsers do.
func getHTTP3(ctx context.Context, port string) (body string, err error) {
	err = harness.Until(ctx, soon, func() error {
		transport := &http3.Transport{TLSClientConfig: &tls.Config{ServerName: "localhost", InsecureSkipVerify: true}}
		defer transport.Close()
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "GET", "https://127.0.0.1:"+port, nil)
		if err != nil {
			return err
		}
		req.Host = "localhost"
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		body = string(text)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %s", resp.Status)
		}
		return err
	})
	return body, err
}
