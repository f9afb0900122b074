// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// quickstart reads the example with its ports made free ones; the admin endpoint,
// which it leaves at Caddy's default, moves as well.
func quickstart(t *testing.T) (caddyfile, addr string) {
	t.Helper()
	text, err := os.ReadFile("../examples/quickstart/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	caddyfile = string(text)
	for _, port := range []string{"8080", "9001", "9002", "9003"} {
		if !strings.Contains(caddyfile, ":"+port) {
			t.Fatalf("the example does not mention port %s", port)
		}
		free := freePort(t)
		caddyfile = strings.ReplaceAll(caddyfile, ":"+port, ":"+free)
		if addr == "" {
			addr = "127.0.0.1:" + free
		}
	}
	return "{\n\tadmin {$ADMIN}\n}\n" + caddyfile, addr
}

func TestQuickstart(t *testing.T) {
	t.Parallel()
	caddyfile, addr := quickstart(t)
	b := startBroker(t, caddyfile)
	for _, host := range []string{"127.0.0.1:", "localhost:"} {
		if got := get(t, strings.Replace(addr, "127.0.0.1:", host, 1)).Body; got != "primary\n" {
			t.Errorf("asked for %s it answered %q, want the primary", host, got)
		}
	}

	// What the comments of the example say: take the primary away, reload.
	primary := strings.Index(caddyfile, "respond \"primary")
	site := strings.LastIndex(caddyfile[:primary], "http://")
	end := primary + strings.Index(caddyfile[primary:], "}\n") + len("}\n")
	if out, err := reload(t, b, caddyfile[:site]+caddyfile[end:]); err != nil {
		t.Fatalf("caddy reload: %v\n%s", err, out)
	}
	awaitAnswer(t, addr, "first backup\n")
	if out, err := reload(t, b, caddyfile); err != nil {
		t.Fatalf("caddy reload: %v\n%s", err, out)
	}
	awaitAnswer(t, addr, "primary\n")
}

// awaitAnswer asks until the answer is the one wanted. Every answer is good.
func awaitAnswer(t *testing.T, addr, want string) {
	t.Helper()
	begun := time.Now()
	if err := harness.Until(t.Context(), soon, func() error {
		if got := get(t, addr).Body; got != want {
			return fmt.Errorf("answered %q, want %q", got, want)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	t.Logf("%q after %s", want, time.Since(begun))
}

// The same broker through the stock command, which is what a service unit uses.
func TestStockCommand(t *testing.T) {
	t.Parallel()
	caddyfile, addr := quickstart(t)
	b := newBroker(t, caddyfile)
	b.Args = []string{"run", "--config", "{}", "--adapter", "broker"}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, b, 0)
	if got := get(t, addr).Body; got != "primary\n" {
		t.Errorf("answered %q, want the primary", got)
	}
}

// Without --ha there is one process and no child, and failover works all the same.
func TestWithoutHA(t *testing.T) {
	t.Parallel()
	caddyfile, addr := quickstart(t)
	b := newBroker(t, caddyfile)
	b.Args = []string{"broker", "run", "--config", "{}"}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	if err := harness.Until(t.Context(), soon, func() error { return b.Admin(t.Context(), "GET", "/config/", nil) }); err != nil {
		t.Fatalf("%v\n%s", err, b.Process().Output())
	}
	if got := get(t, addr).Body; got != "primary\n" {
		t.Errorf("answered %q, want the primary", got)
	}
	pids, err := b.Processes()
	if err != nil || len(pids) != 1 {
		t.Errorf("processes %v (%v), want one", pids, err)
	}
}
