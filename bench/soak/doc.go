// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package soak breaks a running broker at random for a while and checks that it
// keeps its promises: what is safe is never lost, what is not is never executed
// twice, what may have been executed is reported as in doubt, memory and
// descriptors stay bounded, and in the end everything is up again and says so.
//
// The seed decides which faults come when, and repeats them; how requests and
// faults meet depends on the machine. At least one backend works at any time,
// because what happens without any is for other tests to say. It works on Linux.
package soak
