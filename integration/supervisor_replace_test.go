// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// lossless is a broker with every kind of site that a replacement could hurt.
// Each generation marks its answers in the header and all over the body.
const lossless = `{
	admin {$ADMIN}
	skip_install_trust
	auto_https disable_redirects
	broker {
		drain_timeout 6s
		max_generations 16
	}
}
(sites) {
	header X-Generation GENERATION
	handle /removes/* {
		header -Connection
		reverse_proxy {$B1} {$B2} {$B3} {
			lb_policy failover
		}
	}
	handle /whole/* {
		respond "PAGE"
	}
	handle /stream/* {
		reverse_proxy {$STREAMS} {
			lb_policy failover
		}
	}
	handle {
		reverse_proxy {$B1} {$B2} {$B3} {
			lb_policy failover
		}
	}
}
http://:{$PORT} {
	import sites
}
https://localhost:{$TLS} {
	tls internal
	import sites
}
`

func generation(n int) string {
	mark := fmt.Sprintf("generation-%d", n)
	return strings.NewReplacer("GENERATION", mark, "PAGE", strings.Repeat(mark+" ", 2000)).Replace(lossless)
}

// A client sends one request after the other, each once, and counts.
type closedLoop struct {
	name   string
	client harness.Sender
	req    harness.Request
	pause  time.Duration
	check  func(*harness.Result) error

	mu     sync.Mutex
	sent   int
	failed []string // by mu
	seen   map[string]bool
}

func (l *closedLoop) run(ctx context.Context) {
	defer l.client.Close()
	l.seen = map[string]bool{}
	pause := time.NewTimer(0)
	defer pause.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		// A request that was begun is ended, also when the test is over.
		res := l.client.Do(context.WithoutCancel(ctx), l.name+"-"+strconv.Itoa(n), time.Now(), l.req)
		err := res.Err
		if err == nil && res.Fate != harness.OK {
			err = fmt.Errorf("status %d: %s", res.Status, res.Body)
		}
		if err == nil && res.Header.Get("X-Generation") == "" {
			err = errors.New("no child of ours has answered")
		}
		if err == nil && l.check != nil {
			err = l.check(res)
		}
		l.mu.Lock()
		l.sent++
		l.seen[res.Header.Get("X-Generation")] = true
		if err != nil {
			l.failed = append(l.failed, fmt.Sprintf("%s at %s: %s: %v", res.ID, res.End.Format("05.000"), res.Fate, err))
		}
		l.mu.Unlock()
		pause.Reset(l.pause)
	}
}

// whole checks that an answer comes from one generation, all of it.
func whole(res *harness.Result) error {
	mark := res.Header.Get("X-Generation")
	if want := strings.Repeat(mark+" ", 2000); mark == "" || res.Body != want {
		return fmt.Errorf("%d bytes of %q…, want %d of %s", len(res.Body), res.Body[:min(40, len(res.Body))], len(want), mark)
	}
	return nil
}

// goClient is Go's own for one version of HTTP: it repeats the requests that a GOAWAY
// leaves out, and has one socket for all of its HTTP/3 connections.
type goClient struct {
	base  string
	major int
	http  *http.Client
	close func()
}

func newHTTP2Client(base string) *goClient {
	t := &http.Transport{TLSClientConfig: insecure.Clone(), Protocols: new(http.Protocols)}
	t.Protocols.SetHTTP2(true)
	return &goClient{base: base, major: 2, http: &http.Client{Transport: t}, close: t.CloseIdleConnections}
}

func newHTTP3Client(base string) *goClient {
	t := &http3.Transport{TLSClientConfig: insecure.Clone()}
	return &goClient{base: base, major: 3, http: &http.Client{Transport: t}, close: func() { _ = t.Close() }}
}

func (c *goClient) Close() { c.close() }

func (c *goClient) Do(ctx context.Context, id string, due time.Time, req harness.Request) *harness.Result {
	res := &harness.Result{ID: id, Method: req.Method, Due: due}
	res.Err = func() error {
		r, err := http.NewRequestWithContext(ctx, req.Method, c.base+req.Path, bytes.NewReader(req.Body))
		if err != nil {
			return err
		}
		r.Host = "localhost"
		r.Header.Set(harness.RequestID, id)
		resp, err := c.http.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.ProtoMajor != c.major {
			return fmt.Errorf("answered over %s", resp.Proto)
		}
		res.Status, res.Header = resp.StatusCode, resp.Header
		body, err := io.ReadAll(resp.Body)
		res.Body = string(body)
		return err
	}()
	res.End = time.Now()
	res.Fate = harness.FateOf(ctx, res)
	return res
}

