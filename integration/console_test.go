// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/browser"
	"github.com/caddy-broker/caddy-broker/integration/harness"
)

const consoleSites = `{
	admin {$ADMIN}
	broker {
		restart_delay 1h
		max_restart_delay 1h
	}
}
http://127.0.0.1:{$PORT} {
	reverse_proxy {$B1} {$B2} {$B3} {
		lb_policy failover {
			randomize false
			priority_backup
			pool shop
		}
	}
}
http://127.0.0.1:{$SITE} {
	basic_auth {
		ops {$HASH}
	}
	broker_console {
		read_only
	}
}
`

// desk is how an operator looks at the page.
var desk = browser.Look{Width: 1280, Height: 900}

// consoleScene is a broker with its backends, the address of a site that they serve, and
// that of a site with the console.
type consoleScene struct {
	b          *harness.Broker
	backends   []*harness.Backend
	addr, site string
}

// consoleBroker is a broker with three backends that serve.
func consoleBroker(t *testing.T) consoleScene {
	t.Helper()
	backends, env := newBackends(t)
	start(t, backends...)
	port, other := freePort(t), freePort(t)
	hash := "$2a$04$53v7G8kX3S0rPX2PNRwSZu6rRl0COxl7UU6wWy/fRSpnjYMjC4RMu"
	b := startBroker(t, consoleSites, append(env, "PORT="+port, "SITE="+other, "HASH="+hash)...)
	for range 2 {
		get(t, "127.0.0.1:"+port)
	}
	return consoleScene{b, backends, "127.0.0.1:" + port, "127.0.0.1:" + other}
}

func consoleOf(b *harness.Broker) string { return "http://" + b.AdminAddr() + "/broker/console" }

// TestConsoleBackends: a page that is open shows by itself what becomes of backends, and
// lets an operator act on it.
func TestConsoleBackends(t *testing.T) {
	t.Parallel()
	chromium := newBrowser(t)
	scene := consoleBroker(t)
	b, backends, addr := scene.b, scene.backends, scene.addr
	p := openPage(t, chromium, consoleOf(b), desk)
	awaitText(t, p, "h1", "all right", "1 pool")
	pictures(t, chromium, consoleOf(b), "all-right")

	if err := backends[0].Kill(); err != nil {
		t.Fatal(err)
	}
	get(t, addr)
	awaitText(t, p, "h1", "NOT all right", backends[0].Addr, "is down")
	awaitText(t, p, ".incident", "Cause", "connection refused", "Effect", "requests go to http://"+backends[1].Addr, "Next", "asked again in")
	awaitText(t, p, "#events", backends[0].Addr)
	pictures(t, chromium, consoleOf(b), "on-backup")

	pressButton(t, p, "#pools tr:nth-child(3)", "Drain", "Drain backend http://"+backends[2].Addr, "Nothing is cut", "0 requests that are in progress there finish")
	awaitText(t, p, ".done", "The backend gets no new requests.")
	awaitText(t, p, "#pools tr:nth-child(3)", "drained", "by the console")
	awaitText(t, p, ".notes", backends[2].Addr+" is drained")
	pictures(t, chromium, consoleOf(b), "drained")
	pressButton(t, p, "#pools tr:nth-child(3)", "Resume", "Resume backend")
	awaitText(t, p, "#pools tr:nth-child(3)", "up")

	pressButton(t, p, "#pools tr:nth-child(3)", "Fail over to it", "Move all clients to backend http://"+backends[2].Addr)
	awaitText(t, p, "#pools tr:nth-child(3)", "all clients were sent here by hand")
	if by := get(t, addr).Header.Get(harness.BackendName); by != "three" {
		t.Errorf("after the failover backend %s has answered", by)
	}
	pressButton(t, p, "#pools", "Fail back", "Let the clients of pool shop go home")
	start(t, backends[0])
	awaitText(t, p, "#pools tr:nth-child(1)", "trial", "the next request decides")
	get(t, addr)
	awaitText(t, p, "h1", "all right", "3/3 upstreams up")
}

