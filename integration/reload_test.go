// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"encoding/json"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// answering is a site that says what it is told to.
const answering = `{
	admin {$ADMIN}
}
http://:{$PORT} {
	respond "ANSWER"
}
`

// goesOn is said of a child that a reload leaves alone because nothing has changed.
const goesOn = "child goes on: nothing that it runs has changed"

func reload(t *testing.T, b *harness.Broker, caddyfile string) (string, error) {
	t.Helper()
	if err := b.Write(caddyfile); err != nil {
		t.Fatal(err)
	}
	return b.Run(t.Context(), "reload", "--adapter", "broker", "--config", "{}")
}

func TestReload(t *testing.T) {
	t.Parallel()
	port, second := freePort(t), freePort(t)
	b := startBroker(t, answering, "PORT="+port, "SECOND="+second)
	pid := awaitActive(t, b, 0)

	if out, err := reload(t, b, answering); err != nil {
		t.Fatalf("reloading the same: %v\n%s", err, out)
	}
	if now := awaitActive(t, b, 0); now != pid {
		t.Errorf("the child was %d and is %d; nothing had changed", pid, now)
	}
	options := strings.Replace(answering, "admin {$ADMIN}", "admin {$ADMIN}\n\tbroker {\n\t\trestart_delay 3s\n\t}", 1)
	if out, err := reload(t, b, options); err != nil {
		t.Fatalf("reloading other options: %v\n%s", err, out)
	}
	if n := strings.Count(b.Process().Output(), goesOn); n != 1 {
		t.Errorf("it was said %d times that the child goes on, want once", n)
	}
	if now := awaitActive(t, b, 0); now != pid {
		t.Errorf("the child was %d and is %d; nothing of it had changed", pid, now)
	}
	if out, err := b.Run(t.Context(), "reload", "--config", "{}", "--force"); err != nil {
		t.Fatalf("reloading the same by force: %v\n%s", err, out)
	}
	if now := awaitActive(t, b, 0); now == pid {
		t.Error("the child was not replaced by force")
	}

	changed := strings.Replace(answering, "ANSWER", "changed", 1) + "http://:{$SECOND} {\n\trespond second\n}\n"
	if out, err := reload(t, b, changed); err != nil {
		t.Fatalf("reloading a change: %v\n%s", err, out)
	}
	for addr, want := range map[string]string{port: "changed", second: "second"} {
		if got := get(t, "127.0.0.1:"+addr).Body; got != want {
			t.Errorf("port %s answered %q, want %q", addr, got, want)
		}
	}

	if out, err := reload(t, b, strings.Replace(answering, "ANSWER", "last", 1)); err != nil {
		t.Fatalf("reloading with one site less: %v\n%s", err, out)
	}
	if got := get(t, "127.0.0.1:"+port).Body; got != "last" {
		t.Errorf("answered %q, want %q", got, "last")
	}
	if err := harness.Until(t.Context(), soon, func() error { return harness.PortFree(second) }); err != nil {
		t.Errorf("the port of the site that is gone: %v", err)
	}
}

// What no child serves any more is refused at once, also while the old child
// still works for those who came before: nobody would come for such a queue.
func TestReloadClosesWhatIsGoneDuringADrain(t *testing.T) {
	t.Parallel()
	backend := newStreams(t)
	port, gone := freePort(t), freePort(t)
	b := startBroker(t, answering+"http://:{$GONE} {\n\treverse_proxy {$HELD}\n}\n", "PORT="+port, "GONE="+gone, "HELD="+backend.addr)
	old := awaitActive(t, b, 0)

	run := backend.hold(t, "127.0.0.1:"+gone)
	if out, err := reload(t, b, answering); err != nil {
		t.Fatalf("caddy reload: %v\n%s", err, out)
	}
	if err := harness.Until(t.Context(), soon, func() error { return harness.PortFree(gone) }); err != nil {
		t.Errorf("the port of the site that is gone: %v", err)
	}
	if run.InFlight() != 1 || !harness.Alive(old) {
		t.Error("the drain was over before the request was")
	}
	backend.release()
	if results := run.Wait(); len(results.Failed()) != 0 {
		t.Errorf("the request in progress: %s", results)
	}
}

func TestReloadThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, caddyfile, says string }{
		{"syntax", "http://:{$PORT} {\n\trespond nothing\n\tunknown_directive\n}\n", "unknown_directive"},
		{"policy", "http://:{$PORT} {\n\treverse_proxy 127.0.0.1:1 {\n\t\tlb_policy failover {\n\t\t\tno_such_option\n\t\t}\n\t}\n}\n", "no_such_option"},
		{"child cannot start", "{\n\tadmin {$ADMIN}\n}\nhttps://localhost:{$PORT} {\n\ttls missing.crt missing.key\n}\n", "missing.crt"},
		{"port in use", "{\n\tadmin {$ADMIN}\n}\nhttp://:{$PORT} {\n\trespond nothing\n}\nhttp://:{$TAKEN} {\n\trespond nothing\n}\n", "address already in use"},
	}
	backends, _ := newBackends(t)
	start(t, backends[0]) // somebody else who listens
	port := freePort(t)
	b := startBroker(t, answering, "PORT="+port, "TAKEN="+backends[0].Port())
	pid := awaitActive(t, b, 0)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := reload(t, b, tt.caddyfile)
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
				t.Errorf("caddy reload: %v, want exit code 1", err)
			}
			if !strings.Contains(out, tt.says) {
				t.Errorf("the error does not say %q:\n%s", tt.says, out)
			}
			if got := get(t, "127.0.0.1:"+port).Body; got != "ANSWER" {
				t.Errorf("answered %q after a reload that failed", got)
			}
			if now := awaitActive(t, b, 0); now != pid {
				t.Errorf("the child was %d and is %d", pid, now)
			}
			if strings.Contains(b.Process().Output(), goesOn) {
				t.Error("it is said that nothing has changed")
			}
		})
	}
}

// TestReloadWithoutTheAdapter keeps the supervision, and the child where nothing of it
// has changed.
func TestReloadWithoutTheAdapter(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	b := startBroker(t, answering, "PORT="+port)
	pid := awaitActive(t, b, 0)
	if out, err := b.Run(t.Context(), "reload", "--config", "{}"); err != nil {
		t.Fatalf("caddy reload: %v\n%s", err, out)
	}
	if now := awaitActive(t, b, 0); now != pid {
		t.Errorf("the child was %d and is %d, though nothing has changed", pid, now)
	}
	if err := b.Write(strings.Replace(answering, "ANSWER", "changed", 1)); err != nil {
		t.Fatal(err)
	}
	if out, err := b.Run(t.Context(), "reload", "--config", "{}"); err != nil {
		t.Fatalf("caddy reload: %v\n%s", err, out)
	}
	if now := awaitActive(t, b, 0); now == pid {
		t.Error("the child was not replaced")
	}
	if got := get(t, "127.0.0.1:"+port).Body; got != "changed" {
		t.Errorf("the site answers %q", got)
	}
}

func TestValidateChecksTheChild(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, caddyfile string
		code            int
		says            string
	}{
		{"good", answering, 0, "Valid configuration"},
		{"bad child", "{\n\tadmin {$ADMIN}\n}\nhttps://localhost:{$PORT} {\n\ttls missing.crt missing.key\n}\n", 1, "missing.crt"},
		{"bad option", "{\n\tadmin {$ADMIN}\n\tbroker {\n\t\twatchdog never\n\t}\n}\nhttp://:{$PORT} {\n\trespond ok\n}\n", 1, "watchdog"},
	}
	for _, tt := range tests {
		for _, command := range [][]string{{"validate"}, {"adapt", "--validate"}} {
			t.Run(tt.name+" "+command[0], func(t *testing.T) {
				b := newBroker(t, tt.caddyfile, "PORT="+freePort(t))
				out, err := b.Run(t.Context(), append(command, "--adapter", "broker", "--config", "{}")...)
				code := 0
				if exit, ok := errors.AsType[*exec.ExitError](err); ok {
					code = exit.ExitCode()
				} else if err != nil {
					t.Fatal(err)
				}
				// adapt says nothing of a valid configuration, but prints it.
				if code != tt.code || command[0] == "validate" && !strings.Contains(out, tt.says) {
					t.Errorf("exit code %d, want %d with %q:\n%s", code, tt.code, tt.says, out)
				}
				if _, err := b.HALog(); err == nil {
					t.Error("a log was begun: something was started")
				}
			})
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	b := startBroker(t, answering, "PORT="+freePort(t))
	pid := awaitActive(t, b, 0)

	table, err := b.Run(t.Context(), "broker", "status", "--address", b.AdminAddr())
	if err != nil {
		t.Fatalf("caddy broker status: %v\n%s", err, table)
	}
	for _, want := range []string{"default", "active", strconv.Itoa(pid)} {
		if !strings.Contains(table, want) {
			t.Errorf("the table does not show %q:\n%s", want, table)
		}
	}

	text, err := b.Run(t.Context(), "broker", "status", "--json", "--address", b.AdminAddr())
	var status struct {
		Children []harness.Child `json:"children"`
		Pools    []any           `json:"pools"`
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &status)
	}
	if err != nil || len(status.Children) != 1 || status.Children[0].Pid != pid || status.Pools == nil {
		t.Errorf("caddy broker status --json: %v\n%s", err, text)
	}

	var child harness.Child
	if err := b.Admin(t.Context(), "GET", "/broker/children/default", &child); err != nil || child.Pid != pid {
		t.Errorf("the child is %+v (%v), want process %d", child, err, pid)
	}
	err = b.Admin(t.Context(), "GET", "/broker/children/nobody", nil)
	if err == nil || !strings.Contains(err.Error(), "404") || !strings.Contains(err.Error(), "default") {
		t.Errorf("an unknown child: %v, want 404 with the known one named", err)
	}
}
