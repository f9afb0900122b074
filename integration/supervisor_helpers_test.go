// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"net/http"
	"syscall"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// killProcess ends a process with SIGKILL and returns when it has ended: until
// then it may still accept.
func killProcess(t *testing.T, pid int) error {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return err
	}
	return awaitEnd(t, pid)
}

// awaitEnd waits until a process has ended.
func awaitEnd(t *testing.T, pid int) error {
	t.Helper()
	return harness.Until(t.Context(), soon, func() error {
		if harness.Alive(pid) {
			return fmt.Errorf("process %d lives", pid)
		}
		return nil
	})
}

// operate asks for an operation on the default child, which must succeed.
func operate(t *testing.T, b *harness.Broker, operation string) {
	t.Helper()
	if err := b.Admin(t.Context(), http.MethodPost, "/broker/children/default/"+operation, nil); err != nil {
		t.Fatal(err)
	}
}

// awaitStandby waits for a spare of the child that is ready, and returns the
// process ids of the active process and of the spare.
func awaitStandby(t *testing.T, b *harness.Broker) (active, standby int) {
	t.Helper()
	_, err := b.AwaitChild(t.Context(), "default", func(c *harness.Child) bool {
		active, standby = 0, 0
		for _, p := range c.Processes {
			switch p.State {
			case "active":
				active = p.Pid
			case "standby":
				standby = p.Pid
			}
		}
		return active != 0 && standby != 0
	})
	if err != nil {
		t.Fatalf("no standby: %v", err)
	}
	return active, standby
}
