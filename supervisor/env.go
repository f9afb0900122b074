// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"strings"

	"github.com/caddy-broker/caddy-broker/supervisor/account"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
)

// envExec makes a process started from this program replace itself by another
// one: the one its arguments name.
const envExec = "CADDY_BROKER_EXEC"

// envWatch makes a process started from this program the watcher of its group.
const envWatch = "CADDY_BROKER_WATCH"

// CleanEnv is env without what a service manager gave to this process alone: a
// child that inherited it could report for its parent, or take its sockets.
func CleanEnv(env []string) []string {
	out := make([]string, 0, len(env))
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		switch name {
		case "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID",
			"WATCHDOG_USEC", "WATCHDOG_PID", "MAINPID", "FDSTORE", control.Env, account.Env, envExec, envWatch:
			continue
		}
		out = append(out, e)
	}
	return out
}

// SetEnv is env with KEY=value, replacing an earlier one.
func SetEnv(env []string, key, value string) []string {
	out := make([]string, 0, len(env)+1)
	for _, e := range env {
		if name, _, _ := strings.Cut(e, "="); name != key {
			out = append(out, e)
		}
	}
	return append(out, key+"="+value)
}

func lookupEnv(env []string, key string) (string, bool) {
	for _, e := range env {
		if name, value, _ := strings.Cut(e, "="); name == key {
			return value, true
		}
	}
	return "", false
}
