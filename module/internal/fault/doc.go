// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package fault says what an error of a backend's connection means: which fault it
// is in the terms of RFC 9209, whether it came from this machine, and whether a limit of
// ours ended the attempt.
//
// Its guarantee: it looks at the error alone, and has an answer for every one. It does
// not decide what follows from a fault.
package fault
