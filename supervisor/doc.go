// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package supervisor runs a program as a supervised child process: it spawns it,
// waits until it is ready, watches that it lives, restarts it after a crash,
// keeps spares, replaces it without loss and stops it in one of two modes. The
// listening sockets belong to this process and are lent to children, so that a
// dead child refuses nobody.
//
// The decisions are a pure state machine (machine.go); one goroutine owns its
// state and carries its actions out (supervisor.go). Exactly one goroutine waits
// for each process, and no process outlives its supervisor: children hold a
// lifeline, the control connection.
//
// The package knows nothing of HTTP or Caddy: what a child does with its sockets
// is the child's business (link.go is its side of the control connection).
package supervisor
