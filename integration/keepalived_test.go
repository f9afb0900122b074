// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// The configuration of docs/two-machines.md, in two machines with Debian's keepalived:
// the shared address goes to the second one when the first one's broker stops, stays
// there when that returns, and goes back when the second machine loses its network.
func TestTwoMachines(t *testing.T) {
	if _, err := exec.LookPath("keepalived"); err != nil {
		t.Skip("the program keepalived is not there")
	}
	isolated(t, twoMachines)
}

func twoMachines(t *testing.T) {
	config := keepalivedConfig(t)
	ip(t, "addr add 192.0.2.1/24 dev bridge")
	one := addBalancer(t, "one", "192.0.2.11", config)
	addBalancer(t, "two", "192.0.2.12", strings.NewReplacer(
		"150", "100", "192.0.2.11", "192.0.2.12", "192.0.2.12", "192.0.2.11").Replace(config))
	awaitMachine(t, "one")

	if out, err := one.Run(t.Context(), "broker", "stop", "--address", one.AdminAddr()); err != nil {
		t.Fatalf("caddy broker stop: %v\n%s", err, out)
	}
	awaitMachine(t, "two")

	if out, err := one.Run(t.Context(), "broker", "start", "--address", one.AdminAddr()); err != nil {
		t.Fatalf("caddy broker start: %v\n%s", err, out)
	}
	awaitLog(t, one, "VRRP_Script(broker) succeeded", 2)
	if got, err := servingMachine(t); err != nil || got != "two" {
		t.Errorf("after the return of the first machine %q serves (%v), want two", got, err)
	}

	ip(t, "link set vtwo down")
	awaitMachine(t, "one")
}

// keepalivedConfig is the configuration that the page shows.
func keepalivedConfig(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../docs/two-machines.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "```keepalived\n")
	config, _, ended := strings.Cut(rest, "```")
	if !found || !ended {
		t.Fatal("docs/two-machines.md has no configuration of keepalived")
	}
	return config
}

// addBalancer adds a machine with a broker that answers with its name, and keepalived.
func addBalancer(t *testing.T, name, address, config string) *harness.Broker {
	t.Helper()
	addMachine(t, name)
	ip(t, "-n "+name+" addr add "+address+"/24 dev eth0")
	b := newBroker(t, "{\n\tadmin {$ADMIN}\n}\nhttp://:8080 {\n\trespond "+name+"\n}\n")
	b.MoveTo(name, address)
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, b, 0)

	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	// What differs from a machine of one's own: program, user, admin endpoint, and
	// checks that a busy machine cannot make time out.
	config = strings.NewReplacer(
		"/usr/bin/caddy broker check", program+" broker check --address "+b.AdminAddr(),
		"--timeout 500ms", "--timeout 30s", "timeout  2", "timeout  30",
		"script_user caddy", "script_user root").Replace(config)
	file := filepath.Join(b.Dir, "keepalived.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "ip", "netns", "exec", name,
		"keepalived", "--dont-fork", "--log-console", "--log-detail", "--vrrp", "--use-file", file,
		"--pid", filepath.Join(b.Dir, "keepalived.pid"), "--vrrp_pid", filepath.Join(b.Dir, "vrrp.pid"))
	keepalived, err := harness.StartProcess(cmd, keepalivedLog(b))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := keepalived.Kill(); err != nil {
			t.Errorf("ending keepalived: %v", err)
		}
		if t.Failed() {
			t.Logf("keepalived of machine %s:\n%s", name, keepalived.Output())
		}
	})
	return b
}

func keepalivedLog(b *harness.Broker) string { return filepath.Join(b.Dir, "keepalived.log") }

// awaitLog waits until keepalived has written text that many times.
func awaitLog(t *testing.T, b *harness.Broker, text string, times int) {
	t.Helper()
	if err := harness.Until(t.Context(), soon, func() error {
		log, err := os.ReadFile(keepalivedLog(b))
		if err != nil {
			return err
		}
		if n := strings.Count(string(log), text); n < times {
			return fmt.Errorf("%q was written %d times, want %d", text, n, times)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// awaitMachine waits until the machine answers at the shared address.
func awaitMachine(t *testing.T, want string) {
	t.Helper()
	begun := time.Now()
	if err := harness.Until(t.Context(), soon, func() error {
		got, err := servingMachine(t)
		if err == nil && got != want {
			err = fmt.Errorf("machine %s serves, want %s", got, want)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Logf("machine %s serves after %s", want, time.Since(begun).Round(time.Millisecond))
}

// servingMachine is the name of the machine that answers, on a new connection.
func servingMachine(t *testing.T) (string, error) {
	t.Helper()
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://192.0.2.10:8080/", nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(resp.Body)
	return string(body), errors.Join(err, resp.Body.Close())
}
