// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package probe is what an operator wants to see answered before a new process serves:
// requests, and what is expected of their answers.
//
// Its guarantee: a probe that was read can be sent and can succeed; what is wrong with
// one is an error when the configuration is read, with its place in the file. It knows
// neither processes nor sockets: where a probe is sent is up to the one who sends it.
package probe
