// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package harness starts the real broker and real backends as processes, breaks
// them on purpose, and counts what happened to every request that was sent
// meanwhile.
//
// Its guarantees: a client of this package never sends a request twice by
// itself, a backend's record of what it executed survives its SIGKILL, and no
// process that was started here outlives the process that started it. It judges
// nothing: which fates are allowed is for the tests to say. It works on Linux,
// where the broker is complete.
package harness
