// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package tail keeps what a program wrote last: the end, and the beginning of the dump
// with which a Go program dies, from which the reason is read.
//
// Its guarantee: however much is written, what is kept is bounded. It reads nothing by
// itself and knows no processes.
package tail
