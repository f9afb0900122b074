// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/caddy-broker/caddy-broker/failover"
)

func TestDecide(t *testing.T) {
	// with is the evidence of a GET whose attempt ended in that way, changed.
	with := func(o failover.Outcome, change func(*evidence)) evidence {
		e := evidence{outcome: o, replayable: true, safe: true, promise: proofIdempotent}
		e.written = o == failover.Lost || o == failover.LostReused || o == failover.Hung || o == failover.Neutral
		if change != nil {
			change(&e)
		}
		return e
	}
	post := func(e *evidence) { e.safe, e.promise = false, noProof }
	put := func(e *evidence) { e.safe = false }
	for _, tc := range []struct {
		name string
		e    evidence
		want decision
		why  proof
	}{
		{"GET, lost", with(failover.Lost, nil), another, proofIdempotent},
		{"GET, refused", with(failover.DialFailed, nil), another, proofUnwritten},
		{"GET, dial given up", with(failover.DialAborted, nil), another, proofUnwritten},
		{"GET, hung", with(failover.Hung, nil), another, proofIdempotent},
		{"GET, stale", with(failover.LostReused, nil), againHere, proofIdempotent},
		{"GET, response begun", with(failover.Lost, func(e *evidence) { e.began = true }), giveAnswer, noProof},
		{"GET, limit of ours", with(failover.Neutral, nil), giveAnswer, noProof},
		{"GET, limit of ours, operator", with(failover.Neutral, func(e *evidence) { e.promise = proofOperator }), another, proofOperator},
		{"PUT, limit of ours", with(failover.Neutral, put), giveAnswer, noProof},
		{"PUT, limit of ours, operator", with(failover.Neutral, func(e *evidence) { put(e); e.promise = proofOperator }), another, proofOperator},
		{"POST, limit of ours", with(failover.Neutral, post), giveAnswer, noProof},
		{"GET, spent", with(failover.Lost, func(e *evidence) { e.spent = true }), giveAnswer, noProof},
		{"GET, spent, stale", with(failover.LostReused, func(e *evidence) { e.spent = true }), againHere, proofIdempotent},
		{"GET, refused, spent", with(failover.DialFailed, func(e *evidence) { e.spent = true }), giveAnswer, noProof},
		{"PUT, lost", with(failover.Lost, put), another, proofIdempotent},
		{"PUT, hung", with(failover.Hung, put), giveAnswer, noProof},
		{"PUT, body not kept", with(failover.Lost, func(e *evidence) { put(e); e.replayable = false }), giveAnswer, noProof},
		{"PUT, refused, body not kept", with(failover.DialFailed, func(e *evidence) { put(e); e.replayable = false }), giveAnswer, noProof},
		{"POST, refused", with(failover.DialFailed, post), another, proofUnwritten},
		{"POST, lost", with(failover.Lost, post), giveAnswer, noProof},
		{"POST, stale", with(failover.LostReused, post), giveAnswer, noProof},
		{"POST, stale, nothing written", with(failover.LostReused, func(e *evidence) { post(e); e.written = false }), againHere, proofUnwritten},
		{"POST, refused stream", with(failover.LostReused, func(e *evidence) { post(e); e.unprocessed = true }), againHere, proofUnprocessed},
		{"POST, key", with(failover.Lost, func(e *evidence) { post(e); e.promise = proofKey }), another, proofKey},
		{"POST, key, hung", with(failover.Hung, func(e *evidence) { post(e); e.promise = proofKey }), giveAnswer, noProof},
		{"POST, operator", with(failover.Lost, func(e *evidence) { post(e); e.promise = proofOperator }), another, proofOperator},
		{"POST, operator, limit of ours", with(failover.Neutral, func(e *evidence) { post(e); e.promise = proofOperator }), another, proofOperator},
		{"POST, operator, hung", with(failover.Hung, func(e *evidence) { post(e); e.promise = proofOperator }), giveAnswer, noProof},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got, why := tc.e.decide(); got != tc.want || why != tc.why {
				t.Errorf("got %d by %q, want %d by %q", got, why, tc.want, tc.why)
			}
		})
	}
}

// TestDecideNeedsProof: nothing is sent again without a proof, and a decision that
// has one is to send again.
func TestDecideNeedsProof(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvidence(t)
		next, why := e.decide()
		if (next == giveAnswer) != (why == noProof) {
			t.Fatalf("%+v: decided %d by %q", e, next, why)
		}
		if why != noProof && why != e.weigh() {
			t.Fatalf("%+v: decided by %q, but the proof is %q", e, why, e.weigh())
		}
		if next == another && e.spent {
			t.Fatalf("%+v: another backend beyond the limit", e)
		}
	})
}

func drawEvidence(t *rapid.T) evidence {
	return evidence{
		outcome: rapid.SampledFrom([]failover.Outcome{
			failover.DialFailed, failover.DialAborted, failover.Lost, failover.LostReused, failover.Hung, failover.Neutral,
		}).Draw(t, "outcome"),
		written: rapid.Bool().Draw(t, "written"), unprocessed: rapid.Bool().Draw(t, "unprocessed"),
		began:      rapid.Bool().Draw(t, "began"),
		replayable: rapid.Bool().Draw(t, "replayable"), safe: rapid.Bool().Draw(t, "safe"),
		spent:   rapid.Bool().Draw(t, "spent"),
		promise: rapid.SampledFrom([]proof{noProof, proofIdempotent, proofKey, proofOperator}).Draw(t, "promise"),
	}
}
