// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

const http3Replacements = 20

// stays is a client that others use, too.
type stays struct{ harness.Sender }

func (stays) Close() {}

// TestReplacementsLeaveHTTP3: requests over HTTP/3 that take 300 ms are answered through
// replacements, each executed once, and their clients move to the new child: such with
// one request at a time, and such with several on one connection.
func TestReplacementsLeaveHTTP3(t *testing.T) {
	t.Parallel()
	skipShort(t)
	backends, env := newBackends(t)
	start(t, backends...)
	secure := freePort(t)
	b := newBroker(t, generation(0), append(env, "PORT="+freePort(t), "TLS="+secure, "STREAMS=127.0.0.1:1")...)
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	pid := awaitActive(t, b, 0)
	awaitTLS(t, "127.0.0.1:"+secure)

	var loops []*closedLoop
	shared := newHTTP3Client("https://127.0.0.1:" + secure)
	defer shared.Close()
	for i := range 8 {
		var client harness.Sender = stays{shared}
		if i%2 == 0 {
			client = newHTTP3Client("https://127.0.0.1:" + secure)
		}
		loops = append(loops, &closedLoop{
			name: fmt.Sprintf("h3-%d", i), client: client, pause: time.Millisecond,
			req: harness.Request{Method: "POST", Path: "/a?delay=300ms", Body: bytes.Repeat([]byte("order "), 40)},
		})
	}
	ctx, end := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, l := range loops {
		wg.Go(func() { l.run(ctx) })
	}
	for i := range http3Replacements {
		if err := b.Write(generation(i + 1)); err != nil {
			t.Fatal(err)
		}
		operate(t, b, "reload")
		pid = awaitActive(t, b, pid)
		moved(t, loops, fmt.Sprintf("generation-%d", i+1))
	}
	end()
	wg.Wait()

	total := noneFailed(t, loops)
	t.Logf("%d requests", total)
	executedOnce(t, executions(t, backends), total)
}

// executedOnce checks that each of so many requests was executed, and none twice.
func executedOnce(t *testing.T, counts map[string]int, requests int) {
	t.Helper()
	if len(counts) != requests {
		t.Errorf("%d requests were executed, want %d", len(counts), requests)
	}
	for id, n := range counts {
		if n > 1 {
			t.Errorf("%s was executed %d times", id, n)
		}
	}
}

// ordering sends POSTs from a page, four at a time, and counts them.
const ordering = `(() => {
	window.orders = {sent: 0, failed: [], seen: {}, over: 0};
	const work = async (w) => {
		for (let i = 0; !window.enough; i++) {
			const id = "page-" + w + "-" + i;
			orders.sent++;
			try {
				const r = await fetch("/a?delay=" + (300 + 40 * w) + "ms", {method: "POST", headers: {"X-Request-Id": id}, body: "order"});
				await r.text();
				orders.seen[r.headers.get("X-Generation")] = true;
				if (r.status != 200) orders.failed.push(id + ": " + r.status);
			} catch (e) {
				orders.failed.push(id + ": " + e);
			}
		}
		orders.over++;
	};
	for (let w = 0; w < 4; w++) setTimeout(work, 75 * w, w);
})()`

// TestReplacementsInABrowser: no order that a page has sent over HTTP/3 is cut by
// replacements, and the browser repeats none. One that has not left the browser may fail:
// Chromium says ERR_CONNECTION_CLOSED to the page when the connection that it has chosen
// ends before it has sent anything there.
func TestReplacementsInABrowser(t *testing.T) {
	t.Parallel()
	backends, env := newBackends(t)
	start(t, backends...)
	secure := freePort(t)
	b := newBroker(t, generation(0), append(env, "PORT="+freePort(t), "TLS="+secure, "STREAMS=127.0.0.1:1")...)
	skipShort(t)
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	pid := awaitActive(t, b, 0)
	awaitTLS(t, "127.0.0.1:"+secure)
	chromium := newBrowser(t, "--origin-to-force-quic-on=localhost:"+secure, "--ignore-certificate-errors-spki-list="+publicKeys(t, "127.0.0.1:"+secure))
	p := openPage(t, chromium, "https://localhost:"+secure+"/whole/page", desk)
	p.Expect("ERR_CONNECTION_CLOSED")
	if err := p.Eval(t.Context(), ordering, nil); err != nil {
		t.Fatal(err)
	}
	type orders struct {
		Sent, Over int
		Failed     []string
		Seen       map[string]bool
	}
	await := func(is func(orders) bool) (o orders) {
		t.Helper()
		if err := harness.Until(t.Context(), soon, func() error {
			o = orders{}
			if err := p.Eval(t.Context(), "orders", &o); err != nil {
				return err
			}
			if !is(o) {
				return fmt.Errorf("%+v", o)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return o
	}
	for i := range http3Replacements {
		if err := b.Write(generation(i + 1)); err != nil {
			t.Fatal(err)
		}
		operate(t, b, "reload")
		pid = awaitActive(t, b, pid)
		await(func(o orders) bool { return o.Seen[fmt.Sprintf("generation-%d", i+1)] })
	}
	if err := p.Eval(t.Context(), "window.enough = true", nil); err != nil {
		t.Fatal(err)
	}
	o := await(func(o orders) bool { return o.Over == 4 })
	var protocols []string
	if err := p.Eval(t.Context(), `[...new Set(performance.getEntriesByType("resource").map((e) => e.nextHopProtocol).filter((p) => p))]`, &protocols); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(protocols, []string{"h3"}) {
		t.Errorf("it spoke %q, which shows nothing", protocols)
	}
	t.Logf("%d requests, of which %d were not sent", o.Sent, len(o.Failed))
	executedOnce(t, executions(t, backends), o.Sent-len(o.Failed))
}

// publicKeys are the hashes of the public keys of a server's certificates, by which a
// browser can be told to trust them.
func publicKeys(t *testing.T, addr string) string {
	t.Helper()
	var hashes []string
	if err := harness.Until(t.Context(), soon, func() error {
		conn, err := tls.Dial("tcp", addr, insecure)
		if err != nil {
			return err
		}
		defer conn.Close()
		for _, c := range conn.ConnectionState().PeerCertificates {
			hash := sha256.Sum256(c.RawSubjectPublicKeyInfo)
			hashes = append(hashes, base64.StdEncoding.EncodeToString(hash[:]))
		}
		if len(hashes) == 0 {
			return errors.New("there is no certificate")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return strings.Join(hashes, ",")
}
