// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// probational is a broker on whose new processes is kept an eye for as long as the tests
// take.
const probational = `{
	admin {$ADMIN}
	auto_https off
	broker {
		state_dir state
		watchdog 1m
		probation 1m
		probe GET http://127.0.0.1:{$PORT}/health {
			expect 200
		}
	}
}
http://:{$PORT} {
	handle /health {
		HEALTH
	}
	respond ANSWER
}
`

// hangTime is how long it takes at most to find out that a signal has stopped a process on
// probation. Its watchdog is far longer.
const hangTime = 2 * time.Second

// onProbation is the configuration with an answer. What is as well as a file says fails
// its probes when that is gone.
func onProbation(answer, wellFile string) string {
	health := "respond fine"
	if wellFile != "" {
		health = "root * " + filepath.Dir(wellFile) + "\n\t\t@well file " + filepath.Base(wellFile) + "\n\t\trespond @well fine\n\t\trespond 500"
	}
	return strings.NewReplacer("ANSWER", answer, "HEALTH", health).Replace(probational)
}

// TestProbation: what a reload has brought to serve and does not serve well gives way to
// what served before, at once; it is said everywhere until something else is loaded, and
// what served before is also what starts again.
func TestProbation(t *testing.T) {
	for _, fault := range []struct {
		name string
		// strike spoils the process, or what its probes look at.
		strike func(pid int, well string) error
		// found is what the broker needs to find that out.
		found time.Duration
		says  string
		cuts  bool // what the process has in progress
	}{
		{"crash", func(pid int, _ string) error { return syscall.Kill(pid, syscall.SIGSEGV) }, 0, "its process ended after ", true},
		{"hang", func(pid int, _ string) error { return syscall.Kill(pid, syscall.SIGSTOP) }, hangTime, ": hang: no heartbeat, and a signal has stopped it", true},
		{"probe", func(_ int, well string) error { return os.Remove(well) }, time.Second, "/health: answered 500 Internal Server Error, expected 200", false},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			port := freePort(t)
			well := filepath.Join(t.TempDir(), "well")
			if err := os.WriteFile(well, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			b := startBroker(t, onProbation("one", ""), "PORT="+port)
			before := awaitActive(t, b, 0)
			addr := "127.0.0.1:" + port
			run := (&harness.Load{Client: &harness.Client{Addr: addr}, Rate: 200, Name: "p"}).Start(t.Context())
			if out, err := reload(t, b, onProbation("two", well)); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			pid := awaitActive(t, b, before)
			if _, spare := awaitStandby(t, b); spare == before {
				t.Errorf("process %d, which was replaced, is the spare", spare)
			}
			if answer := get(t, addr).Body; answer != "two" {
				t.Fatalf("answered %q after the reload", answer)
			}

			var struck strikes
			struck.strike(t, func() error {
				if err := fault.strike(pid, well); err != nil {
					return err
				}
				if fault.cuts {
					return awaitEnd(t, pid)
				}
				return nil
			})
			now := awaitActive(t, b, pid)
			if took := time.Since(struck[0].before); took > fault.found+2*time.Second {
				t.Errorf("what served before does so again after %s", took)
			}
			for _, r := range run.Stop().Failed() {
				if !fault.cuts || r.Fate == harness.Refused || !struck.hit(r) {
					t.Errorf("%s: %s %d (%v)", r.ID, r.Fate, r.Status, r.Err)
				}
			}
			toldRolledBack(t, b, addr, fault.says)

			again(t, b) // the file is what was rolled back
			if answer := get(t, addr).Body; answer != "one" {
				t.Errorf("answered %q after a restart of the broker", answer)
			}
			if out, err := reload(t, b, onProbation("three", "")); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if answer := get(t, addr).Body; answer != "three" {
				t.Errorf("answered %q after a good reload; process %d served before", answer, now)
			}
			if out, err := b.Run(t.Context(), "broker", "status", "--address", b.AdminAddr()); err != nil || !strings.Contains(out, "on probation") {
				t.Errorf("after a good reload status says: %v\n%s", err, out)
			}
		})
	}
}

