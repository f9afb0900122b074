// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package account is what a child has in progress, kept where its death cannot take it.
//
// The supervisor makes a page of memory for each process, hands it over with [Attach] and
// reads it with [Read] when the process is dead. The process takes it up with [Inherit],
// and writes an [Entry] for every request in progress: this takes no lock, no system
// call and no memory. When all entries are in use, further requests are only counted.
//
// Its guarantee: whatever ends the process, and at whatever moment, what it had written is
// there. An entry that was being written at that moment is recognised, and counted as
// torn. A mark is made before what it says is done: a request that is not marked as
// written was not written.
//
// The child is not trusted: any bytes may be in the page. What [Read] returns is bounded,
// and its texts can be shown. The two sides may be of different versions, since a binary
// can be replaced while it runs: a page of another layout is not read, and the error
// says so.
//
// It does not know what a request is in doubt for, or what becomes of it.
package account

// Env is the environment variable that tells a child which descriptor its page is.
// [Inherit] removes it; it must not reach any other process.
const Env = "CADDY_BROKER_ACCOUNT"
