// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package integration tests the real program from outside: the binary that a
// user runs, real sockets, real backends, and faults under load.
//
// Every test starts its own broker on free loopback ports with its own
// directories, and ends with no process of it left. What is tested is what
// clients, backends and operators can see; the packages inside have their own
// tests. The tests run on Linux, where the broker is complete.
package integration
