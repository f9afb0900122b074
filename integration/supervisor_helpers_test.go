// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"crypto/tls"
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
	if pid <= 0 { // that is one about to be started, and would be this group of processes
		return fmt.Errorf("there is no process %d", pid)
	}
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
	operateOn(t, b, "default", operation)
}

// operateOn asks for an operation on a child, which must succeed.
func operateOn(t *testing.T, b *harness.Broker, child, operation string) {
	t.Helper()
	if err := b.Admin(t.Context(), http.MethodPost, "/broker/children/"+child+"/"+operation, nil); err != nil {
		t.Fatal(err)
	}
}

// underWay sends one request, whose id is name with "-0", and returns when a
// backend executes it.
func underWay(t *testing.T, backends []*harness.Backend, client *harness.Client, name string, req harness.Request) *harness.Run {
	t.Helper()
	load := harness.Load{Client: client, Rate: 1, Count: 1, Name: name, Requests: []harness.Request{req}}
	run := load.Start(t.Context())
	if err := harness.Until(t.Context(), soon, func() error {
		if executions(t, backends)[name+"-0"] == 0 {
			return fmt.Errorf("request %s has not arrived", name)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return run
}

// insecure is the TLS of a client that takes any certificate of the broker's own
// authority.
var insecure = &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}

// awaitTLS waits until the broker has its certificate. From then on it lies in
// storage, and every new child has it.
func awaitTLS(t *testing.T, addr string) {
	t.Helper()
	if err := harness.Until(t.Context(), soon, func() error {
		conn, err := tls.Dial("tcp", addr, insecure)
		if err == nil {
			err = conn.Close()
		}
		return err
	}); err != nil {
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
