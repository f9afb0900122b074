// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package memory is about the memory of processes: what the system says of it
// ([Of], [KillsOf]), whom the system is to end first when there is none left
// ([EndFirst]), and when a process has had too much of it for long enough ([Watch]).
//
// Its guarantee: what the system does not say is 0, and nothing is decided from that.
// [Watch] is a value that neither looks nor waits. What is done about a process that has
// too much is its user's business.
package memory