// TestRolledBackAtOnce: a load whose process dies before the load is answered has failed,
// and says why; the next one says it, too.
func TestRolledBackAtOnce(t *testing.T) {
	t.Parallel()
	with := func(answer, watchdog string) string {
		return strings.Replace(onProbation(answer, ""), "watchdog 1m", "watchdog "+watchdog, 1)
	}
	for name, text := range map[string]string{
		"sites":   with("two", "1m"),
		"options": with("two", "2m"), // which Caddy itself loads
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := freePort(t)
			addr := "127.0.0.1:" + port
			b := startBroker(t, with("one", "1m"), "PORT="+port)
			before := awaitActive(t, b, 0)
			// The load waits until this one accepts no more, which it cannot say now.
			if err := syscall.Kill(before, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			var struck error
			done := make(chan struct{})
			go func() {
				defer close(done)
				now, err := b.AwaitActive(t.Context(), before)
				if err == nil {
					err = syscall.Kill(now.Pid, syscall.SIGKILL)
				}
				struck = err
			}()
			out, err := reload(t, b, text)
			<-done
			if err := errors.Join(struck, syscall.Kill(before, syscall.SIGCONT)); err != nil {
				t.Fatal(err)
			}
			const said = "generation 2 was rolled back to generation 1: "
			if err == nil || !strings.Contains(out, said) || !strings.Contains(out, "its process ended after ") {
				t.Errorf("the reload: %v\n%s", err, out)
			}
			awaitActive(t, b, before)
			toldRolledBack(t, b, addr, "its process ended after ")
			if out, err := b.Run(t.Context(), "broker", "reload", "--address", b.AdminAddr()); err != nil || !strings.Contains(strings.Join(strings.Fields(out), " "), said) {
				t.Errorf("the next reload: %v\n%s", err, out)
			}
			if answer := get(t, addr).Body; answer != "two" {
				t.Errorf("answered %q after the next reload", answer)
			}

			// What serves after a roll-back is loaded: all is right again.
			pid := awaitActive(t, b, 0)
			if err := killProcess(t, pid); err != nil {
				t.Fatal(err)
			}
			awaitActive(t, b, pid)
			if out, err := reload(t, b, with("one", "1m")); err != nil || !strings.Contains(strings.Join(strings.Fields(out), " "), "was rolled back to generation") {
				t.Errorf("a reload of what serves: %v\n%s", err, out)
			}
			metrics := getPath(t, b.AdminAddr(), "/metrics")
			for _, want := range []string{"caddy_broker_reload_success 1\n", "caddy_config_last_reload_successful 1\n"} {
				if !strings.Contains(metrics, want) {
					t.Errorf("metrics lack %s", want)
				}
			}
		})
	}
}

