// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import "github.com/caddy-broker/caddy-broker/failover/report"

// decision is what follows an attempt that failed.
type decision uint8

const (
	giveAnswer decision = iota // the request is answered with the fault
	againHere                  // it goes to the same backend, on a new connection
	another                    // Caddy asks the policy for another backend
)

// evidence is what is known of an attempt that failed, and of its request.
type evidence struct {
	outcome     report.Outcome // for the pool
	written     bool           // a byte of the request may have been written
	unprocessed bool           // REFUSED_STREAM, or GOAWAY below the stream
	began       bool           // the response had begun, 1xx apart
	replayable  bool           // another attempt would send the same body
	safe        bool           // of the method
	promise     proof          // that the request brings along, or the operator's word
	spent       bool           // the request has no attempt left, see exchange.spent
}

// as is the evidence of an attempt with that outcome.
func (e evidence) as(o report.Outcome) evidence {
	e.outcome = o
	return e
}

// decide says what follows, and by which proof a request is sent once more. It
// knows nothing but the evidence, and does nothing.
func (e evidence) decide() (decision, proof) {
	why := e.weigh()
	stale := e.outcome == report.LostReused
	switch {
	case why == noProof:
		return giveAnswer, noProof
	case e.outcome == report.Neutral && why != proofOperator:
		// A limit of the user's own has ended it, not the backend: only the user's
		// own word says that it goes to another one, whatever the method.
		return giveAnswer, noProof
	case stale:
		// A connection that was stale says nothing of the backend, so that attempt
		// is made up for, however often the request was written.
		return againHere, why
	case e.spent:
		return giveAnswer, noProof
	}
	return another, why
}

// weigh is the proof for sending the request once more, if there is one.
func (e evidence) weigh() proof {
	switch {
	case !e.replayable || e.began:
		return noProof
	case !e.written:
		return proofUnwritten
	case e.unprocessed:
		return proofUnprocessed
	case e.outcome == report.Hung && !e.safe:
		// The stopped backend may execute it later, over newer data.
		return noProof
	}
	return e.promise
}