// TestReplacementsLoseNothing replaces the child again and again under POST load
// from clients that repeat nothing: keep-alive and new connections, plain and
// TLS, HTTP/1.1, HTTP/2 and HTTP/3, slow requests, handlers that remove the header by
// which clients are told to move, WebSockets and event streams that reconnect.
func TestReplacementsLoseNothing(t *testing.T) {
	replacements := 40
	if testing.Short() {
		replacements = 10
	}
	backends, env := newBackends(t)
	start(t, backends...)
	streams := newStreams(t)
	port, secure := freePort(t), freePort(t)
	env = append(env, "PORT="+port, "TLS="+secure, "STREAMS="+streams.addr)
	b := newBroker(t, generation(0), env...)
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, b, 0)
	plainAddr, tlsAddr := "127.0.0.1:"+port, "127.0.0.1:"+secure
	awaitTLS(t, tlsAddr)

	loops := losslessLoops(plainAddr, tlsAddr)
	ctx, end := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, l := range loops {
		wg.Go(func() { l.run(ctx) })
	}
	sockets := &streamClients{addr: plainAddr}
	wg.Go(func() { sockets.run(ctx, sockets.webSocket) })
	wg.Go(func() { sockets.run(ctx, sockets.eventStream) })

	pid := awaitActive(t, b, 0)
	var took time.Duration
	for i := range replacements {
		begun := time.Now()
		if err := b.Write(generation(i + 1)); err != nil {
			t.Fatal(err)
		}
		if i%4 == 0 {
			if out, err := b.Run(t.Context(), "reload", "--adapter", "broker", "--config", "{}"); err != nil {
				t.Fatalf("caddy reload: %v\n%s", err, out)
			}
		} else {
			operate(t, b, "reload")
		}
		took += time.Since(begun)
		pid = awaitActive(t, b, pid)
		moved(t, loops, fmt.Sprintf("generation-%d", i+1))
	}
	end()
	wg.Wait()

	total := noneFailed(t, loops)
	t.Logf("%d replacements, %s each, %d requests; %s", replacements, took/time.Duration(replacements), total, sockets)
	for _, failure := range sockets.failed {
		t.Error(failure)
	}
	if sockets.streams < replacements/8 || sockets.sockets < replacements/8 {
		t.Errorf("streams were never cut, which shows nothing: %s", sockets)
	}
	counts := executions(t, backends)
	for id, n := range counts {
		if n > 1 {
			t.Errorf("%s was executed %d times", id, n)
		}
	}
}

// noneFailed checks that no request of loops that have ended has failed, and returns how
// many there were.
func noneFailed(t *testing.T, loops []*closedLoop) (total int) {
	t.Helper()
	for _, l := range loops {
		total += l.sent
		if len(l.failed) > 0 {
			t.Errorf("%s: %d of %d failed: %s", l.name, len(l.failed), l.sent, strings.Join(l.failed, "; "))
		}
	}
	return total
}

// losslessLoops are the clients of such a broker.
func losslessLoops(plainAddr, tlsAddr string) []*closedLoop {
	_, port, _ := net.SplitHostPort(tlsAddr)
	plain := func(keep bool) harness.Sender { return &harness.Client{Addr: plainAddr, KeepAlive: keep} }
	secured := func(keep bool) harness.Sender {
		return &harness.Client{Addr: tlsAddr, Host: "localhost:" + port, TLS: insecure, KeepAlive: keep}
	}
	h2, h3 := newHTTP2Client("https://"+tlsAddr), newHTTP3Client("https://"+tlsAddr)
	post := func(path string) harness.Request {
		return harness.Request{Method: "POST", Path: path, Body: bytes.Repeat([]byte("order "), 40)}
	}
	const pause = 30 * time.Millisecond
	return []*closedLoop{
		{name: "keep", client: plain(true), req: post("/a"), pause: pause},
		{name: "new", client: plain(false), req: post("/a"), pause: pause},
		{name: "tls-keep", client: secured(true), req: post("/a"), pause: pause},
		{name: "tls-new", client: secured(false), req: post("/a"), pause: pause},
		{name: "removes", client: plain(true), req: post("/removes/a"), pause: pause},
		{name: "removes-tls", client: secured(true), req: post("/removes/a"), pause: pause},
		{name: "whole", client: plain(true), req: post("/whole/a"), pause: pause, check: whole},
		{name: "whole-tls-new", client: secured(false), req: post("/whole/a"), pause: pause, check: whole},
		{name: "slow", client: plain(true), req: post("/a?delay=800ms"), pause: pause},
		{name: "slow-tls-new", client: secured(false), req: post("/a?delay=800ms"), pause: pause},
		{name: "h2-1", client: h2, req: post("/a"), pause: pause},
		{name: "h2-2", client: h2, req: post("/whole/a"), pause: pause, check: whole},
		{name: "h2-slow", client: h2, req: post("/a?delay=800ms"), pause: pause},
		{name: "h3", client: h3, req: post("/whole/a"), pause: pause, check: whole},
	}
}

// moved waits until every client that sends quick requests has had an answer of
// the generation: nobody stays with an old child.
func moved(t *testing.T, loops []*closedLoop, mark string) {
	t.Helper()
	for _, l := range loops {
		if strings.Contains(l.name, "slow") {
			continue
		}
		if err := harness.Until(t.Context(), soon, func() error {
			l.mu.Lock()
			defer l.mu.Unlock()
			if !l.seen[mark] {
				return errors.New("its answers come from older children")
			}
			return nil
		}); err != nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			t.Fatalf("client %s and %s: %v; %d sent, failed:\n%s", l.name, mark, err, l.sent, strings.Join(l.failed, "\n"))
		}
	}
}