// toldRolledBack checks that what was loaded last is known to have been rolled back.
func toldRolledBack(t *testing.T, b *harness.Broker, addr, why string) {
	t.Helper()
	if answer := get(t, addr).Body; answer != "one" {
		t.Errorf("answered %q after the roll-back", answer)
	}
	var status string
	if err := harness.Until(t.Context(), soon, func() (err error) {
		if status, err = b.Run(t.Context(), "broker", "status", "--address", b.AdminAddr()); err == nil {
			return fmt.Errorf("status says that all is right:\n%s", status)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	const said = "generation 2 was rolled back to generation 1: "
	line := strings.Join(strings.Fields(status), " ")
	for _, want := range []string{"NOT all right: the reload ", "was rolled back", said, why, "the file on disk is not what runs"} {
		if !strings.Contains(line, want) {
			t.Errorf("status does not say %q:\n%s", want, status)
		}
	}
	l := awaitGeneration(t, b, 3)
	if len(l.Generations) != 3 || l.Generations[0].By != "roll-back by itself" || !l.Generations[0].Serving || len(l.Refused) != 1 || !strings.Contains(l.Refused[0].Why, said) {
		t.Errorf("generations are %+v", l)
	}
	text := getPath(t, b.AdminAddr(), "/metrics")
	for _, want := range []string{"caddy_broker_reload_success 0\n", "caddy_config_last_reload_successful 0\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	lines := 0
	for line := range strings.Lines(b.Process().Output()) {
		if strings.Contains(line, "broker_reload_rolled_back") {
			lines++
			if !strings.Contains(line, `"level":"error"`) || !strings.Contains(line, said) {
				t.Errorf("the log says %s", line)
			}
		}
	}
	if lines != 1 {
		t.Errorf("%d lines of the log tell of the roll-back", lines)
	}
	log, err := b.HALog()
	if err != nil || !strings.Contains(strings.Join(log, "\n"), "rolling child broker back to the configuration before") {
		t.Errorf("the HA log: %v\n%s", err, strings.Join(log, "\n"))
	}
	if config := getPath(t, b.AdminAddr(), "/config/"); !strings.Contains(config, `"body":"one"`) {
		t.Errorf("the admin API shows\n%s", config)
	}
	saved, err := os.ReadFile(filepath.Join(b.Dir, "config", "caddy", "autosave.json"))
	if err != nil || !strings.Contains(string(saved), `"body":"one"`) {
		t.Errorf("what is saved: %v\n%s", err, saved)
	}
}

// TestProbationOff: without a probation a process is replaced by one of the same
// configuration, and there is no spare of another one.
func TestProbationOff(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	off := strings.NewReplacer("probation 1m", "probation 0\n\t\trestart_delay 10ms")
	b := startBroker(t, off.Replace(onProbation("one", "")), "PORT="+port)
	before := awaitActive(t, b, 0)
	if out, err := reload(t, b, off.Replace(onProbation("two", ""))); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	pid := awaitActive(t, b, before)
	if err := killProcess(t, pid); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, b, pid)
	if answer := get(t, "127.0.0.1:"+port).Body; answer != "two" {
		t.Errorf("answered %q", answer)
	}
	if l := generationsOf(t, b); len(l.Generations) != 2 || len(l.Refused) != 0 {
		t.Errorf("generations are %+v", l)
	}
}

// TestProbationOfTheNext: while one configuration is on probation another one is loaded, or
// the same again after it was rolled back: nothing of that is lost.
func TestProbationOfTheNext(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	addr := "127.0.0.1:" + port
	b := startBroker(t, onProbation("one", ""), "PORT="+port)
	pid := awaitActive(t, b, 0)
	load := func(answer string) {
		t.Helper()
		if out, err := reload(t, b, onProbation(answer, "")); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		pid = awaitActive(t, b, pid)
		if got := get(t, addr).Body; got != answer {
			t.Fatalf("answered %q after the reload of %q", got, answer)
		}
	}
	load("two")
	load("three") // two is on probation
	if err := killProcess(t, pid); err != nil {
		t.Fatal(err)
	}
	pid = awaitActive(t, b, pid)
	if got := get(t, addr).Body; got != "one" {
		t.Errorf("answered %q after the roll-back, not what was good", got)
	}
	load("three") // the same file
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	load("four") // while it is being rolled back
	if out, err := b.Run(t.Context(), "broker", "status", "--address", b.AdminAddr()); err != nil {
		t.Errorf("status after a good reload: %v\n%s", err, out)
	}
}

// TestProbationErrors: a reload after which more requests than before are answered with 5xx
// gives way, and one after which as many are does not.
func TestProbationErrors(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	addr := "127.0.0.1:" + port
	const sites = `{
	admin {$ADMIN}
	broker {
		probation 1m
		probation_errors 5%
		probation_requests 50
	}
}
http://:{$PORT} {
	handle /sick {
		SICK
	}
	handle {
		respond ANSWER
	}
	handle_errors {
		respond "sorry" 200
	}
}
`
	with := func(answer, sick string) string {
		return strings.NewReplacer("ANSWER", answer, "SICK", sick).Replace(sites)
	}
	b := startBroker(t, with("one", "error 503"), "PORT="+port)
	pid := awaitActive(t, b, 0)
	run := (&harness.Load{
		Client: &harness.Client{Addr: addr}, Rate: 200, Name: "e", Requests: []harness.Request{{Method: "GET", Path: "/sick"}, {Method: "GET"}, {Method: "GET"}},
	}).Start(t.Context())
	sent(t, run, 400) // so that a second of it was seen
	if out, err := reload(t, b, with("two", "respond 500")); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	second := awaitActive(t, b, pid)
	sent(t, run, 400)
	if now := awaitActive(t, b, 0); now != second {
		t.Fatalf("process %d serves, not %d, though no more requests failed", now, second)
	}
	if out, err := reload(t, b, strings.Replace(with("three", "respond 500"), "respond three", "respond three 503", 1)); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	third := awaitActive(t, b, second)
	awaitActive(t, b, third)
	run.Stop()
	if answer := get(t, addr).Body; answer != "one" {
		t.Errorf("answered %q after the roll-back", answer) // two was on probation
	}
	out, err := b.Run(t.Context(), "broker", "status", "--address", b.AdminAddr())
	if line := strings.Join(strings.Fields(out), " "); err == nil || !strings.Contains(line, "requests were answered with 5xx, and 3") || !strings.Contains(line, "probation_errors allows 5 % more") {
		t.Errorf("status says (%v):\n%s", err, out)
	}
}
