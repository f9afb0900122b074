// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

var upgrades = flag.Int("upgrades", 5, "how many upgrades the parent gets under load")

// another makes the n-th program of its kind: what follows the sections of one is not read.
func another(n int) func([]byte) []byte {
	return func(program []byte) []byte { return fmt.Appendf(program, "build %d", n) }
}

// TestUpgradesLoseNothing lets one program after another take the parent's place, under
// the load of TestReplacementsLoseNothing and under new connections at a fixed rate.
func TestUpgradesLoseNothing(t *testing.T) {
	backends, env := newBackends(t)
	start(t, backends...)
	streams := newStreams(t)
	port, secure := freePort(t), freePort(t)
	env = append(env, "PORT="+port, "TLS="+secure, "STREAMS="+streams.addr)
	b := newBroker(t, generation(0), env...)
	if err := b.Install(nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	parent := b.Process().Pid()
	pid := awaitActive(t, b, 0)
	plainAddr, tlsAddr := "127.0.0.1:"+port, "127.0.0.1:"+secure
	awaitTLS(t, tlsAddr)
	loops := losslessLoops(plainAddr, tlsAddr)
	ctx, end := context.WithCancel(t.Context())
	defer end()
	var wg sync.WaitGroup
	for _, l := range loops {
		wg.Go(func() { l.run(ctx) })
	}
	sockets := &streamClients{addr: plainAddr}
	wg.Go(func() { sockets.run(ctx, sockets.webSocket) })
	wg.Go(func() { sockets.run(ctx, sockets.eventStream) })
	load := harness.Load{Client: &harness.Client{Addr: plainAddr}, Rate: 200, Name: "rate"}
	run := load.Start(t.Context())

	var files int // of the parent after the first upgrade
	for i := range *upgrades {
		if err := b.Install(another(i)); err != nil {
			t.Fatal(err)
		}
		if i%4 == 3 {
			if err := b.Process().Signal(syscall.SIGUSR2); err != nil {
				t.Fatal(err)
			}
		} else if out, err := b.Run(t.Context(), "broker", "upgrade", "--address", b.AdminAddr()); err != nil || !strings.Contains(out, "upgraded in") {
			t.Fatalf("caddy broker upgrade: %v\n%s", err, out)
		}
		pid = awaitActive(t, b, pid)
		var now, want os.FileInfo
		var err error
		if want, err = os.Stat(filepath.Join(b.Dir, "caddy")); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			files = descriptors(t, parent)
		}
		for _, process := range []int{parent, pid} {
			if now, err = os.Stat(fmt.Sprintf("/proc/%d/exe", process)); err != nil || !os.SameFile(now, want) {
				t.Fatalf("process %d does not run the new program (%v)", process, err)
			}
		}
	}
	end()
	wg.Wait()
	if n := descriptors(t, parent); n > files+10 {
		t.Errorf("the parent has %d descriptors, had %d after the first upgrade", n, files)
	}
	results := run.Stop()
	for _, r := range results.Failed() {
		t.Errorf("%s: %s %d (%v)", r.ID, r.Fate, r.Status, r.Err)
	}
	total := len(results) + noneFailed(t, loops)
	for _, failure := range sockets.failed {
		t.Error(failure)
	}
	t.Logf("%d upgrades, %d requests, of those on new connections %s; %s", *upgrades, total, results, sockets)
	for id, n := range executions(t, backends) {
		if n > 1 {
			t.Errorf("%s was executed %d times", id, n)
		}
	}
	// Nothing is left of the processes before, not even to be waited for.
	if err := harness.Until(t.Context(), soon, func() error {
		stats, err := filepath.Glob("/proc/[0-9]*/stat")
		if err != nil {
			return err
		}
		for _, path := range stats {
			stat, _ := os.ReadFile(path)
			after := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
			if len(after) > 1 && after[1] == fmt.Sprint(parent) && after[0] == "Z" {
				return fmt.Errorf("%s is to be waited for", path)
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func descriptors(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestUpgradeToABadProgram: what cannot take the parent's place is refused by name, and
// nothing is touched.
func TestUpgradeToABadProgram(t *testing.T) {
	t.Parallel()
	backends, env := newBackends(t)
	start(t, backends[0])
	port := freePort(t)
	b := newBroker(t, killable, append(env, "PORT="+port)...)
	if err := b.Install(nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	pid := awaitActive(t, b, 0)
	good := filepath.Join(b.Dir, "caddy")
	script := func(text string) func([]byte) []byte {
		return func([]byte) []byte { return []byte("#!/bin/sh\n" + text + "\n") }
	}
	load := harness.Load{Client: &harness.Client{Addr: "127.0.0.1:" + port}, Rate: 100, Name: "u"}
	run := load.Start(t.Context())
	for _, tc := range []struct {
		name    string
		program func([]byte) []byte
		want    string
	}{
		{"no program", func([]byte) []byte { return []byte("not a program\n") }, "exec format error"},
		{"another machine's", func(p []byte) []byte { p[0x12], p[0x13] = 0xf3, 0x00; return p }, "exec format error"},
		{"without the plugin", script(`echo 'Error: unknown command "broker" for "caddy"' >&2; exit 1`), "without this plugin"},
		{"that cannot read the state", script(`echo 'reading the state that is handed over: it is of format 2, this program reads format 1' >&2; exit 1`), "this program reads format 1"},
		{"that cannot load the configuration", script(`echo 'module not registered: http.handlers.mine' >&2; exit 1`), "http.handlers.mine"},
		{"that crashes", script(`kill -SEGV $$`), "segmentation fault"},
		{"that says nothing", script(`exit 0`), "does not say that it could take over"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := b.Install(tc.program); err != nil {
				t.Fatal(err)
			}
			var answer struct{ Error string }
			res, err := http.Post("http://"+b.AdminAddr()+"/broker/upgrade", "", nil)
			if err != nil {
				t.Fatal(err)
			}
			err = json.NewDecoder(res.Body).Decode(&answer)
			_ = res.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(answer.Error, tc.want) || !strings.Contains(answer.Error, good) {
				t.Errorf("answered %d %q, want one that names %s and %q", res.StatusCode, answer.Error, good, tc.want)
			}
			if now := awaitActive(t, b, 0); now != pid {
				t.Errorf("the child is %d, was %d", now, pid)
			}
		})
	}
	// One that passes the trial, and cannot be executed then: all goes on here.
	if err := b.Install(script(`echo '{"caddy_broker":"a version"}'; echo 'not a program' > "$0"`)); err != nil {
		t.Fatal(err)
	}
	res, err := http.Post("http://"+b.AdminAddr()+"/broker/upgrade", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if err := harness.Until(t.Context(), soon, func() error {
		var program struct{ Failed struct{ Error string } }
		if err := b.Admin(t.Context(), http.MethodGet, "/broker/upgrade", &program); err != nil {
			return err
		}
		if !strings.Contains(program.Failed.Error, "executing "+good) {
			return fmt.Errorf("said is %+v", program)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if now := awaitActive(t, b, 0); now != pid {
		t.Errorf("after an execution that failed the child is %d, was %d", now, pid)
	}
	changedWhileTried(t, b)
	if n := strings.Count(b.Process().Output(), "an upgrade did not take place"); n != 9 {
		t.Errorf("the log has %d lines of 9 refused upgrades", n)
	}
	if err := b.Install(another(1)); err != nil {
		t.Fatal(err)
	}
	if out, err := b.Run(t.Context(), "broker", "upgrade", "--address", b.AdminAddr()); err != nil {
		t.Errorf("a good program after the bad ones: %v\n%s", err, out)
	}
	awaitActive(t, b, pid)
	<-time.After(time.Second)
	results := run.Stop()
	for _, r := range results.Failed() {
		t.Errorf("%s: %s %d (%v)", r.ID, r.Fate, r.Status, r.Err)
	}
	t.Log(results)
	if len(results) < 100 {
		t.Error(errors.New("too few requests to show anything"))
	}
}

// changedWhileTried changes the configuration while a program is tried that passes: it is
// tried again, with what would be handed over.
func changedWhileTried(t *testing.T, b *harness.Broker) {
	t.Helper()
	program := filepath.Join(b.Dir, "caddy")
	if err := b.Install(func([]byte) []byte {
		return []byte(`#!/bin/sh
if [ -e "$0.tried" ]; then echo 'it is tried again' >&2; exit 1; fi
touch "$0.tried"
while [ ! -e "$0.go" ]; do sleep 0.05; done
echo '{"caddy_broker":"a version"}'
`)
	}); err != nil {
		t.Fatal(err)
	}
	post := func(path, body string) (string, error) {
		res, err := http.Post("http://"+b.AdminAddr()+path, "application/json", strings.NewReader(body))
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		said, err := io.ReadAll(res.Body)
		return fmt.Sprintf("%d %s", res.StatusCode, said), err
	}
	type answer struct {
		text string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		text, err := post("/broker/upgrade", "")
		answered <- answer{text, err}
	}()
	if err := harness.Until(t.Context(), soon, func() error {
		_, err := os.Stat(program + ".tried")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if said, err := post("/config/apps/broker/max_restart_delay", `"59s"`); err != nil || !strings.HasPrefix(said, "200") {
		t.Errorf("changing an option: %v %s", err, said)
	}
	if err := os.WriteFile(program+".go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if a := <-answered; a.err != nil || !strings.Contains(a.text, "it is tried again") {
		t.Errorf("answered %q (%v)", a.text, a.err)
	}
}

// TestUpgradeKeepsTheRest: what serves is what served, whatever the file says by now; a
// stopped child stays stopped, another program runs again, and the process is the one that
// its manager knows.
func TestUpgradeKeepsTheRest(t *testing.T) {
	t.Parallel()
	port, programPort := freePort(t), freePort(t)
	file := `{
	admin {$ADMIN}
	broker {
		child other {
			command {$PROGRAM} first "second argument"
			env CADDY_BROKER_HARNESS_PROGRAM {$LIFELINE}
			listen tcp/127.0.0.1:{$OTHER}
		}
		child idle {
			command /bin/sleep 1000
		}
	}
}
http://:{$PORT} {
	respond ANSWER
}
`
	other, err := harness.NewProgram(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	b := newBroker(t, strings.Replace(file, "ANSWER", "first", 1), append(other.Env, "PORT="+port, "OTHER="+programPort)...)
	b.Args = []string{"run", "--config", "{}", "--watch", "--pidfile", "caddy.pid"}
	if err := b.Install(nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	pid := awaitActive(t, b, 0)
	upgrade := func(n int) {
		t.Helper()
		if err := b.Install(another(n)); err != nil {
			t.Fatal(err)
		}
		if out, err := b.Run(t.Context(), "broker", "upgrade", "--address", b.AdminAddr()); err != nil {
			t.Fatalf("caddy broker upgrade: %v\n%s", err, out)
		}
	}
	says := func(want string) {
		t.Helper()
		client := &harness.Client{Addr: "127.0.0.1:" + port}
		if err := harness.Until(t.Context(), soon, func() error {
			if res := client.Do(t.Context(), "says", time.Now(), harness.Request{}); res.Body != want {
				return fmt.Errorf("the site says %q, want %q (%w)", res.Body, want, res.Err)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.AwaitChild(t.Context(), "idle", func(c *harness.Child) bool { return c.State == "active" }); err != nil {
		t.Fatal(err)
	}
	if out, err := b.Run(t.Context(), "broker", "stop", "idle", "--address", b.AdminAddr()); err != nil {
		t.Fatalf("stop: %v\n%s", err, out)
	}
	program, worker := awaitProgram(t, b, programPort, 0)
	load := harness.Load{Client: &harness.Client{Addr: "127.0.0.1:" + programPort}, Rate: 50, Name: "program"}
	run := load.Start(t.Context())
	sent(t, run, 20)
	upgrade(1)
	awaitActive(t, b, pid)
	says("first")
	awaitProgram(t, b, programPort, program)
	sent(t, run, 20)
	results := run.Stop()
	t.Logf("the other program: %s", results)
	for _, r := range results.Failed() {
		if r.Fate == harness.Refused {
			t.Errorf("%s was refused by the other program's socket", r.ID)
		}
	}
	for _, old := range []int{program, worker} {
		if err := awaitEnd(t, old); err != nil {
			t.Errorf("process %d of the program before: %v", old, err)
		}
	}
	if c, err := b.Child(t.Context(), "idle"); err != nil || c.State != "stopped" {
		t.Errorf("the stopped child is %+v (%v)", c, err)
	}
	if text, err := os.ReadFile(filepath.Join(b.Dir, "caddy.pid")); err != nil || strings.TrimSpace(string(text)) != fmt.Sprint(b.Process().Pid()) {
		t.Errorf("the file with the process id has %q (%v)", text, err)
	}
	// The file is watched still; what is loaded through the API is what an upgrade keeps.
	if err := b.Write(strings.Replace(file, "ANSWER", "second", 1)); err != nil {
		t.Fatal(err)
	}
	says("second")
	res, err := http.Post("http://"+b.AdminAddr()+"/config/apps/http/servers/srv0/routes/0/handle/0/body", "application/json", strings.NewReader(`"third"`))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	says("third")
	pid = awaitActive(t, b, 0)
	upgrade(2)
	awaitActive(t, b, pid)
	says("third")
	// So it does when the file is gone.
	if err := os.Remove(filepath.Join(b.Dir, "Caddyfile")); err != nil {
		t.Fatal(err)
	}
	pid = awaitActive(t, b, 0)
	upgrade(3)
	awaitActive(t, b, pid)
	// A watcher of the first of these programs hears what happened since, such as that the idle
	// child was stopped, which the later ones did not see.
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.AdminAddr()+"/broker/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Last-Event-ID", "1")
	missed, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer missed.Body.Close()
	var last int64
	stopped := false
	for lines := bufio.NewScanner(missed.Body); !stopped && lines.Scan(); {
		stopped = strings.Contains(lines.Text(), "broker_child_stopped")
		if text, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			id, err := strconv.ParseInt(text, 10, 64)
			if err != nil || id <= last {
				t.Errorf("the id %s follows %d (%v)", text, last, err)
			}
			last = id
		}
	}
	if last == 0 || !stopped {
		t.Errorf("what happened in the first program is not told; the last event is %d", last)
	}
	says("third")
	if got := strings.Count(b.Process().Output(), "not implemented"); got != 0 {
		t.Errorf("%d lines say that something is not implemented", got)
	}
}
