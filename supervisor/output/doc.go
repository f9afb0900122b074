// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package output keeps the end of what a program writes ([Tail]) and, where it dies as Go
// programs do, the beginning of its dump, which says why.
//
// Its guarantee: what is kept is bounded, however much the program writes. What is in it
// is the program's word.
package output
