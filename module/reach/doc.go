// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package reach is how a handler reaches its backends: it makes every connection,
// asks backends whether they live, and holds connections ready.
//
// Its guarantee: of each connection it is known exactly whether a byte of a request
// was written, everything that is blocked on a backend can be ended at once, and an
// announced address is dialled only where the operator allowed it. It does not
// decide which backend gets a request, nor whether one is sent again.
//
// A [Way] wraps Caddy's transport for one handler. A request tells its dials what they
// have to keep to by an [Errand], the context of its round trip:
//
//	w := reach.New(transport)
//	err := w.Provision(ctx, reach.Config{…})
//	e := &reach.Errand{Attempt: attempt, Backend: w.Backend(attempt.Member()), Run: …}
//	w.Begin(e, req)
//	res, err := transport.RoundTrip(req.WithContext(e))
package reach
