// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package backend runs HTTP servers that break on command: they refuse, hang,
// drop packets, close or reset connections, cut their answers and say that they
// are still starting.
//
// Each is a process of its own, so that it can be killed and stopped, and ends
// with the process that started it. What a backend was asked to execute is
// written down before anything else happens and outlives its SIGKILL. Nothing
// of this needs privileges or changes the machine. It works on Linux.
package backend
