// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

const startsLate = `{
	admin {$ADMIN}
	broker {
		restart_delay 30s
		max_restart_delay 30s
	}
}
http://:{$PORT} {
	log {
		output file logs/access.log
	}
	respond serving
}
`

// longHeader sends a header that never ends.
func longHeader(ctx context.Context, addr string) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	text := "GET / HTTP/1.1\r\nHost: x\r\n"
	for {
		if _, err := conn.Write([]byte(text)); err != nil {
			return
		}
		text = "X-" + strings.Repeat("a", 60) + ": " + strings.Repeat("b", 60_000) + "\r\n"
	}
}

// silence says nothing on a connection.
func silence(ctx context.Context, addr string) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_, _ = conn.Read(make([]byte, 1))
}

// twice asks again, as a browser does, when its connection ends before an answer: on a
// busy machine that can be because its turn was over before it had said anything.
type twice struct{ harness.Sender }

func (c twice) Do(ctx context.Context, id string, due time.Time, req harness.Request) *harness.Result {
	res := c.Sender.Do(ctx, id, due, req)
	if res.Fate == harness.EOF {
		res = c.Sender.Do(ctx, id, due, req)
	}
	return res
}

// While the parent answers users itself, those who send headers without end or nothing
// at all take little of its memory, and the others are answered as ever.
func TestHeldSocketsAreBounded(t *testing.T) {
	const bound = 32 << 20
	port := freePort(t)
	addr := "127.0.0.1:" + port
	b := startBroker(t, startsLate, "PORT="+port)
	pid := awaitActive(t, b, 0)
	logs := filepath.Join(b.Dir, "logs")
	if err := os.RemoveAll(logs); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(logs, nil, 0o600); err != nil { // where a directory should be
		t.Fatal(err)
	}
	if err := killProcess(t, pid); err != nil {
		t.Fatal(err)
	}
	if _, err := b.AwaitChild(t.Context(), "default", func(c *harness.Child) bool { return c.State == "backoff" }); err != nil {
		t.Fatal(err)
	}
	most := growth(t, b.Process().Pid())
	ctx, cancel := context.WithCancel(t.Context())
	var attack sync.WaitGroup
	defer attack.Wait()
	defer cancel()
	for i := range 400 {
		attack.Go(func() {
			// More often is an attack on the machine's processors instead.
			again := time.NewTicker(500 * time.Millisecond)
			defer again.Stop()
			for ctx.Err() == nil {
				if i%2 == 0 {
					longHeader(ctx, addr)
				} else {
					silence(ctx, addr)
				}
				<-again.C
			}
		})
	}
	load := harness.Load{Client: twice{&harness.Client{Addr: addr, Timeout: soon}}, Rate: 10, Count: 60, Name: "others"}
	results := load.Start(t.Context()).Wait()
	cancel()
	t.Logf("%s; the parent grew by %d KiB", results, most()>>10)
	answered := results.Where(func(r *harness.Result) bool { return r.Status == 503 })
	if len(answered) < len(results)*95/100 {
		t.Errorf("%d of %d were answered", len(answered), len(results))
	}
	for _, r := range answered {
		if r.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %v", r.ID, r.Header)
		}
	}
	if n := most(); n > bound {
		t.Errorf("the parent grew by %d MiB, more than %d", n>>20, bound>>20)
	}
}
