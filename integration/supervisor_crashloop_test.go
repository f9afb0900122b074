// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// looping has a child that cannot start while its log file cannot be opened.
const looping = `{
	admin {$ADMIN}
	skip_install_trust
	auto_https disable_redirects
	broker {
		restart_delay 1s
		max_restart_delay 8s
	}
}
http://:{$PORT} {
	log {
		output file logs/access.log
	}
	respond serving
}
https://localhost:{$TLS} {
	tls internal
	respond serving
}
`

// delays are the bounds of what follows each death in a row.
var delays = []struct{ low, high time.Duration }{
	{time.Second, time.Second},
	{1600 * time.Millisecond, 2400 * time.Millisecond},
	{3200 * time.Millisecond, 4800 * time.Millisecond},
	{6400 * time.Millisecond, 8 * time.Second},
}

// A child that dies again and again is started at longer and longer intervals.
// While the next start is far away, plain HTTP is answered by its parent; whoever
// waits otherwise is served when the cause is gone, which needs no operator.
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	port, secure := freePort(t), freePort(t)
	b := startBroker(t, looping, "PORT="+port, "TLS="+secure)
	awaitTLS(t, "127.0.0.1:"+secure)
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
	// Every request has a connection of its own.
	plain := &harness.Client{Addr: "127.0.0.1:" + port}
	load := harness.Load{
		Client: plain, Rate: 20, Name: "p",
		Requests: []harness.Request{{Method: "GET"}, {Method: "POST", Body: []byte("order")}},
	}
	run := load.Start(t.Context())

	var death, next time.Time
	for i, allowed := range delays {
		child, err := b.AwaitChild(t.Context(), "default", func(c *harness.Child) bool {
			return c.State == "backoff" && c.LastExit != nil && c.LastExit.At.After(death)
		})
		if err != nil {
			t.Fatalf("after %d deaths: %v", i, err)
		}
		death = child.LastExit.At
		if death.Before(next) {
			t.Errorf("death %d came at %s; no start was due before %s", i+1, death, next)
		}
		next = child.NextStart
		if delay := next.Sub(death); delay < allowed.low || delay > allowed.high {
			t.Errorf("death %d: the next start is %s away, want %s to %s", i+1, delay, allowed.low, allowed.high)
		}
	}
	// More than five seconds away.
	held(t, plain.Do(t.Context(), "held", time.Now(), harness.Request{Method: "GET"}), next)
	patient := harness.Load{
		Client: &harness.Client{Addr: "127.0.0.1:" + secure, Host: "localhost:" + secure, TLS: insecure},
		Rate:   20, Count: 10, Name: "t",
	}
	waiting := patient.Start(t.Context())

	if err := os.Remove(logs); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, b, pid)
	sent(t, run, 20)
	child, err := b.Child(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	if ready := child.Since; child.Restarts != len(delays) || ready.Before(next) || !child.NextStart.IsZero() {
		t.Errorf("the child is %+v; want %d restarts, the last one not before %s", child, len(delays), next)
	}

	results := run.Stop()
	answered := results.Where(func(r *harness.Result) bool { return r.Status == 503 })
	t.Logf("%s; TLS: %s", results, waiting.Wait())
	if lost := results.Failed().Where(func(r *harness.Result) bool { return r.Status != 503 }); len(lost) > 0 {
		t.Errorf("lost: %s; the first: %v", lost, lost[0].Err)
	}
	for _, r := range answered {
		held(t, r, time.Time{})
	}
	if len(answered) < 10 || len(answered) > len(results)-10 {
		t.Errorf("%d of %d were answered by the parent, which shows nothing", len(answered), len(results))
	}
	if failed := waiting.Wait().Failed(); len(failed) > 0 {
		t.Errorf("over TLS: %s", failed)
	}
	lines, err := b.HALog()
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{"broker_ha.log": strings.Join(lines, "\n"), "log": b.Process().Output()} {
		mark := map[string]string{"broker_ha.log": "SHA0558", "log": `broker_child_exited`}[what]
		if n := strings.Count(text, mark); n != len(delays) {
			t.Errorf("%s: %d lines with %s, want one for each of %d attempts:\n%s", what, n, mark, len(delays), text)
		}
	}
}

// held checks the answer of a parent whose child is to be started at next, if
// that is given.
func held(t *testing.T, r *harness.Result, next time.Time) {
	t.Helper()
	after, err := strconv.Atoi(r.Header.Get("Retry-After"))
	if err != nil || after < 1 || after > 8 || r.Status != 503 || !strings.Contains(r.Header.Get("Proxy-Status"), "destination_unavailable") {
		t.Errorf("%s: %s %d %v (%v)", r.ID, r.Fate, r.Status, r.Header, r.Err)
	}
	if wait := next.Sub(r.End); !next.IsZero() && time.Duration(after)*time.Second < wait {
		t.Errorf("%s: Retry-After %d, but the next start is %s away", r.ID, after, wait)
	}
}
