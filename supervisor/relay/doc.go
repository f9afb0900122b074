// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package relay carries datagrams from the process that reads a datagram socket to
// those that it has replaced, which still have QUIC connections there.
//
// One process alone reads a socket: the kernel gives a datagram to the one that asks first,
// and cannot know whose connection it belongs to, because clients may have connections
// to several processes from one port. So the process that reads, whose side is the
// [Sender], hands on a copy of what may be another's, and keeps the original: QUIC drops
// what belongs to none of its connections. A replaced process, whose side is the
// [Receiver], answers through the socket itself, which it still has.
//
// What begins a connection is not handed on ([Begins]): a replaced process gets no new
// ones. Nothing waits: a datagram for which there is no room is lost, as on the network.
//
// The supervisor has a [Registry] of these ways. It makes one for each process that is
// replaced, and each process that begins to read gets all of them. They exist on Linux;
// elsewhere [Registry.Lend] returns [errors.ErrUnsupported].
package relay
