// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

func TestDecide(t *testing.T) {
	// with is the evidence of a GET whose attempt ended in that way, changed.
	with := func(o report.Outcome, change func(*evidence)) evidence {
		e := evidence{outcome: o, replayable: true, safe: true, promise: proofIdempotent}
		e.written = o == report.Lost || o == report.LostReused || o == report.Hung || o == report.Neutral
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
		{"GET, lost", with(report.Lost, nil), another, proofIdempotent},
		{"GET, refused", with(report.DialFailed, nil), another, proofUnwritten},
		{"GET, dial given up", with(report.DialAborted, nil), another, proofUnwritten},
		{"GET, hung", with(report.Hung, nil), another, proofIdempotent},
		{"GET, stale", with(report.LostReused, nil), againHere, proofIdempotent},
		{"GET, response begun", with(report.Lost, func(e *evidence) { e.began = true }), giveAnswer, noProof},
		{"GET, limit of ours", with(report.Neutral, nil), giveAnswer, noProof},
		{"GET, limit of ours, operator", with(report.Neutral, func(e *evidence) { e.promise = proofOperator }), another, proofOperator},
		{"PUT, limit of ours", with(report.Neutral, put), giveAnswer, noProof},
		{"PUT, limit of ours, operator", with(report.Neutral, func(e *evidence) { put(e); e.promise = proofOperator }), another, proofOperator},
		{"POST, limit of ours", with(report.Neutral, post), giveAnswer, noProof},
		{"GET, spent", with(report.Lost, func(e *evidence) { e.spent = true }), giveAnswer, noProof},
		{"GET, spent, stale", with(report.LostReused, func(e *evidence) { e.spent = true }), againHere, proofIdempotent},
		{"GET, refused, spent", with(report.DialFailed, func(e *evidence) { e.spent = true }), giveAnswer, noProof},
		{"PUT, lost", with(report.Lost, put), another, proofIdempotent},
		{"PUT, hung", with(report.Hung, put), giveAnswer, noProof},
		{"PUT, body not kept", with(report.Lost, func(e *evidence) { put(e); e.replayable = false }), giveAnswer, noProof},
		{"PUT, refused, body not kept", with(report.DialFailed, func(e *evidence) { put(e); e.replayable = false }), giveAnswer, noProof},
		{"POST, refused", with(report.DialFailed, post), another, proofUnwritten},
		{"POST, lost", with(report.Lost, post), giveAnswer, noProof},
		{"POST, stale", with(report.LostReused, post), giveAnswer, noProof},
		{"POST, stale, nothing written", with(report.LostReused, func(e *evidence) { post(e); e.written = false }), againHere, proofUnwritten},
		{"POST, refused stream", with(report.LostReused, func(e *evidence) { post(e); e.unprocessed = true }), againHere, proofUnprocessed},
		{"POST, key", with(report.Lost, func(e *evidence) { post(e); e.promise = proofKey }), another, proofKey},
		{"POST, key, hung", with(report.Hung, func(e *evidence) { post(e); e.promise = proofKey }), giveAnswer, noProof},
		{"POST, operator", with(report.Lost, func(e *evidence) { post(e); e.promise = proofOperator }), another, proofOperator},
		{"POST, operator, limit of ours", with(report.Neutral, func(e *evidence) { post(e); e.promise = proofOperator }), another, proofOperator},
		{"POST, operator, hung", with(report.Hung, func(e *evidence) { post(e); e.promise = proofOperator }), giveAnswer, noProof},
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
		outcome: rapid.SampledFrom([]report.Outcome{
			report.DialFailed, report.DialAborted, report.Lost, report.LostReused, report.Hung, report.Neutral,
		}).Draw(t, "outcome"),
		written: rapid.Bool().Draw(t, "written"), unprocessed: rapid.Bool().Draw(t, "unprocessed"),
		began:      rapid.Bool().Draw(t, "began"),
		replayable: rapid.Bool().Draw(t, "replayable"), safe: rapid.Bool().Draw(t, "safe"),
		spent:   rapid.Bool().Draw(t, "spent"),
		promise: rapid.SampledFrom([]proof{noProof, proofIdempotent, proofKey, proofOperator}).Draw(t, "promise"),
	}
}
