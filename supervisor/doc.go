// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package supervisor runs a program as a supervised child: it spawns a process,
// waits until that is ready, watches that it lives, starts another one after a
// crash, keeps spares, replaces it without loss and stops it in one of two modes.
// The listening sockets belong to this process and are lent to children, so that
// a dead child refuses no connection: it waits for the next one.
//
// Its guarantees: at most one process accepts at a time; no process outlives its
// supervisor, because each holds a lifeline; exactly one goroutine waits for each
// process; and every call of [Supervisor] is answered, however long a process takes
// to die.
//
// To use it, make a [Supervisor] with [New], start a [Spec] with [Supervisor.Start],
// which returns when it serves, and close it in the end:
//
//	s := supervisor.New(supervisor.Config{Name: "web", Stderr: os.Stderr})
//	defer s.Close()
//	err := s.Start(ctx, &supervisor.Spec{Command: command, ReadyTimeout: 30 * time.Second})
//
// A program that speaks the protocol of package control says itself when it is
// ready, takes sockets when it asks for them, and can be a standby. Any other one is
// External: it gets sockets and notifications in systemd's form.
//
// The decisions are a pure state machine (machine.go and the inputs in
// machine_input.go, machine_exit.go and request.go); one goroutine owns its state and
// carries its actions out (supervisor.go). Files in testdata tell its stories.
//
// The callbacks of [Config] run on that goroutine and must not block. Passing sockets
// needs Unix; elsewhere children listen by themselves. The package knows nothing of
// HTTP or Caddy: what a child does with its sockets is the child's business.
package supervisor
