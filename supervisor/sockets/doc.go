// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package sockets holds the listening sockets that a supervisor lends to its child
// processes.
//
// A [Holder] opens an address when the first process asks for it and lends every
// process a descriptor of the same socket. The socket outlives the processes: while
// none of them accepts, connections wait in its queue, and no client is refused. Users
// are process numbers of the supervisor; it says which of them are gone ([Holder.Leave])
// and when what no process uses is closed ([Holder.Sweep]).
//
// A descriptor that is lent is the borrower's, which closes it with [CloseFD]. A file
// of a unix socket is only replaced or removed if nothing serves there, or if it is
// this process's own. [Allow] says what a process of another user must not be lent.
//
// On systems that are not Unix no socket can be lent.
package sockets
