// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package assumed holds what this plugin takes for granted of Caddy, net/http and
// crypto/tls although nothing promises it: names and types that are not exported,
// texts of errors, the order in which things happen. Each has a test of its own,
// which fails when a new version changes it; a version that passes them may be used.
//
// What can be named is a constant or a function here. The rest is behaviour that
// code elsewhere relies on:
//
//   - reverse_proxy loads its transport before its policy and its dynamic upstreams
//     after it, and uses the transport and the limits of retries that it finds when
//     the policy has been provisioned (TestThePolicyComesBetween).
//   - It has a logger for its round trips, in a field of which the name is known, and encodes
//     each request for it whether it logs or not (TestRoundTripsAreEncodedForNothing).
//   - It passes the same request to the policy for every attempt of one run, and
//     another one for another run (TestARunHasOneRequest).
//   - The request that a transport gets is a copy for that attempt, with a client
//     trace made for it, so both may be changed (TestAnAttemptHasItsOwnRequest).
//   - The variables of the client's request are found in the context of a dial, which
//     net/http makes on a goroutine of its own (TestADialKnowsItsRequest).
//   - net/http says that it took a connection before it writes to it, and on the
//     goroutine of the round trip (TestAConnectionIsAnnouncedBeforeItIsUsed).
//   - Where the first write to a connection fails with nothing written it takes another
//     one by itself, for a request of any method (TestAnUnwrittenRequestGoesElsewhere).
//   - It closes a connection as soon as writing to it has failed
//     (TestAFailedWriteClosesTheConnection).
//   - GetBody is called for nothing but another attempt (TestGetBodyMeansAgain).
//   - A dial calls the hooks that are found in its context by the key of net/http/httptrace
//     and no others (TestADialCallsTheHooksOfItsContext).
//   - The server sends GOAWAY to an HTTP/2 client whose answer carries exactly
//     "Connection: close", in most cases before that answer, or whose server is shut
//     down (TestGoAwayIsSent).
//   - A new HTTP/2 connection is active, then idle, before its first request
//     (TestAnHTTP2ConnectionBeginsIdle).
//   - The server calls its functions for ALPN protocols with connections whose handshake
//     is over; certificates are loaded after the servers have started (tests of the child).
//
// It does nothing by itself, and knows nothing of this plugin.
package assumed
