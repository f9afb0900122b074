// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// One event, which is one log line, for each change, none for each request.

// tellLost says that a member was lost.
func (x *machine) tellLost(m *Member, why string, clients int64) {
	over := x.anyOther(m)
	code := "FAILOVER"
	if !over {
		x.outage.Begin(x.now)
		if x.limit() == 0 {
			code = "DISCONNECT"
		}
	}
	x.emit("failover_interrupted", map[string]any{
		"upstream": m.Name, "reason": why, "error": m.err.String(), "code": code, "failed_over": over, "clients": clients,
		"losses": m.flaps.Lost(x.now),
	})
}

// tellResumed says that a member which was told as lost serves again, and returns how long
// it was away. Where clients come home, that says it.
func (x *machine) tellResumed(m *Member, home bool) (away time.Duration) {
	if !m.flaps.Away() {
		return 0
	}
	away = m.flaps.Back(m.back)
	x.emit("failover_resumed", map[string]any{
		"upstream": m.Name, "code": "FAILOVER", "failed_over": true, "clients": m.inProgress.Load(), "away_seconds": report.Seconds(away),
		"quiet": home || x.outage.Active() || m.flaps.Flapping(), // something else tells it
	})
	return away
}

// tellRecovered says that members serve again and nothing waits any more, what that was
// like for requests, and that a member flaps no more.
func (x *machine) tellRecovered() {
	for _, m := range x.members {
		if n := m.flaps.Steady(x.now); n > 0 && m.state == stateUp {
			x.emit("failover_steady", map[string]any{"upstream": m.Name, "losses": n})
		}
		if x.outage.Active() && m.serves() && m.returned() && x.queue.len() == 0 {
			o := x.outage.End(x.now, m.back)
			x.emit("failover_recovered", map[string]any{
				"upstream": m.Name, "away_seconds": report.Seconds(o.Away), "waited": o.Waited,
				"longest_seconds": report.Seconds(o.Longest), "refused": o.Refused, "left": o.Left,
			})
		}
	}
}

// tellAnswers says that a member answers with 5xx only, and that it does so no more.
func (x *machine) tellAnswers(m *Member) {
	answers, news := m.answers.Look(func(status int) uint64 { return m.outcomes[report.Counter(report.Answered, status)].Load() })
	switch {
	case news && m.answers.Failing:
		x.emit("failover_failing", map[string]any{"upstream": m.Name, "answers": answers})
	case news:
		x.emit("failover_answering", map[string]any{"upstream": m.Name})
	}
}

// tellHome says that clients move back to a priority member.
func (x *machine) tellHome(m *Member, away time.Duration) {
	if !x.anyOther(m) {
		return // they were nowhere else
	}
	data := map[string]any{"upstream": m.Name, "manual": false, "away_seconds": report.Seconds(away), "quiet": m.flaps.Flapping()}
	if x.opt.EffectiveAffinity().Counted() {
		data["clients"] = x.requests.away()
	}
	x.emit("failover_failback", data)
}

// member tells of a change of the list.
func (x *machine) member(change string, m *Member) {
	x.dirty, x.changed = true, true
	x.emit("failover_membership", map[string]any{"change": change, "upstream": m.Name})
}
