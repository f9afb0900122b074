// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// printed is what a broker command printed, with its exit code.
type printed struct {
	out  string
	code int
}

// first is the first line.
func (o printed) first() string {
	line, _, _ := strings.Cut(o.out, "\n")
	return line
}

// words are all of its words, however its lines are broken.
func (o printed) words() string { return strings.Join(strings.Fields(o.out), " ") }

// tell runs a broker command, whatever its exit code.
func tell(t *testing.T, b *harness.Broker, command ...string) printed {
	t.Helper()
	return runs(t, b, append(append([]string{"broker"}, command...), "--address", b.AdminAddr())...)
}

// runs runs a command, whatever its exit code.
func runs(t *testing.T, b *harness.Broker, command ...string) printed {
	t.Helper()
	out, err := b.Run(t.Context(), command...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return printed{out, exit.ExitCode()}
	} else if err != nil {
		t.Fatal(err)
	}
	return printed{out, 0}
}

// awaitTold runs a command until it ends with code and its first line begins with begins.
func awaitTold(t *testing.T, b *harness.Broker, code int, begins string, command ...string) printed {
	t.Helper()
	var o printed
	if err := harness.Until(t.Context(), soon, func() error {
		if o = tell(t, b, command...); o.code != code || !strings.HasPrefix(o.first(), begins) {
			return fmt.Errorf("%v: exit code %d, want %d and a first line that begins with %q:\n%s", command, o.code, code, begins, o.out)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return o
}

// wants reports what of the words is not in an output.
func wants(t *testing.T, o printed, list ...string) {
	t.Helper()
	for _, want := range list {
		if !strings.Contains(o.words(), want) {
			t.Errorf("%q is not in\n%s", want, o.out)
		}
	}
}

const incidents = `{
	admin {$ADMIN}
	broker {
		restart_delay 10m
		max_restart_delay 10m
	}
}
http://127.0.0.1:{$PORT} {
	reverse_proxy {$B1} {$B2} {
		lb_policy failover {
			pool shop
			randomize false
			timeout 100ms
		}
	}
}
`

// The first line of status, and its exit code, say what is not all right, incident by
// incident; check says whether it serves.
func TestStatusSaysWhatIsNotAllRight(t *testing.T) {
	t.Parallel()
	backends, env := newBackends(t)
	start(t, backends[:2]...)
	port := freePort(t)
	b := startBroker(t, incidents, append(env, "PORT="+port)...)
	pid := awaitActive(t, b, 0)
	one, two := "http://"+backends[0].Addr, "http://"+backends[1].Addr

	check := func(code int, says string, more ...string) {
		t.Helper()
		awaitTold(t, b, code, says, append([]string{"check", "--timeout", "10s"}, more...)...)
	}
	o := awaitTold(t, b, 0, "all right: default serves for ", "status")
	wants(t, o, "1 pool, 2/2 upstreams up", "last reload", "served", "caddy-broker ")
	check(0, "serves")
	check(0, "serves", "--pool", "shop")
	check(1, `does not serve: no pool "shpo": there are shop`, "--pool", "shpo")

	if err := backends[0].Kill(); err != nil {
		t.Fatal(err)
	}
	get(t, "127.0.0.1:"+port)
	o = awaitTold(t, b, 1, "NOT all right: "+one+" is down for ", "status")
	wants(t, o, "why dial tcp", "connection refused", "1 failover")
	check(0, "serves", "--pool", "shop")
	if err := backends[1].Kill(); err != nil {
		t.Fatal(err)
	}
	client := &harness.Client{Addr: "127.0.0.1:" + port}
	if res := client.Do(t.Context(), "a", time.Now(), harness.Request{Method: "GET"}); res.Status != http.StatusServiceUnavailable {
		t.Errorf("without a backend: status %d", res.Status)
	}
	o = awaitTold(t, b, 1, "NOT all right: pool shop: no upstream serves for ", "status")
	wants(t, o, "next the next attempt is in ")
	for line := range strings.Lines(o.out) {
		if n := utf8.RuneCountInString(line); n > 81 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	check(1, "does not serve: pool shop has no backend that takes requests: reconnecting", "--pool", "shop")
	check(0, "serves")
	start(t, backends[:2]...)
	awaitTold(t, b, 0, "all right: ", "status")

	say(t, b, "drain", backends[0].Addr)
	o = awaitTold(t, b, 0, "all right: ", "status")
	wants(t, o, "note "+one+" is drained for ")
	wants(t, tell(t, b, "drain", two), two+" drained; 0 requests still in progress", "pool shop: every backend is drained now")
	awaitTold(t, b, 1, "NOT all right: pool shop: every upstream is drained", "status")
	wants(t, tell(t, b, "resume", one), one+" resumed")
	say(t, b, "resume", "shop", two)
	awaitTold(t, b, 0, "all right: ", "status")

	if err := b.Write(incidents + "http://:{$PORT} {\n\tno_such_directive\n}\n"); err != nil {
		t.Fatal(err)
	}
	if o := tell(t, b, "reload"); o.code != 1 {
		t.Errorf("a reload of a mistake: %+v", o)
	}
	o = awaitTold(t, b, 1, "NOT all right: the reload ", "status")
	wants(t, o, "failed why", "no_such_directive", "last reload", "failed, the configuration of")
	if err := b.Write(incidents); err != nil {
		t.Fatal(err)
	}
	say(t, b, "reload")
	wants(t, awaitTold(t, b, 0, "all right: ", "status"), "unchanged, the configuration of")

	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	o = awaitTold(t, b, 1, "NOT all right: child default does not answer for ", "status")
	wants(t, o, fmt.Sprintf("process %d gives no sign of life", pid))
	check(1, "does not serve: child default does not answer")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	o = awaitTold(t, b, 1, "NOT all right: child default is down for ", "status")
	wants(t, o, "killed, SIGKILL", "next the next start is in ", "caddy broker start default starts it at once")
	check(1, "does not serve: child default: no process accepts")

	// Ten minutes of back-off are not waited for.
	wants(t, tell(t, b, "start"), "start default: done, process ")
	o = awaitTold(t, b, 0, "all right: default serves for ", "status")
	wants(t, o, "note child default: a process ended ", "killed, SIGKILL")
	say(t, b, "stop")
	o = awaitTold(t, b, 1, "NOT all right: child default is stopped for ", "status")
	wants(t, o, "next start it: caddy broker start default")
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"status", "check"} {
		if o := tell(t, b, command); o.code != 2 {
			t.Errorf("%s without a broker: %+v", command, o)
		}
	}
}

// Operations say what they did, and take the pool from what is unambiguous.
func TestOperationsSayWhatTheyDid(t *testing.T) {
	t.Parallel()
	backends, env := newBackends(t)
	start(t, backends...)
	port := freePort(t)
	b := startBroker(t, incidents, append(env, "PORT="+port)...)
	one, two, three := "http://"+backends[0].Addr, "http://"+backends[1].Addr, "http://"+backends[2].Addr

	client := &harness.Client{Addr: "127.0.0.1:" + port}
	cut := underWay(t, backends[:1], client, "cut", harness.Request{Method: "POST", Path: "/?delay=30s", Body: []byte("order")})
	wants(t, tell(t, b, "drain", backends[0].Addr), "pool shop: "+one+" drained; 1 request still in progress")
	wants(t, tell(t, b, "failover", "--to", two), "pool shop: new requests go to "+two+" until failback; 1 request elsewhere still in progress")
	wants(t, tell(t, b, "failback"), "pool shop: the failover by hand is over")
	wants(t, tell(t, b, "rebalance"), "pool shop: clients that were moved go to their own backends again")
	wants(t, tell(t, b, "uris", "add", three), "pool shop: 1 address added")
	wants(t, tell(t, b, "uris", "remove", backends[2].Addr), "pool shop: 1 address removed; 0 requests still in progress there")
	wants(t, tell(t, b, "in-doubt"), "no request is in doubt")
	if err := backends[0].Stop(); err != nil {
		t.Fatal(err)
	}
	cut.Wait()
	wants(t, awaitTold(t, b, 0, "2", "in-doubt"), "POST ", "request id cut-0, sent to "+one+" of pool shop", "1 request in doubt")
	wants(t, awaitTold(t, b, 0, "all right", "status"), "note 1 request in doubt")

	for _, c := range []struct{ command, says string }{
		{"drain http://127.0.0.1:1", "no pool has address"},
		{"failover --to 127.0.0.1:1", "no pool has address"},
	} {
		if o := tell(t, b, strings.Fields(c.command)...); o.code != 1 || !strings.Contains(o.out, c.says) {
			t.Errorf("%s: exit code %d, want 1 and %q:\n%s", c.command, o.code, c.says, o.out)
		}
	}
	for command, says := range map[string]string{"statu": "did you mean status?", "uris ad": "did you mean add?"} {
		if o := runs(t, b, append([]string{"broker"}, strings.Fields(command)...)...); o.code != 1 || !strings.Contains(o.out, says) {
			t.Errorf("%s: exit code %d, want 1 and %q:\n%s", command, o.code, says, o.out)
		}
	}
	wants(t, runs(t, b, "broker", "version"), "caddy-broker ")

	proposed, err := b.Run(t.Context(), "__complete", "broker", "drain", "--address", b.AdminAddr(), "")
	if err != nil || !strings.HasPrefix(proposed, one+"\n"+two+"\nshop\n") {
		t.Errorf("completion of drain: %v\n%s", err, proposed)
	}
	proposed, err = b.Run(t.Context(), "__complete", "broker", "stop", "--mode", "")
	if err != nil || !strings.HasPrefix(proposed, "immediate\nforce\n") {
		t.Errorf("completion of a mode: %v\n%s", err, proposed)
	}
}

// What runs until it is interrupted writes plain text into a pipe.
func TestWatchAndEventsInAPipe(t *testing.T) {
	t.Parallel()
	b := startBroker(t, answering, "PORT="+freePort(t))
	for _, c := range []struct{ command, enough string }{
		{"status --watch", "\n\nall right: default serves for "}, // a second page
		{"events", "broker_child_replaced child=default pid="},
	} {
		ctx, enough := context.WithCancel(t.Context())
		out := make(chan string)
		reader, err := b.Pipe(ctx, append([]string{"broker"}, strings.Fields(c.command+" --address "+b.AdminAddr())...)...)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			text, part := "", make([]byte, 4096)
			for !strings.Contains(text, c.enough) {
				n, err := reader.Read(part)
				if text += string(part[:n]); err != nil {
					break
				}
			}
			out <- text
		}()
		text, over := "", false
		for tick := time.NewTicker(time.Second); !over; {
			select {
			case text = <-out:
				over = true
			case <-tick.C: // the stream may not have begun at the first
				if err := b.Admin(t.Context(), http.MethodPost, "/broker/children/default/restart", nil); err != nil {
					t.Error(err)
				}
			}
		}
		enough()
		if n := strings.Count(b.Process().Output(), "/broker/?watch"); n > 1 && c.command != "events" {
			t.Errorf("%d requests are in the log, want one", n)
		}
		if !strings.Contains(text, c.enough) || strings.Contains(text, "\x1b") {
			t.Errorf("%s: %q", c.command, text)
		}
	}
}