// TestConsoleChild: a child that was killed with requests in progress, and what an
// operator does about it.
func TestConsoleChild(t *testing.T) {
	t.Parallel()
	chromium := newBrowser(t)
	scene := consoleBroker(t)
	b, backends, addr := scene.b, scene.backends, scene.addr
	p := openPage(t, chromium, consoleOf(b), desk)
	awaitText(t, p, "h1", "all right")
	send := func(id, path string) *harness.Run {
		t.Helper()
		before := len(executions(t, backends))
		load := harness.Load{
			Client: &harness.Client{Addr: addr, Timeout: 5 * time.Minute}, Rate: 100, Count: 1, Name: id,
			Requests: []harness.Request{{Method: "POST", Path: path, Body: []byte("order")}},
		}
		run := load.Start(t.Context())
		awaitExecuted(t, backends, before+1)
		return run
	}
	run := send("doubt", "/order/%3Cscript%3Ealert(1)%3C/script%3E?delay=1h")
	if err := syscall.Kill(awaitActive(t, b, 0), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	run.Wait()
	awaitText(t, p, "h1", "NOT all right", "child default is down")
	awaitText(t, p, ".incident", "Cause", "SIGKILL", "Effect", "1 request was cut, 1 of them in doubt", "Next", "the next start is in")
	awaitText(t, p, "#doubts", "POST", "/order/<script>alert(1)</script>", "doubt-")
	awaitText(t, p, "#crashes", "killed, SIGKILL", "1 request was cut")
	awaitText(t, p, "#events", "child default was killed (SIGKILL)", "1 request cut, 1 of them in doubt")
	pictures(t, chromium, consoleOf(b), "killed-in-doubt")
	pressButton(t, p, "#children", "Start", "Start child default?", "Nothing is cut")
	awaitText(t, p, "h1", "all right")
	awaitActive(t, b, 0)

	run = send("held", "/?delay=1h")
	pressButton(t, p, "#children", "Stop", "Stop child default?", "Nothing serves default", "1 request is in progress")
	awaitText(t, p, ".done", "It is under way.")
	awaitText(t, p, "#children", "stopping", "Force the stop")
	pictures(t, chromium, consoleOf(b), "stopping")
	pressButton(t, p, "#children", "Force the stop", "cut within a second")
	run.Wait()
	awaitText(t, p, "h1", "child default is stopped")
	pressButton(t, p, "#children", "Start", "Start child default?")
	awaitText(t, p, "h1", "all right")

	mend := damage(t, b)
	p.Expect("status of 400")
	pressButton(t, p, "#children", "Reload", "If the file has a mistake nothing changes")
	awaitText(t, p, "body", "It could not be done", "no_such_directive")
	if err := p.Press(t.Context(), "a.button", "Back to the console"); err != nil {
		t.Fatal(err)
	}
	awaitText(t, p, "h1", "the reload", "failed")
	awaitText(t, p, ".incident", "no_such_directive", "mend the new one and reload")
	pictures(t, chromium, consoleOf(b), "reload-failed")
	mend()
	pressButton(t, p, "#children", "Reload", "Read the configuration file")
	awaitText(t, p, "h1", "all right")
}

// TestConsoleWithoutScript: the page is whole without script, and loads itself again.
func TestConsoleWithoutScript(t *testing.T) {
	t.Parallel()
	chromium := newBrowser(t)
	scene := consoleBroker(t)
	b, backends := scene.b, scene.backends
	look := desk
	look.NoScript = true
	p := openPage(t, chromium, consoleOf(b), look)
	awaitText(t, p, "body", "all right", "default", "shop", "http://"+backends[0].Addr, "What has happened")
	pressButton(t, p, "#pools tr:nth-child(1)", "Drain", "Drain backend http://"+backends[0].Addr)
	awaitText(t, p, "#pools tr:nth-child(1)", "drained")
	if err := b.Admin(t.Context(), http.MethodPost, "/broker/resume?uri=http://"+backends[0].Addr, nil); err != nil {
		t.Fatal(err)
	}
	awaitText(t, p, "#pools tr:nth-child(1)", "up")
}

// TestConsoleKeyboard: everything that can be pressed can be reached and pressed without a
// mouse, and has a name.
func TestConsoleKeyboard(t *testing.T) {
	t.Parallel()
	chromium := newBrowser(t)
	scene := consoleBroker(t)
	b, backends := scene.b, scene.backends
	p := openPage(t, chromium, consoleOf(b), desk)
	awaitText(t, p, "h1", "all right")
	var names []string
	if err := p.Eval(t.Context(), `[...document.querySelectorAll("a,button,[role=img]")].map((e) => e.getAttribute("aria-label") || e.textContent.trim())`, &names); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if name == "" {
			t.Errorf("something that can be pressed, or seen, has no name: %q", names)
		}
	}
	wanted := "Drain http://" + backends[0].Addr
	for range 40 {
		if err := p.Key(t.Context(), "Tab", 9, ""); err != nil {
			t.Fatal(err)
		}
		var at string
		if err := p.Eval(t.Context(), "document.activeElement.textContent.trim()", &at); err != nil {
			t.Fatal(err)
		}
		if at == wanted {
			break
		}
	}
	if err := p.Key(t.Context(), "Enter", 13, "\r"); err != nil {
		t.Fatal(err)
	}
	awaitText(t, p, "body", "Drain backend http://"+backends[0].Addr)
	if err := p.Eval(t.Context(), `document.querySelector("form button").focus()`, nil); err != nil {
		t.Fatal(err)
	}
	if err := p.Key(t.Context(), "Enter", 13, "\r"); err != nil {
		t.Fatal(err)
	}
	awaitText(t, p, "#pools tr:nth-child(1)", "drained")
}

