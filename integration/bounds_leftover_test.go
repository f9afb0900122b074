// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// stubborn is a program that does not end when it is told to, nor does what it started.
const stubborn = `{
	admin {$ADMIN}
	broker {
		child stubborn {
			command sh -c "trap '' TERM; sleep 1000 & echo $$ $! > pids.new; mv pids.new pids; wait"
			drain_timeout 3s
		}
	}
}
http://:{$PORT} {
	respond first
}
`

// startStubborn is a broker with that program, and the ids of its processes.
func startStubborn(t *testing.T) (b *harness.Broker, addr string, pids []int) {
	t.Helper()
	port := freePort(t)
	b = startBroker(t, stubborn, "PORT="+port)
	pids = stubbornPids(t, b)
	return b, "127.0.0.1:" + port, pids
}

func stubbornPids(t *testing.T, b *harness.Broker) []int {
	t.Helper()
	pids := make([]int, 2)
	if err := harness.Until(t.Context(), soon, func() error {
		text, err := os.ReadFile(filepath.Join(b.Dir, "pids"))
		if err == nil {
			_, err = fmt.Sscan(string(text), &pids[0], &pids[1])
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, pid := range pids {
			if harness.Alive(pid) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	return pids
}

// What a program has started ends with a broker that is killed, though it does not do
// what it is told; the next broker starts at once, and nothing of the first is left.
func TestNothingIsLeftOfAKilledBroker(t *testing.T) {
	b, addr, pids := startStubborn(t)
	left := filepath.Join(b.Dir, "tmp", "caddy-broker-*")
	before, err := filepath.Glob(left)
	if err != nil || len(before) == 0 {
		t.Fatalf("directories %v (%v)", before, err)
	}
	// The child goes with it: nothing is left to clean up.
	children, err := b.Processes()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Process().Kill(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range children {
		if program, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); strings.Contains(string(program), "--child") {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	_ = os.Remove(filepath.Join(b.Dir, "pids"))
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, b, 0)
	get(t, addr)
	for _, pid := range pids {
		if err := awaitEnd(t, pid); err != nil {
			t.Error(err)
		}
	}
	for _, dir := range before {
		if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left (%v)", dir, err)
		}
	}
	stubbornPids(t, b)
}

// A reload that removes a program which does not end holds up nothing, and the program
// is ended by force in the end.
func TestReloadDoesNotWaitForAProgram(t *testing.T) {
	b, addr, pids := startStubborn(t)
	without := strings.Replace(stubborn, "first", "second", 1)
	i, j := strings.Index(without, "\tbroker {"), strings.Index(without, "http://")
	if err := b.Write(without[:i] + "}\n" + without[j:]); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if out, err := b.Run(ctx, "reload", "--config", "{}", "--adapter", "broker", "--address", b.AdminAddr()); err != nil {
		t.Fatalf("reloading: %v\n%s", err, out)
	}
	if !harness.Alive(pids[0]) {
		t.Error("the program ended before its limit, which shows nothing")
	}
	if body := get(t, addr).Body; body != "second" {
		t.Errorf("the site answers %q", body)
	}
	for _, pid := range pids {
		if err := awaitEnd(t, pid); err != nil {
			t.Error(err)
		}
	}
	if _, err := b.Child(t.Context(), "default"); err != nil {
		t.Error(err)
	}
	if err := harness.Until(t.Context(), soon, func() error {
		if _, err := b.Child(t.Context(), "stubborn"); err == nil {
			return errors.New("the program is still shown")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
