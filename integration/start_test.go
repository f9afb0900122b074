// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// failStart starts the broker, which must end by itself with code 1, quickly,
// and without a second try, and returns what it said.
func failStart(t *testing.T, b *harness.Broker) string {
	t.Helper()
	begun := time.Now()
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-b.Process().Exited():
	case <-time.After(soon):
		b.Dump()
		t.Fatalf("the broker still runs\n%s", b.Process().Output())
	}
	t.Logf("ended after %s", time.Since(begun))
	if code := b.Process().ExitCode(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if err := b.AwaitGone(t.Context(), soon); err != nil {
		t.Error(err)
	}
	if lines, err := b.HALog(); err == nil {
		if n := strings.Count(strings.Join(lines, "\n"), "SHA0173"); n > 1 {
			t.Errorf("%d children were started, want one at most", n)
		}
	}
	return b.Process().Output()
}

func TestPortInUseFailsAtOnce(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", ":"+freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	out := failStart(t, newBroker(t, `{
	admin {$ADMIN}
}
http://:{$PORT} {
	respond ok
}
`, "PORT="+port))
	if !strings.Contains(out, ":"+port) || !strings.Contains(out, "address already in use") {
		t.Errorf("the error does not name the port and what is wrong:\n%s", out)
	}
}

func TestChildThatCannotStart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, site string
		says       []string
	}{
		{
			"missing certificate", "https://localhost:{$PORT} {\n\ttls missing.crt missing.key\n}\n",
			[]string{"missing.crt", "no such file"},
		},
		{
			"log that cannot be written", "http://:{$PORT} {\n\tlog {\n\t\toutput file /dev/null/access.log\n\t}\n}\n",
			[]string{"/dev/null/access.log", "not a directory"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out := failStart(t, newBroker(t, "{\n\tadmin {$ADMIN}\n}\n"+tt.site, "PORT="+freePort(t)))
			for _, want := range tt.says {
				if !strings.Contains(out, want) {
					t.Errorf("the error does not say %q:\n%s", want, out)
				}
			}
		})
	}
}

// A Caddyfile that is wrong is refused with file, line, option and value, before
// any process is started.
func TestWrongCaddyfiles(t *testing.T) {
	t.Parallel()
	proxy := func(option string) string {
		return "{\n\tadmin {$ADMIN}\n}\nhttp://:{$PORT} {\n\treverse_proxy {$B1} {\n\t\tlb_policy failover {\n\t\t\t" + option + "\n\t\t}\n\t}\n}\n"
	}
	directive := func(address string) string {
		return "{\n\tadmin {$ADMIN}\n}\nhttp://:{$PORT} {\n\tfailover \"" + address + "\"\n}\n"
	}
	global := func(option string) string {
		return "{\n\tadmin {$ADMIN}\n\tbroker {\n\t\t" + option + "\n\t}\n}\nhttp://:{$PORT} {\n\trespond ok\n}\n"
	}
	tests := []struct {
		name, caddyfile string
		says            []string
	}{
		{"unknown policy option", proxy("randomise false"), []string{"Caddyfile:7", "randomise"}},
		{"bad value of a policy option", proxy("max_reconnect_attempts many"), []string{"Caddyfile:7", "max_reconnect_attempts", "many"}},
		{"bad duration", proxy("timeout soon"), []string{"Caddyfile:7", "timeout", "soon"}},
		{"unbalanced parentheses", directive("failover:(http://127.0.0.1:1"), []string{"Caddyfile:5", "(http://127.0.0.1:1"}},
		{"mixed schemes", directive("failover:(http://127.0.0.1:1,https://127.0.0.1:2)"), []string{"Caddyfile:5", "https"}},
		{"unknown address option", directive("failover:(http://127.0.0.1:1)?fallback=true"), []string{"Caddyfile:5", "fallback"}},
		{"empty list", directive("failover:()"), []string{"Caddyfile:5"}},
		{"unknown broker option", global("restarts 5"), []string{"Caddyfile:4", "restarts"}},
		{"bad value of a broker option", global("restart_delay often"), []string{"Caddyfile:4", "restart_delay", "often"}},
		{"contradiction", global("restart_delay 5s\n\t\tmax_restart_delay 1s"), []string{"restart_delay", "max_restart_delay"}},
		{"user who does not exist", global("user no-such-user"), []string{"user", "no-such-user"}},
		{"program that does not exist", global("child other {\n\t\t\tcommand /no/such/program\n\t\t}"), []string{"other", "/no/such/program", "no such file"}},
		{"program that is none", global("child other {\n\t\t\tcommand /etc/passwd\n\t\t}"), []string{"other", "/etc/passwd", "permission denied"}},
		{"inside cookie", "{\n\tadmin {$ADMIN}\n}\nhttp://:{$PORT} {\n\treverse_proxy {$B1} {\n\t\tlb_policy cookie {\n\t\t\tfallback failover\n\t\t}\n\t}\n}\n", []string{"affinity", "cookie"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			port := freePort(t)
			out := failStart(t, newBroker(t, tt.caddyfile, "PORT="+port, "B1=127.0.0.1:1"))
			for _, want := range tt.says {
				if !strings.Contains(out, want) {
					t.Errorf("the error does not say %q:\n%s", want, out)
				}
			}
		})
	}
}

// A log that cannot be opened costs a warning, not the service.
func TestHALogThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	b := startBroker(t, `{
	admin {$ADMIN}
	broker {
		ha_log missing/directory/ha.log
	}
}
http://:{$PORT} {
	respond ok
}
`, "PORT="+port)
	get(t, "127.0.0.1:"+port)
	if n := strings.Count(b.Process().Output(), "missing/directory/ha.log"); n != 1 {
		t.Errorf("the log is named %d times, want one warning:\n%s", n, b.Process().Output())
	}
	if _, err := os.Stat(b.Dir + "/broker_ha.log"); err == nil {
		t.Error("a log was written elsewhere")
	}
}
