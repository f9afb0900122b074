// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

const body = "/config/apps/http/servers/srv0/routes/0/handle/0/body"

// TestSupervisionIsNotLost: whichever way a configuration comes, with the option or
// without it, it is served by a child; at once, when it is answered.
func TestSupervisionIsNotLost(t *testing.T) {
	port := freePort(t)
	b := supervised(t, answer("ANSWER"), "PORT="+port)
	run := func(args ...string) {
		t.Helper()
		if out, err := b.Run(t.Context(), args...); err != nil {
			t.Fatalf("caddy %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	write := func(caddyfile string) {
		t.Helper()
		if err := b.Write(caddyfile); err != nil {
			t.Fatal(err)
		}
	}
	plain := strings.Replace(answering, "ANSWER", "without the option", 1)
	for _, way := range []struct {
		name, says string
		do         func()
	}{
		{"caddy reload", "reload", func() { write(answer("reload")); run("reload", "--config", "{}") }},
		{"caddy reload --adapter broker", "adapter", func() { write(answer("adapter")); run("reload", "--config", "{}", "--adapter", "broker") }},
		{"caddy reload without the option", "without the option", func() { write(plain); run("reload", "--config", "{}") }},
		{"POST /load of JSON", "json", func() {
			call{Method: "POST", Path: "/load", Body: adapted(t, b, answer("json"))}.wants(t, b, 200, "")
		}},
		{"POST /load of a Caddyfile", "caddyfile", func() {
			text := strings.NewReplacer("{$ADMIN}", b.AdminAddr(), "{$PORT}", port).Replace(answer("caddyfile"))
			call{Method: "POST", Path: "/load", Body: text, Type: "text/caddyfile"}.wants(t, b, 200, "")
		}},
		{"PATCH", "patch", func() { call{Method: "PATCH", Path: body, Body: `"patch"`}.wants(t, b, 200, "") }},
		{"DELETE and PUT", "put", func() {
			call{Method: "DELETE", Path: body}.wants(t, b, 200, "")
			call{Method: "PUT", Path: body, Body: `"put"`}.wants(t, b, 200, "")
		}},
		{"POST", "post", func() { call{Method: "POST", Path: body, Body: `"post"`}.wants(t, b, 200, "") }},
		{"an id", "by id", func() {
			call{Method: "POST", Path: strings.TrimSuffix(body, "body") + "@id", Body: `"page"`}.wants(t, b, 200, "")
			call{Method: "PATCH", Path: "/id/page/body", Body: `"by id"`}.wants(t, b, 200, "")
			call{Method: "GET", Path: "/id/page/body"}.wants(t, b, 200, `"by id"`)
		}},
		{"the whole", "whole", func() {
			whole := call{Method: "GET", Path: "/config/"}.wants(t, b, 200, "").Body
			call{Method: "POST", Path: "/config/", Body: strings.Replace(whole, "by id", "whole", 1)}.wants(t, b, 200, "")
		}},
		{"caddy broker reload", "broker reload", func() { write(answer("broker reload")); run("reload", "--config", "{}"); operate(t, b, "reload") }},
		{"forced", "broker reload", func() {
			pid := awaitActive(t, b, 0)
			run("reload", "--config", "{}", "--force")
			awaitActive(t, b, pid)
		}},
	} {
		way.do()
		if got := get(t, "127.0.0.1:"+port).Body; got != way.says {
			t.Errorf("%s: the site answers %q, want %q", way.name, got, way.says)
		}
		if child, err := b.Child(t.Context(), "default"); err != nil || child.State != "active" {
			t.Fatalf("%s: the child is %+v (%v)", way.name, child, err)
		}
	}
	if processes, err := b.Processes(); err != nil || len(processes) < 2 {
		t.Errorf("processes %v (%v): parent and child", processes, err)
	}
}

// TestSignalAndWatch: SIGUSR1 and a watched file load what the file says, and the
// supervision stays; also where Caddy itself watches the file that was a plain one.
func TestSignalAndWatch(t *testing.T) {
	t.Run("SIGUSR1", func(t *testing.T) {
		port := freePort(t)
		b := supervised(t, answer("before"), "PORT="+port)
		for _, says := range []string{"once", "twice"} { // a reload of the same file in between keeps it
			if err := b.Write(answer(says)); err != nil {
				t.Fatal(err)
			}
			if err := b.Process().Signal(syscall.SIGUSR1); err != nil {
				t.Fatal(err)
			}
			answers(t, port, says)
			if out, err := b.Run(t.Context(), "reload", "--config", "{}"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		if child, err := b.Child(t.Context(), "default"); err != nil || child.State != "active" {
			t.Errorf("the child is %+v (%v)", child, err)
		}
	})
	for name, args := range map[string][]string{
		"caddy run --watch":             {"run", "--config", "{}", "--watch"},
		"caddy broker run --ha --watch": {"broker", "run", "--ha", "--config", "{}", "--watch"},
	} {
		t.Run(name, func(t *testing.T) {
			port := freePort(t)
			b := newBroker(t, answer("before"), "PORT="+port)
			b.Args = args
			if err := b.Start(); err != nil {
				t.Fatal(err)
			}
			pid := awaitActive(t, b, 0)
			said(t, b, "watching config file for changes")
			if err := b.Write(answer("after")); err != nil {
				t.Fatal(err)
			}
			answers(t, port, "after")
			awaitActive(t, b, pid)
		})
	}
	t.Run("a plain file that is watched", func(t *testing.T) {
		port := freePort(t)
		b := newBroker(t, strings.Replace(answering, "ANSWER", "plain", 1), "PORT="+port)
		b.Args = []string{"run", "--config", "{}", "--watch"}
		if err := b.Start(); err != nil {
			t.Fatal(err)
		}
		said(t, b, "watching config file for changes")
		text := strings.NewReplacer("{$ADMIN}", b.AdminAddr(), "{$PORT}", port).Replace(answer("supervised"))
		call{Method: "POST", Path: "/load", Body: text, Type: "text/caddyfile"}.wants(t, b, 200, "")
		awaitActive(t, b, 0)
		answers(t, port, "supervised")
		if err := b.Write(strings.Replace(answering, "ANSWER", "by the watcher", 1)); err != nil {
			t.Fatal(err)
		}
		said(t, b, "this process supervises what it serves")
		answers(t, port, "supervised")
		awaitActive(t, b, 0)
		call{Method: "GET", Path: body}.wants(t, b, 200, "supervised")
	})
}

// TestBadChange: a change that cannot be applied is answered as Caddy answers it; the
// child, the document and the admin endpoint are as before.
func TestBadChange(t *testing.T) {
	port := freePort(t)
	b := supervised(t, answer("good"), "PORT="+port)
	pid := awaitActive(t, b, 0)
	before := call{Method: "GET", Path: "/config/"}.wants(t, b, 200, "").Body
	const unknown = "unknown module: http.handlers.none_of_that_name"
	for _, c := range []struct {
		call
		status int
		says   string
	}{
		{
			call{Method: "PATCH", Path: strings.TrimSuffix(body, "/body"), Body: `{"handler":"none_of_that_name"}`},
			500,
			`{"error":"loading new config: loading http app module: provision http: server srv0: setting up route handlers: route 0: loading handler modules: position 0: loading module 'none_of_that_name': ` + unknown,
		},
		{call{Method: "POST", Path: "/load", Body: strings.Replace(before, "static_response", "none_of_that_name", 1)}, 400, `{"error":"loading config: loading new config: loading http app module`},
		{call{Method: "POST", Path: "/load", Body: `{"admin":{"listen":"127.0.0.1:` + freePort(t) + `"},"apps":{"http":{"servers":{"s":{"routes":[{"handle":[{"handler":"none_of_that_name"}]}]}}}}}`}, 400, unknown},
		{call{Method: "POST", Path: "/load", Body: `{"apps":`}, 400, "decoding request body: unexpected end of JSON input, at offset 8"},
		{call{Method: "POST", Path: "/load", Body: "nonsense {", Type: "text/caddyfile"}, 400, "adapting config using caddyfile adapter"},
		{call{Method: "POST", Path: "/load", Body: "x", Type: "text/none_of_that_name"}, 400, "unrecognized config adapter"},
		{call{Method: "PUT", Path: "/config/apps/broker/standby", Body: `"many"`}, 500, "option standby"},
		{call{Method: "PUT", Path: "/config/apps/none_of_that_name", Body: `{}`}, 500, "unknown module: none_of_that_name"},
		{call{Method: "PUT", Path: "/config/Apps", Body: `{"http":{}}`}, 500, "apps is there in two spellings"},
		{call{Method: "PUT", Path: "/config/none", Body: `{}`}, 500, "unknown field"},
		{call{Method: "PATCH", Path: "/config/admin/listen", Body: `"not an address:x:y"`}, 500, "starting caddy administration endpoint"},
		{call{Method: "PATCH", Path: "/config/apps/none", Body: "1"}, 404, "key does not exist"},
		{call{Method: "PUT", Path: body, Body: `"x"`}, 409, "key already exists"},
		{call{Method: "PATCH", Path: body, Body: `"x"`, Header: http.Header{"If-Match": {`"` + body + ` 0"`}}}, 412, "If-Match"},
		{call{Method: "PATCH", Path: body, Body: `"x"`, Type: "text/plain"}, 400, "content-type"},
		{call{Method: "GET", Path: "/id/none"}, 404, "unknown object ID 'none'"},
	} {
		c.wants(t, b, c.status, c.says)
		if after := (call{Method: "GET", Path: "/config/"}).wants(t, b, 200, "").Body; after != before {
			t.Fatalf("%s: the configuration has become %s", c.call, after)
		}
	}
	if now := awaitActive(t, b, 0); now != pid {
		t.Errorf("the child was %d and is %d", pid, now)
	}
	answers(t, port, "good")
}

// TestChangesAtOnce: of changes that come together each gets its own answer, and those
// that can be are made, in few processes.
func TestChangesAtOnce(t *testing.T) {
	const n, bad = 24, 7
	port := freePort(t)
	b := supervised(t, answer("ANSWER"), "PORT="+port)
	results := make([]*harness.Result, n)
	var wg sync.WaitGroup
	for i := range results {
		c := call{Method: "PUT", Path: fmt.Sprintf("/config/apps/http/servers/srv0/named_routes/n%d", i), Body: `{"handle":[{"handler":"static_response"}]}`}
		if i == bad {
			c.Body = `{"handle":[{"handler":"none_of_that_name"}]}`
		}
		if i == 0 {
			c = call{Method: "PUT", Path: "/config/apps/http/servers/srv0/named_routes", Body: `{"n0":{}}`}
			results[i] = c.ask(t, b)
			continue
		}
		wg.Go(func() { results[i] = c.ask(t, b) })
	}
	wg.Wait()
	for i, res := range results {
		want := 200
		if i == bad {
			want = 500
		}
		if res.Status != want {
			t.Errorf("change %d: %d %s (%v), want %d", i, res.Status, res.Body, res.Err, want)
		}
		there := !strings.Contains(call{Method: "GET", Path: fmt.Sprintf("/config/apps/http/servers/srv0/named_routes/n%d", i)}.ask(t, b).Body, "null")
		if there != (i != bad) {
			t.Errorf("change %d is there: %v", i, there)
		}
	}
	lines, err := b.HALog()
	if err != nil {
		t.Fatal(err)
	}
	if starts := strings.Count(strings.Join(lines, "\n"), "SHA0173"); starts > n*3/4 { // to find the bad one takes some
		t.Errorf("%d processes were started for %d changes", starts, n)
	}
}

// TestOtherPathsAreTheChilds: what other modules serve on the admin endpoint tells of the
// process that serves.
func TestOtherPathsAreTheChilds(t *testing.T) {
	port := freePort(t)
	b := supervised(t, `{
	admin {$ADMIN}
	broker
}
http://:{$PORT} {
	reverse_proxy 127.0.0.1:1
}
`, "PORT="+port)
	call{Method: "GET", Path: "/reverse_proxy/upstreams"}.wants(t, b, 200, "127.0.0.1:1")
	call{Method: "GET", Path: "/pki/ca/local"}.wants(t, b, 200, "root_certificate")
	unread := strings.Repeat("a body that nobody reads ", 4096)
	for range 60 {
		call{Method: "POST", Path: "/pki/ca/local", Body: unread}.wants(t, b, 405, "method not allowed: POST")
	}
	call{Method: "GET", Path: "/debug/pprof/cmdline"}.wants(t, b, 200, "--child")
	call{Method: "GET", Path: "/debug/vars"}.wants(t, b, 200, "--child")
	for _, c := range []call{
		{Method: "POST", Path: "/load", Body: "{}"},
		{Method: "POST", Path: "/stop"},
		{Method: "PATCH", Path: "/config/apps/http", Body: "{}"},
		{Method: "DELETE", Path: "/config/apps"},
		{Method: "PUT", Path: "/id/x", Body: "{}"},
	} {
		c.Path = "/broker/children/default/admin" + c.Path
		c.wants(t, b, 409, "at the broker's own admin endpoint")
	}
	call{Method: "GET", Path: "/broker/children/default/admin/config/apps/http"}.wants(t, b, 200, "broker_guard")
}

// TestStoppedChildIsSaid: what is loaded while the child is stopped is not served, also
// if it is the same as before.
func TestStoppedChildIsSaid(t *testing.T) {
	b := supervised(t, answer("ANSWER"), "PORT="+freePort(t))
	operate(t, b, "stop")
	for name, caddyfile := range map[string]string{"unchanged": answer("ANSWER"), "changed": answer("changed")} {
		if err := b.Write(caddyfile); err != nil {
			t.Fatal(err)
		}
		out, err := b.Run(t.Context(), "reload", "--config", "{}")
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || !strings.Contains(out, "caddy broker start") {
			t.Errorf("caddy reload of a file that is %s: %v\n%s", name, err, out)
		}
	}
	call{Method: "PATCH", Path: body, Body: `"ANSWER"`}.wants(t, b, 500, "is stopped")
	operate(t, b, "start")
	if out, err := b.Run(t.Context(), "reload", "--config", "{}"); err != nil {
		t.Errorf("caddy reload: %v\n%s", err, out)
	}
}
