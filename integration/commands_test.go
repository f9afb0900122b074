// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// refused runs a broker command that must fail, and say why.
func refused(t *testing.T, b *harness.Broker, says string, command ...string) {
	t.Helper()
	out, err := b.Run(t.Context(), append(append([]string{"broker"}, command...), "--address", b.AdminAddr())...)
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("%s: %v, want exit code 1\n%s", strings.Join(command, " "), err, out)
	}
	if !strings.Contains(out, says) {
		t.Errorf("%s: the error does not say %q:\n%s", strings.Join(command, " "), says, out)
	}
}

// A command that cannot be carried out says why, and changes nothing.
func TestCommandsThatCannotBeCarriedOut(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	b := startBroker(t, answering, "PORT="+port)
	pid := awaitActive(t, b, 0)
	if err := b.Write(answering + "http://:{$PORT} {\n\tno_such_directive\n}\n"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ command, says string }{
		{"start", "already running"},
		{"promote", "no ready standby"},
		{"reload", "no_such_directive"},
		{"stop --mode gently", "immediate or force"},
		{"start nobody", `no child \"nobody\": there are default`},
		{"stop nobody", `no child \"nobody\": there are default`},
		{"restart nobody", `no child \"nobody\": there are default`},
		{"reload nobody", `no child \"nobody\": there are default`},
		{"promote nobody", `no child \"nobody\": there are default`},
	} {
		refused(t, b, c.says, strings.Fields(c.command)...)
	}
	if now := awaitActive(t, b, 0); now != pid {
		t.Errorf("the child was %d and is %d", pid, now)
	}
	if got := get(t, "127.0.0.1:"+port).Body; got != "ANSWER" {
		t.Errorf("answered %q", got)
	}

	operate(t, b, "stop")
	const unserved = "is stopped, so nothing would serve this configuration"
	out, err := reload(t, b, strings.Replace(answering, "ANSWER", "changed", 1))
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || !strings.Contains(out, unserved) {
		t.Errorf("a load that nothing would serve: %v, want exit code 1\n%s", err, out)
	}
	refused(t, b, unserved, "reload") // of a change
	if err := b.Write(answering); err != nil {
		t.Fatal(err)
	}
	refused(t, b, unserved, "reload") // of the same
	for _, command := range []string{"stop", "restart", "promote"} {
		refused(t, b, "child is stopped", command)
	}
	child, err := b.Child(t.Context(), "default")
	if err != nil || child.State != "stopped" || len(child.Processes) > 0 {
		t.Errorf("the child is %+v (%v), want it stopped", child, err)
	}
	if err := harness.PortFree(port); err != nil {
		t.Error(err)
	}
}
