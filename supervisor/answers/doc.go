// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package answers compares how many of its answers a process fails with, to what the
// process before did ([Limit]).
//
// Its guarantee: it decides by counts alone, and not before there are enough of them on
// both sides. It neither looks nor waits; what is done about a process is its user's
// business.
package answers
