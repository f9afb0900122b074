// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/quic-go/quic-go/http3"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

const hangingPosts = `{
	admin {$ADMIN}
	skip_install_trust
	auto_https disable_redirects
	broker {
		drain_timeout 2s
	}
}
http://:{$PORT} {
	respond ok
}
https://localhost:{$TLS} {
	tls internal
	reverse_proxy {$B1} {
		lb_policy failover
	}
}
`

// post3 sends a POST over HTTP/3 and forgets the answer.
func post3(ctx context.Context, transport *http3.Transport, url, id string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return
	}
	req.Host = "localhost"
	req.Header.Set(harness.RequestID, id)
	if resp, err := transport.RoundTrip(req); err == nil {
		_ = resp.Body.Close()
	}
}

// What a replaced process has to say of the requests that its end cuts off is more than
// one message may be: all of them are listed, and the clients of the other sites notice
// nothing.
func TestManyCutOffRequestsAreListed(t *testing.T) {
	const posts, perConn = 200, 50
	backends, env := newBackends(t)
	start(t, backends[0])
	port, tls := freePort(t), freePort(t)
	b := startBroker(t, hangingPosts, append(env, "PORT="+port, "TLS="+tls)...)
	pid := awaitActive(t, b, 0)
	awaitTLS(t, "127.0.0.1:"+tls)

	url := "https://127.0.0.1:" + tls + "/" + strings.Repeat("x", 15_000) + "?delay=1h"
	var hanging sync.WaitGroup
	defer hanging.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for n := range posts / perConn {
		transport := &http3.Transport{TLSClientConfig: insecure}
		defer transport.Close()
		for i := range perConn {
			hanging.Go(func() { post3(ctx, transport, url, fmt.Sprintf("hanging-%d-%d", n, i)) })
		}
	}
	if err := harness.Until(t.Context(), soon, func() error {
		if n := len(executions(t, backends)); n < posts {
			return fmt.Errorf("%d requests have arrived", n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	load := harness.Load{Client: &harness.Client{Addr: "127.0.0.1:" + port}, Rate: 100, Name: "others"}
	run := load.Start(t.Context())
	sent(t, run, 50)
	operate(t, b, "restart")
	awaitActive(t, b, pid)
	sent(t, run, 300)
	served(t, run.Stop())

	if err := harness.Until(t.Context(), soon, func() error {
		var doubts []struct {
			ID   string `json:"request_id"`
			Path string `json:"path"`
		}
		if err := b.Admin(t.Context(), http.MethodGet, "/broker/in-doubt", &doubts); err != nil {
			return err
		}
		listed := make(map[string]bool)
		for _, d := range doubts {
			listed[d.ID] = true
			if len(d.Path) > 4096 {
				return fmt.Errorf("a path has %d bytes", len(d.Path))
			}
		}
		if len(listed) != posts {
			return fmt.Errorf("%d requests are listed, want %d", len(listed), posts)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if n, err := b.Metric(t.Context(), "/metrics", "caddy_broker_child_broken_total"); err != nil || n != 0 {
		t.Errorf("%v control connections broke (%v)", n, err)
	}
}