// TestConsoleOnASite: the directive asks for authentication, and shows no operations where
// it is read only.
func TestConsoleOnASite(t *testing.T) {
	t.Parallel()
	scene := consoleBroker(t)
	b, backends, site := scene.b, scene.backends, scene.site
	ask := func(method, query string, change func(*http.Request)) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+site+"/"+query, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		change(r)
		return answerOf(t, r)
	}
	ops := func(r *http.Request) { r.SetBasicAuth("ops", "password") }
	if status, _ := ask(http.MethodGet, "", func(*http.Request) {}); status != http.StatusUnauthorized {
		t.Errorf("without a password: %d", status)
	}
	status, page := ask(http.MethodGet, "", ops)
	if status != http.StatusOK || !strings.Contains(page, backends[0].Addr) || !strings.Contains(page, "process "+strconv.Itoa(b.Process().Pid())) {
		t.Errorf("with a password: %d %s", status, page)
	}
	if strings.Contains(page, `class="button`) {
		t.Error("a console that is read only has buttons")
	}
	for name, spoof := range map[string]func(*http.Request){
		"read only":       func(*http.Request) {},
		"a field of ours": func(r *http.Request) { r.Header["Broker-Console-Read-Only"] = []string{""} },
		"and hop-by-hop":  func(r *http.Request) { r.Header.Set("Connection", "Broker-Console-Read-Only") },
	} {
		status, _ := ask(http.MethodPost, "?op=stop&child=default", func(r *http.Request) { ops(r); spoof(r) })
		if status != http.StatusForbidden {
			t.Errorf("a POST where it is read only, %s: %d", name, status)
		}
	}
	awaitActive(t, b, 0)
}

// TestConsoleRefusesOthers: another site can neither operate the console nor show it.
func TestConsoleRefusesOthers(t *testing.T) {
	t.Parallel()
	b := consoleBroker(t).b
	pid := awaitActive(t, b, 0)
	for name, fields := range map[string]map[string]string{
		"another site":           {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Origin": "http://evil.test"},
		"another origin":         {"Origin": "http://evil.test"},
		"another port":           {"Origin": "http://127.0.0.1:1"},
		"a site on this one":     {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Origin": "http://" + b.AdminAddr()},
		"no origin":              {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
		"an origin that is null": {"Origin": "null"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, consoleOf(b), strings.NewReader("op=force&child=default"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for field, value := range fields {
			r.Header.Set(field, value)
		}
		if status, body := answerOf(t, r); status != http.StatusForbidden && status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if now := awaitActive(t, b, 0); now != pid {
		t.Errorf("process %d serves, not %d", now, pid)
	}
	// What opens the console to a browser opens nothing else.
	for path, want := range map[string]int{"/broker/console": 200, "/broker/": 403, "/config/": 403, "/reverse_proxy/upstreams": 403, "/debug/vars": 403} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+b.AdminAddr()+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		if status, body := answerOf(t, r); status != want {
			t.Errorf("a browser that goes to %s gets %d, want %d: %s", path, status, want, body)
		}
	}
}
