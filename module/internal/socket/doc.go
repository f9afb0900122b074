// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package socket asks the operating system about TCP sockets: whether a peer is
// still there and when it was last heard, how soon its silence is noticed, and at
// which addresses this process and its parent listen.
//
// Its guarantee: where a system does not answer, the careful answer is given: a
// peer counts as present, every address of this machine as one's own. It neither
// opens nor reads nor closes a connection.
package socket
